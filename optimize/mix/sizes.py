"""Input sizes that a model could have to meet a limit of time."""

from collections.abc import Mapping, Sequence

import numpy as np

from optimize.input_size import Size, smaller


def family(full: Size, filled: Size | None, step: int) -> list[Size]:
    """Every input that may be chosen, the largest first; each side is a multiple of `step`.

    Args:
        full: input of the original.
        filled: the rectangle in it that the images fill, which then takes its place; None where there is none.
        step: the stride of the network.
    """
    largest = filled or full
    return [largest, *smaller(largest, step)]


def nearest(sizes: Sequence[Size], pixels: float) -> Size:
    """The size of about so many pixels."""
    return min(sizes, key=lambda size: abs(size.pixels - pixels))


def fitting(times: Mapping[Size, float], limit: float) -> float:
    """The pixels at which a network takes `limit` milliseconds, on the lines between the sizes that were timed.

    Below the smallest of them time is taken to be proportional to pixels, above the largest nothing is known.
    """
    points = sorted((size.pixels, milliseconds) for size, milliseconds in times.items())
    pixels, milliseconds = (np.array(column, float) for column in zip(*points, strict=True))
    milliseconds = np.maximum.accumulate(milliseconds)  # a smaller input never takes longer, but for noise
    if limit <= milliseconds[0]:
        return float(pixels[0] * limit / milliseconds[0])
    return float(np.interp(limit, milliseconds, pixels))


def around(sizes: Sequence[Size], pixels: float) -> list[Size]:
    """The largest of `sizes` with at most so many pixels and the next larger one, as far as there are such."""
    below = [size for size in sizes if size.pixels <= pixels][:1]
    above = [size for size in sizes if size.pixels > pixels][-1:]
    return [*below, *above]


def between(measured: Mapping[Size, float], pixels: float) -> float:
    """The accuracy or time at so many pixels, on the line between the sizes that were measured."""
    sizes = sorted(measured, key=lambda size: size.pixels)
    return float(np.interp(pixels, [size.pixels for size in sizes], [measured[size] for size in sizes]))


def spread(sizes: Sequence[Size], most: int) -> list[Size]:
    """At most `most` of `sizes`, evenly spread, with the first and the last."""
    places = np.linspace(0, len(sizes) - 1, min(most, len(sizes))).round().astype(int)
    return [sizes[place] for place in dict.fromkeys(places.tolist())]
