"""The wheel works from any folder: it carries conf/ and the shipped checkpoint, and loads nothing heavy for --help."""

import os
import subprocess
import sys
import zipfile

import pytest

from helpers import ROOT
from helpers.commands import python_path

pytestmark = pytest.mark.command


def test_the_wheel_carries_the_config_the_checkpoint_and_the_page(tmp_path):
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    for yaml in (ROOT / "conf").rglob("*.yaml"):
        assert f"optimize/conf/{yaml.relative_to(ROOT / 'conf')}" in names
    assert "optimize/weights/digits.pt" in names
    assert "optimize/py.typed" in names  # type checkers read our annotations
    assert "hydra_plugins/optimize_search.py" in names
    templates = (
        "report/report.html.j2",
        "report/frame.html.j2",
        "report/controls.html.j2",
        "sweep/summary/sweep.html.j2",
    )
    assert {f"optimize/{name}" for name in (*templates, "report/page.css", "report/page.js")} <= set(names)
    device = {file.name for file in (ROOT / "optimize/bundle/files").iterdir() if file.is_file()}
    assert {f"optimize/bundle/files/{name}" for name in device} <= set(names)


def test_the_unpacked_wheel_finds_its_config_from_another_folder_without_importing_torch(tmp_path):
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    zipfile.ZipFile(next(tmp_path.glob("*.whl"))).extractall(tmp_path / "site")
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported for --help')")
    done = subprocess.run(
        [sys.executable, "-c", "from optimize.cli import main; main()", "--help"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": python_path(tmp_path / "site", tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "prune            Share of the original's FLOPs to remove" in done.stdout
