# For CPUs, amd64 and arm64 (docs/containers.md):  docker build -f docker/cpu.Dockerfile -t yolo-optimize:cpu .

# Debian 13, since openvino's wheels for arm64 need glibc 2.35. The digest is that of the index of all architectures.
FROM debian:trixie-20260918-slim@sha256:a99cfc517144bc59b1978475ec53b46ecabec7e43635402ee5b77cc54cd1b20a

# Debian keeps only the newest version of a package, the one with the security fixes; it can't be pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv ca-certificates libgl1 libglib2.0-0t64 \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/venv \
    && install --directory --mode=1777 /work
ENV PATH=/opt/venv/bin:$PATH

# Before all else, and without what they depend on: from PyPI they would bring gigabytes of CUDA.
RUN pip install --no-cache-dir --no-deps --index-url https://download.pytorch.org/whl/cpu \
    torch==2.14.1 torchvision==0.29.1

COPY pyproject.toml constraints.txt README.md LICENSE /src/
COPY optimize /src/optimize
COPY hydra_plugins /src/hydra_plugins
COPY conf /src/conf
# Extras of docs/setup.md, separated by commas: --build-arg EXTRAS=pi,sweeps
ARG EXTRAS=""
RUN pip install --no-cache-dir -c /src/constraints.txt "/src${EXTRAS:+[$EXTRAS]}"

# Any --user can work here: what libraries keep at home goes to /tmp, the runs to /work, which you mount.
ENV HOME=/tmp
WORKDIR /work
USER 1000:1000
ENTRYPOINT ["python", "-m", "optimize"]
