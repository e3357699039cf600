"""A bundle's modules, as they lie beside run.py."""

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from helpers.lively import lively
from optimize.bundle import make
from optimize.frame import image
from optimize.input_size import square
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.variant import Variant


@pytest.fixture
def module(monkeypatch) -> Iterator[Callable[[str], ModuleType]]:
    """Import a module of a bundle by its name; it is forgotten after the test."""
    for folder in (OnnxRuntime.device_file.parent, Path(image.__file__).parent, make.FILES):
        monkeypatch.syspath_prepend(str(folder))
    names = [script.stem for script in make.SCRIPTS] + ["device"]
    for name in names:
        sys.modules.pop(name, None)
    yield import_module
    for name in names:
        sys.modules.pop(name, None)


SIZES = ((100, 75), (64, 64), (33, 120), (128, 128), (40, 30), (200, 64))  # images that shrink, fit, halve and grow


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> list[Path]:
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    paths = [folder / f"{width}x{height}.png" for width, height in SIZES]
    for path, (width, height) in zip(paths, SIZES, strict=True):
        coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(path)
    return paths


@pytest.fixture(scope="session")
def artefact(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("artefact")
    weights = lively("yolov8n.yaml", folder / "tiny.pt", classes=3)
    return OnnxRuntime().export(Variant(weights, "torch", "fp32", square(64)), folder).path
