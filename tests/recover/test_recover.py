"""Recovery: the pruned architecture survives training, and BatchNorm gets the statistics of the images."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from ultralytics import YOLO
from ultralytics.utils.torch_utils import unwrap_model

from optimize.dataset import Dataset
from optimize.errors import InputError, MeasurementError
from optimize.identity import identity
from optimize.input_size import square
from optimize.measure.operations import count
from optimize.recover import bn
from optimize.recover.bn import BatchNorm, reestimate
from optimize.recover.finetune import Finetune
from optimize.variant import Variant
from optimize.yolo import checkpoint, train
from optimize.yolo.trainers import KeepWidths

pytestmark = pytest.mark.command

IMGSZ = 64


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    """Eight images with one bright rectangle each, in two classes by its shape."""
    folder, generator = tmp_path_factory.mktemp("shapes"), np.random.default_rng(0)
    for split in ("train", "val"):
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
        for i in range(8):
            image = generator.integers(0, 80, (IMGSZ, IMGSZ, 3), dtype=np.uint8)
            x, y, w, h = 8 + 2 * i, 10 + i, (24, 16)[i % 2], (16, 24)[i % 2]
            image[y : y + h, x : x + w] = 220
            cv2.imwrite(str(folder / "images" / split / f"{i}.png"), image)
            box = ((x + w / 2) / IMGSZ, (y + h / 2) / IMGSZ, w / IMGSZ, h / IMGSZ)
            (folder / "labels" / split / f"{i}.txt").write_text(f"{i % 2} " + " ".join(map(str, box)) + "\n")
    yaml = folder / "data.yaml"
    yaml.write_text(f"train: {folder}/images/train\nval: {folder}/images/val\nnames: [wide, tall]\n")
    train, val = (tuple(sorted((folder / "images" / split).glob("*.png"))) for split in ("train", "val"))
    return Dataset(yaml, ("wide", "tall"), train, val, "shapes")


def thinned(folder: Path, family: str, classes: int = 2, **args) -> Path:
    """A nano checkpoint in which one hidden layer is half as wide as the yaml says, as after pruning."""
    torch.manual_seed(0)
    yolo = YOLO(f"{family}.yaml")
    model = type(yolo.model)(f"{family}.yaml", nc=classes, verbose=False)
    model.names, model.args, model.task = {i: str(i) for i in range(classes)}, args, "detect"
    first, second = model.model[0], model.model[1]
    kept = first.conv.out_channels // 2
    first.conv = nn.Conv2d(3, kept, 3, 2, 1, bias=False)
    first.bn = nn.BatchNorm2d(kept, eps=first.bn.eps, momentum=first.bn.momentum)
    second.conv = nn.Conv2d(kept, second.conv.out_channels, 3, 2, 1, bias=False)
    path = folder / f"{family}.pt"
    checkpoint.save(model, path)
    return path


def full_width(folder: Path, family: str = "yolov8n") -> Path:
    model = type(YOLO(f"{family}.yaml").model)(f"{family}.yaml", nc=2, verbose=False)
    model.args = {}
    checkpoint.save(model, folder / "teacher.pt")
    return folder / "teacher.pt"


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in checkpoint.load(path).state_dict().items()}


def run(path: Path, data: Dataset, folder: Path, **settings) -> train.Training:
    folder.mkdir(exist_ok=True)
    settings = {"epochs": 1, "imgsz": square(IMGSZ), "batch": 8, "device": "cpu", "seed": 0} | settings
    return train.finetune(path, data.yaml, folder, **settings)


@pytest.mark.parametrize("family", ["yolov8n", "yolo26n"])
def test_training_keeps_the_pruned_architecture(family, data, tmp_path):
    path = thinned(tmp_path, family)
    done = run(path, data, tmp_path / "work")
    assert shapes(done.path) == shapes(path)
    before, after = checkpoint.load(path).state_dict(), checkpoint.load(done.path).state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before if name.endswith("conv.weight"))
    assert "optimizer" not in {k for k, v in torch.load(done.path, weights_only=False).items() if v is not None}


@pytest.mark.parametrize("distilled", [False, True])
def test_the_deployed_head_of_yolo26_keeps_its_weight(distilled, data, tmp_path, monkeypatch):
    seen, save_model = [], train.Recovery.save_model

    def watched(self):
        seen.append(unwrap_model(self.model).criterion.o2m)
        return save_model(self)

    monkeypatch.setattr(train.Recovery, "save_model", watched)
    teacher = full_width(tmp_path, "yolo26n") if distilled else None
    run(thinned(tmp_path, "yolo26n"), data, tmp_path / "work", epochs=3, teacher=teacher)
    assert seen == [0.8, 0.8, 0.8]


def test_stock_training_loses_the_architecture_of_an_unmarked_checkpoint(data, tmp_path):
    path = thinned(tmp_path, "yolov8n")
    settings = {"data": str(data.yaml), "epochs": 1, "imgsz": IMGSZ, "device": "cpu", "amp": False, "plots": False}
    YOLO(path).train(**settings, project=str(tmp_path / "stock"), name="run", verbose=False)
    assert shapes(tmp_path / "stock/run/weights/last.pt") != shapes(path)


@pytest.mark.parametrize("trainer", train.TRAINERS.values())
def test_a_worker_of_multi_gpu_training_finds_the_trainer_by_name(trainer):
    assert pickle.loads(pickle.dumps(trainer)) is trainer
    assert trainer.get_model is train.Recovery.get_model


def test_stdout_is_left_alone_even_by_child_processes():
    program = """
import subprocess
from optimize.yolo.progress import stdout_to_stderr
with stdout_to_stderr():
    print("printed")
    subprocess.run(["echo", "from a child"], check=True)
print("after")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "after\n"
    assert sorted(done.stderr.splitlines()) == ["from a child", "printed"]


def test_equal_seeds_give_equal_weights_in_one_process(data, tmp_path):
    path = thinned(tmp_path, "yolov8n")
    states = [
        checkpoint.load(run(path, data, tmp_path / name, seed=seed).path).state_dict()
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])


@pytest.mark.long
@pytest.mark.parametrize("distilled", [False, True])
def test_a_killed_training_goes_on_and_keeps_the_architecture(distilled, data, tmp_path, monkeypatch):
    path, folder = thinned(tmp_path, "yolov8n"), tmp_path / "work"
    teacher = full_width(tmp_path) if distilled else None
    save_model = train.Recovery.save_model

    def killed_after_two(self):
        save_model(self)
        if self.epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train.Recovery, "save_model", killed_after_two)
        with pytest.raises(KeyboardInterrupt):
            run(path, data, folder, epochs=3, teacher=teacher)
    done = run(path, data, folder, epochs=3, teacher=teacher)
    assert done.resumed
    assert [row["epoch"] for row in done.history] == [1, 2, 3]
    assert ("train/dis_loss" in done.history[0]) == distilled
    assert shapes(done.path) == shapes(path)


@pytest.mark.long
def test_training_killed_after_its_last_epoch_is_not_repeated(data, tmp_path, monkeypatch):
    path = thinned(tmp_path, "yolov8n")
    first = run(path, data, tmp_path / "work")
    monkeypatch.setattr(train.Detect, "train", lambda self: pytest.fail("trained again"))
    again = run(path, data, tmp_path / "work")
    assert not again.resumed
    assert again.history == first.history


def test_another_number_of_classes_is_refused(data, tmp_path):
    with pytest.raises(InputError, match=r"3 classes .* has 2"):
        run(thinned(tmp_path, "yolov8n", classes=3), data, tmp_path / "work")


def test_a_changed_shape_is_an_error(data, tmp_path, monkeypatch):
    path = thinned(tmp_path, "yolov8n")
    for mixin in train.Recovery, KeepWidths:
        monkeypatch.delattr(mixin, "get_model")
    with pytest.raises(MeasurementError, match=r"changed model\.0\.bn\.bias from \(8,\) to \(16,\)"):
        run(path, data, tmp_path / "work")


@pytest.mark.parametrize(("epochs", "rate"), [(1, 0.0003), (3, 0.0003), (5, 0.0005), (10, 0.001), (100, 0.001)])
def test_few_epochs_take_smaller_steps(epochs, rate):
    assert train.schedule(epochs, 16, cut=0.3)["lr0"] == rate


@pytest.mark.parametrize(
    ("epochs", "cut", "rate"),
    [(10, 0.5, 0.001), (10, 0.75, 0.002), (10, 0.8, 0.0025), (3, 0.75, 0.0006), (10, 0.875, 0.004), (10, 0.99, 0.004)],
)
def test_a_deeper_cut_takes_larger_steps(epochs, cut, rate):
    assert train.schedule(epochs, 16, cut)["lr0"] == rate


def test_the_users_augmentation_is_carried_over_and_their_schedule_is_not(data, tmp_path):
    path = thinned(tmp_path, "yolov8n", fliplr=0.0, degrees=7.0, cls=0.9, lr0=5.0, optimizer="SGD")
    done = run(path, data, tmp_path / "work")
    used = torch.load(tmp_path / "work/train/weights/last.pt", weights_only=False)["train_args"]
    assert (used["fliplr"], used["degrees"], used["cls"]) == (0.0, 7.0, 0.9)
    assert {key: used[key] for key in done.schedule} == done.schedule
    assert used["amp"] is False  # its check would download a model
    args = checkpoint.load(done.path).args
    assert (args["lr0"], args["optimizer"]) == (5.0, "SGD")  # the user's own training arguments


def test_batchnorm_gets_the_mean_and_variance_of_its_input():
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(3, momentum=0.03), nn.Dropout(0.9))
    model[0].running_mean.fill_(99)
    batches = [torch.randn(4, 3, 5, 5, dtype=torch.float64) * 2 + i for i in range(3)]
    weight = model.double()[0].weight.clone()
    assert reestimate(model, batches) == 12
    assert torch.allclose(model[0].running_mean, torch.cat(batches).mean((0, 2, 3)), rtol=0, atol=1e-12)
    within = torch.stack([batch.var((0, 2, 3)) for batch in batches]).mean(0)
    assert torch.allclose(model[0].running_var, within, rtol=0, atol=1e-12)
    assert model[0].momentum == 0.03
    assert not model.training
    assert torch.equal(model[0].weight, weight)


def test_a_smaller_last_batch_is_left_out(monkeypatch):
    monkeypatch.setattr(bn, "BATCH", 4)
    images = [np.full((1, 3, 2, 2), i, np.float32) for i in range(10)]
    assert [len(batch) for batch in bn._batches(images)] == [4, 4]
    assert [len(batch) for batch in bn._batches(images[:3])] == [3]


def test_every_batchnorm_of_both_heads_is_measured(data, tmp_path):
    path = thinned(tmp_path, "yolo26n")
    made = BatchNorm(data, images=8)(Variant(path, "torch", "fp32", square(IMGSZ), ("pruned",)), tmp_path)
    norms = [m for m in checkpoint.load(made.path).modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(norm.num_batches_tracked == 1 for norm in norms)
    assert json.loads((tmp_path / "report.json").read_text())["images"] == 8


@pytest.mark.parametrize("stage", [BatchNorm, lambda data: Finetune(data, 1, Path("absent.pt"))])
def test_a_variant_that_was_not_pruned_is_returned_as_it_is(stage, data, tmp_path):
    variant = Variant(tmp_path / "absent.pt", "torch", "fp32", square(IMGSZ))
    assert stage(data)(variant, tmp_path) is variant


def test_finetune_reports_and_cleans_up(data, tmp_path):
    variant = Variant(thinned(tmp_path, "yolov8n"), "torch", "fp32", square(IMGSZ), ("pruned",))
    folder = tmp_path / "work"
    folder.mkdir()
    original = full_width(tmp_path, "yolov8s")
    made = Finetune(data, 2, original, batch=8)(variant, folder)
    assert shapes(made.path) == shapes(variant.path)
    assert sorted(p.name for p in folder.iterdir()) == ["recovered.pt", "report.json"]
    report = json.loads((folder / "report.json").read_text())
    assert [row["epoch"] for row in report["history"]] == [1, 2]
    assert (report["epochs"], report["distilled"], report["resumed"]) == (2, False, False)
    left, whole = (count(checkpoint.deployed(checkpoint.load(p)), square(IMGSZ)).flops for p in (made.path, original))
    assert report["schedule"]["lr0"] == round(0.0003 * 0.5 / (left / whole), 6) > 0.0003


def test_distillation_says_so_and_hides_the_path_of_the_teacher_from_its_identity(data, tmp_path):
    variant = Variant(thinned(tmp_path, "yolov8n"), "torch", "fp32", square(IMGSZ), ("pruned",))
    stage = Finetune(data, 1, full_width(tmp_path), batch=8, distill=True)
    assert identity(stage) == identity(Finetune(data, 1, tmp_path / "elsewhere.pt", batch=8, distill=True))
    made = stage(variant, tmp_path)
    assert shapes(made.path) == shapes(variant.path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["distilled"] and "train/dis_loss" in report["history"][0]


def test_no_epochs_train_nothing(data, tmp_path):
    variant = Variant(thinned(tmp_path, "yolov8n"), "torch", "fp32", square(IMGSZ), ("pruned",))
    assert Finetune(data, 0, Path("absent.pt"))(variant, tmp_path) is variant


def test_batchnorm_changes_nothing_but_batchnorm(data, tmp_path):
    variant = Variant(thinned(tmp_path, "yolov8n"), "torch", "fp32", square(IMGSZ), ("pruned",))
    made = BatchNorm(data)(variant, tmp_path)
    before, after = checkpoint.load(variant.path).state_dict(), checkpoint.load(made.path).state_dict()
    changed = {name.rpartition(".")[2] for name in before if not torch.equal(before[name].half().float(), after[name])}
    assert changed == {"running_mean", "running_var", "num_batches_tracked"}


@pytest.mark.parametrize("images", [0, -1])
def test_no_images_for_batchnorm_are_refused(images, data):
    with pytest.raises(InputError, match=rf"recover\.bn\.images={images} is out of range; give 1 or more"):
        BatchNorm(data, images=images)
