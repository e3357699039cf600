"""Which row to deploy: the best of those that meet the user's limits, and why each other one fails."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from optimize.limits import Limits
from optimize.measure.latency import ALIKE, Latency
from optimize.result import Report, Result
from optimize.verdict.class_loss import class_losses
from optimize.verdict.plain import ERRORS, called, change, nothing, original, points
from optimize.verdict.rivals import beaten, is_made, made

USUAL = Limits(max_drop=1.0)  # without limits: the fastest variant that is about as accurate as the original


@dataclass(frozen=True)
class Miss:
    """A limit that a row misses.

    Attributes:
        reason: with both numbers, e.g. `12.3 ms instead of 10 ms`.
        excess: by how much, as a share of the limit; infinite where it was not measured.
    """

    reason: str
    excess: float


Failing = tuple[Result, tuple[Miss, ...]]  # a row with what it misses


@dataclass(frozen=True)
class Verdict:
    """Which row to deploy.

    Attributes:
        limits: those that the user set, or `USUAL` where there are none.
        meeting: rows that meet all of them.
        failing: the other rows, each with what it misses.
        best: of those that meet all; None where none does.
        nearest: where none meets all, the row whose largest miss is the smallest; else None.
    """

    limits: Limits
    meeting: tuple[Result, ...]
    failing: tuple[Failing, ...]
    best: Result | None
    nearest: Result | None

    @property
    def choice(self) -> Result | None:
        """The best row, else the nearest miss; None without rows."""
        return self.best or self.nearest


def decide(report: Report, rows: Sequence[Result] | None = None) -> Verdict:
    """The verdict over `rows`; by default over all rows, which include the original in every runtime and the rivals."""
    return over([(row, report) for row in (report.results if rows is None else rows)], report.limits)


def over(rows: Sequence[tuple[Result, Report]], asked: Limits) -> Verdict:
    """The verdict over rows of one or several reports, each compared with the original of its own report.

    With `limits.max_drop` the best row is the fastest that meets every limit; among rows whose latencies differ from it
    only by noise, the most accurate. Without `limits.max_drop` it is the most accurate row that meets the other limits;
    among rows whose accuracy differs from it only by noise, the fastest. Without any limit, `limits.max_drop=1` holds.
    """
    limits = USUAL if asked == Limits() else asked
    judged = [(row, _misses(row, report, limits)) for row, report in rows]
    meeting = tuple(row for row, missed in judged if not missed)
    failing = tuple((row, missed) for row, missed in judged if missed)
    choose = _fastest if limits.max_drop is not None else _most_accurate
    noise = max((nothing(report) for _, report in rows), default=ALIKE)
    return Verdict(
        limits=limits,
        meeting=meeting,
        failing=failing,
        best=choose(meeting, noise) if meeting else None,
        nearest=None if meeting or not failing else _nearest(failing)[0],
    )


def chosen(report: Report) -> Result | None:
    """The best row, or the nearest miss, among the optimized variants; None where none was made."""
    final = report.concluded
    choice = decide(final, [row for row in final.results if row.variant.name != "original" and not row.rival]).choice
    return None if choice is None else next(row for row in report.results if row.variant == choice.variant)


def ranked(rows: Sequence[Result], report: Report) -> list[Result]:
    """`rows` with the best of all rows first, then by latency; rows without a latency come last."""
    best = decide(report.concluded).best
    return sorted(rows, key=lambda row: (best is None or row.variant != best.variant, _time(row)))


def headline(report: Report) -> str:
    """The row to deploy, its gains and the reason, in one sentence."""
    return f"{'; '.join(parts(report))}."


def parts(report: Report) -> tuple[str, str]:
    """The two halves of the headline: the row to deploy with its gains, and why; or that no row meets the limits."""
    if report.unfinished:
        return (
            "This run ended before everything was measured",
            f"{report.unfinished}; the figures below were measured before that",
        )
    final = report.concluded
    verdict = decide(final)
    what, why = explain(verdict, final)
    return f"{beaten_by(verdict.best, final)}{what}", why


def beaten_by(best: Result | None, report: Report) -> str:
    """That a rival beats the optimized row which the verdict takes, as the beginning of a sentence; or nothing."""
    found = beaten(best, report) if best and is_made(best) else None
    if found is None or found.error is None:
        return ""
    speed = "as fast" if abs(found.faster - 1) <= found.noise else f"{found.faster:.2f}x as fast"
    metric, margin = found.row.accuracy.metric, f"two standard errors ({ERRORS * found.error:.1f})"
    accuracy = (
        f"{found.gain:.1f} points of {metric} more accurate, which is more than {margin}"
        if found.gain > ERRORS * found.error
        else f"its accuracy differs by {found.gain:+.1f} points of {metric}, which is within {margin}"
    )
    return f"{called(found.rival)} beats {found.row.variant.name}: it is {speed}, and {accuracy}; "


def optimized(report: Report) -> list[Result]:
    """By exported runtime the fastest row that was made, then the row that the verdict takes of all that was made."""
    rows = made(report)
    runtimes = dict.fromkeys(row.variant.runtime for row in rows)
    fastest = [min((row for row in rows if row.variant.runtime == name), key=_time) for name in runtimes]
    best = chosen(report)
    return [*fastest, *(row for row in rows if row is best and row not in fastest)]


def explain(verdict: Verdict, report: Report, added: str = "") -> tuple[str, str]:
    """`parts` of any verdict.

    Args:
        verdict: with at least one row.
        report: of the best row, or of the nearest miss.
        added: text that distinguishes the row from rows of the same name in other reports.
    """
    best = verdict.best
    if best is None:
        nearest, missed = _nearest(verdict.failing)
        return (
            f"Nothing meets the limits ({format_limits(verdict.limits)})",
            f"the nearest miss is {called(nearest)}{added}: {', '.join(miss.reason for miss in missed)}",
        )
    return _what(best, verdict, report, added), _why(best, verdict, report)


def reasons(report: Report) -> list[str]:
    """One sentence for each row that misses a limit; nothing where no limits were set."""
    if report.limits == Limits():
        return []
    final = report.concluded
    there = [row.variant for row in final.results] if final is not report else []
    others = [one for one in decide(report).failing if one[0].variant not in there] if there else []
    failing = [*decide(final).failing, *others]
    return [f"{called(row)}: {', '.join(miss.reason for miss in missed)}." for row, missed in failing]


def _misses(row: Result, report: Report, limits: Limits) -> tuple[Miss, ...]:
    dropped, metric = -points(row, report), row.accuracy.metric
    found = []
    if limits.max_drop is not None and dropped > limits.max_drop:
        excess = (dropped - limits.max_drop) / (limits.max_drop or 1)  # where nothing may be lost, in points
        found.append(Miss(f"{dropped:.2f} points of {metric} lost instead of {limits.max_drop:g}", excess))
    if limits.max_class_drop is not None and (losses := class_losses(row, report)):
        worst, most = losses[0], limits.max_class_drop
        if worst.points > most:
            where = f"in class {worst.name} ({worst.before:.4f} to {worst.after:.4f})"
            reason = f"{worst.points:.2f} points of {metric} lost {where} instead of {most:g}"
            found.append(Miss(reason, (worst.points - most) / (most or 1)))
    measured: dict[str, tuple[float | None, str, float]] = {
        "latency_ms": (row.latency.median_ms if row.latency else None, "ms", 1),
        "frame_ms": (row.frame.total.median_ms if row.frame else None, "ms for a frame", 1),
        "flops": (row.flops, "GFLOPs", 1e9),
        "size_mb": (row.size_bytes / 1e6, "MB", 1),
    }
    for name, (value, unit, scale) in measured.items():
        limit = getattr(limits, name)
        if limit is None:
            continue
        if value is None:
            found.append(Miss(f"time not measured, {limit:g} {unit} allowed", inf))
        elif value > limit:
            found.append(Miss(f"{value / scale:.4g} {unit} instead of {limit / scale:g} {unit}", value / limit - 1))
    return tuple(found)


def _nearest(failing: Sequence[Failing]) -> Failing:
    """The row whose largest miss is the smallest."""
    return min(failing, key=_missed)


def _missed(failing: Failing) -> tuple[float, float]:
    """The largest miss, then the sum of all misses, since one model misses FLOPs by as much in every runtime."""
    excesses = [miss.excess for miss in failing[1]]
    return round(max(excesses), 6), sum(excesses)


def _time(row: Result) -> float:
    return row.latency.median_ms if row.latency else inf


def _fastest(rows: Sequence[Result], noise: float) -> Result:
    least = min(map(_time, rows))
    alike = [row for row in rows if _time(row) <= least * (1 + noise)]
    return max(alike, key=lambda row: (row.accuracy.score, -_time(row)))


def _most_accurate(rows: Sequence[Result], _: float) -> Result:
    top = max(rows, key=lambda row: row.accuracy.score)
    alike = [
        row
        for row in rows
        if top.accuracy.score - row.accuracy.score <= ERRORS * (top.accuracy.error_of_difference(row.accuracy) or 0)
    ]
    return min(alike, key=_time)


def _what(best: Result, verdict: Verdict, report: Report, added: str) -> str:
    """The best row and its gains: latency against the original in the same runtime, all else against it in torch."""
    there, time = original(report, best.variant.runtime), best.latency
    if best.variant.name == "original":
        changed = any(row.variant.name != "original" for row in _all(verdict))
        taken = f"takes {time.median_ms:.4g} ms" if time else "was not timed"
        return (
            f"Nothing {'beats the original, which' if changed else 'was changed; the original'} {taken} on "
            + f"{best.runtime.title}{added}"
        )
    first = report.results[0]
    fewer = 100 * (1 - best.flops / first.flops)
    parts = (
        _speed(time, there, report) if time else "not timed",
        f"{abs(fewer):.0f} % {'fewer' if fewer > 0 else 'more'} FLOPs" if round(fewer) else "the same FLOPs",
        f"{change(points(best, report))} points of {best.accuracy.metric}",
        f"{best.size_bytes / 1e6:.2f} MB instead of {(there or first).size_bytes / 1e6:.2f} MB",
    )
    return f"{'A rival beats every optimized variant, ' if best.rival else ''}{called(best)}{added}: {', '.join(parts)}"


def _speed(time: Latency, there: Result | None, report: Report) -> str:
    if there is None:
        return f"{time.median_ms:.4g} ms"
    faster, least = time.speedup, 1 + nothing(report)
    if faster >= least:
        return f"{faster:.1f}x faster than the original in the same runtime"
    return (
        f"{1 / faster:.1f}x slower than the original in the same runtime"
        if faster < 1 / least
        else "as fast as the original in the same runtime"
    )


def _why(best: Result, verdict: Verdict, report: Report) -> str:
    usual = report.limits == Limits()
    met = f"lose at most {USUAL.max_drop:g} point" if usual else f"meet {format_limits(verdict.limits)}"
    return f"of the {len(verdict.meeting)} of {len(_all(verdict))} rows that {met} it is {_rank(best, verdict)}"


def _all(verdict: Verdict) -> list[Result]:
    return [*verdict.meeting, *(row for row, _ in verdict.failing)]


def _rank(best: Result, verdict: Verdict) -> str:
    if verdict.limits.max_drop is not None:
        first = _time(best) == min(map(_time, verdict.meeting))
        return "the fastest" if first else "within the noise of the fastest, and more accurate"
    first = best.accuracy.score == max(row.accuracy.score for row in verdict.meeting)
    return "the most accurate" if first else "within the noise of the most accurate, and faster"


def format_limits(limits: Limits) -> str:
    """The limits that were set, e.g. `max_drop=1, flops=4e9`."""
    return ", ".join(
        f"{name}={value:g}".replace("e+0", "e") for name, value in vars(limits).items() if value is not None
    )
