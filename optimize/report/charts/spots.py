"""Selects the points of a chart that get a label, and the side of each label."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import Any, Literal

from optimize.report import labels

HEIGHT = 360
MANY = 60  # with more points than this only those on the front are labelled
NARROW, WIDE = 250, 480  # pixels between the axes on a phone, and beside the other chart on a screen
LETTER, LINE, MARK = 12, 15, 7  # pixels: size of a letter, height of a line, radius of a mark with its gap
SIDES: list[tuple[Literal["left", "right", "center"], int, int]] = [  # align, dx, dy
    ("left", 11, 0),
    ("right", -11, 0),
    ("center", 0, -15),
    ("center", 0, 15),
    ("right", -8, -13),
    ("left", 8, 13),
    ("right", -8, 13),
    ("left", 8, -13),
]


@dataclass(frozen=True)
class Axis:
    """The range of the horizontal axis."""

    low: float
    high: float
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Where `value` lies, from 0 on the left to 1 on the right."""
        low, high, value = (log(x) if self.logarithmic else x for x in (self.low, self.high, value))
        return (value - low) / (high - low)


def names(rows: list[dict[str, Any]], best: list[int], x: Axis, y: tuple[float, float]) -> list[dict[str, Any]]:
    """Labels for a narrow and for a wide chart, those of the front `best` first; tooltips name the other points.

    Args:
        rows: points with `x`, `score` and `variant`, or `short` where that is too long.
        best: indices of those on the front, from left to right.
        x, y: what the axes show.
    """
    others = () if len(rows) > MANY else (i for i in range(len(rows)) if i not in best)
    order = [*best, *others]
    found = []
    for width, above, below in ((NARROW, 0, WIDE), (WIDE, WIDE, 1e9)):
        at = [(x.share(row["x"]) * width, (y[1] - row["score"]) / (y[1] - y[0]) * HEIGHT) for row in rows]
        for i, label, side in _placed(rows, best, order, at, width):
            found.append({**rows[i], "label": label, "side": side, "above": above, "below": below})
    return found


def _placed(
    rows: list[dict[str, Any]], best: list[int], order: list[int], at: list[tuple[float, float]], width: float
) -> Iterator[tuple[int, str, int]]:
    """The rows of a chart of `width` pixels that are named, in `order`: index, name and side.

    Args:
        rows, best: as for `names`.
        order: indices, of which the first find the most room.
        at: where each row lies, in pixels.
    """
    steps = _steps([at[i] for i in best])
    taken = [_mark(*spot) for spot in at]
    named: set[int] = set()
    for i in order:
        same = {j for j, spot in enumerate(at) if _is_same(spot, at[i])}
        label = _label([rows[j] for j in sorted(same)], rows[i])
        options = [_plate(*at[i], side, labels.length(label, LETTER)) for side in range(len(SIDES))]
        side = _side(options, taken, steps, width, i in best)
        if side is not None and not named & same:
            taken.append(options[side])
            named |= same
            yield i, label, side


def _is_same(spot: tuple[float, float], other: tuple[float, float]) -> bool:
    return max(abs(spot[0] - other[0]), abs(spot[1] - other[1])) < 3


def _side(
    options: list[labels.Rectangle],
    taken: list[labels.Rectangle],
    steps: list[labels.Rectangle],
    width: float,
    on_front: bool,
) -> int | None:
    """The first side on which a name covers nothing; of the front, better across a line than none."""
    frame = (0, 0, width, HEIGHT)
    side = labels.first_free(options, [*taken, *steps], frame)
    if side is None and on_front:
        return labels.first_free(options, taken, frame)
    return side


def _label(same: list[dict[str, Any]], row: dict[str, Any]) -> str:
    """The variant, with another one on the same spot, or how many; colour and shape tell model and runtime."""
    own, *others = dict.fromkeys(_name(one) for one in (row, *same))
    return own + (f", {others[0]}" if len(others) == 1 else f" +{len(others)}" if others else "")


def _name(row: dict[str, Any]) -> str:
    return row.get("short", row["variant"])


def _mark(x: float, y: float) -> labels.Rectangle:
    return x - MARK, y - MARK, x + MARK, y + MARK


def _steps(front: list[tuple[float, float]]) -> list[labels.Rectangle]:
    """The lines of the front: to the right of each point, then up to the next."""
    pairs = list(pairwise(front))
    across = [(left[0], left[1] - 2, right[0], left[1] + 2) for left, right in pairs]
    return across + [(right[0] - 2, right[1], right[0] + 2, left[1]) for left, right in pairs]


def _plate(x: float, y: float, side: int, length: float) -> labels.Rectangle:
    align, dx, dy = SIDES[side]
    left = x + dx - {"left": 0, "right": length, "center": length / 2}[align]
    return left, y + dy - LINE / 2, left + length, y + dy + LINE / 2
