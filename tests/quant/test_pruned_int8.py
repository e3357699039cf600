"""A pruned model quantizes as well as the dense one."""

import pytest

from helpers.lively import lively, write_blocks
from helpers.noise import signal_to_noise
from helpers.quantized import quantized
from optimize.data.calibration import CalibrationImages
from optimize.dataset import Dataset
from optimize.input_size import square
from optimize.pruner.l2 import L2
from optimize.pruner.prune import prune
from optimize.pruner.settings import Pruning
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.variant import Variant
from optimize.yolo.checkpoint import load, save

pytestmark = pytest.mark.command

LOSS = 3.0  # dB, twice the power of the error


@pytest.mark.parametrize(
    ("family", "runtime"), [("yolov8n", OnnxRuntime()), ("yolo11n", OpenVino()), ("yolo26n", OnnxRuntime())]
)
def test_a_pruned_model_keeps_as_much_of_its_signal_in_int8_as_the_dense_one(family, runtime, tmp_path):
    dense = lively(f"{family}.yaml", tmp_path / "dense.pt")
    model = load(dense)
    assert prune(model, square(64), Pruning(0.3, L2(), round_to=8)).reached == pytest.approx(0.3, abs=0.02)
    save(model, tmp_path / "pruned.pt")
    data = Dataset(tmp_path / "x.yaml", ("class0", "class1"), write_blocks(tmp_path, 8, 0), (), "f00d")
    unseen = CalibrationImages(write_blocks(tmp_path, 8, 1), square(64), data, 0)
    kept = {}
    for name in ("dense", "pruned"):
        (folder := tmp_path / name).mkdir()
        source = runtime.export(Variant(tmp_path / f"{name}.pt", "torch", "fp32", square(64)), folder)
        (folder / "int8").mkdir()
        noise = signal_to_noise(quantized(source, data, folder / "int8"), source, unseen, "detect", classes=2)
        kept[name] = min(noise.values())
    assert kept["pruned"] > kept["dense"] - LOSS
