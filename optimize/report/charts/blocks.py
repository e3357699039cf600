"""FLOPs and milliseconds of each block before and after, and what of both was saved."""

from dataclasses import dataclass
from typing import Any

import altair

from optimize.report.charts.front import model
from optimize.result import Report, Result

OTHER = "other"  # kernels that belong to no module: input, output, conversions
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
    """What can be compared, the fastest first: with the original, and with the original model in the same precision.

    Where nothing was profiled, the models in torch, whose FLOPs are known all the same.
    """
    ours = [result for result in report.results if not result.rival]
    known = [result for result in ours if result.profile] or [r for r in ours if r.variant.runtime == "torch"]
    found = []
    for after in sorted(known, key=lambda result: result.latency.median_ms if result.latency else float("inf")):
        here = [r for r in known if r.variant.runtime == after.variant.runtime and model(r) == "original"]
        before = [r for r in here if r.variant.precision in ("fp32", after.variant.precision) and r is not after]
        found += [Pair(one, after) for one in before if after.variant.name != "original"]
    return found


def summary(report: Report, pair: Pair) -> str:
    """The pair, and what the whole network saved: the share of its FLOPs, and of its time where that is known."""
    saved = [sum(row["saved"][i] for row in rows(report, pair)) for i in range(2)]
    time = f", {-saved[1]:+.0f} % time" if pair.before.profile and pair.after.profile else ""
    return f"{pair.name}: {-saved[0]:+.0f} % FLOPs{time}"


def rows(report: Report, pair: Pair) -> list[dict[str, Any]]:
    """GFLOPs and milliseconds of each block of both variants, and the share of the whole that was saved, in percent."""
    blocks = _blocks(report, pair)
    counted = [_flops(result, blocks) for result in (pair.before, pair.after)]
    timed = [_times(result, blocks) for result in (pair.before, pair.after)]
    total, whole = sum(counted[0].values()), sum(timed[0].values())
    return [
        {
            "pair": pair.name,
            "block": label,
            "gflops": [count[block] / 1e9 for count in counted],
            "milliseconds": [time[block] for time in timed],
            "saved": [
                100 * (counted[0][block] - counted[1][block]) / total if total else 0.0,
                100 * (timed[0][block] - timed[1][block]) / whole if whole else 0.0,
            ],
        }
        for block, label in blocks.items()
    ]


def flops(report: Report) -> altair.Chart:
    """Before and after, in GFLOPs."""
    return _bars(report, "gflops", "GFLOPs", ("before", "after"), ".3f")


def time(report: Report) -> altair.Chart:
    """Before and after, in milliseconds."""
    return _bars(report, "milliseconds", "milliseconds, as profiled", ("before", "after"), ".3f")


def saved(report: Report) -> altair.Chart:
    """FLOPs and time saved side by side, both as a share of the whole model's: where they differ is the question."""
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


def _blocks(report: Report, pair: Pair) -> dict[str, str]:
    """Label of every top-level module that computes anything, in order."""
    used = [_block(layer.name) for result in (pair.before, pair.after) for layer in result.cost.layers if layer.flops]
    used += [_block(layer.name) for r in (pair.before, pair.after) if r.profile for layer in r.profile.layers]
    names = [name for name in dict.fromkeys([*report.blocks, *used]) if name in used and name != OTHER]
    labels = {name: f"{name.removeprefix('model.')} {report.blocks.get(name, '')}".strip() for name in names}
    return labels | ({OTHER: OTHER} if OTHER in used else {})


def _block(name: str) -> str:
    return ".".join(name.split(".")[:2]) or OTHER


def _flops(result: Result, blocks: dict[str, str]) -> dict[str, float]:
    found = dict.fromkeys(blocks, 0.0)
    for layer in result.cost.layers:
        if layer.flops:
            found[_block(layer.name)] += layer.flops
    return found


def _times(result: Result, blocks: dict[str, str]) -> dict[str, float]:
    found = dict.fromkeys(blocks, 0.0)
    for layer in result.profile.layers if result.profile else ():
        found[_block(layer.name)] += layer.milliseconds
    return found
