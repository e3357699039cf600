"""The Dockerfiles install the versions of constraints.txt, copy all that the package needs, and pass hadolint."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from helpers import ROOT

FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
CONSTRAINTS = set((ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines())
NOT_CONSTRAINED = {"tensorrt"}  # its wheels are NVIDIA's own, for machines with a GPU alone
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def copied(file: Path) -> set[str]:
    lines = re.findall(r"^COPY (.*) \S+$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {name for line in lines for name in line.split()}


def test_there_is_one_for_the_cpu_and_one_for_nvidia():
    assert [file.name for file in FILES] == ["cpu.Dockerfile", "nvidia.Dockerfile"]


@each_file
def test_every_pinned_version_is_that_of_the_constraints(file):
    pins = set(re.findall(r"\b([\w-]+)==([\w.]+)", file.read_text(encoding="utf-8")))
    assert {"torch", "torchvision"} <= {name for name, _ in pins}
    assert {f"{name}=={version}" for name, version in pins if name not in NOT_CONSTRAINED} <= CONSTRAINTS


def test_both_stand_on_one_base_that_is_pinned_by_date_and_digest():
    (base,) = {re.search(r"^FROM (\S+)$", file.read_text(encoding="utf-8"), re.MULTILINE)[1] for file in FILES}
    assert re.fullmatch(r"debian:trixie-\d{8}-slim@sha256:[0-9a-f]{64}", base)  # trixie has Python 3.13


@each_file
def test_what_is_copied_exists_and_builds_the_wheel(file, tmp_path):
    for name in copied(file):
        source, target = ROOT / name, tmp_path / "src" / name
        shutil.copytree(source, target) if source.is_dir() else (
            target.parent.mkdir(exist_ok=True),
            shutil.copy(source, target),
        )
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(build, cwd=tmp_path / "src", check=True, capture_output=True)
    assert len(list(tmp_path.glob("*.whl"))) == 1


def test_the_build_is_sent_what_is_copied_and_nothing_else():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"  # .git, .venv, runs/ and whatever you keep here
    sent = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert sent == set().union(*map(copied, FILES))


@each_file
@pytest.mark.parametrize("extras, path", [("", "/src"), ("pi,sweeps", "/src[pi,sweeps]")])
@pytest.mark.skipif(sys.platform == "win32", reason="the shell of Linux")
def test_without_extras_pip_is_given_a_mere_path(file, extras, path):  # to pip "/src[]" is no path
    (word,) = re.findall(r'"/src.*"$', file.read_text(encoding="utf-8"), re.MULTILINE)
    done = subprocess.run(["sh", "-c", f"printf %s {word}"], env={"EXTRAS": extras}, capture_output=True, text=True)
    assert done.stdout == path


@each_file
def test_any_user_but_root_can_work(file):
    text = file.read_text(encoding="utf-8")
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE) == ["1000:1000"]
    assert "--mode=1777 /work" in text and "\nWORKDIR /work\n" in text and "HOME=/tmp" in text


@each_file
def test_hadolint_finds_nothing(file):
    command = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if command is None:
        pytest.skip("hadolint is not installed; the dev extra brings it, but not on Windows")
    done = subprocess.run([command, file], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout


def test_extras_that_the_files_name_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {
        name
        for file in FILES
        for words in re.findall(r"EXTRAS=([a-z,]+)", file.read_text("utf-8"))
        for name in words.split(",")
    }
    assert named and named <= set(extras)
