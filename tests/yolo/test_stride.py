"""The side of an input is a multiple of the model's own stride, which a P6 head doubles."""

from pathlib import Path

import pytest
import torch
from ultralytics.nn.tasks import ClassificationModel, DetectionModel, RTDETRDetectionModel

from helpers.commands import command
from helpers.messages import is_error, like
from optimize import rivals
from optimize.errors import InputError
from optimize.input_size import square
from optimize.measure import operations
from optimize.runtime.torch import Torch
from optimize.variant import Variant
from optimize.yolo.checkpoint import check_size, deployed, load, save, stride, usual_size
from optimize.yolo.dataset import resolve
from optimize.yolo.loss import batches
from optimize.yolo.validate import validate


@pytest.fixture(scope="module")
def p6(tmp_path_factory) -> Path:
    """A YOLOv8n with a head of stride 64, trained at 128 px as it says, with the classes of `dataset`."""
    torch.manual_seed(0)
    model = DetectionModel("yolov8n-p6.yaml", nc=2, verbose=False)
    model.names, model.args, model.task = {0: "dark", 1: "bright"}, {"imgsz": 128, "task": "detect"}, "detect"
    path = tmp_path_factory.mktemp("p6") / "p6.pt"
    save(model, path)
    return path


def test_the_stride_is_the_models_own(p6, checkpoint):
    assert (stride(load(p6)), stride(load(checkpoint)), stride(deployed(load(p6)))) == (64, 32, 64)
    assert stride(ClassificationModel("yolo11n-cls.yaml", verbose=False)) == 32  # of 1 as it says; trained at 32
    assert stride(RTDETRDetectionModel("yolov8n-rtdetr.yaml", verbose=False)) == 32


@pytest.mark.parametrize(
    ("imgsz", "near"), [(96, "64 or 128"), (32, "64"), (1, "64"), (0, "64"), (-64, "64"), (100, "64 or 128")]
)
def test_a_size_between_is_refused_with_those_beside_it(imgsz, near, p6):
    with pytest.raises(InputError, match=like(f"imgsz={imgsz} ... model=p6.pt ... stride 64, e.g. {near}.")):
        check_size("model=p6.pt", load(p6), square(imgsz))
    check_size("model=p6.pt", load(p6), square(192))


@pytest.mark.parametrize(("trained", "usual"), [(96, 128), (128, 128), ([128, 128], 128)])
def test_the_usual_size_is_the_one_that_ultralytics_trains_at(trained, usual, p6):
    model = load(p6)
    model.args["imgsz"] = trained
    assert usual_size(model) == square(usual)


def test_the_smaller_rival_is_at_a_multiple_of_the_stride(p6):
    original, network = Variant(p6, "torch", "fp32", square(256), steps=("original",)), deployed(load(p6))
    flops = {imgsz: operations.count(network, square(imgsz)).flops for imgsz in (64, 128, 192)}
    for imgsz, wanted in flops.items():
        found, counted = rivals.smaller(original, wanted)
        assert (found.imgsz, counted.flops) == (square(imgsz), wanted)
    assert rivals.smaller(Variant(p6, "torch", "fp32", square(64)), 1) is None


def test_a_validation_and_the_loss_see_the_size_that_was_asked_for(p6, dataset):
    data, seen = resolve(str(dataset)), set()
    session = Torch().open(Variant(p6, "torch", "fp32", square(192)), threads=1)

    def noting(images):
        seen.add(images.shape)
        return session(images)

    validate(noting, data, square(192))
    assert seen == {(1, 3, 192, 192)}
    assert {tuple(batch["img"].shape[1:]) for batch in batches(data, 2, 2, 0, square(192))} == {(3, 192, 192)}


@pytest.mark.parametrize("words", [["model={p6}"], ["model={checkpoint}", "rivals=[{p6}]"]])
def test_a_run_says_so_before_any_work(words, p6, checkpoint, dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [word.format(p6=p6, checkpoint=checkpoint) for word in words]
    code, out, err = command(monkeypatch, capsys, *words, f"data={dataset}", "imgsz=96")
    assert (code, out) == (1, "")
    given = words[-1].replace("[", "").replace("]", "")
    assert is_error(err.splitlines()[-1], f"imgsz=96 ... {given} ... stride 64, e.g. 64 or 128.")
