"""Runs the steps of a Dockerfile in a clean Debian below FOLDER, where there is no docker, and writes FOLDER.run.

    python docker/chroot.py docker/cpu.Dockerfile /tmp/image [--torch-from-pypi]
    /tmp/image.run --help        # what `docker run IMAGE --help` would do, with Docker's 64 MB of shared memory

It needs root and mmdebstrap, which makes Debian of the release that FROM names. pip's certificates are those that
PIP_CERT names, if it is set.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from string import Template

SOURCE = Path(__file__).parents[1]
INDEX = "--index-url https://download.pytorch.org/whl/cpu"
MOUNTS = "mount -t proc proc $0/proc && mkdir -p $0/dev/shm && mount -t tmpfs -o size=64m shm $0/dev/shm"
ENTER = f"unshare --mount --pid --fork --kill-child sh -c '{MOUNTS} && exec chroot \"$@\"' "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dockerfile", type=Path)
    parser.add_argument("folder", type=Path, help="must not exist")
    parser.add_argument("--torch-from-pypi", action="store_true", help=f"leave out {INDEX}")
    options = parser.parse_args()
    folder, user, workdir, env = options.folder.resolve(), "0:0", "/", {"PATH": os.defpath}
    for instruction, words in instructions(options.dockerfile.read_text(encoding="utf-8")):
        print(f"{instruction} {words}", flush=True)
        if instruction == "FROM":
            folder.mkdir()
            release = re.match(r"debian:(\w+)-", words)[1]
            subprocess.run(["mmdebstrap", "--variant=minbase", release, str(folder)], check=True)
            env |= pip_certificates(folder)
        elif instruction in ("ENV", "ARG"):
            env |= dict(word.split("=", 1) for word in shlex.split(Template(words).safe_substitute(env)))
        elif instruction == "COPY":
            copy(folder, *words.split())
        elif instruction == "RUN":
            step = words.replace(INDEX, "") if options.torch_from_pypi else words
            enter = inside(folder, user, workdir, env)
            subprocess.run(f"{enter} sh -c {shlex.quote(step)}", shell=True, check=True)
        elif instruction == "WORKDIR":
            workdir = words
        elif instruction == "USER":
            user = words
        elif instruction == "ENTRYPOINT":
            enter = inside(folder, f"${{AS:-{user}}}", workdir, env)
            run = folder.with_name(f"{folder.name}.run")
            run.write_text(f'#!/bin/sh\nexec {enter} {shlex.join(json.loads(words))} "$@"\n', encoding="utf-8")
            run.chmod(0o755)


def instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction with its words; comments gone, lines joined."""
    lines = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    return [tuple(line.split(None, 1)) for line in lines.replace("\\\n", "").splitlines() if line.strip()]


def pip_certificates(folder: Path) -> dict[str, str]:
    if not (certificates := os.environ.get("PIP_CERT")):
        return {}
    shutil.copy(certificates, folder / "etc/pip_certificates.pem")
    return {"PIP_CERT": "/etc/pip_certificates.pem"}


def copy(folder: Path, *paths: str) -> None:
    *sources, target = paths
    for source in (SOURCE / name for name in sources):
        place = folder / target.lstrip("/")
        if source.is_dir():
            shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, place)


def inside(folder: Path, user: str, workdir: str, env: dict[str, str]) -> str:
    """The shell's words before a command that is to run in the chroot."""
    given = shlex.join(f"{key}={value}" for key, value in env.items())
    at = shlex.quote(str(folder))
    return f'{ENTER} {at} --userspec="{user}" {at} env -i --chdir={workdir} {given}'


if __name__ == "__main__":
    main()
