"""Where a report's figures come from: what was asked for, of which data, on which machine, with which versions."""

import os
import platform
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from optimize.dataset import Dataset
from optimize.host import cpu, resources
from optimize.host.process import quoted
from optimize.input_size import Size, StoredSize

LIBRARIES = (
    "torch",
    "torchvision",
    "ultralytics",
    "torch-pruning",
    "onnx",
    "onnxslim",
    "onnxruntime",
    "openvino",
    "nncf",
    "ncnn",
    "pnnx",
    "ai-edge-litert",
    "ai-edge-quantizer",
    "litert-torch",
    "numpy",
    "opencv-python",
    "opencv-python-headless",
    "pillow",
    "albumentations",
)


@dataclass(frozen=True)
class Host:
    """The machine, as far as it decides over the numbers; `board` is what it calls itself, None where it doesn't."""

    system: str
    machine: str
    cpu: str | None
    cpu_flags: tuple[str, ...]
    cores: int
    load_average: float | None
    board: str | None = None

    @property
    def name(self) -> str:
        """What people call it; on ARM Linux tells no processor, at most the board."""
        return self.cpu or self.board or self.machine


@dataclass(frozen=True)
class Provenance:
    """What every figure of a run depends on.

    Attributes:
        began: date and time, ISO 8601, with the time zone.
        command: repeats the run.
        config: every setting, by its key on the command line.
        task: of the model.
        data: path of the data.yaml.
        fingerprint: of the data set's content.
        train_images, val_images: images of each split.
        imgsz: of the input.
        stride: of the model; every size of an input is a multiple of it.
        threads: CPU threads of every runtime.
        host: where it ran.
        versions: of everything that takes part in the numbers.
        remarks: what a reader must know besides; whole sentences.
    """

    began: str
    command: str
    config: dict[str, Any]
    task: str
    data: str
    fingerprint: str
    train_images: int
    val_images: int
    imgsz: StoredSize
    threads: int
    host: Host
    versions: dict[str, str]
    remarks: tuple[str, ...]
    stride: int = 32  # what reports of 0.2 and older say nothing of


def gather(
    config: dict[str, Any], data: Dataset, imgsz: Size, stride: int, threads: int, remarks: tuple[str, ...]
) -> Provenance:
    """Ask the machine, the libraries and the command line."""
    return Provenance(
        began=datetime.now().astimezone().isoformat(timespec="seconds"),
        command=quoted(["python", "-m", "optimize", *sys.argv[1:]]),
        config=config,
        task=data.task,
        data=str(data.yaml),
        fingerprint=data.fingerprint,
        train_images=len(data.train),
        val_images=len(data.val),
        imgsz=imgsz,
        stride=stride,
        threads=threads,
        host=host(),
        versions=versions(),
        remarks=remarks,
    )


def host() -> Host:
    return Host(
        system=platform.platform(),
        machine=platform.machine(),
        cpu=cpu.name(),
        cpu_flags=tuple(cpu.flags()),
        cores=os.cpu_count() or resources.cores(),
        load_average=resources.load_average(),
        board=cpu.board(),
    )


def versions() -> dict[str, str]:
    """As far as each is installed."""
    found = {"python": platform.python_version(), "yolo-optimize": version("yolo-optimize")}
    for library in LIBRARIES:
        with suppress(PackageNotFoundError):  # a runtime may be missing, or come in another package
            found[library] = version(library)
    return found
