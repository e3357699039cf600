"""What became worse from one report to another, row by row: FLOPs, size, accuracy and time, each against its noise."""

from collections.abc import Iterator
from dataclasses import dataclass

from optimize.measure.slowdown import LEAST, Slowdown
from optimize.result import Report, Result
from optimize.verdict.plain import ERRORS, change, nothing, original

LARGER = 0.01  # a share by which FLOPs and size may grow: two prunings to one share differ by about as much
DASH = "-"


@dataclass(frozen=True)
class Change:
    """One figure of a row, in the old report and in the new one.

    Attributes:
        what: the figure, with its unit.
        old, new: as text.
        change: as text, with its unit.
        noise: the change that means nothing, as text.
        worse: None where the two can't be compared.
        reason: why they can't; empty where they can.
        numbers: the figure in the old report and in the new one; None where one of both is missing.
    """

    what: str
    old: str = DASH
    new: str = DASH
    change: str = DASH
    noise: str = DASH
    worse: bool | None = None
    reason: str = ""
    numbers: tuple[float, float] | None = None


def changes(
    old: tuple[Result, Report], new: tuple[Result, Report], timed: Slowdown | None, untimed: str
) -> list[Change]:
    """Every figure of a row of two reports.

    Args:
        old, new: the row with its report.
        timed: both files timed now; None where that could not be done.
        untimed: why it could not.
    """
    row, other = old[0], new[0]
    return [
        _grown("GFLOPs", row.flops / 1e9, other.flops / 1e9),
        _grown("MB", row.size_bytes / 1e6, other.size_bytes / 1e6),
        _accuracy(old, new),
        _now(timed) if timed else _recorded(old, new, untimed),
    ]


def sentences(name: str, found: list[Change]) -> Iterator[str]:
    """A sentence for each figure that is worse."""
    for one in found:
        if one.worse:
            yield f"{name}: {one.what} {one.old} became {one.new} ({one.change}, noise {one.noise})."


def _grown(what: str, old: float, new: float) -> Change:
    share = new / old - 1
    texts = f"{old:.4g}", f"{new:.4g}", change(100 * share, " %"), f"{LARGER:.0%}"
    return Change(what, *texts, worse=share > LARGER, numbers=(old, new))


def _accuracy(old: tuple[Result, Report], new: tuple[Result, Report]) -> Change:
    before, after = old[0].accuracy, new[0].accuracy
    *kind, _ = old[1].provenance.comparable
    *other_kind, _ = new[1].provenance.comparable
    numbers = before.score, after.score
    both = f"{before.score:.4f}", f"{after.score:.4f}"
    error = after.error_of_difference(before)
    if kind != other_kind or before.metric != after.metric:
        return Change(before.metric, *both, reason="they are of other images or of another metric", numbers=numbers)
    if error is None:
        return Change(before.metric, *both, reason="there are too few images for a standard error", numbers=numbers)
    gained = round(100 * (after.score - before.score), 9)
    noise = f"{ERRORS} standard errors, {100 * ERRORS * error:.1f} points"
    worse = gained < -100 * ERRORS * error
    return Change(before.metric, *both, change(gained, " points"), noise, worse, numbers=numbers)


def _now(timed: Slowdown) -> Change:
    return Change(
        "ms, both timed now",
        f"{timed.old_ms:.4g}",
        f"{timed.new_ms:.4g}",
        change(100 * timed.share, " %"),
        f"{LEAST:.0%}; at least {change(100 * timed.at_least, ' %')} with 99.5 % confidence",
        timed.slower,
        numbers=(timed.old_ms, timed.new_ms),
    )


def _recorded(old: tuple[Result, Report], new: tuple[Result, Report], untimed: str) -> Change:
    """By the speed-ups over the original in the same runtime, which hold on another day."""
    what, before, after = "speed-up", old[0].latency, new[0].latency
    if reason := _why_not_by_records(old, new):
        return Change(what, reason=f"{untimed}; speed-ups over the originals say nothing either, since {reason}")
    if before is None or after is None:
        return Change(what, reason=f"{untimed}; a speed-up over the original is missing in one of the reports")
    noise = max(nothing(old[1]), nothing(new[1]))
    slower = before.speedup / after.speedup - 1
    return Change(
        what,
        f"{before.speedup:.3g}x",
        f"{after.speedup:.3g}x",
        change(100 * slower, " % of time"),
        f"{noise:.0%}",
        slower > noise and after.speedup_high < before.speedup_low,
        numbers=(before.speedup, after.speedup),
    )


def _why_not_by_records(old: tuple[Result, Report], new: tuple[Result, Report]) -> str:
    """Why two speed-ups can't be compared; nothing where they can."""
    (row, report), (other, later) = old, new
    hosts = [one.provenance.host.name for one in (report, later)]
    threads = [one.provenance.threads for one in (report, later)]
    if hosts[0] != hosts[1]:
        return f"they were measured on other CPUs ({hosts[0]}; {hosts[1]})"
    if threads[0] != threads[1]:
        return f"they ran on {threads[0]} and on {threads[1]} threads"
    if not (report.alone and later.alone):
        return "one was timed by the clock of versions up to 0.3"
    firsts = original(report, row.variant.runtime), original(later, other.variant.runtime)
    if None in firsts or len({one.flops for one in firsts if one}) > 1:
        return "their originals differ"
    return ""
