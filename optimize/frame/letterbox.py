"""Fit frames into the network's input as ultralytics does, with OpenCV where it is installed and as fast without it.

Both ways give the same numbers: `shrink` does what OpenCV's INTER_LINEAR does, equal to the last bit. Copied into
bundles: only the standard library, numpy and, where it is there, OpenCV are imported here.
"""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # what can't be read, run.py says in a sentence
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
try:
    import cv2
except ImportError:  # not installed, or without a library that it needs: numpy does the same
    cv2 = None  # type: ignore[assignment]

ROWS = 8  # of the result at once: what they need fits into the caches of a small core


def fit(
    pixels: np.ndarray, planes: Sequence[int], letterbox: Mapping[str, int] | None, inputs: np.ndarray
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Write a frame into `inputs`, the network's input.

    That is (1, 3, height, width) float32, RGB in 0..1, or (1, height, width, 3) uint8, BGR, which the graph converts.
    `pixels` is (height, width, 3) uint8; `planes` are the places of red, green and blue in it. With `letterbox` the
    frame keeps its proportions and grey fills the rest; without, it is stretched.

    Returns the frame's width and height in the input, and its left and top corner there.
    """
    whole = inputs.dtype == np.uint8
    size, (height, width) = inputs.shape[1:3] if whole else inputs.shape[2:], pixels.shape[:2]
    gain = min(size[0] / height, size[1] / width)
    fitted = (max(round(width * gain), 1), max(round(height * gain), 1)) if letterbox else size[::-1]
    left, top = round((size[1] - fitted[0]) / 2 - 0.1), round((size[0] - fitted[1]) / 2 - 0.1)
    right, bottom = left + fitted[0], top + fitted[1]
    small, canvas = resize(pixels, *fitted), inputs[0]
    if whole:
        canvas[top:bottom, left:right] = small if tuple(planes) == (2, 1, 0) else small[..., list(planes[::-1])]
        if letterbox:
            fill(canvas, left, top, right, bottom, letterbox["grey"])
        return fitted, (left, top)
    for channel, plane in enumerate(planes):  # divided as float32, as torch does it: a product would differ
        np.divide(small[..., plane], np.float32(255), out=canvas[channel, top:bottom, left:right], dtype=np.float32)
    if letterbox:
        grey = np.float32(letterbox["grey"]) / np.float32(255)
        fill(canvas.transpose(1, 2, 0), left, top, right, bottom, grey)
    return fitted, (left, top)


def fill(canvas: np.ndarray, left: int, top: int, right: int, bottom: int, value: np.float32 | int) -> None:
    """Give `value` to all of `canvas`, (height, width, channels), but the frame in it."""
    canvas[:top], canvas[bottom:] = value, value
    canvas[top:bottom, :left], canvas[top:bottom, right:] = value, value


def resize(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize bilinearly."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return cv2.resize(pixels, (width, height)) if cv2 else shrink(pixels, width, height)


def shrink(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """What `cv2.resize` returns: weights in steps of 1/2048, and sums rounded down twice.

    Only the rows and columns that lie beside a pixel of the result are touched, some rows at a time.
    """
    if pixels.shape[:2] == (2 * height, 2 * width):
        return halve(pixels)
    left, right, near, far = columns(pixels.shape[1], width)
    above, below, over, under = taps(pixels.shape[0], height)
    lines = pixels.reshape(len(pixels), -1)
    if not (far.any() or under.any()):  # each pixel of the result is one of the frame, e.g. where 1920 become 640
        return lines[above].take(left, 1, mode="clip").reshape(height, width, 3)
    result = np.empty((height, 3 * width), np.uint8)
    taken = np.empty((2 * ROWS, 3 * width), np.uint8)
    first, second = np.empty(taken.shape, np.int32), np.empty(taken.shape, np.int32)
    for start in range(0, height, ROWS):
        stop = min(start + ROWS, height)
        used = 2 * (stop - start)
        picked, sums, more = taken[:used], first[:used], second[:used]
        rows = lines[np.concatenate([above[start:stop], below[start:stop]])]
        np.multiply(rows.take(left, 1, out=picked, mode="clip"), near, out=sums)
        np.multiply(rows.take(right, 1, out=picked, mode="clip"), far, out=more)
        sums += more
        sums >>= 4
        upper, lower = sums[: stop - start], sums[stop - start :]
        upper *= over[start:stop, None]
        lower *= under[start:stop, None]
        sums >>= 16
        upper += lower
        upper += 2
        np.right_shift(upper, 2, out=result[start:stop], casting="unsafe")
    return result.reshape(height, width, 3)


def halve(pixels: np.ndarray) -> np.ndarray:
    """The mean of four, by which OpenCV halves an image."""
    rows = np.add(pixels[::2], pixels[1::2], dtype=np.uint16)
    result = np.empty((rows.shape[0], rows.shape[1] // 2, 3), np.uint8)
    for plane in range(3):
        result[..., plane] = (rows[:, ::2, plane] + rows[:, 1::2, plane] + 2) >> 2
    return result


@lru_cache(maxsize=8)
def columns(old: int, new: int) -> tuple[np.ndarray, ...]:
    """`taps` for rows of pixels of three bytes: an entry for each byte."""
    left, right, near, far = taps(old, new)
    places = ((3 * index[:, None] + np.arange(3)).ravel() for index in (left, right))
    return (*places, near.repeat(3), far.repeat(3))


@lru_cache(maxsize=8)
def taps(old: int, new: int) -> tuple[np.ndarray, ...]:
    """For each of `new` pixels the two of `old` that it lies between, and the weight of each, 0 to 2048."""
    position = ((np.arange(new) + 0.5) * (1 / (new / old)) - 0.5).astype(np.float32)
    first = np.floor(position).astype(int)
    fraction = position - first.astype(np.float32)
    weights = (np.rint(part * np.float32(2048)).astype(np.int32) for part in (1 - fraction, fraction))
    return (*(index.clip(0, old - 1) for index in (first, first + 1)), *weights)
