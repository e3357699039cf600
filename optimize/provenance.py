"""Where a report's figures come from: command, settings, data, machine and versions."""

import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from optimize.dataset import Dataset, ImageSet
from optimize.host import cpu, resources
from optimize.host.process import quoted
from optimize.host.state import HostState
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


Comparable = tuple[str, str, str, int]


@dataclass(frozen=True)
class Host:
    """The properties of the machine that affect the figures; `board` is its own name, None where it has none."""

    system: str
    machine: str
    cpu: str | None
    cpu_flags: tuple[str, ...]
    cores: int
    load_average: float | None
    board: str | None = None

    @property
    def name(self) -> str:
        """The machine's name for people; on ARM, Linux reports no processor, at most the board."""
        return self.cpu or self.board or self.machine


@dataclass(frozen=True)
class Provenance:
    """Everything that the figures of a run depend on.

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
        accuracy_on: the images that all accuracies of the report are of.
        chosen_on: those on which choices were made that decide what a file is; both are None in reports of versions up
            to 0.3, where they are the validation split.
        whole: all images of the report, where `accuracy_on` is a part of them by `val_images`; else None.
        threads: CPU threads of every runtime.
        host: where it ran.
        versions: of all libraries that affect the figures.
        remarks: warnings for the reader, whole sentences.
        timing: the host's state before and after the latencies were measured; None before that, and up to version 0.3.
        metric: the library that computed every accuracy, with its version; empty in reports of versions up to 0.3.
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
    stride: int = 32  # reports of version 0.2 and older lack it
    metric: str = ""
    accuracy_on: ImageSet | None = None
    chosen_on: ImageSet | None = None
    timing: tuple[HostState, HostState] | None = None
    words: tuple[str, ...] = ()
    whole: ImageSet | None = None

    @property
    def comparable(self) -> Comparable:
        """Equal where accuracies are of the same images and metric, and times of as many threads."""
        images = self.accuracy_on.fingerprint if self.accuracy_on else self.fingerprint
        return self.fingerprint, images, self.metric, self.threads


def gather(
    config: dict[str, Any],
    data: Dataset,
    imgsz: Size,
    stride: int,
    threads: int,
    remarks: tuple[str, ...],
    metric: str,
    words: Sequence[str],
) -> Provenance:
    """Collect the provenance from the machine, the libraries and the words of the command line."""
    return Provenance(
        began=datetime.now().astimezone().isoformat(timespec="seconds"),
        command=quoted(["python", "-m", "optimize", *words]),
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
        metric=metric,
        accuracy_on=data.report_images.record,
        chosen_on=data.choice_images.record,
        words=tuple(words),
        whole=data.whole.record if data.whole else None,
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
    """Versions of the libraries that are installed."""
    installed = {"python": platform.python_version(), "yolo-optimize": version("yolo-optimize")}
    for library in LIBRARIES:
        with suppress(PackageNotFoundError):  # a runtime may be missing, or come in another package
            installed[library] = version(library)
    return installed
