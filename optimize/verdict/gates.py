"""Alarms: what makes a figure of the report doubtful. Each has a name and is printed at the top of the report."""

from dataclasses import replace
from typing import NamedTuple

from optimize.data.selection import LEAST
from optimize.measure.latency import ALIKE, Latency
from optimize.measurement import Measurement
from optimize.precision import FP32, Precision
from optimize.result import Report, Result
from optimize.variant import NMS_FREE
from optimize.verdict.asked_time import longer_than_asked
from optimize.verdict.class_loss import class_losses
from optimize.verdict.instead import faster_halves
from optimize.verdict.plain import ERRORS, called, nothing

# A sound int8 executes 96 to 100 % here, with box decoding and perhaps the last convolutions in float. A tenth in
# float, which takes about twice as long as in int8, costs a tenth of the speed: as much as benchmark noise can hide.
EXECUTED = 0.9
LEFT_OUT = 0.01  # share of the validation or test images; leaving out this many or more is an alarm
LOST = 0.1  # share of a class's objects, in any split; losing this many or more is an alarm
SPREAD = 0.15  # quartiles of an A/A check: 5 to 12 % on two quiet cores, 20 % where other work shares them
NOTHING, LITTLE = 0.01, 0.1  # of the metric, 0 to 1; and as a share of the original's
CLASS_LOST = 10  # percentage points beyond two standard errors
BETTER = 0.005  # the smallest gain of the metric that matters


class Gate(NamedTuple):
    """One alarm."""

    name: str
    sentence: str


def fired(report: Report) -> tuple[Gate, ...]:
    """Every alarm of a report; none where all figures can be trusted."""
    gates = {
        "left out": _left_out(report),
        "same images": _same_images(report),
        "failed": _failed(report),
        "int8 drop": report.missed,
        "A/A": [*of_timing(report), *_timing_elsewhere(report)],
        "throttled": _throttled(report),
        "wrong arithmetic": [*_arithmetic(report), *_arithmetic_elsewhere(report)],
        "int8 share": _int8(report),
        "accuracy near zero": _near_zero(report),
        "class lost": _class_lost(report),
        "better than the original": _better(report),
        "asked time": longer_than_asked(report),
        "slower": _slower(report),
        "slower than 16 bits": _slower_than_half(report),
    }
    return tuple(Gate(name, sentence) for name, sentences in gates.items() for sentence in sentences)


def of_row(row: Result, first: Result, report: Report) -> list[str]:
    """Alarms about the accuracy or the arithmetic of one row, compared with `first`, which it was made of.

    A row that is slower than `first` raises no alarm here: its latency is still right.
    """
    alone = replace(report, results=(first,) if row is first else (first, row))
    missed = [row.missed] if row.missed else []
    return [*missed, *_arithmetic(alone), *_int8(alone), *_near_zero(alone), *_class_lost(alone), *_better(alone)]


def of_measurement(one: Measurement, report: Report) -> list[str]:
    """Alarms about the latency of one measurement on another machine."""
    alone = replace(report, measurements=(one,))
    return [*_timing_elsewhere(alone), *_arithmetic_elsewhere(alone)]


def _left_out(report: Report) -> list[str]:
    """Splits that lose so many images that the figures describe another data set than the user believes."""
    sentences = []
    for left_out in report.left_out:
        lost = [
            f"{name} loses {count} of {labelled} objects"
            for name, (count, labelled) in left_out.objects.items()
            if count >= LOST * labelled
        ]
        if lost or (left_out.split != "train" and left_out.images >= LEFT_OUT * left_out.listed):
            by_class = f" By class: {', '.join(lost)}." if lost else ""
            sentences.append(f"{left_out.sentence}{by_class} Fix or remove these images; no figure includes them.")
    return sentences


def _same_images(report: Report) -> list[str]:
    """Files were chosen by the accuracies that are reported, which flatters what was chosen."""
    made = report.provenance
    chosen = any(row.quantization and row.quantization.decided_on for row in report.results)
    if not chosen or made.accuracy_on is None or made.accuracy_on != made.chosen_on:
        return []
    fix = (
        "leave out selection=val"
        if made.config.get("selection") == "val"
        else f"add `test:` to the data.yaml (for classification a folder test), or give {LEAST} validation images"
    )
    return [
        f"choice and report share {made.accuracy_on.images} images: int8's recipe and its layers in float are chosen "
        f"by accuracies that the report shows, so these may be too high; {fix}."
    ]


def _failed(report: Report) -> list[str]:
    return [f"{failure.name} on {failure.runtime}: {failure.sentence}" for failure in report.failures]


def of_timing(report: Report) -> list[str]:
    """Alarms about all latencies that were measured on this host."""
    if report.noise is None or report.noise_spread is None:
        return []
    if report.noise <= ALIKE and report.noise_spread <= SPREAD:
        return []
    return [
        f"the same artefact timed against itself (A/A) differs by {report.noise:.1%} (at most {ALIKE:.0%} is sound), "
        f"quartiles +-{report.noise_spread:.1%} (at most {SPREAD:.0%}), so differences in latency below "
        f"{nothing(report):.0%} mean nothing; measure again on a quiet machine, or with more rounds=."
    ]


def _throttled(report: Report) -> list[str]:
    """The CPU quota that stopped the timing, as the system counts it."""
    if report.provenance.timing is None:
        return []
    before, after = report.provenance.timing
    if before.throttled_s is None or after.throttled_s is None or after.throttled_s <= before.throttled_s:
        return []
    quota = "" if after.quota is None else f" of {after.quota:.3g} cores"
    return [
        f"the process was throttled for {after.throttled_s - before.throttled_s:.2g} s by its CPU quota{quota} during "
        "the timing, so latencies are too long; raise the quota, or measure again with fewer threads=."
    ]


def _timing_elsewhere(report: Report) -> list[str]:
    return [
        f"on {one.device}, {one.threads} threads, the same artefact timed against itself (A/A) differs by "
        f"{one.noise:.1%} (at most {ALIKE:.0%} is sound), quartiles +-{one.noise_spread:.1%} (at most {SPREAD:.0%}); "
        "measure again on that device while it is idle and cool, or with more --rounds."
        for one in report.measurements
        if one.noise > ALIKE or one.noise_spread > SPREAD
    ]


def _arithmetic(report: Report) -> list[str]:
    return [
        f"{called(row)} was made for {row.variant.precision} but ran in {latency.arithmetic}, so its latency and its "
        f"accuracy are those of {latency.arithmetic}."
        for row, latency in report.timed
        if _another(row.precision, latency.arithmetic)
    ]


def _arithmetic_elsewhere(report: Report) -> list[str]:
    return [
        f"the {one.precision} file that was measured on {one.device}, {one.threads} threads, ran there in "
        f"{one.arithmetic}, so its latency is that of {one.arithmetic}, and its accuracy there may differ."
        for one in report.measurements
        for row in report.results
        if row.artefact == one.artefact and one.arithmetic and _another(row.precision, one.arithmetic)
    ]


def _another(precision: Precision, arithmetic: str) -> bool:
    """Whether `arithmetic`, in which a file ran, is not what its precision was made for."""
    return not set(precision.requires) <= set(arithmetic.split("+")) <= set(precision.computes)


def _int8(report: Report) -> list[str]:
    return [
        f"{called(row)} executes only {row.int8_share:.1%} of its operations in int8, less than {EXECUTED:.0%}, while "
        f"its file asks for {row.int_ops / row.flops:.1%}: operations in float, and the conversions between float and "
        "int8, cost speed; far below that share, int8 is slower than fp32."
        for row in report.results
        if row.precision.integer and row.int8_share is not None and row.int8_share < EXECUTED
    ]


def _near_zero(report: Report) -> list[str]:
    first, *others = report.results
    metric, score = first.accuracy.metric, first.accuracy.score
    if score < NOTHING:
        return [
            f"the original itself has {metric} {score:.4f}, so no row can be compared with it; check that the model "
            "and the data set belong together, and that the labels are right."
        ]
    return [
        f"{called(row)} has {metric} {row.accuracy.score:.4f} where the original has {score:.4f}: the model is broken, "
        "or needs more training."
        for row in others
        if _is_near_zero(row, first)
    ]


def _is_near_zero(row: Result, first: Result) -> bool:
    return row.accuracy.score < max(NOTHING, LITTLE * first.accuracy.score)


def _class_lost(report: Report) -> list[str]:
    """The row that loses most of a class, and the others that lose one.

    Rivals are left out: that a smaller input loses classes is no fault of what was made. A row that lost everything has
    its alarm already.
    """
    first, *others = report.results
    lost = [
        (loss.points, called(row), loss, error, row)
        for row in others
        if not (row.rival or _is_near_zero(row, first))
        for loss in class_losses(row, report)
        if (error := loss.error) is not None and loss.points - ERRORS * 100 * error > CLASS_LOST
    ]
    if not lost:
        return []
    points, name, loss, error, row = max(lost, key=lambda one: one[0])
    others_lost = len({one[2].name for one in lost}) - 1
    rows = [one for one in dict.fromkeys(one[1] for one in lost) if one != name]
    more = f", and {others_lost} more classes are lost as clearly" if others_lost else ""
    also = f", and so lose {', '.join(rows)}" if rows else ""
    return [
        f"{name} has {row.accuracy.metric} {loss.after:.4f} for class {loss.name}, the original {loss.before:.4f}: "
        f"{points:.1f} points lost on {loss.objects} objects, with a standard error of {100 * error:.1f}{more}{also}; "
        "train longer, prune less, or set limits.max_class_drop."
    ]


def _better(report: Report) -> list[str]:
    """The row that gains most, and the others that gain; rivals are left out, since a larger model may be better."""
    first, *others = report.results
    gains = []
    for row in others:
        gain, error = row.accuracy.score - first.accuracy.score, row.accuracy.error_of_difference(first.accuracy)
        if not row.rival and error is not None and gain >= BETTER and gain > ERRORS * error:
            gains.append((gain, error, called(row)))
    if not gains:
        return []
    gain, error, name = max(gains)
    rows = [one for *_, one in gains if one != name]
    also = f", and so do {', '.join(rows)}" if rows else ""
    return [
        f"{name} gains {100 * gain:.1f} points of {first.accuracy.metric} over the original, with a standard error of "
        f"{100 * error:.1f}{also}; check whether validation images are in the training split, and whether the original "
        "was trained too briefly, so that more training alone would gain as much."
    ]


def _slower(report: Report) -> list[str]:
    """Rows that are slower than the row they were made from, by the paired ratios of both to the same original."""
    found = []
    for row, latency in report.timed:
        for source, before in (*_in_float(row, report), *_whole(row, report)):
            if before.speedup > latency.speedup * (1 + nothing(report)):
                found.append(
                    f"{called(row)} is {before.speedup / latency.speedup:.2f}x slower than "
                    f"{source.variant.name} in the same runtime ({latency.median_ms:.4g} ms instead of "
                    f"{before.median_ms:.4g} ms), so it brings no speed-up on this machine."
                )
    return found


def _slower_than_half(report: Report) -> list[str]:
    """Int8 rows that their own model in bf16 or fp16 makes pointless."""
    return [
        f"{called(pair.row)} is {pair.faster:.2f}x slower than {pair.rival.variant.name} in the same runtime "
        f"({pair.row.time.median_ms:.4g} ms instead of {pair.rival.time.median_ms:.4g} ms), whose accuracy differs by "
        f"{pair.gain:+.1f} points of {pair.row.accuracy.metric}, no loss beyond two standard errors; take "
        f"{pair.rival.variant.name} on this machine."
        for pair in faster_halves(report)
    ]


def _in_float(row: Result, report: Report) -> list[tuple[Result, Latency]]:
    """The row of the same model in float32 in the same runtime; a model trained for int8 has no float32 row."""
    if row.precision == FP32:
        return []
    model = row.variant.model
    untrained = tuple(tag for tag in model if tag != "qat")
    same = _timed(report, row, FP32.name, model)
    return same or _timed(report, row, FP32.name, untrained)


def _whole(row: Result, report: Report) -> list[tuple[Result, Latency]]:
    """The row of the original in the same precision and runtime."""
    if row.rival or not row.variant.model or NMS_FREE in row.variant.tags:  # another head, which spares the NMS
        return []
    return _timed(report, row, row.variant.precision, ())


def _timed(report: Report, row: Result, precision: str, model: tuple[str, ...]) -> list[tuple[Result, Latency]]:
    """The other timed row with this model and precision in the runtime of `row`, or nothing."""
    wanted = (model, precision, row.variant.runtime)
    found = [
        (other, latency)
        for other, latency in report.timed
        if (other.variant.model, other.variant.precision, other.variant.runtime) == wanted and other is not row
    ]
    return found[:1]
