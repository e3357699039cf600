"""Frames are read ahead by a thread that ends; a live source is looked at as it is now, and connected to again."""

import json
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from threading import Event, active_count

import cv2
import numpy as np
import pytest
from PIL import Image

RNG = np.random.default_rng(0)


def test_an_image_is_read_upright_in_colour_and_with_the_upper_bits(module, tmp_path):
    pixels = RNG.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=turned)
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(np.dstack([pixels, pixels[..., :1]])).save(tmp_path / "clear.png")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    for name in ("turned", "grey", "clear", "deep"):
        path = tmp_path / f"{name}.png"
        image, size = module("image").open_image(path)
        assert (np.asarray(image) == cv2.imread(str(path))[..., ::-1]).all(), name
        assert size == image.size


def test_a_fast_decode_leaves_what_the_network_gets_and_tells_the_whole_size(module, tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    picture = Image.fromarray(RNG.integers(0, 256, (300, 400, 3), dtype=np.uint8))
    for exif, size in ((Image.Exif(), (400, 300)), (turned, (300, 400))):
        picture.save(tmp_path / "a.jpg", exif=exif)
        for side, part in ((64, 4), (100, 4), (101, 2), (200, 2), (400, 1)):
            image, whole = module("image").open_image(tmp_path / "a.jpg", (side, side))
            assert (image.size, whole) == (tuple(length // part for length in size), size)


def frame(module, number: int):
    return module("frames").Frame("cam", number, np.zeros((8, 8, 3), np.uint8), (2, 1, 0), (8, 8), 0.0)


def source(module, read, kind: str = "video"):
    return module("frames").Source("cam", kind, None, read)


def test_of_a_live_source_only_the_newest_frame_waits(module):
    asked, shown = Event(), Event()

    def read(stop: Event) -> Iterator:
        yield frame(module, 0)
        asked.wait(10)
        yield from (frame(module, number) for number in range(1, 50))
        shown.set()
        stop.wait(10)

    with module("frames").reading([source(module, read, "live")]) as frames:
        numbers = [next(frames).number]
        asked.set()
        shown.wait(10)
        numbers.append(next(frames).number)
    assert numbers == [0, 49]


def test_of_a_video_every_frame_comes_and_few_wait(module):
    made = []

    def read(stop: Event) -> Iterator:
        for number in range(40):
            made.append(number)
            yield frame(module, number)

    with module("frames").reading([source(module, read)] * 2) as frames:
        for seen, one in enumerate(frames):
            assert one.number == seen % 40
            assert len(made) <= seen + module("frames").AHEAD + 2  # these wait, one is in hand and one is being put
    assert len(made) == 80


@pytest.mark.parametrize("kind", ["video", "live"])
def test_the_thread_ends_with_the_block_though_the_source_does_not(module, kind):
    before = active_count()
    with module("frames").reading([source(module, lambda stop: (frame(module, i) for i in count()), kind)]) as frames:
        next(frames)
    assert active_count() == before


def test_an_error_of_the_thread_is_raised_where_the_frames_are_used(module):
    def read(stop: Event) -> Iterator:
        yield frame(module, 0)
        raise MemoryError("full")

    with module("frames").reading([source(module, read)]) as frames, pytest.raises(MemoryError, match="full"):
        list(frames)


class Capture:
    """A camera that gives some frames and breaks off."""

    def __init__(self, frames: int) -> None:
        self.frames, self.released = frames, False

    def read(self):
        self.frames -= 1
        return self.frames >= 0, np.zeros((4, 4, 3), np.uint8)

    def release(self):
        self.released = True


def test_a_stream_that_breaks_off_is_connected_to_again_until_it_is_there(module, capsys):
    stop, captures = Event(), [Capture(2), Capture(3)]
    tries = iter([None, None, captures[1]])
    numbers = []
    address = "rtsp://me:secret@host/1"
    for one in module("frames").read_live(address, captures[0], stop, lambda word: next(tries), pause=0):
        numbers.append(one.number)
        if one.number == 4:
            stop.set()
    assert numbers == [0, 1, 2, 3, 4] and all(capture.released for capture in captures)
    assert one.source == "rtsp://host/1"
    assert capsys.readouterr().err == "rtsp://host/1 broke off after 2 frames; connecting again.\n"


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 64))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no MJPG")
    for coarse in RNG.integers(0, 256, (30, 6, 8, 3), dtype=np.uint8):
        writer.write(cv2.resize(coarse, (96, 64), interpolation=cv2.INTER_CUBIC))
    writer.release()
    return path


def test_a_video_is_read_to_its_end(module, video):
    (opened,) = module("frames").open_sources([str(video)])
    frames = list(opened.read(Event()))
    assert [one.number for one in frames] == list(range(30)) and opened.rate == 10
    capture = cv2.VideoCapture(str(video))
    assert all((one.pixels == capture.read()[1]).all() for one in frames)


def test_a_video_that_breaks_off_is_one_sentence_after_its_frames(module, video, tmp_path):
    whole = video.read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) // 2] + bytes(len(whole) // 2))
    (opened,) = module("frames").open_sources([str(tmp_path / "cut.avi")])
    *frames, failure = opened.read(Event())
    assert 5 < len(frames) < 25
    said = f"error: {tmp_path / 'cut.avi'} breaks off after {len(frames)} of "
    assert failure.sentence.startswith(said) and failure.sentence.endswith(" frames; what was read counts.")


@pytest.mark.parametrize(
    "words, opencv, sentence",
    [
        (["87"], True, "the camera or stream 87 can't be opened; is it there, and is no other program using it?"),
        (["none.mp4"], True, "the video none.mp4 can't be opened; is it a video that OpenCV reads?"),
        (["0"], False, "0 is a camera or stream, which needs OpenCV; pip install opencv-python-headless brings it."),
        (["a.mp4"], False, "a.mp4 is a video, which needs OpenCV; pip install opencv-python-headless brings it."),
        (["."], True, ". holds no images and no videos; give a folder that does."),
    ],
)
def test_a_source_that_is_not_there_is_one_sentence(module, monkeypatch, tmp_path, words, opencv, sentence):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module("frames"), "cv2", cv2 if opencv else None)
    with pytest.raises(SystemExit) as ended:
        module("frames").open_sources(words)
    assert str(ended.value) == f"error: {sentence}"


def test_a_camera_stands_alone(module, monkeypatch, tmp_path):
    monkeypatch.setattr(module("frames"), "connect", lambda word: cv2.VideoCapture())
    with pytest.raises(SystemExit, match=r"^error: a camera or stream never ends, so .* give it alone\.$"):
        module("frames").open_sources(["a.jpg", "0"])


ABOUT = {
    "input": "float32",
    "imgsz": {"height": 64, "width": 64},
    "letterbox": {"grey": 114},
    "nms": {"confidence": 0.25, "iou": 0.7, "max_detections": 300},
    "names": ["cat", "dog"],
    "head": "end2end",
    "artefact": "a.onnx",
    "classes": None,
}


def test_boxes_are_in_pixels_of_the_whole_image_though_fewer_were_decoded(module):
    inputs, run = np.empty((1, 3, 64, 64), np.float32), lambda inputs: [np.float32([[[8, 16, 32, 48, 0.5, 1]]])]
    for pixels, size in (((32, 64), (64, 32)), ((32, 64), (128, 64)), ((128, 256), (512, 256))):
        shown = module("frames").Frame("a", None, np.zeros((*pixels, 3), np.uint8), (0, 1, 2), size, 0.0)
        ((found,), _) = module("run").detect(run, shown, ABOUT, inputs)
        scale = size[0] / 64  # the image fills the input's width, and grey is above and below it
        assert found["box"] == [8 * scale, 0, 32 * scale, 32 * scale]


@pytest.mark.parametrize("kind, code", [("live", 0), ("video", 130)])
def test_ctrl_c_ends_cleanly_with_what_was_seen(module, tmp_path, capsys, kind, code):
    calls = iter([None, None, KeyboardInterrupt])
    found = np.float32([[[8, 8, 16, 16, 0.5, 1]]])

    def run(inputs: np.ndarray) -> list[np.ndarray]:
        if error := next(calls):
            raise error
        return [found]

    before, endless = active_count(), source(module, lambda stop: (frame(module, i) for i in count()), kind)
    assert module("run").detect_all(run, [endless], ABOUT, tmp_path / "out", False) == ({}, code)
    assert active_count() == before
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("cam ") and lines[0].endswith(": 1 dog") and len(lines) == 3
    assert lines[2].startswith("2 frames")
    assert (" stale dropped" in lines[2]) == (kind == "live")
    assert (tmp_path / "out").exists() == (kind == "video")
    if kind == "video":
        written = [json.loads(line) for line in (tmp_path / "out" / "cam.jsonl").read_text().splitlines()]
        dog = {"label": "dog", "class": 1, "confidence": 0.5, "box": [1.0, 1.0, 2.0, 2.0]}
        assert written == [{"frame": 0, "objects": [dog]}, {"frame": 1, "objects": [dog]}]


@pytest.mark.skipif(sys.platform == "win32", reason="no codec is sure to be there")
def test_a_video_is_saved_with_its_boxes_and_its_length(module, tmp_path, video):
    (opened,) = module("frames").open_sources([str(video)])
    run, out = lambda inputs: [np.float32([[[8, 8, 40, 40, 0.5, 1]]])], tmp_path / "out"
    assert module("run").detect_all(run, [opened], ABOUT, out, True) == ({}, 0)
    assert {file.name for file in out.iterdir()} == {"clip.jsonl", "clip.mp4"}
    capture = cv2.VideoCapture(str(out / "clip.mp4"))
    assert (capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)) == (10, 30)
    assert capture.read()[1].shape == (64, 96, 3)


def test_classes_are_named_or_numbered_and_others_are_one_sentence(module):
    numbers = module("run").class_numbers
    assert numbers(None, ["car", "bus"]) is None
    assert numbers("bus, 0", ["car", "bus"]) == [1, 0]
    assert numbers("1", ["car", "bus", "1"]) == [2]  # a name goes before a number
    with pytest.raises(SystemExit) as ended:
        numbers("car,bike", ["car", "bus"])
    assert str(ended.value) == "error: --classes bike is none of car, bus; give names or numbers of these."
