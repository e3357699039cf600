"""What can't be quantized, or not here, ends before any work in one sentence; what only disappoints is remarked."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import nn
from ultralytics.nn.tasks import ClassificationModel, DetectionModel

from helpers.commands import command
from helpers.messages import is_error
from optimize import provenance
from optimize.config import CONF
from optimize.plan import Plan
from optimize.prepare import prepare
from optimize.yolo.checkpoint import save


@pytest.fixture
def optimize(monkeypatch, capsys, tmp_path):
    """Runs a command that must fail, and gives its sentence."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def failing(*words: str) -> str:
        code, out, err = command(monkeypatch, capsys, "rounds=12", "threads=1", *words)
        assert (code, out) == (1, "")
        assert "Traceback" not in err
        assert not [folder for folder in (tmp_path / "here" / "runs").glob("*") if folder.name != "store"]
        return err.splitlines()[-1]

    return failing


def copied(dataset: Path, target: Path) -> Path:
    shutil.copytree(dataset.parent, target, ignore=shutil.ignore_patterns("*.cache"))
    return target / "data.yaml"


@pytest.mark.command
def test_a_damaged_training_image_is_left_out_and_ends_nothing(monkeypatch, capsys, tmp_path, dataset, checkpoint):
    data = copied(dataset, tmp_path / "data")
    broken = tmp_path / "data" / "images" / "train" / "3.png"
    broken.write_bytes(broken.read_bytes()[:200])
    monkeypatch.chdir(tmp_path)
    words = f"model={checkpoint}", f"data={data}", "prune=0", "quant=int8", "runtime=[onnxruntime]", "rounds=12"
    code, out, err = command(monkeypatch, capsys, *words, "threads=1")
    assert code == 0, err
    results = json.loads((Path(out.splitlines()[-1]) / "results.json").read_text())
    rows = [(row["variant"]["runtime"], row["variant"]["precision"]) for row in results["results"]]
    assert rows == [("torch", "fp32"), ("onnxruntime", "fp32"), ("onnxruntime", "int8")]
    assert results["results"][2]["quantization"]["calibration"]["images"] == 7
    assert (results["provenance"]["train_images"], results["provenance"]["val_images"]) == (7, 8)
    left_out = results["left_out"][0]
    assert (left_out["split"], left_out["images"], left_out["listed"]) == ("train", 1, 8)
    assert (left_out["examples"], left_out["objects"]) == (["images/train/3.png"], {"bright": [1, 4]})
    assert broken.stat().st_size == 200


def test_no_training_images(optimize, tmp_path, dataset, checkpoint):
    data = copied(dataset, tmp_path / "data")
    for image in (tmp_path / "data" / "images" / "train").iterdir():
        image.unlink()
    sentence = optimize(f"model={checkpoint}", f"data={data}", "prune=0", "quant=int8")
    assert sentence.startswith(f"error: data={data} has no images in its train split (")


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("net.onnx", "the float .pt ... ONNX"),
        ("net.engine", "the float .pt ... TensorRT"),
        ("net_openvino_model", "a folder ... weights/best.pt"),
        ("folder.pt", "a folder ... weights/best.pt"),
    ],
)
def test_an_exported_model_is_no_start(name, instead, optimize, tmp_path, dataset):
    path = tmp_path / name
    path.mkdir() if path.suffix in ("", ".pt") else path.write_bytes(b"")
    sentence = optimize(f"model={path}", f"data={dataset}")
    assert is_error(sentence, f"model={path} is not a .pt checkpoint ... {instead}")


def test_a_quantized_checkpoint_is_no_start(optimize, tmp_path, dataset):
    given = f"data={dataset}", "quant=int8"

    converted = tmp_path / "converted.pt"
    torch.save({"model": nn.Sequential(torch.ao.nn.quantized.ReLU6())}, converted)
    sentence = optimize(f"model={converted}", *given)
    assert is_error(sentence, f"model={converted} is quantized already ... a .pt checkpoint")


@pytest.mark.parametrize("channels", [1, 4])
def test_only_models_and_data_of_three_channels(channels, optimize, tmp_path, dataset, checkpoint):
    model = DetectionModel("yolov8n.yaml", ch=channels, nc=2, verbose=False)
    model.names, model.args, model.task = {0: "dark", 1: "bright"}, {"imgsz": 64, "task": "detect"}, "detect"
    save(model, tmp_path / "other.pt")
    data = copied(dataset, tmp_path / "data")
    data.write_text(f"channels: {channels}\n{data.read_text()}")
    sentence = optimize(f"model={tmp_path}/other.pt", f"data={data}")
    assert is_error(sentence, f"model={tmp_path}/other.pt ... {channels} channels ... 3 (RGB)")
    sentence = optimize(f"model={checkpoint}", f"data={data}")
    assert is_error(sentence, f"data={data} has channels: {channels} ... three channels")


@pytest.mark.parametrize("task, yaml", [("detect", "yolov8n.yaml"), ("classify", "yolov8n-cls.yaml")])
def test_a_model_that_has_too_few_names(task, yaml, optimize, tmp_path, dataset):
    model = {"detect": DetectionModel, "classify": ClassificationModel}[task](yaml, nc=3, verbose=False)
    model.names, model.args, model.task = {0: "dark", 1: "bright"}, {"imgsz": 64, "task": task}, task
    save(model, tmp_path / "other.pt")
    sentence = optimize(f"model={tmp_path}/other.pt", f"data={dataset}")
    assert is_error(sentence, f"model={tmp_path}/other.pt has 2 names for 3 classes")


def prepared(*words: str) -> Plan:
    with initialize_config_dir(str(CONF.resolve()), version_base=None):
        return prepare(compose("config", list(words)))


def test_where_no_runtime_is_installed_nothing_goes_on(optimize, dataset, checkpoint, monkeypatch):
    given = f"model={checkpoint}", f"data={dataset}"
    monkeypatch.setattr("optimize.runtime.openvino.find_spec", lambda name: None)
    monkeypatch.setattr("optimize.runtime.tensorrt.find_spec", lambda name: None)
    sentence = "runtime=[{}] can't be used ... {} ... install ... or give another runtime"
    openvino, tensorrt = (f"{name} is not installed (pip install {name})" for name in ("openvino", "tensorrt"))
    assert is_error(optimize(*given, "runtime=[openvino]"), sentence.format("openvino", openvino))
    both = sentence.format("openvino,tensorrt", f"{openvino}, {tensorrt}")
    assert is_error(optimize(*given, "runtime=[openvino,tensorrt]"), both)

    some = prepared(*given, "runtime=[onnxruntime,openvino]")
    assert [runtime.info.name for runtime in some.runtimes] == ["onnxruntime"]
    assert f"openvino was left out: {openvino}." in some.provenance.remarks
    assert prepared(*given, "runtime=[]").runtimes == ()


def test_a_library_that_is_not_installed_has_no_version(monkeypatch):
    monkeypatch.setattr(provenance, "LIBRARIES", ("torch", "not-installed"))
    assert provenance.versions().keys() == {"python", "yolo-optimize", "torch"}
