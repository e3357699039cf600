"""How fast this machine can be at most, and how close a variant comes to that."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """What the runtimes really reach here, measured.

    Attributes:
        peaks: 1e9 operations a second, by runtime and arithmetic, e.g. `peaks["openvino"]["int8"]`.
        bandwidth: 1e9 bytes a second between memory and the cores, by runtime.
    """

    peaks: dict[str, dict[str, float]]
    bandwidth: dict[str, float]
