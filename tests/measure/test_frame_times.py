"""Frames are timed by stage, the same ones for every file in a round; their times are those of made-up stages."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from helpers.messages import says
from optimize.checks import check_frame
from optimize.data.frames import COUNT, example_frames
from optimize.errors import InputError
from optimize.frame.settings import settings
from optimize.frame.size import frame_size
from optimize.input_size import Size, square
from optimize.limits import Limits
from optimize.measure import clock, frames, latency
from optimize.measure.frames import Frames, FrameTime, Quartiles
from optimize.variant import Variant

RNG = np.random.default_rng(0)
NAMES = {1: "bright", 0: "dark"}


def encoded(width: int, height: int, form: str = "JPEG") -> bytes:
    content = BytesIO()
    Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(content, form)
    return content.getvalue()


def examples(count: int = 5, imgsz: Size = Size(32, 64)) -> Frames:  # noqa: B008  it is frozen
    return Frames(tuple(encoded(40 + i, 30) for i in range(count)), None, settings(imgsz, "one2many", True, NAMES))


def test_a_frame_goes_from_the_encoded_image_to_objects_in_its_own_pixels(monkeypatch):
    """The model sees what ultralytics would give it, and what it gives becomes objects of the names in order."""
    seen, objects = [], []
    decode = frames.boxes.objects
    monkeypatch.setattr(frames.boxes, "objects", lambda *given: objects.append(decode(*given)))

    def run(inputs):
        seen.append(inputs.copy())
        output = np.zeros((1, 6, 3), np.float32)
        output[0, :, 1] = 32, 16, 20, 10, 0.0, 0.9
        return [output]

    used = examples()
    seconds = frames.frame_call(run, used, threads=1)(2)
    assert len(seconds) == 4 and min(seconds) >= 0
    assert seen[0].shape == (1, 3, 32, 64) and 0 <= seen[0].min() < seen[0].max() <= 1
    (only,) = objects[0]
    assert (only["label"], only["class"]) == ("bright", 1)
    scale = 32 / 30  # of a frame of 42 x 30 pixels in an input of 64 x 32; 45 pixels wide there, 10 from the left
    expected = [(22 - 9) * 42 / 45, 11 / scale, (42 - 9) * 42 / 45, 21 / scale]
    np.testing.assert_allclose(only["box"], expected, atol=1e-3)


@pytest.fixture
def now(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(clock, "perf_counter", lambda: now[0])
    return now


class Session:
    """Takes 10 ms for the graph alone; a frame takes 2, 1, 12 and 3 ms by stage and 0.5 ms in between."""

    arithmetic, int8_ops, device = "fp32", 0, "cpu"

    def __init__(self, now):
        self.now = now

    def __call__(self, images):
        self.now[0] += 0.010
        return [images]


def test_frames_are_timed_between_the_visits_and_the_same_for_every_file(now, monkeypatch):
    numbers = {"a": [], "b": []}

    def frame_call(session, used, threads):
        def call(number):
            numbers[used.settings].append(number)
            now[0] += 0.0185
            return 0.002, 0.001, 0.012, 0.003

        return call

    monkeypatch.setattr(latency, "frame_call", frame_call)
    monkeypatch.setattr(latency, "per_visit", lambda *_: 3)
    variants = [Variant(None, "torch", "fp32", square(32), tags=tags) for tags in ((), ("pruned",), ("64px",))]
    subjects = [(lambda variant, threads: Session(now), variant) for variant in variants]
    given = [Frames((b"",), (1920, 1080), "a"), None, Frames((b"",), None, "b")]
    timing = latency.measure(subjects, threads=2, rounds=12, seed=0, frames=given)
    first, none, last = timing.frames
    assert none is None
    stages = [stage.median_ms for stage in first.stages.values()]
    np.testing.assert_allclose([first.total.median_ms, *stages], [18.5, 2, 1, 12, 3])
    assert first.runs == last.runs == 12 * 3
    assert (first.width, first.height, last.width) == (1920, 1080, None)
    assert first.rest_ms == pytest.approx(0.5) and first.adds_up
    assert first.outside == pytest.approx(6 / 18.5)
    warm = [number for i in range(12) for number in (3 * i, 3 * i, 3 * i + 1, 3 * i + 2)]
    assert numbers["a"] == numbers["b"] == warm
    assert all(round(own.median_ms, 6) == 10 for own in timing.latencies)


def test_without_frames_none_are_timed(now):
    subjects = [(lambda variant, threads: Session(now), Variant(None, "torch", "fp32", square(32)))]
    assert latency.measure(subjects, threads=1, rounds=12, seed=0).frames == ()


def test_what_the_stages_lack_is_named_from_three_percent_on():
    def time(rest: float) -> FrameTime:
        parts = [Quartiles(ms, ms, ms) for ms in (100.0, 20.0, 20.0, 40.0, 20.0 - rest)]
        return FrameTime(*parts, runs=1, width=None, height=None)

    assert time(2.9).adds_up and time(-2.9).adds_up and not time(3.1).adds_up and not time(-3.1).adds_up
    assert time(3.1).rest_ms == pytest.approx(3.1)
    half = time(3.1).scaled(0.5)
    assert half.rest_ms == pytest.approx(1.55) and half.outside == time(3.1).outside


def test_a_slow_file_takes_fewer_frames():
    assert [frames.per_visit(ms, 30) for ms in (10, 83, 112, 167, 1000)] == [3, 3, 1, 1, 1]


def test_frames_are_images_of_the_report_as_they_are_or_in_the_asked_size(tmp_path):
    files = []
    for i, (size, form) in enumerate([((40, 30), "PNG"), ((60, 30), "JPEG"), ((64, 36), "JPEG"), ((64, 36), "PNG")]):
        files.append(tmp_path / f"{i}.{form.lower()}")
        files[-1].write_bytes(encoded(*size, form))
    images, size = example_frames(tuple(files), None)
    assert images == tuple(path.read_bytes() for path in files) and size is None
    images, size = example_frames(tuple(files), (64, 36))
    assert size == (64, 36) and images[2:] == tuple(path.read_bytes() for path in files[2:])
    for content in images[:2]:
        image = Image.open(BytesIO(content))
        assert (image.format, image.size) == ("JPEG", (64, 36))
    assert example_frames((files[2],), None)[1] == (64, 36)


def test_of_many_images_some_are_taken_from_all_over_and_one_that_pillow_can_not_decode_is_left_out(tmp_path, caplog):
    files = tuple(tmp_path / f"{i:03}.png" for i in range(4 * COUNT))
    for path in files:
        path.write_bytes(encoded(8, 8, "PNG"))
    files[8].write_bytes(b"no image")
    files[12].write_bytes(b"\0\0\0\x18ftypheic")
    images, size = example_frames(files, None)
    taken = [i for i in range(0, 4 * COUNT, 4) if i not in (8, 12)]
    assert images == tuple(files[i].read_bytes() for i in taken) and size == (8, 8)
    for name in ("008.png", "012.png"):
        assert says(caplog.text, f"{name} is no frame for timing, since Pillow can't decode it")


@pytest.mark.parametrize(
    "text", ["0x10", "1920", "1920x", "x1080", "1920x1080x3", "-1x5", "10000x1", "axb", "1920*1080", "000070000x64"]
)
def test_a_size_that_no_frame_has_is_one_sentence(text):
    with pytest.raises(InputError) as error:
        frame_size(text)
    assert says(
        str(error.value), f"frame={text} is not allowed; give width x height ... 1 to 8192, e.g. frame=1920x1080"
    )


@pytest.mark.parametrize("asked", [{"frame": "1920x1080"}, {"limits": Limits(frame_ms=20)}])
@pytest.mark.parametrize("task", ["segment", "pose", "obb", "classify"])
def test_frames_of_a_task_that_no_bundle_decodes_are_refused(task, asked):
    given = {"frame": None, "limits": Limits()} | asked
    with pytest.raises(InputError) as error:
        check_frame(given["frame"], given["limits"], "model=a.pt", task)
    name = "frame" if given["frame"] else "limits.frame_ms"
    expected = f"{name} is for detect and rtdetr models, ... model=a.pt is a {task} model; leave {name} out."
    assert says(str(error.value), expected)
    check_frame(None, Limits(latency_ms=20), "model=a.pt", task)
    check_frame(given["frame"], given["limits"], "model=a.pt", "detect")


def test_a_size_is_width_and_height():
    assert frame_size("1920x1080") == (1920, 1080)
    assert frame_size(None) is None
