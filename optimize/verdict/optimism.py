"""How much of the accuracy of the row that the verdict takes is luck with the images that it was chosen on.

Rows are chosen by the very accuracies that are reported, so the best of many is a little worse on other images. The
folds that are kept for the standard error tell how much: the choice is made on one half of the images, and its accuracy
there is compared with that on the other half.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from statistics import fmean, stdev

from optimize.limits import Limits
from optimize.measure.accuracy import Accuracy
from optimize.result import Report, Result
from optimize.verdict.plain import points
from optimize.verdict.verdict import over

HALVES = 20  # random ones; each is chosen on once, and its other half once
LEAST = 4  # groups of images; with fewer a half is one group


@dataclass(frozen=True)
class Optimism:
    """What choosing among rows is worth on the images that it is done on, and not on others.

    Attributes:
        points: percentage points that the chosen row gains over its original on the half that it was chosen on, less
            those on the other half; the mean over all halves.
        spread: standard deviation over the halves.
        rows: how many there were to choose from.
    """

    points: float
    spread: float
    rows: int

    @property
    def sentence(self) -> str:
        return (
            f"Optimism: the verdict chooses among {self.rows} rows by accuracies of this report, which is worth "
            f"{self.points:.1f} +- {self.spread:.1f} points: made on one half of the images, the same choice gains "
            f"that much less over the original on the other half (mean and standard deviation over {HALVES} random "
            "halves, both ways)."
        )


def of_report(report: Report) -> Optimism | None:
    """Of the verdict of one run; None where nothing was timed, and as `of_choice`."""
    timed = report.timed and not report.unfinished
    return of_choice([(row, report) for row in report.results], report.limits) if timed else None


def of_choice(rows: Sequence[tuple[Result, Report]], asked: Limits) -> Optimism | None:
    """Of the verdict over rows, as `verdict.over`; None for fewer than two rows, or where one has too few folds."""
    originals = {id(report): report.results[0] for _, report in rows}
    groups = {len(row.accuracy.folds) for row in (*(row for row, _ in rows), *originals.values())}
    if len(rows) < 2 or len(groups) > 1 or min(groups) < LEAST or asked.max_class_drop is not None:
        return None  # what a class loses on a half of the images is not known
    (count,) = groups
    random, gaps = Random(0), list[float]()
    for _ in range(HALVES):
        half = set(random.sample(range(count), count // 2))
        both = [_on(rows, part) for part in (sorted(half), sorted(set(range(count)) - half))]
        gaps += [_gap(one, other, asked) for one, other in (both, both[::-1])]
    return Optimism(fmean(gaps), stdev(gaps), len(rows))


def _gap(chosen_on: list[tuple[Result, Report]], others: list[tuple[Result, Report]], asked: Limits) -> float:
    """Points that the row that is chosen on some images gains there, less those that it gains on the others."""
    choice = over(chosen_on, asked).choice
    place = next(i for i, (row, _) in enumerate(chosen_on) if row is choice)
    return points(*chosen_on[place]) - points(*others[place])


def _on(rows: Sequence[tuple[Result, Report]], groups: Sequence[int]) -> list[tuple[Result, Report]]:
    """`rows` with their accuracies on the images of some groups alone; each report keeps its original only."""
    reports = {
        id(report): replace(report, results=(_row_on(report.results[0], groups),))
        for report in {id(report): report for _, report in rows}.values()
    }
    return [(_row_on(row, groups), reports[id(report)]) for row, report in rows]


def _row_on(row: Result, groups: Sequence[int]) -> Result:
    return replace(row, accuracy=on_groups(row.accuracy, groups))


def on_groups(accuracy: Accuracy, groups: Sequence[int]) -> Accuracy:
    """The accuracy on the images of some groups alone, from the folds of all: the mean of the groups' pseudo-values.

    The pseudo-value of a group is G * score - (G - 1) * score without it, of G groups (Tukey, "Bias and Confidence in
    Not-Quite Large Samples", Annals of Mathematical Statistics 29, 1958). For a mean over images in groups of equal
    size it is the group's own mean.
    """
    count = len(accuracy.folds)
    values = [count * accuracy.score - (count - 1) * accuracy.folds[group] for group in groups]
    score, few = fmean(values), len(values)
    folds = tuple((few * score - value) / (few - 1) for value in values)
    return replace(accuracy, metrics={accuracy.metric: score}, folds=folds)
