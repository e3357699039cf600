"""The table of classes, which shows when a variant loses a single class."""

from dataclasses import dataclass

from optimize.result import Report, Result

FULL = 10  # percentage points that get the deepest colour


@dataclass(frozen=True)
class Column:
    """Rows of the report with equal accuracy in every class; most often a float model in several runtimes."""

    variant: str
    runtimes: tuple[str, ...]
    rival: bool


@dataclass(frozen=True)
class Row:
    """One class.

    Attributes:
        name: of the class.
        objects: how many the validation images show; None where not counted.
        before: the metric of the original in torch, 0 to 1.
        changes: percentage points against `before`, for each column; None where a column lacks the class.
        worst: the smallest of them, without rivals; None where there is none.
    """

    name: str
    objects: int | None
    before: float
    changes: tuple[float | None, ...]
    worst: float | None


def table(report: Report) -> tuple[list[Column], list[Row]]:
    """The columns, and a row per class, the worst loss first."""
    original, *others = report.results
    alike: dict[tuple[str, tuple[float, ...]], list[Result]] = {}
    for result in others:
        scores = tuple(round(value, 4) for value in result.accuracy.classes.values())
        if result.variant.name != "original":
            alike.setdefault((result.variant.name, scores), []).append(result)
    columns = [
        Column(name, tuple(result.variant.runtime for result in same), same[0].rival)
        for (name, _), same in alike.items()
    ]
    scores_by_class = [same[0].accuracy.classes for same in alike.values()]
    rows = [
        _row(name, before, original, columns, scores_by_class) for name, before in original.accuracy.classes.items()
    ]
    return columns, sorted(rows, key=lambda row: 0.0 if row.worst is None else row.worst)


def _row(name: str, before: float, original: Result, columns: list[Column], scores: list[dict[str, float]]) -> Row:
    changes = tuple(100 * (after[name] - before) if name in after else None for after in scores)
    ours = [change for change, column in zip(changes, columns, strict=True) if change is not None and not column.rival]
    return Row(name, original.accuracy.objects.get(name), before, changes, min(ours, default=None))


def depth(change: float) -> int:
    """The depth of the colour of a change, in percent."""
    return round(100 * min(abs(change) / FULL, 1))
