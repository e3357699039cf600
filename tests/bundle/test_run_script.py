"""run.py of a bundle: what it can't use is one sentence, and what it writes is what ultralytics finds."""

import json
import runpy
from importlib.metadata import version

import cv2
import numpy as np
import pytest
from ultralytics import YOLO

from helpers.bundles import CONFIDENCE, PIXELS, bundled, one_row, start
from optimize.runtime.ncnn import Ncnn


@pytest.mark.command
@pytest.mark.parametrize(
    "case",
    [
        "missing",
        "text",
        "twice",
        "over",
        "sure",
        "out",
        "threads",
        "labels",
        "gone",
        "damaged",
        "runtime",
        "video",
        "classes",
        "fast",
    ],
)
def test_what_run_py_can_not_use_is_one_sentence(case, artefact, images, tmp_path):
    bundle = bundled(one_row(artefact, "onnxruntime"), tmp_path)
    (tmp_path / "text.png").write_text("hello")
    given, sentence = {
        "missing": (["none.png"], "none.png can't be read as an image"),
        "text": (["text.png"], "text.png can't be read as an image"),
        "twice": ([images[0], images[0]], "two of the images have the same name"),
        "over": (
            ["text.png", "--save", "--out", "."],
            "--out . holds text.png, and nothing is overwritten; give another.",
        ),
        "sure": ([images[0], "--confidence", "25"], "--confidence 25.0 is not allowed; give 0 to 1."),
        "out": ([images[0], "--out", "text.png/x"], "--out text.png/x can't be a folder to write to; give another."),
        "threads": ([images[0], "--threads", "-1"], "--threads -1 is not allowed; give 1 or more."),
        "gone": ([images[0]], f"tiny.onnx is not in {bundle}; copy the bundle again."),
        "damaged": ([images[0]], f"onnxruntime {version('onnxruntime')} can't load tiny.onnx ("),
        "labels": ([images[0]], "an output of shape (1, 7, 84) is none of a one2many head with 2 classes."),
        "runtime": ([images[0]], "No module named 'onnxruntime'"),
        "video": (["0"], "0 is a camera or stream, which needs OpenCV; pip install opencv-python-headless brings it."),
        "classes": ([images[0], "--classes", "cat"], "--classes cat is none of class0, class1, class2; give names"),
        "fast": ([images[0], "--fast-decode"], "--fast-decode is for models whose images keep their proportions;"),
    }[case]
    about = json.loads((bundle / "bundle.json").read_text())
    changes = {"labels": {"names": about["names"][:2]}, "fast": {"letterbox": None}}.get(case, {})
    (bundle / "bundle.json").write_text(json.dumps(about | changes))
    if case == "gone":
        (bundle / artefact.name).unlink()
    if case == "damaged":
        (bundle / artefact.name).write_bytes(artefact.read_bytes()[:1000])
    packages = ("numpy", "pillow") if case == "runtime" else None
    done = start(bundle / "run.py", *given, cwd=tmp_path, packages=packages)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {sentence}") and done.stderr.count("\n") == 1
    if case == "damaged":
        made = "it was made with onnxruntime, and the first command of README.md installs the newest.\n"
        assert done.stderr.endswith(made)
    assert not (tmp_path / "found").exists()


@pytest.mark.command
def test_one_image_that_can_not_be_read_does_not_cost_the_others(artefact, images, tmp_path):
    bundle = bundled(one_row(artefact, "onnxruntime"), tmp_path)
    (tmp_path / "text.png").write_text("hello")
    done = start(bundle / "run.py", images[0], "text.png", images[1], "--save", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: text.png can't be read as an image (") and done.stderr.count("\n") == 1
    assert done.stderr.endswith(", so it is skipped.\n")
    found = json.loads((tmp_path / "found" / "detections.json").read_text())
    assert list(found) == [str(path) for path in images[:2]]
    files = {file.name for file in (tmp_path / "found").iterdir()}
    assert files == {"detections.json", *(path.name for path in images[:2])}


@pytest.mark.command
def test_a_video_and_a_folder_are_found_as_ultralytics_finds_them_and_only_the_classes_asked_for(
    artefact, images, tmp_path
):
    bundle, clip = bundled(one_row(artefact, "onnxruntime"), tmp_path), tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*"MJPG"), 10, (128, 96))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no MJPG")
    for path in images * 2:
        writer.write(cv2.resize(cv2.imread(str(path)), (128, 96)))
    writer.release()
    packages = "numpy", "pillow", "onnxruntime", "opencv-python"
    words = clip, images[0].parent, "--confidence", str(CONFIDENCE), "--classes", "class1,0"
    done = start(bundle / "run.py", *words, cwd=tmp_path, packages=packages)
    assert (done.returncode, done.stderr) == (0, "")
    *lines, summary, folder = done.stdout.splitlines()
    assert len(lines) == 3 * len(images) and lines[0].startswith(f"{clip} 0: ") and folder == "written: found"
    assert summary.startswith("18 frames, ") and "decode" in summary and "post-processing" in summary
    by_image = json.loads((tmp_path / "found" / "detections.json").read_text())
    assert sorted(by_image) == sorted(map(str, images))
    by_frame = [json.loads(line) for line in (tmp_path / "found" / "clip.jsonl").read_text().splitlines()]
    assert [frame["frame"] for frame in by_frame] == list(range(12))
    options = {"imgsz": 64, "conf": CONFIDENCE, "classes": [0, 1], "device": "cpu", "verbose": False}
    theirs = list(YOLO(artefact, task="detect").predict(clip, stream=True, **options))
    for frame, stock in zip(by_frame, theirs, strict=True):
        assert [one["class"] for one in frame["objects"]] == stock.boxes.cls.int().tolist()
        boxes = np.array([one["box"] for one in frame["objects"]]).reshape(-1, 4)
        np.testing.assert_allclose(boxes, stock.boxes.xyxy.numpy(), atol=PIXELS)
    assert {one["class"] for frame in by_frame for one in frame["objects"]} == {0, 1}


@pytest.mark.command
def test_a_class_that_the_terminal_can_not_show_is_found_all_the_same(artefact, images, tmp_path):
    bundle = bundled(one_row(artefact, "onnxruntime"), tmp_path)
    about = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps(about | {"names": ["śruba"] * 3}))
    done = start(bundle / "run.py", images[0], "--confidence", "0", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{images[0]}: ") and " ?ruba\n" in done.stdout
    objects = json.loads((tmp_path / "found" / "detections.json").read_text())[str(images[0])]
    assert {one["label"] for one in objects} == {"śruba"}


@pytest.mark.skipif(bool(Ncnn().unavailable()), reason=str(Ncnn().unavailable()))
def test_a_call_in_which_ncnn_fails_is_one_sentence(tmp_path):
    (tmp_path / "huge").mkdir()
    layers = "Input in0 0 1 in0", "Padding pad 1 1 in0 out0 0=1000000 1=1000000 2=1000000 3=1000000"
    (tmp_path / "huge" / "model.ncnn.param").write_text("\n".join(["7767517", "2 2", *layers]) + "\n")
    (tmp_path / "huge" / "model.ncnn.bin").write_bytes(b"")
    run, _ = runpy.run_path(str(Ncnn.device_file))["open_model"](tmp_path / "huge", "fp32", 1)
    with pytest.raises(RuntimeError, match=r"^ncnn \S+ failed to compute out0 \(error -100\); its log above says why$"):
        run(np.zeros((1, 3, 64, 64), np.float32))
