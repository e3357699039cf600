"""The section on a latency target: what the table predicted, how well it predicts, and what was measured."""

from optimize.latency_work import TimeTarget
from optimize.report.sections.section import DASH, Section, Table
from optimize.result import Report
from optimize.verdict.asked_time import finished, latency_cuts
from optimize.work import Pruned

HEAD = ("target", "asked", "predicted", "timed", "ms before", "ms after", "attempts", "finished file")
TABLE = ("table", "networks", "median error", "worst error", "A/A", "no layer explains, ms", "profile / clock")


def section(report: Report) -> Section | None:
    """A row per cut that aimed at a latency; None without one."""
    cuts = latency_cuts(report)
    if not cuts:
        return None
    last = finished(report)
    saves = [*[DASH] * (len(cuts) - 1), DASH if last is None else f"{last.takes - 1:+.1%}"]
    targets = Table(HEAD, tuple(_target(*one, file) for one, file in zip(cuts, saves, strict=True)), words=HEAD[:1])
    tables = Table(
        TABLE, tuple(dict.fromkeys(_table(time) for _, time in cuts)), words=TABLE[:1], title="Latency table"
    )
    steps = dict.fromkeys(_steps(time) for _, time in cuts)
    return Section(
        "latency",
        "Latency target",
        "Widths were chosen by the milliseconds that narrowing each layer saves, as a table of this architecture "
        "predicts them; what was chosen was then timed in turns with the original, before it was trained.",
        (targets, tables),
        notes=(
            "Errors are those of predicting each network of the table but the original by all others.",
            "The finished file is trained and has its own ranges of int8; where int8 lost too much, layers of it are "
            "in float, and it takes longer than what was timed.",
            *steps,
        ),
    )


def _target(cut: Pruned, time: TimeTarget, saved: str) -> tuple[str, ...]:
    before, after = time.milliseconds or (None, None)
    return (
        f"{time.deployment}, {time.threads} threads of {time.cpu}",
        f"-{cut.asked:.1%}",
        f"-{time.predicted:.1%}",
        DASH if time.milliseconds is None else f"-{cut.reached:.1%}",
        DASH if before is None else f"{before:.2f}",
        DASH if after is None else f"{after:.2f}",
        str(time.attempts) if time.attempts else DASH,
        saved,
    )


def _table(time: TimeTarget) -> tuple[str, ...]:
    return (
        time.deployment,
        str(time.networks),
        f"{time.error:.1%}",
        f"{time.worst:.1%}",
        f"{time.noise:.1%}",
        f"{time.rest_ms:.2f}",
        DASH if time.profiling is None else f"{time.profiling:.2f}x",
    )


def _steps(time: TimeTarget) -> str:
    layers = ", ".join(f"{step} in {count} layers" for step, count in time.steps.items())
    return f"Channels that kernels of {time.deployment} compute at once, as fitted: {layers}."
