"""A tiny data set and a tiny checkpoint, both made here: no network, no weights."""

import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

import optimize.yolo  # noqa: F401  first, since it decides ultralytics' threads and output
from helpers import direct, once, sweeps
from helpers.browsing import CHROMIUM
from helpers.commands import close_logs


def pytest_configure():
    """A worker of pytest-xdist, and what it starts, has a core of its own.

    Runtimes take a thread per core that they see; threads that spin for each other on a shared core take much longer.
    OpenVINO and NNCF start thirty processes per export to send telemetry, unless this is continuous integration.
    """
    os.environ["CI"] = "true"
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        process = psutil.Process()
        if hasattr(process, "cpu_affinity"):  # macOS binds none
            cores = process.cpu_affinity()
            process.cpu_affinity([cores[int(worker.removeprefix("gw")) % len(cores)]])


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """On tiny tensors more threads cost more than they save; a run that was tested before may have left more."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def no_time_is_read(tmp_path_factory):
    """Tests that run side by side need not wait for each other's timings, nor load torch in a new process for each.

    What is run as a command does both, unless it is run by helpers/quick.py.
    """
    with pytest.MonkeyPatch.context() as patch:
        direct.time_nothing(patch, tmp_path_factory.mktemp("quiet"))
        yield


@pytest.fixture(scope="session", autouse=True)
def exports_and_checkpoints_are_made_once(tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent  # which all workers share
    once.folder = folder / "once"
    once.folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        once.export_once(patch)
        once.read_once(patch)
        yield


@pytest.fixture(autouse=True)
def logs_are_of_one_test():
    yield
    close_logs()


@pytest.fixture(autouse=True)
def stderr_stays_open():
    """absl, which comes with LiteRT's quantizer, would close it as soon as Hydra sets up a log of its own."""
    yield
    if absl := sys.modules.get("absl.logging"):
        absl.get_absl_handler().python_handler.stream = sys.__stderr__


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    """data.yaml of 8 + 8 images of 64 px with one bright or dark square each; two classes."""
    root, rng = tmp_path_factory.mktemp("squares"), np.random.default_rng(0)
    for split in ("train", "val"):
        (root / "images" / split).mkdir(parents=True)
        (root / "labels" / split).mkdir(parents=True)
        for i in range(8):
            pixels = rng.integers(96, 160, (64, 64, 3), dtype=np.uint8)
            x, y = rng.integers(4, 32, 2)
            pixels[y : y + 24, x : x + 24] = 255 * (i % 2)
            Image.fromarray(pixels).save(root / "images" / split / f"{i}.png")
            label = f"{i % 2} {(x + 12) / 64} {(y + 12) / 64} {24 / 64} {24 / 64}\n"
            (root / "labels" / split / f"{i}.txt").write_text(label)
    yaml = root / "data.yaml"
    yaml.write_text("train: images/train\nval: images/val\nnames:\n  0: dark\n  1: bright\n")
    return yaml


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A yolov8n with random weights for the two classes, trained at 64 px as it says."""
    from ultralytics.nn.tasks import DetectionModel

    from optimize.yolo.checkpoint import save

    torch.manual_seed(0)
    model = DetectionModel("yolov8n.yaml", nc=2, verbose=False)
    model.names = {0: "dark", 1: "bright"}
    model.args = {"imgsz": 64, "task": "detect"}
    model.task = "detect"
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    save(model, path)
    return path


@pytest.fixture(scope="session")
def yolo11n():
    """With random weights, in float32; a test that changes it copies it first."""
    from helpers.random_models import build

    return build("yolo11n").float()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        # root needs --no-sandbox; the page is ours and asks for nothing
        yield play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def opened(browser):
    """Open a file and wait for its charts; at the end nothing may have gone wrong in the page."""
    contexts, wrong = [], []

    def open_(path: Path, width: int = 1280, **context):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **context))
        tab = contexts[-1].new_page()
        tab.on("console", lambda message: wrong.append(message.text))
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        tab.on("request", lambda asked: wrong.append(asked.url) if not _own(asked.url) else None)
        tab.goto(path.as_uri())
        tab.evaluate("() => window.drawn")
        return tab

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []


def _own(url: str) -> bool:
    return url.startswith(("file://", "data:"))


@pytest.fixture
def swept(tmp_path):
    """`sweeps.put` into the sweep that lies in tmp_path."""
    return partial(sweeps.put, tmp_path / "s")


@pytest.fixture
def four(swept) -> sweeps.Sweep:
    """Two ratios, each without and with int8."""
    jobs = [(prune, quant, lost) for prune, lost in ((0.1, 0.002), (0.3, 0.02)) for quant in ("none", "int8")]
    return swept(
        {i: (f"prune={p} quant={q} epochs=5", sweeps.made(p, q, lost)) for i, (p, q, lost) in enumerate(jobs)}, 4
    )
