"""The section on whole frames: what a device pays from the encoded image to boxes, by stage."""

from optimize.measure.frames import FrameTime, Quartiles
from optimize.report.sections.section import Section, Table
from optimize.result import Report, Result
from optimize.verdict.plain import called
from optimize.verdict.verdict import decide

HEAD = ("variant", "runtime", "decode ms", "letterbox ms", "graph ms", "post ms")
TOTAL = ("frame ms", "quartiles", "not the graph")
MUCH = 0.1  # of a frame; where more of it is not the graph, the report says how much

LEAD = (
    "A device pays for frames: each is decoded, fitted into the input, run through the graph, and turned into boxes "
    "(thresholds, NMS), one after the other, by the code of the bundle's run.py."
)
NOTES = (
    "The graph of a frame can take longer than the median latency, which is of calls in close succession: the other "
    "stages empty the caches and let the runtime's threads fall asleep.",
    "run.py decodes the next image while the graph runs, so it shows more frames per second than 1000 / frame ms.",
)


def section(report: Report) -> Section | None:
    """A row per variant whose frames were timed; None without any."""
    timed = frame_times(report)
    if not timed:
        return None
    rest = ("rest ms",) if not all(time.adds_up for _, time in timed) else ()
    rows = tuple(_row(row, time, bool(rest)) for row, time in timed)
    return Section(
        "frames",
        "The whole frame",
        LEAD,
        (Table((*HEAD, *rest, *TOTAL), rows, words=HEAD[:2]),),
        notes=(*sentences(report), *NOTES, *([_REST] if rest else [])),
    )


_REST = "`rest` is what the medians of the stages lack to the frame's, which is more than 3 % in some row."


def frame_times(report: Report) -> list[tuple[Result, FrameTime]]:
    """The rows whose frames were timed, each with its times."""
    return [(row, row.frame) for row in report.results if row.frame is not None]


def sentences(report: Report) -> list[str]:
    """How frames were timed, and where more than a tenth of them is not the network; nothing without frames."""
    timed = frame_times(report)
    if not timed:
        return []
    first = timed[0][1]
    size = f"of {first.width}x{first.height} pixels" if first.width else "of several sizes"
    how = (
        f"Frame: from an encoded image {size} in memory to boxes, the median of {first.runs} timed frames, by "
        "the code of bundles, between the visits of the clock."
    )
    much = [(row, time) for row, time in timed if time.outside > MUCH]
    if not much:
        return [how]
    best = decide(report).choice
    row, time = next(((row, time) for row, time in much if row is best), max(much, key=lambda one: one[1].outside))
    stages = ", ".join(f"{name} {stage.median_ms:.2f} ms" for name, stage in time.stages.items() if name != "graph")
    return [
        how,
        f"{time.outside:.0%} of a frame of {called(row)} is not the network ({stages}, of {time.total.median_ms:.2f} "
        f"ms); it is more than a tenth in {len(much)} of {len(timed)} rows.",
    ]


def _row(row: Result, time: FrameTime, with_rest: bool) -> tuple[str, ...]:
    return (
        row.variant.name,
        row.variant.runtime,
        *(_milliseconds(stage) for stage in time.stages.values()),
        *([f"{time.rest_ms:+.2f}"] if with_rest else []),
        _milliseconds(time.total),
        f"{time.total.q1_ms:.2f}-{time.total.q3_ms:.2f}",
        f"{time.outside:.0%}",
    )


def _milliseconds(stage: Quartiles) -> str:
    return f"{stage.median_ms:.2f}"
