"""`python -m optimize.train` and `YOLO(...).train(trainer=trainer)`: ultralytics' training with the widths kept."""

import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from ultralytics import RTDETR, YOLO
from ultralytics.cfg import get_cfg
from ultralytics.data.utils import check_cls_dataset, check_det_dataset
from ultralytics.nn.tasks import WorldModel
from ultralytics.utils import LOGGER

from helpers import pruned
from helpers.messages import like
from optimize import train
from optimize.errors import InputError
from optimize.yolo import checkpoint, trainers
from optimize.yolo.train_on import KEYS, spell_out_controls
from optimize.yolo.widths import BEFORE, STOP

QUICK = {"epochs": 1, "imgsz": 64, "batch": 4, "device": "cpu", "plots": False}
WORDS = tuple(f"{key}={value}" for key, value in QUICK.items())


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("trained")


@pytest.fixture(scope="module")
def thin(folder):
    """A pruned checkpoint of a name, made once."""
    return lambda name: path if (path := folder / f"{name}.pt").exists() else pruned.pruned(name, folder)


@pytest.fixture(scope="module")
def data(folder):
    """`data=` of a task, with the classes of the checkpoint or with others, made once."""

    def made(task: str, other: bool = False) -> str:
        root = folder / f"{task}-{other}"
        write = pruned.write_other_data if other else pruned.write_data
        return str(root if task == "classify" else root / "data.yaml") if root.exists() else write(root, task)

    return made


@pytest.fixture(scope="module")
def three(folder) -> Path:
    """A pose data set of three keypoints."""
    yaml = Path(pruned.write_data(folder / "three", "pose"))
    yaml.write_text(yaml.read_text().replace("[2, 3]", "[3, 3]"))
    for label in yaml.parent.rglob("*.txt"):
        label.write_text(" ".join(label.read_text().split()[:5] + ["0.5", "0.5", "2"] * 3))
    return yaml


def weights(path: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(path).state_dict()


def mixin(model: nn.Module, data: str, path: Path):
    """The trainer of a model's task, as far as it makes a network."""
    kind = trainers.TRAINERS[checkpoint.task(model)]
    trainer = kind.__new__(kind)
    trainer.args, trainer.resume = get_cfg(overrides={"model": str(path), "task": model.task, "data": data}), False
    trainer.data = check_cls_dataset(data) if model.task == "classify" else check_det_dataset(data)
    return trainer


@pytest.mark.long
@pytest.mark.parametrize("name", pruned.TASKS)
def test_other_classes_change_the_last_layers_as_in_stock(name, data, folder, monkeypatch):
    """The oracle is stock's own network for a checkpoint at full width, which is made here as if it were pruned."""
    path = pruned.whole(name, folder)
    model, other = checkpoint.load(path), data(pruned.TASKS[name], other=True)
    trainer = mixin(model, other, path)
    stock = trainer.get_model(cfg=checkpoint.load(path).yaml, weights=checkpoint.load(path), verbose=False)
    monkeypatch.setattr(trainers, "is_pruned", lambda model: True)
    kept = trainer.get_model(weights=model, verbose=False)
    assert kept is not model
    assert kept.yaml[BEFORE]["nc"] == kept.yaml["nc"] == stock.yaml["nc"] == trainer.data["nc"]
    ours, theirs = kept.state_dict(), stock.state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
    old = checkpoint.load(path).state_dict()
    for key, tensor in ours.items():
        if tensor.shape == old[key].shape:
            assert torch.equal(tensor, theirs[key]), key
        elif (
            ".cv3." in key or "one2one_cv3" in key or ".semseg." in key
        ):  # by their names; the weights of `new` are drawn
            assert torch.equal(tensor[1:], theirs[key][1:]), key
            assert torch.equal(tensor[2], old[key][0]), key
        if key.endswith("bias") and "linear" not in key and "semseg" not in key:
            assert torch.equal(tensor, theirs[key]), key
    assert getattr(kept.model[-1], "nc", None) == getattr(stock.model[-1], "nc", None)
    assert getattr(kept.model[-1], "no", None) == getattr(stock.model[-1], "no", None)
    assert all(p.requires_grad for name, p in kept.named_parameters())


@pytest.mark.command
@pytest.mark.parametrize("name, other", [("yolov8n", False), ("yolo26n", True), ("yolo11n-cls", True)])
def test_the_command_keeps_the_widths(name, other, thin, data, tmp_path, monkeypatch, capsys):
    path, before = thin(name), thin(name).read_bytes()
    train.main([f"model={path}", f"data={data(pruned.TASKS[name], other)}", f"project={tmp_path}", "name=run", *WORDS])
    said, best, last = capsys.readouterr().out.splitlines()
    assert (best, last) == (f"{tmp_path}/run/weights/best.pt", f"{tmp_path}/run/weights/last.pt")
    assert said == f"{pruned.parameters(path):,} parameters before, {pruned.parameters(Path(last)):,} after"
    old = weights(path)
    for file in best, last:
        model = checkpoint.load(Path(file))
        assert model.yaml["backbone"][0][2] == STOP
        state = model.state_dict()
        changed = {key for key in state if state[key].shape != old[key].shape}
        assert all("cv3" in key or "linear" in key for key in changed)
        assert bool(changed) == other
        assert checkpoint.names(model)[0] == ("new" if other and name == "yolo26n" else "class0")
        assert any(not torch.equal(state[key], old[key]) for key in state if key.endswith("conv.weight"))
    assert path.read_bytes() == before
    assert (tmp_path / "run/results.csv").is_file()


@pytest.mark.command
@pytest.mark.parametrize("name", ["yolo26n-seg", "yolov8n-rtdetr"])
def test_one_trainer_serves_every_task(name, thin, data, tmp_path):
    yolo = (RTDETR if "rtdetr" in name else YOLO)(thin(name))
    yolo.train(trainer=train.trainer, data=data(pruned.TASKS[name]), project=str(tmp_path), **QUICK)
    assert type(yolo.trainer) is trainers.TRAINERS[checkpoint.task(checkpoint.load(thin(name)))]
    shapes = [{k: v.shape for k, v in weights(p).items()} for p in (thin(name), yolo.trainer.best, yolo.trainer.last)]
    assert shapes[0] == shapes[1] == shapes[2]
    assert sum(p.numel() for p in yolo.model.parameters()) == pruned.parameters(thin(name)), "what YOLO goes on with"


@pytest.mark.parametrize("trainer", trainers.TRAINERS.values())
def test_a_worker_of_multi_gpu_training_finds_the_trainer_by_name(trainer):
    assert pickle.loads(pickle.dumps(trainer)) is trainer


@pytest.mark.command
def test_a_checkpoint_at_full_width_trains_as_in_stock(data, tmp_path):
    path = pruned.whole("yolov8n", tmp_path)
    for trainer in None, train.trainer:
        YOLO(path).train(trainer=trainer, data=data("detect"), project=str(tmp_path), name=str(trainer)[:4], **QUICK)
    stock, ours = (weights(next(tmp_path.glob(f"{name}*/weights/last.pt"))) for name in ("None", "<fun"))
    assert all(torch.equal(ours[key], tensor) for key, tensor in stock.items())
    assert BEFORE not in checkpoint.load(next(tmp_path.glob("<fun*/weights/best.pt"))).yaml, "stock can go on with it"


@pytest.mark.command
@pytest.mark.parametrize("by", ["command", "trainer"])
def test_a_training_that_was_stopped_is_resumed(by, thin, data, tmp_path, monkeypatch, capsys):
    path, save = thin("yolov8n"), trainers.Detect.save_model
    last = tmp_path / "run/weights/last.pt"

    def stopped(self):
        save(self)
        raise KeyboardInterrupt

    words = f"model={path}", f"data={data('detect')}", f"project={tmp_path}", "name=run", *WORDS, "epochs=2"
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stop:
        patch.setattr(trainers.Detect, "save_model", stopped)
        train.main(list(words))
    assert stop.value.code == 130
    assert f"`python -m optimize.train model={last} resume=true` goes on" in capsys.readouterr().err
    if by == "command":
        train.main([f"resume={last}"])
    else:
        YOLO(last).train(resume=True, trainer=train.trainer)
    epochs = [line.split(",")[0] for line in (tmp_path / "run/results.csv").read_text().splitlines()[1:]]
    assert epochs == ["1", "2"]
    assert pruned.parameters(last) == pruned.parameters(path)
    assert checkpoint.load(last).yaml["backbone"][0][2] == STOP
    with pytest.raises(InputError, match=r"is no last\.pt of a training that was stopped"):
        train.main([f"model={last}", "resume=true"])


def test_every_key_of_yolo_train_has_its_meaning():
    words = "model=a.pt", "lr0=1e-3", "cos_lr", "classes=[0,2]", "device=0,1", "data=1.yaml", "name=007", "amp=bf16"
    assert train.parse([*words, "project=C:\\Users\\x", "pretrained=False", "time=None"]) == {
        "model": "a.pt",
        "lr0": 0.001,
        "cos_lr": True,
        "classes": [0, 2],
        "device": (0, 1),
        "data": "1.yaml",
        "name": "007",
        "amp": "bf16",
        "project": "C:\\Users\\x",
        "pretrained": False,
        "time": None,
    }
    assert set(get_cfg().__dict__) - set(KEYS) == {"task", "mode"}
    assert {key: KEYS[key] for key in ("epochs", "patience", "plots", "amp", "exist_ok")} == {
        "epochs": 100,
        "patience": 100,
        "plots": True,
        "amp": True,
        "exist_ok": False,
    }


def test_a_file_of_arguments_is_read_as_yolo_train_reads_it(tmp_path):
    (tmp_path / "my.yaml").write_text("task: detect\nmode: train\nmodel: b.pt\nepochs: 7\nlr0: 0.5\n")
    assert train.parse([f"cfg={tmp_path}/my.yaml", "lr0=0.1"]) == {"model": "b.pt", "epochs": 7, "lr0": 0.1}


@pytest.mark.parametrize(
    "words, says",
    [
        (["epoch=3"], like("epoch is not a key ... epochs")),
        (["zzz=3"], like("zzz is not a key ... `yolo train`")),
        (["epochs"], like("epochs has no value ... epochs=100")),
        (["epochs=3"], r"^model= is missing"),
        (["model={thin}"], r"^data= is missing"),
        (["model={thin}", "data={data}", "epochs=many"], r"^'epochs=many' is of invalid type str"),
        (["model={thin}", "data={data}", "device=9"], like("device=9 can't be used ... no CUDA GPU")),
        (["model={thin}", "data=absent.yaml"], r"^data=absent\.yaml can't be used"),
        (["model={thin}", "resume=true"], r"is no last\.pt of a training that was stopped"),
        (["model={thin}", "data={data}", "pretrained=false"], r"^pretrained=False is not allowed for a pruned"),
        (["model=absent.pt", "data={data}"], r"^model=absent\.pt does not exist"),
        (["model={thin}", "data={data}", "cfg=absent.yaml"], r"^cfg=absent\.yaml can't be read"),
        (["model={pose}", "data={keypoints}"], r"has kpt_shape \[2, 3\], the data has \[3, 3\]"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_nothing_is_written(words, says, thin, data, three, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = {"thin": thin("yolov8n"), "data": data("detect"), "pose": thin("yolov8n-pose"), "keypoints": three}
    words = [word.format(**values) for word in words]
    with pytest.raises(InputError, match=says):
        train.main([*words, f"project={tmp_path}/out"])
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("words", [["project={}", "name=mine", "exist_ok=true"], ["save_dir={}/mine"]])
def test_a_folder_that_holds_files_is_not_written_into(words, thin, data, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/args.yaml").write_text("thesis")
    words = [word.format(tmp_path) for word in words]
    with pytest.raises(InputError, match=like("mine holds files ... another name=")):
        train.main([f"model={thin('yolov8n')}", f"data={data('detect')}", *words])
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["args.yaml"]
    assert (tmp_path / "mine/args.yaml").read_text() == "thesis"


def test_images_of_other_channels_are_refused_for_a_pruned_checkpoint_only(thin, data, folder):
    for path, fits in (thin("yolov8n"), False), (pruned.whole("yolov8n", folder), True):
        model = checkpoint.load(path)
        trainer = mixin(model, data("detect"), path)
        trainer.data["channels"] = 1
        if fits:
            assert trainer.get_model(cfg=model.yaml, weights=model, verbose=False).model[0].conv.in_channels == 1
        else:
            with pytest.raises(InputError, match=like("channels 3 ... 1 ... widths")):
                trainer.get_model(cfg=model.yaml, weights=model, verbose=False)


@pytest.mark.command
@pytest.mark.parametrize(
    "model, says",
    [("yolov8n.yaml", "holds no weights"), ("{fused}", "is fused"), ("{world}", "is a WorldModel; allowed")],
)
def test_what_has_no_widths_to_keep_is_refused(model, says, thin, data, tmp_path):
    fused, world = checkpoint.load(thin("yolov8n")).fuse(verbose=False), checkpoint.load(thin("yolov8n"))
    checkpoint.save(fused, tmp_path / "fused.pt")
    world.__class__ = WorldModel
    checkpoint.save(world, tmp_path / "world.pt")
    model = model.format(fused=tmp_path / "fused.pt", world=tmp_path / "world.pt")
    with pytest.raises(InputError, match=says):
        YOLO(model).train(trainer=train.trainer, data=data("detect"), project=str(tmp_path), **QUICK)


@pytest.mark.command
def test_a_checkpoint_of_an_older_version_gets_the_mark_when_it_is_trained(thin, data, tmp_path):
    model = checkpoint.load(thin("yolov8n"))
    model.yaml = model.yaml[BEFORE]
    checkpoint.save(model, tmp_path / "old.pt")
    kept = mixin(model, data("detect"), tmp_path / "old.pt").get_model(weights=model, verbose=False)
    assert kept.yaml["backbone"][0][2] == STOP
    assert sum(p.numel() for p in kept.parameters()) == pruned.parameters(thin("yolov8n"))


def test_what_an_earlier_training_left_on_the_module_is_not_carried_over(thin, data):
    model = checkpoint.load(thin("yolo11n-cls"))
    model.class_weights, model.model[-1].drop.p = torch.ones(6), 0.5
    model.model[0].register_forward_hook(print)
    kept = mixin(model, data("classify"), thin("yolo11n-cls")).get_model(weights=model, verbose=False)
    assert not hasattr(kept, "class_weights")
    assert kept.model[-1].drop.p == 0
    assert not kept.model[0]._forward_hooks


@pytest.mark.command
def test_importing_the_trainer_leaves_ultralytics_as_it_is():
    program = """
import os, sys
before = dict(os.environ)
from optimize.train import trainer
print("ultralytics" in sys.modules, os.environ == before)
import ultralytics, optimize.yolo
print(os.environ.get("YOLO_VERBOSE"))
"""
    quiet = {key: value for key, value in os.environ.items() if key != "YOLO_VERBOSE"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=quiet)
    assert done.stdout.split() == ["False", "True", "None"]


def test_names_reach_the_terminal_as_text_and_ultralytics_colours_stay():
    spell_out_controls()
    text = "\x1b[34mval: \x1b[0mda\x1b]0;x\x07rk \x1b[2J.png"
    record = logging.LogRecord("ultralytics", logging.INFO, "", 0, text, (), None)
    assert LOGGER.handlers[0].format(record) == "\x1b[34mval: \x1b[0mda\\x1b]0;x\\x07rk \\x1b[2J.png"
