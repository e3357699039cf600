"""Stock training of a pruned checkpoint stops with a sentence; all else that stock ultralytics does with it goes on."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from ultralytics import RTDETR, YOLO
from ultralytics.nn.modules import Conv

from helpers import pruned
from helpers.messages import like
from optimize.identity import identity
from optimize.input_size import square
from optimize.pruner.l2 import L2
from optimize.pruner.prune import Prune
from optimize.pruner.settings import Pruning
from optimize.variant import Variant
from optimize.yolo import checkpoint
from optimize.yolo.widths import BEFORE, STOP, is_pruned, parameters_of_yaml, rebuilt, stop_stock_training

pytestmark = pytest.mark.command

SAYS = like("checkpoint was pruned ... python -m optimize.train model= ... trainer=trainer")
STOCK = """
import sys
sys.modules["optimize"] = None  # importing it fails from here on
from pathlib import Path
import numpy as np
from ultralytics import RTDETR, YOLO
for word in sys.argv[1:]:
    path, data, parameters = word.split("|")
    stock = RTDETR if "rtdetr" in path else YOLO
    assert sum(p.numel() for p in stock(path).model.parameters()) == int(parameters)
    assert len(stock(path).predict(np.zeros((64, 64, 3), np.uint8), imgsz=64, device="cpu", verbose=False)) == 1
    project = str(Path(path).parent)
    stock(path).val(data=data, imgsz=64, batch=4, device="cpu", plots=False, verbose=False, project=project)
    fused = stock(path)
    fused.fuse()
    assert fused.model.is_fused()
    assert Path(stock(path).export(format="torchscript", imgsz=64, device="cpu")).is_file()
    if path.endswith("yolov8n.pt"):
        assert Path(stock(path).export(format="onnx", imgsz=64, device="cpu")).is_file()
    print(Path(path).stem)
assert not [name for name in sys.modules if name.startswith("optimize.")]
"""


@pytest.fixture(scope="module")
def six(tmp_path_factory) -> dict[str, tuple[Path, str]]:
    """The checkpoints of the issue, each with its data."""
    folder = tmp_path_factory.mktemp("six")
    data = {task: pruned.write_data(folder / task, task) for task in ("detect", "segment", "classify")}
    return {name: (pruned.pruned(name, folder), data[pruned.TASKS[name]]) for name in pruned.SIX}


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def interrupted(path: Path, data: str) -> Path:
    """A last.pt as ultralytics leaves it after the first of two epochs, as far as it matters before it trains."""
    saved = torch.load(path, weights_only=False)
    saved |= {"epoch": 0, "optimizer": {"state": {}, "param_groups": []}, "ema": saved["model"], "model": None}
    saved["train_args"] |= {"data": data, "epochs": 2, "device": "cpu", "project": str(path.parent), "name": "stopped"}
    last = path.with_name(f"{path.stem}-last.pt")
    torch.save(saved, last)
    return last


@pytest.mark.parametrize("name", pruned.SIX)
@pytest.mark.parametrize("resume", [False, True])
def test_stock_training_stops_before_it_begins(name, resume, six, tmp_path):
    path, data = six[name]
    assert pruned.parameters(path) < parameters_of_yaml(checkpoint.load(path))[1]
    path = interrupted(path, data) if resume else path
    before = digest(path)
    settings = {"epochs": 2, "imgsz": 64, "device": "cpu", "plots": False, "project": str(tmp_path)}
    with pytest.raises(KeyError, match=SAYS):
        YOLO(path).train(resume=resume, data=data, **settings)
    assert digest(path) == before
    assert not list(tmp_path.rglob("*.pt"))


def test_the_command_line_of_ultralytics_stops(six, tmp_path):
    path, data = six["yolov8n"]
    words = f"model={path}", f"data={data}", "epochs=1", "imgsz=64", "device=cpu", f"project={tmp_path}"
    done = subprocess.run(
        [sys.executable, "-c", "from ultralytics.cfg import entrypoint; entrypoint()", "train", *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"KeyError: '{STOP}'"


def test_everything_else_is_stock_without_this_package(six, tmp_path):
    words = [f"{path}|{data}|{pruned.parameters(path)}" for path, data in six.values()]
    before = {path: digest(path) for path, _ in six.values()}
    done = subprocess.run(
        [sys.executable, "-I", "-c", STOCK, *words], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line in six] == list(six)
    assert {path: digest(path) for path in before} == before


def test_a_store_of_an_older_version_hands_out_no_checkpoint_without_the_mark():
    assert STOP in identity(Prune(Pruning(0.2, L2()))), "what a stage depends on is in its key"


def test_the_mark_is_made_once_and_survives_each_save(six, tmp_path):
    path, _ = six["yolov8n"]
    model = checkpoint.load(path)
    yaml = model.yaml
    stop_stock_training(model)
    assert model.yaml is yaml
    for half in (False, True):
        checkpoint.save(model, tmp_path / "saved.pt", half=half)
        assert checkpoint.load(tmp_path / "saved.pt").yaml == yaml


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n-cls"])
def test_what_we_read_of_a_yaml_is_that_before_pruning(name, six):
    path, _ = six[name]
    model = checkpoint.load(path)
    assert checkpoint.architecture(model) == name
    assert checkpoint.channels(model) == 3
    assert {k: v.shape for k, v in rebuilt(model).state_dict().items()} == {
        k: v.shape for k, v in checkpoint.load(path.with_name(f"{name}-whole.pt")).state_dict().items()
    }


def test_a_checkpoint_at_full_width_has_no_mark(tmp_path):
    path = pruned.whole("yolov8n", tmp_path)
    model = checkpoint.load(path)
    assert is_pruned(model) is False
    assert BEFORE not in model.yaml
    made = Prune(Pruning(0.001, L2(), round_to=512))(Variant(path, "torch", "fp32", square(64)), tmp_path)
    assert pruned.parameters(made.path) == pruned.parameters(path)
    assert BEFORE not in checkpoint.load(made.path).yaml, "nothing was removed"


def test_a_branch_of_classes_as_wide_as_stock_training_left_it_is_not_pruned(tmp_path):
    """Trained on 80 classes first, then on 2: its yaml says 64 channels, it has 80, and stock training keeps them."""
    large, small = (type(YOLO("yolo11n.yaml").model)("yolo11n.yaml", nc=nc, verbose=False) for nc in (80, 2))
    small.load(large, verbose=False)
    assert small.model[-1].cv3[0][-1].in_channels == 80
    assert is_pruned(small) is False
    assert parameters_of_yaml(small)[0] == parameters_of_yaml(small)[1]


def test_a_yaml_that_sets_the_activation_of_the_process_does_not_when_it_stops(six, tmp_path):
    model = checkpoint.load(six["yolov8n"][0])
    model.yaml = model.yaml[BEFORE] | {"activation": "torch.nn.ReLU()"}
    stop_stock_training(model)
    before = Conv.default_act
    with pytest.raises(KeyError, match="checkpoint was pruned"):
        type(model)(model.yaml, verbose=False)
    assert Conv.default_act is before
    assert model.yaml[BEFORE]["activation"] == "torch.nn.ReLU()"


def test_what_is_known_of_a_yaml_that_cannot_be_built_is_nothing(tmp_path):
    model = checkpoint.load(pruned.whole("yolov8n", tmp_path))
    model.yaml["backbone"][0][2] = "Unheard"
    assert is_pruned(model) is None


def test_the_sentence_is_taken_for_no_module_of_torch():
    assert not any(word in STOP for word in ("nn.", "torchvision.ops.", "'", "\\"))


def test_rtdetr_stops_as_well(tmp_path):
    path = pruned.pruned("yolov8n-rtdetr", tmp_path)
    data = pruned.write_data(tmp_path / "data", "rtdetr")
    with pytest.raises(KeyError, match=SAYS):
        RTDETR(path).train(data=data, epochs=1, imgsz=64, device="cpu", plots=False, project=str(tmp_path / "out"))
