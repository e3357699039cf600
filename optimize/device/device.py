"""Device profiles: peaks of a device from a yaml in profiles/, from the user, or measured by `profile_device`."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import ConfigDict, Strict, TypeAdapter, ValidationError

from optimize.errors import InputError
from optimize.int8_cpu import KINDS as INT8

FOLDER = Path(__file__).parent / "profiles"
BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}  # of one number, by arithmetic
KINDS = ("theoretical", "stated", "measured")
MEND = "give a number with its kind and source, and null as its value where it is not known (docs/devices.md)"


@dataclass(frozen=True)
class Figure:
    """One figure of a device.

    Attributes:
        value: more than 0 (of a cache 0 or more); None where it is not known.
        kind: `theoretical` (computed from clock and width), `stated` (the maker's own) or `measured`.
        source: the document it follows from, and how; or what was measured, when and with what.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    value: Annotated[float, Strict()] | None
    kind: str
    source: str


@dataclass(frozen=True)
class Device:
    """Figures by unit: a part that runs a model alone (`cpu`, `gpu`), or a runtime with which it was measured.

    Attributes:
        name: for people.
        peaks: 1e9 operations a second, 2 per multiply-add, by unit and arithmetic, as in `roofline.Machine`; one
            that the unit can't compute in is left out.
        bandwidth: 1e9 bytes a second between memory and the unit.
        cache: 1e6 bytes of all caches of the unit together.
        memory: 1e9 bytes.
        cache_bandwidth: 1e9 bytes a second for what the caches hold, by unit; a unit without is not known.
        machine: what `uname -m` says there, e.g. `aarch64`; None where it is not known.
        cpu: what its processor calls itself there; None where it is not known.
        int8: how its processor computes in 8 bits, see `int8_cpu.KINDS`; None where it is not known.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    peaks: dict[str, dict[str, Figure]]
    bandwidth: dict[str, Figure]
    cache: dict[str, Figure]
    memory: Figure
    cache_bandwidth: dict[str, Figure] = field(default_factory=dict)
    machine: str | None = None
    cpu: str | None = None
    int8: str | None = None


def known() -> list[str]:
    """Names of the shipped device profiles."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def load(given: str) -> Device:
    """The device called `given`: one of `known()`, or the path of a yaml.

    Raises:
        InputError: there is no such device, or a figure of it is missing or can't be right.
    """
    path = FOLDER / f"{given}.yaml" if given in known() else Path(given)
    where = f"device_profile={given}"
    if not path.is_file():
        raise InputError(
            f"{where} is not known; give one of {', '.join(known())}, or the path of a yaml of your own "
            "(docs/devices.md)."
        )
    try:
        device = TypeAdapter(Device).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{where} is no yaml; give a file like those in {FOLDER}.") from error
    except ValidationError as error:
        raise InputError(f"{where} {_first(error)}; {MEND}.") from error
    if mistake := next(wrong(device), None):
        raise InputError(f"{where} {mistake}.")
    return device


def save(device: Device, path: Path) -> None:
    """Write `device` as `load` reads it."""
    path.write_text(yaml.safe_dump(asdict(device), sort_keys=False, width=120, allow_unicode=True), encoding="utf-8")


def _first(error: ValidationError) -> str:
    """The first mistake that pydantic found."""
    found = error.errors()[0]
    place = ".".join(str(part) for part in found["loc"])
    if found["type"] == "missing":
        return f"lacks {place}"
    if found["type"] == "unexpected_keyword_argument":
        return f"has {place}, which is no key of a device"
    return f"has {place}={found['input']}" if place else "is no profile"


def wrong(device: Device) -> Iterator[str]:
    """Each fault of a profile as a sentence without its full stop."""
    if device.int8 is not None and device.int8 not in INT8:
        yield f"has int8={device.int8:.40}; it is one of {', '.join(INT8)}, or left out where it is not known"
    if not any(device.peaks.values()):
        yield f"has no peak; {MEND}"
    for unit, peaks in device.peaks.items():
        for arithmetic in peaks.keys() - BYTES.keys():
            yield f"has peaks.{unit}.{arithmetic}; an arithmetic is one of {', '.join(BYTES)}"
        for name in ("bandwidth", "cache"):
            if unit not in getattr(device, name):
                yield f"lacks {name}.{unit}; {MEND}"
    for place, figure in _figures(device).items():
        yield from _wrong_figure(place, figure)


def _figures(device: Device) -> dict[str, Figure]:
    """Each figure of a profile by its place in the yaml, e.g. `bandwidth.cpu`."""
    figures = {"memory": device.memory}
    for name in ("bandwidth", "cache", "cache_bandwidth"):
        figures |= {f"{name}.{unit}": figure for unit, figure in getattr(device, name).items()}
    for unit, peaks in device.peaks.items():
        figures |= {f"peaks.{unit}.{arithmetic}": figure for arithmetic, figure in peaks.items()}
    return figures


def _wrong_figure(place: str, figure: Figure) -> Iterator[str]:
    zero = place.startswith("cache.")
    allowed = "0 or more" if zero else "more than 0"
    if figure.value is not None and not (0 <= figure.value < inf and (zero or figure.value)):
        yield f"has {place}={figure.value:g}; give {allowed}, or null where it is not known"
    if figure.kind not in KINDS:
        yield f"calls {place} {figure.kind}; a figure is one of {', '.join(KINDS)}"
    if not figure.source.strip():
        yield f"gives no source for {place}; name the document, and how the figure follows from it"
