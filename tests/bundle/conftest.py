"""A bundle's modules, as they lie beside run.py."""

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from optimize.bundle import make
from optimize.frame import image
from optimize.runtime.onnxruntime import OnnxRuntime


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
