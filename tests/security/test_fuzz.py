"""200 mutated files of each format: each is read or refused by a sentence, in bounded time and memory, and no more."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from fuzz import COUNT, FORMATS

from helpers import ROOT
from helpers.commands import python_path
from helpers.results_cases import MEASUREMENT, content, whole
from optimize.input_size import square
from optimize.yolo import checkpoint as checkpoints
from optimize.yolo.export import to_onnx

pytestmark = pytest.mark.long

BYTES = 600 * 10**6  # for one file


@pytest.fixture(scope="session")
def honest(tmp_path_factory, dataset, checkpoint) -> Path:
    """One of each format, all small."""
    import openvino as ov

    folder = tmp_path_factory.mktemp("fuzz") / "honest"
    shutil.copytree(dataset.parent, folder, ignore=shutil.ignore_patterns("*.cache"))
    shutil.copy(checkpoint, folder / "model.pt")
    to_onnx(checkpoints.deployed(checkpoints.load(checkpoint)), square(64), folder / "model.onnx")
    ov.save_model(ov.convert_model(folder / "model.onnx"), folder / "model.xml", compress_to_fp16=True)
    content(whole(), folder)
    (folder / "measurement.json").write_text(json.dumps(asdict(MEASUREMENT), indent=1))
    return folder


@pytest.mark.parametrize("name", FORMATS)
def test_a_mutated_file_is_read_or_refused_by_a_sentence(name, honest, tmp_path):
    shutil.copytree(honest, tmp_path / "honest")
    (tmp_path / "here").mkdir()
    env = os.environ | {"PYTHONPATH": python_path(ROOT, ROOT / "tests"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("fuzz.py"), name, tmp_path / "honest"],
        cwd=tmp_path / "here",
        env=env,
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    print(name, found)
    assert set(found["became"]) <= {"read", "sentence"} and sum(found["became"].values()) == COUNT
    assert found["memory"] < BYTES
    assert found["outside"] == [] and list((tmp_path / "here").iterdir()) == []
