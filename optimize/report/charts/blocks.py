"""Charts by block: FLOPs and milliseconds before and after, and how much of both was saved."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair

from optimize.measure.by_block import blocks
from optimize.result import Report, Result
from optimize.verdict.plain import model
from optimize.verdict.verdict import ranked

OTHER = "other"  # what belongs to no module
BeforeAfter = tuple[float | None, float | None]  # FLOPs or milliseconds; None where not measured
STEP = 24  # pixels for one block: two bars and a gap


@dataclass(frozen=True)
class Pair:
    """Two variants in one runtime to be compared block by block."""

    before: Result
    after: Result

    @property
    def name(self) -> str:
        return f"{self.before.variant.name} → {self.after.variant.name} on {self.after.variant.runtime}"


def pairs(report: Report) -> list[Pair]:
    """The pairs to compare, the verdict's best first, then by latency.

    Each variant is compared with the original in its own precision and with the original in float32. Where nothing was
    profiled, models in torch are compared by their FLOPs.
    """
    compared = _compared(report)
    changed = [after for after in ranked(compared, report) if after.variant.name != "original"]
    return [Pair(before, after) for after in changed for before in _originals(compared, after)]


def _compared(report: Report) -> list[Result]:
    ours = [result for result in report.results if not result.rival]
    profiled = [result for result in ours if result.profile]
    return profiled or [result for result in ours if result.variant.runtime == "torch"]


def _originals(compared: list[Result], after: Result) -> list[Result]:
    """The original in the runtime of `after`: in its precision, then in float32."""
    precisions = ("fp32", after.variant.precision)
    found = [
        result
        for result in compared
        if model(result) == "original"
        and result is not after
        and result.variant.runtime == after.variant.runtime
        and result.variant.precision in precisions
    ]
    return sorted(found, key=lambda result: result.variant.precision != after.variant.precision)


def summary(report: Report, pair: Pair) -> str:
    """The pair, and how much of its FLOPs, and of its time where known, the whole network saved."""
    saved = zip(*(row["saved"] for row in rows(report, pair)), strict=True)
    sums = [
        f"{-sum(shares):+.0f} % {what}"
        for shares, what in zip(saved, ("FLOPs", "time"), strict=True)
        if None not in shares
    ]
    return f"{pair.name}: {', '.join(sums)}"


def rows(report: Report, pair: Pair) -> list[dict[str, Any]]:
    """GFLOPs and milliseconds of each block of both variants, and the share of the whole that was saved, in percent."""
    found = blocks((pair.before.cost, pair.after.cost), (pair.before.profile, pair.after.profile))
    return [
        {
            "pair": pair.name,
            "block": f"{block.name.removeprefix('model.')} {report.blocks.get(block.name, '')}".strip() or OTHER,
            "gflops": [count / 1e9 for count in block.flops],
            "milliseconds": block.milliseconds,
            "saved": [
                _saved(block.flops, [b.flops for b in found]),
                _saved(block.milliseconds, [b.milliseconds for b in found]),
            ],
        }
        for block in found
    ]


def flops(report: Report) -> altair.Chart:
    """Before and after, in GFLOPs."""
    return _bars(report, "gflops", "GFLOPs", ("before", "after"), ".3f")


def time(report: Report) -> altair.Chart:
    """Before and after, in milliseconds."""
    return _bars(report, "milliseconds", "milliseconds, as profiled", ("before", "after"), ".3f")


def saved(report: Report) -> altair.Chart:
    """FLOPs and time saved side by side, each as a share of the whole model's."""
    return _bars(report, "saved", "% of the whole that was saved", ("FLOPs", "time"), ".1f")


def _bars(report: Report, key: str, title: str, kinds: tuple[str, str], form: str) -> altair.Chart:
    compared = pairs(report)
    values = [
        {"pair": row["pair"], "block": row["block"], "kind": kind, "value": value}
        for pair in compared
        for row in rows(report, pair)
        for kind, value in zip(kinds, row[key], strict=True)
    ]
    order = list(dict.fromkeys(value["block"] for value in values))
    colours = {"before": 0, "after": 1, "FLOPs": 3, "time": 2}
    return (
        altair.Chart(altair.Data(values=values))
        .mark_bar(cornerRadiusEnd=2)
        .add_params(altair.param(name="pair", value=compared[0].name))
        .transform_filter("datum.pair == pair")
        .encode(
            x=altair.X("value:Q", title=title, axis=altair.Axis(tickCount=5)),
            y=altair.Y("block:N", sort=order, title=None, axis=altair.Axis(labelLimit=110)),
            yOffset=altair.YOffset("kind:N", sort=list(kinds)),
            color=altair.Color(
                "kind:N",
                sort=list(kinds),
                title=None,
                scale=altair.Scale(domain=list(kinds), range=[f"var(--series{colours[kind]})" for kind in kinds]),
                legend=altair.Legend(orient="top", columns=2),
            ),
            tooltip=["block:N", "kind:N", altair.Tooltip("value:Q", title=title, format=form)],
        )
        .properties(width="container", height=STEP * len(order))
    )


def _saved(own: BeforeAfter, all_blocks: Sequence[BeforeAfter]) -> float | None:
    """The share of the whole before that one block saved, in percent; None where it was not measured."""
    before, after = own
    if before is None or after is None:
        return None
    whole = sum(first for first, _ in all_blocks if first is not None)
    return 100 * (before - after) / whole if whole else None
