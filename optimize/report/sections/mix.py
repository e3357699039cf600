"""The section on a limit of time: what was chosen for it among inputs, widths, blocks and precisions, and why."""

from collections.abc import Iterator

from optimize.latency_work import Mixed, SizeChoice, TimeTarget
from optimize.precision import FP32
from optimize.report.sections.section import DASH, Section, Table
from optimize.result import Report
from optimize.verdict.plain import change
from optimize.work import Pruned

GAINS = ("what", "taken", "ms", "accuracy", "points")
DEPLOYMENTS = ("runtime and precision", "ms", "points", "expected at the limit", "taken")
SIZES = ("px", "ms", "to save", "untrained", "made", "taken")
TAKEN = "x"
DRIFT = 1.1  # times as fast or slow that the machine may have become without a note


def section(report: Report) -> Section | None:
    """What each of the four gave, and what was considered; None where a share was given."""
    mixed = next((stage for stage in report.stages if isinstance(stage, Mixed)), None)
    if mixed is None:
        return None
    by_time = next((stage.time for stage in report.stages if isinstance(stage, Pruned)), None)
    tables = [
        Table(GAINS, tuple(_gains(mixed, by_time)), words=GAINS[:2], title="What each of them gave"),
        Table(DEPLOYMENTS, tuple(_deployments(mixed)), words=(DEPLOYMENTS[0], TAKEN), title="Runtimes and precisions"),
    ]
    if mixed.candidates:
        tables.append(Table(SIZES, tuple(_sizes(mixed)), words=(), title="Inputs"))
    return Section(
        "limit",
        f"What was chosen for {mixed.limit_ms:g} ms",
        f"{_chosen(mixed)} Accuracies are {mixed.metric} on the {mixed.decided_on}, which choices are made on; times "
        f"are of {mixed.threads} threads of {mixed.cpu}. {mixed.aimed_ms:.3g} ms were aimed at.",
        tuple(tables),
        notes=(*_notes(mixed), *_drifted(mixed, report)),
        terminal=True,
    )


def _chosen(mixed: Mixed) -> str:
    if not mixed.candidates:
        return f"The original meets the limit in {mixed.deployment}, so nothing was pruned, trained or made smaller."
    cut = (
        f"{mixed.share:.0%} of the time pruned" if mixed.share else "trained there" if mixed.trained else "not trained"
    )
    return f"Chosen: {mixed.deployment}, an input of {mixed.imgsz} px, {cut}."


def _gains(mixed: Mixed, by_time: TimeTarget | None) -> Iterator[tuple[str, ...]]:
    """A row for each step from the original in float32 to what was chosen, with the points that the step changed."""
    times = {one.deployment: one for one in mixed.deployments}
    whole = times.get(f"{mixed.deployment.rpartition('-')[0]}-{FP32.name}")
    yield "original", FP32.name, _ms(whole.milliseconds if whole else None), f"{mixed.original:.4f}", DASH
    taken = times[mixed.deployment]
    score = mixed.original - taken.drop / 100
    yield "precision", mixed.deployment, _ms(taken.milliseconds), f"{score:.4f}", change(-taken.drop)
    size = _taken(mixed)
    if size is None:
        return
    there = size.untrained - taken.drop / 100
    yield "input", f"{size.imgsz} px", _ms(size.milliseconds), f"{there:.4f}", change(100 * (there - score))
    if size.recovered is None or not (mixed.share or mixed.trained):
        return
    what, left = "training", size.milliseconds
    words = _epochs(mixed)
    if mixed.share:
        what, left = "widths and blocks", size.milliseconds * (1 - mixed.share)
        if by_time and by_time.milliseconds:
            left = size.milliseconds * by_time.milliseconds[1] / by_time.milliseconds[0]
        blocks = f", of it {by_time.by_blocks:.0%} by blocks" if by_time and by_time.by_blocks is not None else ""
        words = f"-{1 - left / size.milliseconds:.0%}{blocks}; {words}"
    made = size.recovered - taken.drop / 100
    yield what, words, _ms(left), f"{made:.4f}", change(100 * (made - there))


def _taken(mixed: Mixed) -> SizeChoice | None:
    return next((one for one in mixed.candidates if (one.imgsz, one.share) == (mixed.imgsz, mixed.share)), None)


def _deployments(mixed: Mixed) -> Iterator[tuple[str, ...]]:
    for one in mixed.deployments:
        expected = DASH if one.expected is None else f"{one.expected:.4f}"
        taken = TAKEN if one.deployment == mixed.deployment else DASH
        yield one.deployment, _ms(one.milliseconds), change(-one.drop), expected, taken


def _sizes(mixed: Mixed) -> Iterator[tuple[str, ...]]:
    for one in mixed.candidates:
        yield (
            str(one.imgsz),
            _ms(one.milliseconds),
            f"-{one.share:.1%}" if one.share else DASH,
            f"{one.untrained:.4f}",
            DASH if one.recovered is None else f"{one.recovered:.4f}",
            TAKEN if one == _taken(mixed) else DASH,
        )


def _notes(mixed: Mixed) -> Iterator[str]:
    if mixed.candidates:
        yield (
            "`expected at the limit` is the accuracy of the original, untrained, at the input at which it would meet "
            "the limit, on the line between two sizes; a dash: it takes more than 1.5 times as long as the fastest, or "
            "its int8 loses more than quant.max_drop."
        )
        yield (
            "`made`: the original cut until it takes the time aimed at, or as it is where nothing is to save, and "
            f"trained for {_epochs(mixed)}, in float32; a dash: the cut is out of reach, or nothing was trained."
        )
    yield "Time and accuracy of the finished files, on the images of the report, are in the table of variants."


def _drifted(mixed: Mixed, report: Report) -> Iterator[str]:
    """Whether the machine was faster or slower when the choice was made, so that another time was aimed at."""
    taken = next(one for one in mixed.deployments if one.deployment == mixed.deployment)
    for row, latency in report.timed:
        name = f"{row.variant.runtime}-{row.variant.precision}"
        speed = latency.median_ms / taken.milliseconds
        if name == mixed.deployment and not row.variant.model and not 1 / DRIFT <= speed <= DRIFT:
            yield (
                f"The original took {taken.milliseconds:.2f} ms in {name} when this was chosen, and "
                f"{latency.median_ms:.2f} ms in the table of variants: this machine's speed changed, so "
                f"{'too much' if speed < 1 else 'too little'} was saved. With another store= the choice is made again."
            )


def _epochs(mixed: Mixed) -> str:
    return f"{mixed.epochs} epoch{'' if mixed.epochs == 1 else 's'}"


def _ms(milliseconds: float | None) -> str:
    return DASH if milliseconds is None else f"{milliseconds:.2f}"
