"""What single classes lose: the mean over classes hides one that is lost."""

from dataclasses import dataclass

from optimize.measure.accuracy import ENOUGH
from optimize.result import Report, Result


@dataclass(frozen=True)
class ClassLoss:
    """One class of a row, against the same class of the original in torch.

    Attributes:
        name: of the class.
        objects: how many were validated.
        before, after: the main metric of the original and of the row, 0 to 1.
        error: standard error of their difference, 0 to 1; None where it is not known.
    """

    name: str
    objects: int
    before: float
    after: float
    error: float | None

    @property
    def points(self) -> float:
        """Percentage points lost; negative for a gain. Rounded as in `plain.points`."""
        return round(100 * (self.before - self.after), 9)


def class_losses(row: Result, report: Report) -> list[ClassLoss]:
    """The classes of `row` with at least 30 objects, the largest loss first."""
    first, now = report.results[0].accuracy, row.accuracy
    losses = [
        ClassLoss(name, first.objects[name], before, now.classes[name], now.error_of_class_difference(first, name))
        for name, before in first.classes.items()
        if first.objects.get(name, 0) >= ENOUGH and name in now.classes
    ]
    return sorted(losses, key=lambda loss: loss.points, reverse=True)
