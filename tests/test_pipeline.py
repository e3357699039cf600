"""The command line from end to end on a tiny model: what it makes, what it says, what it refuses."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from ultralytics import YOLO

from helpers.commands import command
from helpers.messages import is_error, says
from optimize.config import CONF
from optimize.input_size import square
from optimize.prepare import prepare, shrink
from optimize.pruner.l2 import L2
from optimize.pruner.prune import Prune
from optimize.pruner.settings import Pruning
from optimize.recover.bn import BatchNorm
from optimize.recover.finetune import Finetune
from optimize.recover.qat import Qat
from optimize.store.apply import digest
from optimize.variant import Variant
from optimize.yolo.checkpoint import deployed, load, save
from optimize.yolo.dataset import resolve

KEYS = {"name", "variant", "sha256", "flops", "macs", "float_ops", "int_ops", "int8_share", "size_bytes"}


@pytest.fixture(scope="module")
def where(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("where")


@pytest.fixture
def optimize(monkeypatch, capsys, where):
    monkeypatch.chdir(where)
    return lambda *words, **charts: command(monkeypatch, capsys, *words, **charts)


@pytest.fixture
def given(dataset, checkpoint):
    return f"model={checkpoint}", f"data={dataset}", "rounds=12", "epochs=1", "batch=4", "rivals=none"


@pytest.mark.command
def test_one_run_makes_and_measures_every_variant(optimize, given, where, dataset, checkpoint):
    code, out, _ = optimize(*given, "prune=0.3", "quant=int8", charts=True)
    assert code == 0
    folder = Path(out.splitlines()[-1])
    assert folder.parent == where / "runs"
    results = json.loads((folder / "results.json").read_text())
    assert results["schema"] == 5
    assert {"provenance", "stages", "noise", "failures", "limits"} <= results.keys()
    rows = {(v["variant"]["runtime"], v["name"]): v for v in results["results"]}
    assert len(rows) == len(results["results"])
    assert {("torch", "original"), ("torch", "pruned")} <= rows.keys()
    for runtime in ("onnxruntime", "openvino"):
        assert {(runtime, name) for name in ("original", "pruned", "int8", "pruned+int8")} <= rows.keys()
    for row in rows.values():
        assert row.keys() >= KEYS
        assert digest(Path(row["variant"]["path"])) == row["sha256"]
        assert row["accuracy"]["images"] == len(row["accuracy"]["folds"]) == 8
        assert row["latency"]["runs"] == 12  # one call a round, as in conftest
        assert row["frame"]["runs"] == 12 and (row["frame"]["width"], row["frame"]["height"]) == (64, 64)
        assert row["macs"] * 2 == row["flops"] == row["float_ops"] + row["int_ops"]
    original, pruned = rows["torch", "original"], rows["torch", "pruned"]
    assert 0.29 <= 1 - pruned["flops"] / original["flops"] <= 0.31
    assert original["int_ops"] == 0 and rows["openvino", "int8"]["int_ops"] > 0.9 * original["flops"]
    for (runtime, name), row in rows.items():
        assert row["int8_share"] > 0.9 if name.endswith("int8") else row["int8_share"] == 0, (runtime, name)
    assert rows["onnxruntime", "int8"]["size_bytes"] < 0.4 * rows["onnxruntime", "original"]["size_bytes"]
    named = re.findall(r"\| pruned\+int8 (\(best\) )?\|", (folder / "report.md").read_text())
    assert len(named) == 10  # two runtimes in each of five tables
    assert all((row["profile"] is None) == (row["variant"]["runtime"] == "torch") for row in rows.values())
    assert results["machine"]["peaks"].keys() == {"onnxruntime", "openvino"}
    assert results["blocks"]["model.2"] == "C2f" and len(results["blocks"]) == 23
    assert (folder / "report.png").stat().st_size > 10_000
    assert (folder / "optimize.log").is_file() and (folder / ".hydra" / "config.yaml").is_file()
    seen = results["disagreement"]
    assert (seen["before"], seen["images"], len(seen["worst"])) == ("original on torch", 8, 8)
    assert {image["name"] for image in seen["worst"]} == {f"{i}.png" for i in range(8)}
    assert all((folder / image["path"]).is_file() for image in seen["worst"])

    stock = YOLO(rows["onnxruntime", "pruned+int8"]["variant"]["path"], task="detect").val(
        data=str(dataset), imgsz=64, device="cpu", plots=False, save_dir=where / "stock"
    )
    assert round(stock.box.map, 4) == round(rows["onnxruntime", "pruned+int8"]["accuracy"]["metrics"]["mAP50-95"], 4)


@pytest.mark.command
def test_the_same_command_finds_what_is_finished_and_gives_the_same_numbers(optimize, given, where, monkeypatch):
    _, out, _ = optimize(*given, "prune=0.3", "quant=none", "runtime=[onnxruntime,openvino]")
    first = json.loads((Path(out.splitlines()[-1]) / "results.json").read_text())
    monkeypatch.setattr("optimize.recover.training.finetune", None)  # nothing may train again
    monkeypatch.setattr("optimize.judge.validate", None)
    code, out, _ = optimize(*given, "prune=0.3", "quant=none", "runtime=[openvino]")
    assert code == 0
    second = json.loads((Path(out.splitlines()[-1]) / "results.json").read_text())
    both = {(v["variant"]["runtime"], v["name"]): v for v in first["results"]}
    for row in second["results"]:
        assert row["accuracy"] == both[row["variant"]["runtime"], row["name"]]["accuracy"]
        assert row["sha256"] == both[row["variant"]["runtime"], row["name"]]["sha256"]


@pytest.mark.command
def test_pruning_in_steps_reaches_the_share_and_reports_every_layer(optimize, given):
    words = "prune=0.3", "quant=none", "runtime=[]", "pruner=l2", "pruner.steps=2", "recover=[bn]", "pruner.round_to=4"
    code, out, err = optimize(*given, *words)
    assert code == 0, err
    folder = Path(out.splitlines()[-1])
    results = json.loads((folder / "results.json").read_text())
    assert [stage["stage"] for stage in results["stages"]] == ["prune", "batchnorm", "prune", "batchnorm"]
    first, last = results["stages"][0], results["stages"][2]
    original, pruned = (row["flops"] for row in results["results"])
    assert (first["asked"], last["asked"]) == (0.15, 0.3)
    assert last["reached"] == 1 - pruned / original == pytest.approx(0.3, abs=0.01)
    lines = (folder / "report.md").read_text().splitlines()
    layers = [line for line in lines if line.startswith("| model.")]
    assert [line.split()[1] for line in layers] == [layer["name"] for layer in first["layers"]]
    both = zip(layers, first["layers"], last["layers"], strict=True)
    line, old, new = next(three for three in both if three[1]["width"][0] != three[2]["width"][1])
    widths, flops, weights = ((old[key][0], new[key][1]) for key in ("width", "flops", "parameters"))
    assert line == (
        f"| {old['name']} | {widths[0]} -> {widths[1]} | {flops[0] / 1e6:.2f} -> {flops[1] / 1e6:.2f} | "
        f"{weights[0]:,} -> {weights[1]:,} | {flops[1] / flops[0]:.0%} |  |"
    )
    assert any("is not known to keep channels apart" in line or "output of the model" in line for line in layers)


def test_steps_share_out_the_ratio_and_the_epochs(dataset):
    data = resolve(str(dataset))
    stages = shrink(Pruning(0.3, L2(), steps=3), [BatchNorm(data), Finetune(data, 10, Path("best.pt"))])
    assert [type(stage) for stage in stages] == 3 * [Prune, BatchNorm, Finetune]
    assert [stage.settings.share for stage in stages[::3]] == pytest.approx([0.1, 0.2, 0.3])
    assert [stage.epochs for stage in stages[2::3]] == [3, 3, 4]


@pytest.mark.parametrize("position", [0, 1])
def test_int8_is_learned_once_after_all_steps(position, dataset, monkeypatch):
    monkeypatch.setattr("optimize.recover.qat.unavailable", lambda: None)
    data = resolve(str(dataset))
    recovery = [Finetune(data, 4, Path("best.pt"))]
    recovery.insert(position, Qat(data, epochs=4))
    stages = shrink(Pruning(0.3, L2(), steps=2), recovery)
    assert [type(stage) for stage in stages] == [Prune, Finetune, Prune, Finetune, Qat]
    assert [stage.epochs for stage in stages if not isinstance(stage, Prune)] == [2, 2, 4]


def test_a_pruned_model_is_pruned_further_and_the_report_says_so(tmp_path, monkeypatch, dataset, checkpoint):
    monkeypatch.chdir(tmp_path)
    made = Prune(Pruning(0.3, L2(), round_to=4))(Variant(checkpoint, "torch", "fp32", square(64)), tmp_path)
    remarks = []
    for model in (checkpoint, made.path):
        with initialize_config_dir(str(CONF.resolve()), version_base=None):
            config = compose("config", [f"model={model}", f"data={dataset}", "runtime=[onnxruntime]"])
        remarks.append(prepare(config).provenance.remarks)
    assert not says(" ".join(remarks[0]), "was pruned before")
    assert says(remarks[1][0], f"model={made.path} was pruned before ... 2. ... 3.01 M ... prune= is relative")


@pytest.mark.parametrize(
    "words, said",
    [
        (["prune=0", "epochs=50"], True),
        (["prune=0", "recover=[distill]"], True),
        (["prune=0", "recover=[bn]"], False),
        (["prune=0", "epochs=0"], False),
        (["prune=0.3"], False),
    ],
)
def test_a_training_that_prune_0_leaves_out_is_said(words, said, tmp_path, monkeypatch, dataset, checkpoint, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO", "optimize")
    with initialize_config_dir(str(CONF.resolve()), version_base=None):
        config = compose("config", [f"model={checkpoint}", f"data={dataset}", "runtime=[onnxruntime]", *words])
    lines = [
        line for line in prepare(config).provenance.remarks if line.startswith("Nothing is trained, since finetune")
    ]
    logged = [record.message for record in caplog.records if record.message.startswith("Nothing is trained")]
    assert len(lines) == said
    assert lines == logged
    if said:
        assert f"`python -m optimize.train model={checkpoint} data={dataset} epochs={config.epochs}`" in lines[0]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["prune=0", "recover=[bn]"], "Nothing is recovered, since prune=0 prunes nothing."),
        (["prune=0.3", "epochs=0"], "Nothing is trained after pruning, since epochs=0."),
        (["prune=0.3", "epochs=0", "recover=[qat]"], "Nothing is trained for int8 (recover=qat), since epochs=0."),
        (
            ["quant=fp16", "runtime=[]"],
            "There is no fp16 file: runtime=[] exports nothing, and torch runs the checkpoint",
        ),
        (["quant=fp16", "runtime=[onnxruntime]"], None),
        (["prune=0", "recover=[]", "quant=none"], None),
    ],
)
def test_what_was_asked_for_and_changes_nothing_is_said(words, sentence, tmp_path, monkeypatch, dataset, checkpoint):
    monkeypatch.chdir(tmp_path)
    with initialize_config_dir(str(CONF.resolve()), version_base=None):
        config = compose("config", [f"model={checkpoint}", f"data={dataset}", "runtime=[onnxruntime]", *words])
    remarks = prepare(config).provenance.remarks
    starts = "Nothing is", "There is no"
    assert [remark.split(" in float32")[0] for remark in remarks if remark.startswith(starts)] == [sentence] * bool(
        sentence
    )


@pytest.mark.command
def test_nothing_asked_nothing_changed(optimize, given, where):
    code, out, _ = optimize(*given, "prune=0", "quant=none", "runtime=[onnxruntime]")
    assert code == 0
    results = json.loads((Path(out.splitlines()[-1]) / "results.json").read_text())
    assert [(v["variant"]["runtime"], v["name"]) for v in results["results"]] == [
        ("torch", "original"),
        ("onnxruntime", "original"),
    ]
    assert results["disagreement"] is None


@pytest.mark.command
def test_tensorrt_is_left_out_with_its_reason_where_it_cannot_run(optimize, given):
    pytest.importorskip("openvino")
    if shutil.which("nvidia-smi"):
        pytest.skip("this machine may run TensorRT")
    _, out, _ = optimize(*given, "prune=0", "quant=none", "runtime=[onnxruntime,tensorrt]")
    assert "tensorrt was left out: " in out


CASES = (
    *("prune", "type", "choice", "runtime", "off", "key", "missing", "text", "imgsz"),
    *("data", "folder", "classes", "labels", "calibration", "reach"),
    *("fused", "exported", "protect", "images", "recovery", "target"),
)


def bad(tmp_path: Path, dataset: Path, checkpoint: Path) -> dict[str, tuple[list[str], str]]:
    """Name -> what is given, and how the sentence starts."""
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "folder.yaml").write_text("train: images/none\nval: images/none\nnames: {0: dark, 1: bright}\n")
    (tmp_path / "names.yaml").write_text(
        dataset.read_text().replace("bright", "cat").replace("images/", f"{dataset.parent}/images/")
    )
    save(deployed(load(checkpoint)), tmp_path / "fused.pt")
    (tmp_path / "net.onnx").write_bytes(b"")
    shutil.copytree(dataset.parent / "images", tmp_path / "plain" / "images")
    shutil.copy(dataset, tmp_path / "plain" / "data.yaml")
    return {
        "prune": (["prune=1.2"], "prune=1.2 ... 0 <= prune < 1"),
        "type": (["prune=abc"], "prune=abc ... a number"),
        "choice": (["quant=int9"], "quant=int9 ... fp16, int8, none"),
        "runtime": (
            ["runtime=[coreml]"],
            "runtime=coreml ... litert, ncnn, onnxruntime, openvino, tensorrt",
        ),
        "off": (["quant=null"], "a group one of its choices; quant=none ... turn one off"),
        "key": (["speed=9"], "speed is not a key ... --help"),
        "missing": ([f"model={tmp_path}/no.pt"], f"model={tmp_path}/no.pt does not exist ... give the path"),
        "text": ([f"model={tmp_path}/text.pt"], f"model={tmp_path}/text.pt is not a torch checkpoint ... .pt"),
        "imgsz": (
            ["imgsz=100"],
            f"imgsz=100 ... model={checkpoint} ... stride 32, e.g. 96 or 128.",
        ),
        "data": ([f"data={tmp_path}/no.yaml"], f"data={tmp_path}/no.yaml can't be used"),
        "folder": ([f"data={tmp_path}/folder.yaml"], f"data={tmp_path}/folder.yaml can't be used"),
        "classes": (
            [f"data={tmp_path}/names.yaml"],
            f"model={checkpoint} has the classes 2 ... dark, bright ... data=",
        ),
        "labels": (
            [f"data={tmp_path}/plain/data.yaml"],
            f"data={tmp_path}/plain/data.yaml has no labels ... train",
        ),
        "calibration": (["quant.calibration_images=0", "prune=0"], "quant.calibration_images=0 ... 1"),
        "reach": (
            ["prune=0.99"],
            "prune=0.99 can't be reached ... model",
        ),
        "fused": ([f"model={tmp_path}/fused.pt"], f"model={tmp_path}/fused.pt is fused ... BatchNorm"),
        "exported": (
            [f"model={tmp_path}/net.onnx"],
            f"model={tmp_path}/net.onnx is not a .pt checkpoint ... the float .pt",
        ),
        "protect": (["pruner.protect=[head.*]"], "pruner.protect=head.* ... no layer ... names"),
        "images": (["pruner.criterion.images=0"], "pruner.criterion.images=0 ... 1 or more"),
        "recovery": (["recover=[bn,sgd]"], "recover=sgd ... bn, distill, finetune, qat"),
        "target": (
            ["pruner.target=macs"],
            "pruner.target=macs ... flops or params or",
        ),
    }


@pytest.mark.command
@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_sentence_and_leaves_nothing(case, monkeypatch, capsys, tmp_path, dataset, checkpoint):
    words, sentence = bad(tmp_path, dataset, checkpoint)[case]
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    code, out, err = command(monkeypatch, capsys, f"model={checkpoint}", f"data={dataset}", *words)
    assert (code, out) == (1, "")
    last = [line for line in err.splitlines() if not line.startswith("[")][-1]
    assert is_error(last, sentence)
    assert "Traceback" not in err
    logs = list(tmp_path.glob("here/runs/*/optimize.log"))
    if case in ("reach", "protect"):  # only the work itself finds it
        assert says(err, f"{logs[0]} ... kept in the store")
    else:
        assert not logs and not list((tmp_path / "here").iterdir())


def test_no_room_on_the_disk_is_said_before_any_work(monkeypatch, capsys, tmp_path, given):
    monkeypatch.chdir(tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    code, _, err = command(monkeypatch, capsys, *given)
    assert code == 1
    assert says(err, f"error: ... disk of {tmp_path} ... 1 MB free ... needs")


def test_a_legacy_yolov5_checkpoint_is_named_as_such(monkeypatch, capsys, tmp_path, dataset):
    import torch

    module = type(sys)("models.yolo")
    module.Model = type("Model", (), {"__module__": "models.yolo"})
    monkeypatch.setitem(sys.modules, "models", type(sys)("models"))
    monkeypatch.setitem(sys.modules, "models.yolo", module)
    torch.save({"model": module.Model()}, tmp_path / "old.pt")
    monkeypatch.delitem(sys.modules, "models.yolo")
    monkeypatch.chdir(tmp_path)
    code, _, err = command(monkeypatch, capsys, f"model={tmp_path}/old.pt", f"data={dataset}")
    assert code == 1
    assert says(err, "old.pt ... YOLOv5 ... ultralytics 8 can't load")
