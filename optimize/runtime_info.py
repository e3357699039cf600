"""The record of a runtime for the report, which needs no installation of that runtime."""

from dataclasses import dataclass

MARKS = ("circle", "square", "cross", "diamond", "triangle-up", "triangle-down", "triangle-right", "triangle-left")


@dataclass(frozen=True)
class RuntimeInfo:
    """One runtime.

    Attributes:
        name: in settings, rows and file names, e.g. `openvino`.
        title: for people, e.g. `OpenVINO`.
        mark: shape of its points in a chart, one of `MARKS` (Vega-Lite's).
        processor: what it computes on, `cpu` or `gpu`.
        package: what pip installs of it, whose version the report states.
    """

    name: str
    title: str
    mark: str
    processor: str
    package: str
