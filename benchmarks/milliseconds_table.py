"""Prints the rows of `milliseconds.py` as markdown, and what they answer."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import sqrt
from statistics import mean, median, stdev

import numpy as np
from milliseconds_rows import Case, Row

from optimize.measure.accuracy import Accuracy

BEHIND = 2  # standard errors of the paired difference
CORE_SHARES = 0.4, 0.6
Group = list[Row]  # the rows of one case


def show(rows: list[Row]) -> None:
    groups = {case: [row for row in rows if row.case == case] for case in dict.fromkeys(row.case for row in rows)}
    for case, group in groups.items():
        print("\n".join(_table(case, group)))
    if groups:
        core = [group for case, group in groups.items() if _is_core(case)]
        print("\n".join((*_equal_times(groups), *_aims(core))))


def _is_core(case: Case) -> bool:
    return case == Case(case.data, case.model, case.deployment, case.asked) and case.asked in CORE_SHARES


def _table(case: Case, group: Group) -> Iterator[str]:
    """All rows of a case, the slowest first."""
    original, ours = group[0], _of(group, "latency")[0]
    about = f"{original.milliseconds:.2f} ms, {original.threads} threads of {original.cpu}, A/A {original.noise:.1%}"
    yield f"\n**{case}** ({about})\n"
    yield "| what | px | file | GFLOPs | time | predicted | mAP50-95 | points | to latency | in float32 |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for row in sorted(group, key=lambda row: (row.precision != case.precision, row.precision, -row.share)):
        predicted = "-" if row.predicted is None else f"{row.predicted:.3f}"
        points = [_shown(*_difference(row, other)) if row != other else "-" for other in (original, ours)]
        fp32 = "-" if row.fp32 is None else f"{row.fp32:.4f}"
        figures = f"{row.flops / 1e9:.3f}", f"{row.share:.3f}", predicted, f"{row.score:.4f}"
        yield f"| {' | '.join((row.what, str(row.size), row.precision, *figures, *points, fp32))} |"


def _of(group: Group, what: str) -> Group:
    """The rows of this kind in the precision that was asked for, the fastest first."""
    return sorted((r for r in group if r.what == what and r.precision == r.case.precision), key=lambda r: r.share)


def _accuracy(score: float, folds: Sequence[float]) -> Accuracy:
    return Accuracy({"mAP50-95": score}, 0, {}, folds=tuple(folds))


def _difference(row: Row, other: Row) -> tuple[float, float]:
    """Points by which a row is ahead of another, and their standard error over the images."""
    one, two = (_accuracy(each.score, each.folds) for each in (row, other))
    return 100 * (one.score - two.score), 100 * (one.error_of_difference(two) or 0.0)


def _shown(points: float, error: float) -> str:
    return f"{points:+.1f} ± {error:.1f}"


def at_time(rows: Group, share: float) -> Row:
    """What two rows would be at a time between theirs; accuracy is taken as linear in the time."""
    fast, slow = rows
    part = (share - fast.share) / (slow.share - fast.share)
    score = fast.score + part * (slow.score - fast.score)
    folds = tuple(a + part * (b - a) for a, b in zip(fast.folds, slow.folds, strict=True))
    return replace(fast, share=share, score=score, folds=folds)


def _equal_times(groups: dict[Case, Group]) -> Iterator[str]:
    """How far ahead the latency target is of each alternative at its time, with standard errors over the images."""
    yield "\n| case | time asked | time | ahead of smaller | of smaller, trained | of FLOPs target | its time |"
    yield "|---|---|---|---|---|---|---|"
    seeds = dict[Case, list[list[tuple[float, float]]]]()
    for case, group in groups.items():
        ours, flops = _of(group, "latency")[0], _of(group, "flops")[0]
        ahead = [_ahead(group, what) for what in ("smaller", "smaller trained", "flops")]
        seeds.setdefault(replace(case, seed=0), []).append(ahead)
        cells = f"{1 - case.asked:.3f}", f"{ours.share:.3f}", *(_shown(*one) for one in ahead), f"{flops.share:.3f}"
        yield f"| {case} | {' | '.join(cells)} |"
    for case, found in seeds.items():
        if len(found) > 1:
            means = [_shown(*_mean(column)) for column in zip(*found, strict=True)]
            yield f"| {case}, mean of {len(found)} seeds | | | {' | '.join(means)} | |"


def _mean(differences: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Mean of differences on the same images with other seeds; its error is over images and seeds."""
    points, errors = zip(*differences, strict=True)
    return mean(points), sqrt(mean(errors) ** 2 + stdev(points) ** 2 / len(points))


def _ahead(group: Group, what: str) -> tuple[float, float]:
    """Points that the latency target is ahead of the rows of another kind at its time, and the standard error."""
    ours, rivals = _of(group, "latency")[0], _of(group, what)
    return _difference(ours, rivals[0] if len(rivals) == 1 else at_time(rivals, ours.share))


def _aims(core: list[Group]) -> Iterator[str]:
    """The aims of the benchmark, each with what was reached."""
    trained = [_ahead(group, "smaller trained") for group in core]
    behind = sum(points < -BEHIND * error for points, error in trained)
    ahead = sum(points >= 1 for points, _ in trained)
    yield f"\n- never behind the smaller input trained as long: behind in {behind} of {len(core)} cases"
    yield f"- at least 1.0 point ahead of it in half of the cases: in {ahead} of {len(core)}"
    missed = [_of(group, "latency")[0].share / (1 - group[0].case.asked) - 1 for group in core]
    hits = sum(abs(one) <= 0.05 for one in missed)
    worst = max(map(abs, missed), default=0.0)
    yield f"- the asked time within 5 % in 9 of 10: in {hits} of {len(core)}, the worst misses by {worst:.1%}"
    if core:
        flops = median(_ahead(group, "flops")[0] for group in core)
        faster = median(_faster(group, core) for group in core)
        yield f"- over the FLOPs target +1.0 point or 1.15x, as the median: {flops:+.1f} points, {faster:.2f}x"
    for deployment, aim in (("openvino-int8", 1.5), ("onnxruntime-int8", 4.5)):
        speeds = list(_against_ultralytics([group for group in core if group[0].case.deployment == deployment]))
        yield f"- {aim}x ultralytics' int8 at 1 point lost at most, {deployment}: {', '.join(speeds) or '-'}"


def _faster(group: Group, core: list[Group]) -> float:
    """How many times as fast the latency target is as the FLOPs target at its accuracy.

    The time of that is interpolated between what the FLOPs target gave at each share, the original being one of them.
    """
    ours = _of(group, "latency")[0]
    alike = [other for other in core if replace(other[0].case, asked=0) == replace(group[0].case, asked=0)]
    known = sorted((row.share, row.score) for other in alike for row in (other[0], *_of(other, "flops")))
    shares, scores = np.array(known).T
    return float(np.interp(ours.score, np.maximum.accumulate(scores), shares)) / ours.share


def _against_ultralytics(groups: list[Group]) -> Iterator[str]:
    """For each model and data set the largest speedup over ultralytics' file for which at most one point is lost."""
    for name in dict.fromkeys(f"{group[0].case.model} {group[0].case.data}" for group in groups):
        alike = [group for group in groups if name == f"{group[0].case.model} {group[0].case.data}"]
        found = [
            (_of(group, "ultralytics")[0].share / ours.share, 100 * (ours.score - (group[0].fp32 or 0.0)))
            for group in alike
            for ours in _of(group, "latency")
        ]
        kept = [(speed, points) for speed, points in found if points >= -1]
        told = ", ".join(f"{speed:.2f}x ({points:+.1f})" for speed, points in ([max(kept)] if kept else found))
        yield f"{name} {told}" if kept else f"{name} none of {told}"
