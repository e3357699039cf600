"""Places labels so that they overlap neither each other nor what they name."""

from collections.abc import Iterable

from PIL import ImageFont

SIZE = 100
FONT = ImageFont.load_default(SIZE)  # any sans serif will do; it comes with pillow
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom


def first_free(options: Iterable[Rectangle], taken: Iterable[Rectangle], within: Rectangle) -> int | None:
    """Index of the first of `options` inside `within` that overlaps none of `taken`; None where none fits."""
    left, top, right, bottom = within
    taken = list(taken)
    for i, box in enumerate(options):
        inside = box[0] >= left and box[1] >= top and box[2] <= right and box[3] <= bottom
        if inside and not any(_overlap(box, other) for other in taken):
            return i
    return None


def length(text: str, size: float) -> float:
    """Approximate length of `text` at font size `size`, with some room for wider fonts."""
    return 1.1 * FONT.getlength(text) * size / SIZE


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
