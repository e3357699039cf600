"""Quantization-aware training: the weights learn to bear 8 bits, and the checkpoint is an ordinary one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ultralytics.nn.tasks import load_checkpoint
from ultralytics.utils.torch_utils import strip_qat

from helpers.hard import harden
from helpers.lively import lively
from helpers.messages import like
from helpers.quantized import quantized
from optimize.data import digits
from optimize.dataset import Dataset
from optimize.errors import InputError
from optimize.input_size import square
from optimize.recover import qat
from optimize.recover.qat import Qat
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.variant import Variant
from optimize.yolo import checkpoint, train
from optimize.yolo.dataset import resolve
from optimize.yolo.find import DIGITS
from optimize.yolo.validate import validate

IMGSZ = 64
needs_modelopt = pytest.mark.skipif(qat.unavailable() is not None, reason=str(qat.unavailable()))


@pytest.fixture(scope="module")
def data(dataset) -> Dataset:
    return resolve(str(dataset), "detect")


@pytest.fixture(scope="module")
def hard(tmp_path_factory) -> Path:
    """Random weights that are bad in int8, in a network whose widths are not those of its yaml."""
    path = lively("yolov8n.yaml", tmp_path_factory.mktemp("hard") / "hard.pt")
    model = checkpoint.load(path)
    harden(model, times=60)
    checkpoint.save(model, path)
    return path


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in checkpoint.load(path).state_dict().items()}


@pytest.fixture(scope="module")
def trained(hard, data, tmp_path_factory) -> tuple[Variant, Path]:
    variant, folder = (
        Variant(hard, "torch", "fp32", square(IMGSZ), ("pruned",)),
        tmp_path_factory.mktemp("trained"),
    )
    return Qat(data, epochs=1, batch=8, device="cpu")(variant, folder), folder


@pytest.mark.command
@needs_modelopt
def test_the_architecture_stays_and_the_weights_change(trained, hard):
    made, _ = trained
    assert shapes(made.path) == shapes(hard)
    before, after = checkpoint.load(hard).state_dict(), checkpoint.load(made.path).state_dict()
    weights = [name for name in before if name.endswith("conv.weight") and ".dfl." not in name]
    assert not any(torch.equal(before[name].half().float(), after[name]) for name in weights)


@pytest.mark.command
@needs_modelopt
def test_the_variant_is_float_and_says_that_it_was_trained_for_int8(trained):
    made, folder = trained
    assert (made.name, made.precision, made.path) == ("pruned+qat", "fp32", folder / "recovered.pt")
    assert sorted(path.name for path in folder.iterdir()) == ["recovered.pt", "report.json"]
    report = json.loads((folder / "report.json").read_text())
    assert (report["epochs"], report["resumed"], len(report["history"])) == (1, False, 1)


@pytest.mark.command
@needs_modelopt
def test_the_checkpoint_is_stock(trained):
    program = f"""
import sys
for name in ("modelopt", "nncf", "optimize", "torch_pruning"):
    sys.modules[name] = None
import torch
from ultralytics import YOLO
model = YOLO({str(trained[0].path)!r}).model
model(torch.zeros(1, 3, {IMGSZ}, {IMGSZ}))
print([name for name, _ in model.named_modules() if "quantizer" in name], type(model.model[0].conv).__name__)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] Conv2d"


@pytest.mark.long
@needs_modelopt
def test_a_killed_training_goes_on_with_the_ranges_that_it_had(hard, data, tmp_path, monkeypatch, capsys):
    seen, save_model = [], train.Recovery.save_model

    def killed_after_two(self):
        model = self.model.state_dict()
        seen.append({name: model[name].clone() for name in model if "amax" in name})
        save_model(self)
        if self.epoch == 1 and len(seen) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(train.Recovery, "save_model", killed_after_two)
    variant, stage = Variant(hard, "torch", "fp32", square(IMGSZ)), Qat(data, epochs=3, batch=8, device="cpu")
    with pytest.raises(KeyboardInterrupt):
        stage(variant, tmp_path)
    interrupted = tmp_path / "train/weights/last.pt"
    assert torch.load(interrupted, weights_only=False)["modelopt"] is not None
    capsys.readouterr()
    assert shapes(interrupted) == shapes(hard)  # as we read a checkpoint of `yolo train quantize=8`
    assert capsys.readouterr().out == ""  # stdout belongs to the report
    stock, _ = load_checkpoint(interrupted)  # with its quantizers, which are then taken away
    strip_qat(stock)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "modelopt.torch.opt", None)  # its weights are float: ModelOpt isn't needed
        ours = checkpoint.load(interrupted).state_dict()
    assert ours.keys() == stock.state_dict().keys()
    assert all(torch.equal(tensor, ours[name]) for name, tensor in stock.state_dict().items())
    made = stage(variant, tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["resumed"] and [row["epoch"] for row in report["history"]] == [1, 2, 3]
    assert shapes(made.path) == shapes(hard)
    assert len(seen) == 3 and len(seen[0]) > 100
    assert all(torch.equal(ranges[name], seen[0][name]) for ranges in seen for name in seen[0])


def test_no_epochs_train_nothing(data, tmp_path):
    variant = Variant(tmp_path / "absent.pt", "torch", "fp32", square(IMGSZ))
    assert Qat(data, epochs=0)(variant, tmp_path) is variant


def test_what_to_install_is_one_sentence(data, monkeypatch):
    monkeypatch.setattr(qat, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=like("recover=qat ... nvidia-modelopt ... pip install '.[qat]'")):
        Qat(data, epochs=1)
    assert Qat(data, epochs=0).epochs == 0  # nothing to train, nothing needed


def test_a_hard_model_is_the_same_in_float(hard, tmp_path):
    torch.manual_seed(0)
    easy, image = lively("yolov8n.yaml", tmp_path / "easy.pt"), torch.rand(1, 3, IMGSZ, IMGSZ)
    with torch.no_grad():
        outputs = [checkpoint.load(path)(image)[0] for path in (easy, hard)]
    assert torch.allclose(*outputs, rtol=1e-4, atol=1e-4)


@pytest.mark.long
@needs_modelopt
def test_qat_wins_back_what_int8_loses(tmp_path):
    """The shipped model with dead channels: 0.802 in float, 0.758 in int8, and then 0.777 (plain training: 0.747)."""
    data = resolve(str(digits.compose(tmp_path, train=160, val=100)), "detect")
    model = checkpoint.load(DIGITS)
    harden(model, times=100)
    checkpoint.save(model, tmp_path / "hard.pt")
    variant = Variant(tmp_path / "hard.pt", "torch", "fp32", square(digits.SIDE))
    scores = {}
    for made in (variant, Qat(data, epochs=3, device="cpu")(variant, tmp_path)):
        exported = OnnxRuntime().export(made, tmp_path)
        (tmp_path / made.name).mkdir()
        for precision in (exported, quantized(exported, data, tmp_path / made.name)):
            score = validate(OnnxRuntime().open(precision, threads=1), data, square(digits.SIDE)).score
            scores[made.name, precision.precision] = score
    assert scores["original", "int8"] < scores["original", "fp32"] - 0.03
    assert scores["qat", "int8"] > scores["original", "int8"] + 0.01
