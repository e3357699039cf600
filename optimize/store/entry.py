"""What an entry of a store says of itself, and what the stage that made it says of its work: typed, and checked.

A store may be shared, and results.json may come from others, so nothing of them is believed before it was checked here.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from optimize.inside import content, is_relative

MANIFEST = "variant.json"
REPORT = "report.json"
MOST = 64 * 2**20  # bytes of either; a report lists every layer, and every epoch

Runtime = Literal["torch", "onnxruntime", "openvino", "tensorrt", "ncnn", "litert"]
Precision = Literal["fp32", "bf16", "fp16", "int8"]
EXACT = ConfigDict(extra="forbid", strict=True)
OPEN = ConfigDict(extra="allow", allow_inf_nan=False)  # what is not shown by name may be anything


def _relative(path: str) -> str:
    if not is_relative(path):
        raise ValueError("it leads out of its folder")
    return path


def _safe(tag: str) -> str:
    """A tag becomes a part of file names."""
    if not re.fullmatch(r"[\w.-]{1,255}", tag) or not tag.strip("."):
        raise ValueError("it can't be part of a file's name")
    return tag


@dataclass(frozen=True)
class Entry:
    """The content of variant.json, as in `Variant`; `path` is relative to its folder, `sha256` of the artefact."""

    __pydantic_config__ = EXACT

    path: Annotated[str, AfterValidator(_relative)]
    runtime: Runtime
    precision: Precision
    imgsz: Annotated[int, Field(gt=0, lt=10**6)]
    tags: tuple[Annotated[str, AfterValidator(_safe)], ...]
    steps: Annotated[tuple[str, ...], Field(min_length=1)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


Both = tuple[Annotated[int, Field(ge=0, lt=10**18)], Annotated[int, Field(ge=0, lt=10**18)]]


class Layer(TypedDict):
    """As in `pruner.prune.LayerChange`."""

    __pydantic_config__ = OPEN

    name: str
    width: Both
    flops: Both
    parameters: Both
    dense: str


class Calibration(TypedDict):
    """The images that int8 was calibrated with."""

    __pydantic_config__ = OPEN

    images: int
    source: str
    seed: int
    images_by_class: dict[str, int]


class Candidate(TypedDict):
    """A recipe that was tried: points that it loses, and how many times as fast it is."""

    __pydantic_config__ = OPEN

    recipe: str
    drop: float
    faster: float


class FloatLayer(TypedDict):
    """A layer that returned to float: points that were left then, and the share of time that it costs."""

    __pydantic_config__ = OPEN

    layer: str
    drop: float
    slower: float


class Quantization(TypedDict):
    """What int8 says of its work, see `quant.int8`."""

    __pydantic_config__ = OPEN

    reached: bool
    drop: float
    max_drop: float
    recipe: NotRequired[str]
    seconds: NotRequired[float]
    calibration: NotRequired[Calibration]
    candidates: NotRequired[list[Candidate]]
    float_layers: NotRequired[list[FloatLayer]]


class Shrinking(TypedDict):
    """What a stage that makes the pruned model says; pruning lists every layer, and recovery none."""

    __pydantic_config__ = OPEN

    layers: NotRequired[list[Layer]]


ENTRY, QUANTIZATION, SHRINKING = TypeAdapter(Entry), TypeAdapter(Quantization), TypeAdapter(Shrinking)


def read(folder: Path) -> Entry | None:
    """What variant.json in `folder` says; None where there is none, or none that could be ours."""
    found = content(folder / MANIFEST, MOST)
    try:
        return None if found is None else ENTRY.validate_json(found)
    except ValidationError:
        return None


def said(folder: Path, precision: str) -> dict[str, Any] | None:
    """What report.json in `folder` says; None where there is none.

    Raises:
        ValueError: it is none that a stage of ours wrote.
    """
    path = folder / REPORT
    found = content(path, MOST)
    if found is None:
        if path.is_symlink() or path.exists():
            raise ValueError(f"{path} is no report")
        return None
    return (QUANTIZATION if precision == "int8" else SHRINKING).validate_json(found)
