"""A bundle finds what ultralytics finds, without torch, ultralytics and this package, and is written whole."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ultralytics import RTDETR, YOLO

from helpers import reports
from helpers.bundles import CONFIDENCE, PIXELS, SURENESS, bundled, one_row, start
from helpers.commands import command
from helpers.lively import lively
from helpers.runtimes import ALL
from optimize.bundle import make
from optimize.errors import InputError, VariantFailed
from optimize.input_size import square
from optimize.limits import Limits
from optimize.runtime.litert import LiteRT
from optimize.runtime.ncnn import Ncnn
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino, cpu_computes_bf16
from optimize.store import manifest
from optimize.store.apply import digest
from optimize.variant import Variant
from optimize.verdict import verdict
from optimize.yolo.checkpoint import load, save

MOBILE = {"ncnn": Ncnn(), "litert": LiteRT()}
BUNDLED = [name for name, runtime in ALL.items() if runtime.device_file]


def exported(kind: str, folder: Path) -> tuple[Path, str, str, str]:
    """An artefact, its runtime, its precision and its task."""
    if kind == "rtdetr":
        weights = lively("yolov8n-rtdetr.yaml", folder / "tiny.pt", classes=3)
        return (
            OnnxRuntime().export(Variant(weights, "torch", "fp32", square(64)), folder).path,
            "onnxruntime",
            "fp32",
            kind,
        )
    weights = lively(f"{'yolov8n' if kind == 'yolov8n' else 'yolo26n'}.yaml", folder / "tiny.pt", classes=3)
    if kind == "end2end":  # as other exporters leave it; ours deploys the one-to-many head
        model = load(weights)
        for name in ("cv2", "cv3"):  # only the one-to-many head is lively
            getattr(model.model[-1], f"one2one_{name}").load_state_dict(getattr(model.model[-1], name).state_dict())
        save(model, weights)
        made = YOLO(weights).export(format="onnx", imgsz=64, end2end=True, verbose=False)
        return Path(made), "onnxruntime", "fp32", "detect"
    variant = Variant(weights, "torch", "fp32", square(64))
    if kind in MOBILE:
        return MOBILE[kind].export(variant, folder).path, kind, "fp32", "detect"
    if kind == "openvino":  # stock ultralytics leaves the arithmetic to OpenVINO, which takes bf16 where it can
        precision = "bf16" if cpu_computes_bf16() else "fp32"
        return OpenVino().export(variant, folder).path, "openvino", precision, "detect"
    return OnnxRuntime().export(variant, folder).path, "onnxruntime", "fp32", "detect"


HEADS = {"yolov8n": "one2many", "yolo26n": "one2many", "openvino": "one2many", "end2end": "end2end", "rtdetr": "rtdetr"}
HEADS |= dict.fromkeys(MOBILE, "one2many")
KINDS = [
    pytest.param(kind, False, marks=pytest.mark.skipif(bool(why), reason=why or ""), id=kind)
    for kind in HEADS
    for why in [kind in MOBILE and MOBILE[kind].unavailable()]
] + [pytest.param("yolov8n", True, id="yolov8n, OpenCV")]
TAKES = [pytest.param(*kind.values, "float32", marks=kind.marks, id=kind.id) for kind in KINDS]
TAKES += [pytest.param(kind, opencv, "uint8") for kind, opencv in (("yolov8n", True), ("openvino", False))]


@pytest.mark.command
@pytest.mark.parametrize("kind, opencv, takes", TAKES)
def test_a_bundle_finds_what_ultralytics_finds(kind, opencv, takes, images, tmp_path):
    artefact, runtime, precision, task = exported(kind, tmp_path)
    bundle = make.make(one_row(artefact, runtime, precision, task), tuple(ALL.values()), tmp_path, takes=takes)
    assert json.loads((bundle / "bundle.json").read_text())["head"] == HEADS[kind]
    packages = ("numpy", "pillow", "onnxruntime", "opencv-python") if opencv else None
    words = "--confidence", str(CONFIDENCE), "--save"
    done = start(bundle / "run.py", *images, *words, cwd=tmp_path, packages=packages)
    assert done.returncode == 0, done.stderr
    ours = json.loads((tmp_path / "found" / "detections.json").read_text())
    stock = RTDETR(artefact) if kind == "rtdetr" else YOLO(artefact, task="detect")
    sizes = []
    for path in images:
        theirs = stock.predict(path, imgsz=64, conf=CONFIDENCE, device="cpu", verbose=False)[0].boxes
        assert [one["class"] for one in ours[str(path)]] == theirs.cls.int().tolist()
        assert [one["label"] for one in ours[str(path)]] == [f"class{int(i)}" for i in theirs.cls]
        sure = np.array([one["confidence"] for one in ours[str(path)]])
        boxes = np.array([one["box"] for one in ours[str(path)]]).reshape(-1, 4)
        np.testing.assert_allclose(sure, theirs.conf.numpy(), atol=SURENESS)
        np.testing.assert_allclose(boxes, theirs.xyxy.numpy(), atol=PIXELS)
        with Image.open(tmp_path / "found" / f"{path.stem}.png") as drawn, Image.open(path) as image:
            assert drawn.size == image.size
            assert (np.asarray(drawn) != np.asarray(image)).any() == bool(len(theirs))
        sizes.append(len(theirs))
    assert sum(sizes) > 10  # else the comparison above says nothing


def test_a_bundle_says_what_it_holds_and_has_three_commands(artefact, tmp_path):
    report = one_row(artefact, "onnxruntime")
    versions = {"python": "3.11", "onnxruntime": "1.31"}
    report = replace(report, provenance=replace(report.provenance, versions=versions))
    bundle = bundled(report, tmp_path)
    files = {file.name for file in bundle.iterdir()}
    assert files == {
        *(script.name for script in make.SCRIPTS),
        "device.py",
        "README.md",
        "bundle.json",
        "labels.txt",
        artefact.name,
    }
    about = json.loads((bundle / "bundle.json").read_text())
    assert about["sha256"] == digest(bundle / about["artefact"])
    assert (about["run"], about["task"]) == (tmp_path.name, "detect")
    assert about["imgsz"] == {"height": 64, "width": 64}
    assert about["nms"] == {"confidence": 0.25, "iou": 0.7, "max_detections": 300}
    assert about["names"] == (bundle / "labels.txt").read_text().split() == ["class0", "class1", "class2"]
    readme = (bundle / "README.md").read_text()
    commands = [line.strip() for line in readme.splitlines() if line.startswith("    ")]
    assert commands == [
        "pip install --upgrade numpy pillow onnxruntime",
        "python run.py street.jpg --save",
        "python bench.py",
    ]
    made_with = "onnxruntime 1.31"
    assert about["made_with"] == made_with and f"made with {made_with}; newer versions read it too." in readme
    assert "Measured by the run that made it: mAP50-95 0.5950, 5.00 ms on a CPU. " in readme
    assert f"The verdict of that run over all variants: {verdict.headline(report)}\n" in readme
    assert "It misses the limits" not in readme
    strict = replace(one_row(artefact, "onnxruntime"), limits=Limits(latency_ms=1))
    bundled(strict, tmp_path)  # what stood there is replaced
    assert "It misses the limits: 5 ms instead of 1 ms." in (bundle / "README.md").read_text()


@pytest.mark.command
@pytest.mark.parametrize("runtime", BUNDLED)
def test_the_device_of_these_tests_has_what_pip_brings_there_and_nothing_else(runtime, tmp_path):
    if MOBILE.get(runtime, OnnxRuntime()).unavailable():
        pytest.skip(f"{runtime} is not installed")
    weights = lively("yolov8n.yaml", tmp_path / "tiny.pt", classes=3)
    (tmp_path / "exported").mkdir()
    made = ALL[runtime].export(Variant(weights, "torch", "fp32", square(64)), tmp_path / "exported")
    bundle = bundled(one_row(made.path, runtime), tmp_path)
    module = {"litert": "ai_edge_litert"}.get(runtime, runtime)
    (bundle / "tell.py").write_text(
        "import importlib.util, sys\n"
        f"import numpy, PIL, {module}\n"
        "print(*[name for name in sys.argv[1:] if importlib.util.find_spec(name)])\n"
    )
    others = ("torch", "ultralytics", "optimize", "cv2", "scipy", "yaml", "pydantic", "onnx", "pytest", "hydra")
    done = start(bundle / "tell.py", *others, "json", "PIL", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "json PIL\n", "")


def test_the_verdict_is_bundled_and_where_that_is_a_checkpoint_the_best_that_was_exported():
    report = reports.report()
    assert make.pick_row(report, BUNDLED) is verdict.chosen(report)
    rows = [row for row in report.results if not row.rival]
    torch = next(replace(row, latency=replace(row.latency, median_ms=0.1)) for row in rows if row.variant.tags)
    fast = replace(report, results=(rows[0], torch, *rows[2:]), limits=Limits(max_drop=2))
    assert verdict.chosen(fast) is torch
    assert (make.pick_row(fast, BUNDLED).variant.name, make.pick_row(fast, BUNDLED).variant.runtime) == (
        "pruned+int8",
        "openvino",
    )
    untouched = replace(report, results=tuple(row for row in rows if not row.variant.tags))
    assert (make.pick_row(untouched, BUNDLED).variant.name, make.pick_row(untouched, BUNDLED).variant.runtime) == (
        "original",
        "openvino",
    )
    with pytest.raises(VariantFailed, match=r"^there is no bundle, since no exported"):
        make.pick_row(
            replace(report, results=tuple(r for r in report.results if r.variant.runtime == "torch")), BUNDLED
        )


def test_a_bundle_is_whole_or_not_there(artefact, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(OSError, match="No space left"):
        bundled(one_row(artefact, "onnxruntime"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_appears_whole_or_not_at_all_and_replaces_only_its_own(artefact, tmp_path, monkeypatch):
    def killed(source, target):
        if target == tmp_path / "bundle":
            raise KeyboardInterrupt
        return replace(source, target)

    replace, report = os.replace, one_row(artefact, "onnxruntime")
    before = digest(bundled(report, tmp_path))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", killed)
        bundled(report, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [manifest.NAME]
    assert digest(bundled(report, tmp_path)) == before
    (tmp_path / "bundle" / "run.py").write_text("mine")
    with pytest.raises(InputError, match=r"bundle/run\.py is not as this program wrote it, so it stays"):
        bundled(report, tmp_path)
    assert (tmp_path / "bundle" / "run.py").read_text() == "mine"
    assert len(list((tmp_path / "bundle").iterdir())) == len(make.SCRIPTS) + 5


@pytest.mark.parametrize("task", ["segment", "pose", "obb", "classify"])
def test_a_task_that_no_bundle_decodes_is_refused(task):
    with pytest.raises(InputError) as error:
        make.check("model=a.pt", task, [OnnxRuntime()])
    assert str(error.value).startswith(f"bundle=true is for detect and rtdetr models, model=a.pt is a {task} model;")


@pytest.mark.command
def test_a_run_leaves_its_bundle_and_prints_its_folder_last(
    monkeypatch, capsys, tmp_path, dataset, checkpoint, artefact
):
    report = one_row(artefact, "onnxruntime")
    monkeypatch.setattr(
        "optimize.pipeline.run", lambda plan, folder, keep: report
    )  # it is tested elsewhere, and takes long
    monkeypatch.chdir(tmp_path)
    given = f"model={checkpoint}", f"data={dataset}"
    folders = []
    for words in ([], ["bundle=true"]):
        code, out, err = command(monkeypatch, capsys, *given, *words)
        assert code == 0, err
        folders.append(Path(out.splitlines()[-1]))
    assert [(folder / "bundle").exists() for folder in folders] == [False, True]
    about = json.loads((folders[1] / "bundle" / "bundle.json").read_text())
    assert (about["run"], about["sha256"]) == (folders[1].name, digest(folders[1] / "bundle" / about["artefact"]))


def test_without_a_runtime_that_can_be_bundled_it_is_refused_before_any_work(
    monkeypatch, capsys, tmp_path, dataset, checkpoint
):
    monkeypatch.chdir(tmp_path)
    words = f"model={checkpoint}", f"data={dataset}", "runtime=[]", "bundle=true"
    code, out, err = command(monkeypatch, capsys, *words)
    assert (code, out) == (1, "")
    assert "error: bundle=true needs a runtime" in err and "runtime=[onnxruntime]" in err and "runtime=[] is" in err
    assert not list(tmp_path.glob("runs/*/optimize.log"))


@pytest.mark.parametrize("words", [["bundle=true", "prune=0,0.3"], ["bundle=true,false"]])
def test_a_sweep_has_no_bundle_and_says_so_before_any_work(monkeypatch, capsys, tmp_path, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = command(monkeypatch, capsys, "-m", *words)
    assert (code, out) == (1, "")
    assert err == (
        "error: bundle=true is for one run, and this is a sweep; leave it out, and then give the job to take alone "
        "with bundle=true: what the sweep made is found again.\n"
    )
    assert list(tmp_path.iterdir()) == []
