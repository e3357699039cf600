# For NVIDIA GPUs, amd64 (docs/containers.md):  docker build -f docker/nvidia.Dockerfile -t yolo-optimize:nvidia .

# The same as in cpu.Dockerfile: PyPI's torch brings its own CUDA, the host's NVIDIA Container Toolkit the driver.
FROM debian:trixie-20260918-slim@sha256:a99cfc517144bc59b1978475ec53b46ecabec7e43635402ee5b77cc54cd1b20a

# Debian keeps only the newest version of a package, the one with the security fixes; it can't be pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv ca-certificates libgl1 libglib2.0-0t64 \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/venv \
    && install --directory --mode=1777 /work
ENV PATH=/opt/venv/bin:$PATH

# Before the source, so that a change there does not bring gigabytes again. tensorrt has its libraries fetched from NVIDIA.
COPY constraints.txt /src/
RUN pip install --no-cache-dir -c /src/constraints.txt torch==2.14.1 torchvision==0.29.1 tensorrt==11.4.0.106

COPY pyproject.toml README.md LICENSE /src/
COPY optimize /src/optimize
COPY hydra_plugins /src/hydra_plugins
COPY conf /src/conf
# Further extras of docs/setup.md, separated by commas: --build-arg EXTRAS=qat,sweeps
ARG EXTRAS=""
RUN pip install --no-cache-dir -c /src/constraints.txt "/src${EXTRAS:+[$EXTRAS]}"

# What the toolkit gives a container: every GPU, for computing and for nvidia-smi.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
# Any --user can work here: what libraries keep at home goes to /tmp, the runs to /work, which you mount.
ENV HOME=/tmp
WORKDIR /work
USER 1000:1000
ENTRYPOINT ["python", "-m", "optimize"]
