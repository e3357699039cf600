"""What makes a figure of the report doubtful, found by the report itself: a loud line at its top, by name."""

from dataclasses import replace
from typing import NamedTuple

from optimize.measure.latency import ALIKE, Latency
from optimize.measurement import Measurement
from optimize.precision import FP32, Precision
from optimize.result import Report, Result
from optimize.verdict.plain import called, nothing

# A sound int8 executes 96 to 100 % here, with the decode and perhaps the last convolutions in float. A tenth in float,
# which takes about twice as long as in int8, costs a tenth of the speed: as much as a benchmark's noise can hide.
EXECUTED = 0.9
LEFT_OUT = 0.01  # of the validation images, from which on their absence is an alarm
LOST = 0.1  # the same of a class's objects, in either split
SPREAD = 0.15  # quartiles of an A/A check: 5 to 12 % on two quiet cores, 20 % where other work shares them
NOTHING, LITTLE = 0.01, 0.1  # of the metric, 0 to 1; and as a share of the original's
ERRORS, BETTER = 2, 0.005  # standard errors of the difference; and what is too little to speak of, as a difference


class Gate(NamedTuple):
    """One alarm."""

    name: str
    sentence: str


def fired(report: Report) -> tuple[Gate, ...]:
    """Every alarm; none where all figures can be believed."""
    gates = {
        "left out": _left_out(report),
        "failed": _failed(report),
        "int8 drop": report.missed,
        "A/A": [*of_timing(report), *_timing_elsewhere(report)],
        "wrong arithmetic": [*_arithmetic(report), *_arithmetic_elsewhere(report)],
        "int8 share": _int8(report),
        "accuracy near zero": _near_zero(report),
        "better than the original": _better(report),
        "slower": _slower(report),
    }
    return tuple(Gate(name, sentence) for name, sentences in gates.items() for sentence in sentences)


def of_row(row: Result, first: Result, report: Report) -> list[str]:
    """Alarms about the accuracy or the arithmetic of one row, judged by `first`, what it was made of.

    That it is slower than that is not among them: such a time is believed.
    """
    alone = replace(report, results=(first,) if row is first else (first, row))
    missed = [row.missed] if row.missed else []
    return [*missed, *_arithmetic(alone), *_int8(alone), *_near_zero(alone), *_better(alone)]


def of_measurement(one: Measurement, report: Report) -> list[str]:
    """Alarms about the time of one measurement elsewhere."""
    alone = replace(report, measurements=(one,))
    return [*_timing_elsewhere(alone), *_arithmetic_elsewhere(alone)]


def _left_out(report: Report) -> list[str]:
    """Where so much is missing that figures are those of another data set than the user believes."""
    sentences = []
    for left_out in report.left_out:
        lost = [
            f"{name} loses {count} of {labelled} objects"
            for name, (count, labelled) in left_out.objects.items()
            if count >= LOST * labelled
        ]
        if lost or (left_out.split == "val" and left_out.images >= LEFT_OUT * left_out.listed):
            what = f" Of the classes, {', '.join(lost)}." if lost else ""
            sentences.append(f"{left_out.sentence}{what} Fix or remove them, since every figure is without them.")
    return sentences


def _failed(report: Report) -> list[str]:
    return [f"{failure.name} on {failure.runtime}: {failure.sentence}" for failure in report.failures]


def of_timing(report: Report) -> list[str]:
    """Alarms about every time that was measured on this host."""
    if report.noise is None or report.noise_spread is None:
        return []
    if report.noise <= ALIKE and report.noise_spread <= SPREAD:
        return []
    return [
        f"the same artefact timed against itself (A/A) differs by {report.noise:.1%} (at most {ALIKE:.0%} is sound), "
        f"quartiles +-{report.noise_spread:.1%} (at most {SPREAD:.0%}), so times that differ by less than "
        f"{nothing(report):.0%} tell nothing; measure again on a quiet machine, or with more rounds=."
    ]


def _timing_elsewhere(report: Report) -> list[str]:
    return [
        f"on {one.device}, {one.threads} threads, the same artefact timed against itself (A/A) differs by "
        f"{one.noise:.1%} (at most {ALIKE:.0%} is sound), quartiles +-{one.noise_spread:.1%} (at most {SPREAD:.0%}); "
        "measure there again, with nothing else running and cool, or with more --rounds."
        for one in report.measurements
        if one.noise > ALIKE or one.noise_spread > SPREAD
    ]


def _arithmetic(report: Report) -> list[str]:
    return [
        f"{called(row)} was made for {row.variant.precision} and ran in {latency.arithmetic}, so its time and its "
        "accuracy are those of another arithmetic."
        for row, latency in report.timed
        if _another(row.precision, latency.arithmetic)
    ]


def _arithmetic_elsewhere(report: Report) -> list[str]:
    return [
        f"what was measured on {one.device}, {one.threads} threads, was made for {one.precision} and ran there in "
        f"{one.arithmetic}, so its time is that of another arithmetic, and its accuracy may be."
        for one in report.measurements
        for row in report.results
        if row.artefact == one.artefact and one.arithmetic and _another(row.precision, one.arithmetic)
    ]


def _another(precision: Precision, arithmetic: str) -> bool:
    """Whether what ran is not what the file was made for."""
    return not set(precision.requires) <= set(arithmetic.split("+")) <= set(precision.computes)


def _int8(report: Report) -> list[str]:
    return [
        f"{called(row)} executes only {row.int8_share:.1%} of its operations in int8, less than {EXECUTED:.0%}, while "
        f"its file asks for {row.int_ops / row.flops:.1%}: what is computed in float, and the conversions in between, "
        "cost speed and, far below that, make int8 slower than fp32."
        for row in report.results
        if row.precision.integer and row.int8_share is not None and row.int8_share < EXECUTED
    ]


def _near_zero(report: Report) -> list[str]:
    first, *others = report.results
    metric, score = first.accuracy.metric, first.accuracy.score
    if score < NOTHING:
        return [
            f"the original itself has {metric} {score:.4f}, so no row can be compared with it; look whether model and "
            "data belong together, and whether the labels are right."
        ]
    return [
        f"{called(row)} has {metric} {row.accuracy.score:.4f} where the original has {score:.4f}: it is broken, or "
        "must be trained longer."
        for row in others
        if row.accuracy.score < max(NOTHING, LITTLE * score)
    ]


def _better(report: Report) -> list[str]:
    first, *others = report.results
    found = []
    for row in others:
        gain, error = row.accuracy.score - first.accuracy.score, row.accuracy.error_of_difference(first.accuracy)
        if not row.rival and error is not None and gain >= BETTER and gain > ERRORS * error:
            found.append(
                f"{called(row)} gains {100 * gain:.1f} points of {row.accuracy.metric} over the original, with a "
                f"standard error of {100 * error:.1f}; look whether validation images are in the training split, and "
                "whether the original was trained too short, so that training it on gains as much."
            )
    return found


def _slower(report: Report) -> list[str]:
    """Rows that take longer than what they were made of, by the paired ratios of both to the same original."""
    found = []
    for row, latency in report.timed:
        for source, before in (*_in_float(row, report), *_whole(row, report)):
            if before.speedup > latency.speedup * (1 + nothing(report)):
                found.append(
                    f"{called(row)} is {before.speedup / latency.speedup:.2f}x slower than "
                    f"{source.variant.name} there ({latency.median_ms:.4g} ms instead of "
                    f"{before.median_ms:.4g} ms), so it gains nothing here."
                )
    return found


def _in_float(row: Result, report: Report) -> list[tuple[Result, Latency]]:
    """The same model in float32 in the same runtime; a training for int8 leaves no float32 row of its own."""
    if row.precision == FP32:
        return []
    model = row.variant.model
    untrained = tuple(tag for tag in model if tag != "qat")
    same = _timed(report, row, FP32.name, model)
    return same or _timed(report, row, FP32.name, untrained)


def _whole(row: Result, report: Report) -> list[tuple[Result, Latency]]:
    """The original in the same precision and runtime."""
    if row.rival or not row.variant.model:
        return []
    return _timed(report, row, row.variant.precision, ())


def _timed(report: Report, row: Result, precision: str, model: tuple[str, ...]) -> list[tuple[Result, Latency]]:
    """The other row of the runtime with this model and precision; none where there is none, or it was not timed."""
    wanted = (model, precision, row.variant.runtime)
    found = [
        (other, latency)
        for other, latency in report.timed
        if (other.variant.model, other.variant.precision, other.variant.runtime) == wanted and other is not row
    ]
    return found[:1]
