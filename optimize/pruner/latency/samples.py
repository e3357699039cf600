"""What networks of one architecture took: the measurements that a latency table is fitted to, and their file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from optimize.input_size import StoredSize
from optimize.inside import content
from optimize.latency_work import EXACT

MOST = 2**26  # bytes of a file
Time = Annotated[float, Field(gt=0)]
Width = Annotated[int, Field(gt=0, lt=10**6)]


@dataclass(frozen=True)
class NetworkTime:
    """One network.

    Attributes:
        widths: channels of each layer that it has: output and input channels, or one number where
            they are the same, as in a depthwise convolution.
        milliseconds: of one call; all networks at the same speed of the machine.
        layers: milliseconds of each layer by the runtime's profiler; None where it has none. Profiling takes time, so
            their sum is not `milliseconds`.
    """

    __pydantic_config__ = EXACT

    widths: dict[str, tuple[Width, ...]]
    milliseconds: Time
    layers: dict[str, Annotated[float, Field(ge=0)]] | None = None


@dataclass(frozen=True)
class LayerShape:
    """What one layer computes for an image, whatever its widths.

    Attributes:
        multiply_adds: for each pair of an output and an input channel, in a depthwise convolution for each channel.
        positions: of each output channel: its height times its width.
    """

    __pydantic_config__ = EXACT

    multiply_adds: Time
    positions: Time


@dataclass(frozen=True)
class LatencySamples:
    """Networks of one architecture, timed together; the first is the original, others may lack blocks of it.

    Attributes:
        architecture: identifies the layers and their full widths, see `networks.architecture`.
        imgsz: of the input.
        runtime, version: what ran them.
        precision: of the files, e.g. `int8`.
        recipe: how they were quantized; empty where they were not.
        cpu, threads: where.
        flags: of this CPU, by Linux' names; empty where they are not known, as in tables of earlier versions.
        noise: A/A, as in `measure.latency.Timing`.
        layers: every deployed layer with weights, by name, in the order of execution.
        networks: at least two.
        schema: 1 where every network has all layers.
    """

    __pydantic_config__ = EXACT

    architecture: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    imgsz: StoredSize
    runtime: str
    version: str
    precision: str
    recipe: str
    cpu: str
    threads: Annotated[int, Field(gt=0)]
    noise: float
    layers: Annotated[dict[str, LayerShape], Field(min_length=1)]
    networks: Annotated[tuple[NetworkTime, ...], Field(min_length=2)]
    schema: Literal[1, 2] = 2
    flags: Annotated[tuple[Annotated[str, Field(max_length=100)], ...], Field(max_length=1000)] = ()

    def __post_init__(self) -> None:
        for network in self.networks:
            if not set(network.layers or ()) <= set(network.widths) <= set(self.layers):
                raise ValueError("a network has other layers")
            if (network.layers is None) != (self.networks[0].layers is None):
                raise ValueError("only some networks were profiled")

    def having(self, layer: str) -> np.ndarray:
        """Which networks have a layer: bool, (networks,)."""
        return np.array([layer in network.widths for network in self.networks])

    def widths(self, layer: str) -> np.ndarray:
        """Of one layer in the networks that have it, (networks, 1 or 2)."""
        return np.array([network.widths[layer] for network in self.networks if layer in network.widths], float)


SAMPLES = TypeAdapter(LatencySamples)


def read(path: Path) -> LatencySamples | None:
    """The samples in the file `path`; None where there are none, or where they are invalid."""
    text = content(path, MOST)
    try:
        found = None if text is None else SAMPLES.validate_json(text)
    except ValidationError:
        return None
    if found is None or not all(found.having(layer)[0] and found.having(layer)[1:].any() for layer in found.layers):
        return None  # the original has every layer, and another network, too
    return found


def write(samples: LatencySamples, path: Path) -> None:
    path.write_bytes(SAMPLES.dump_json(samples, indent=1))
