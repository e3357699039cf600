"""What a whole frame takes where a variant is deployed: from an encoded image to boxes, by stage.

The stages are the code that bundles run, called in the process that the latency is measured in, see `latency`: between
the visits that time the graph alone each file takes some frames, the same for all files in a round.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from time import perf_counter
from typing import Any

import numpy as np

from optimize.frame import boxes, letterbox
from optimize.frame.image import keep_memory, open_image

PER_VISIT = 3  # timed frames of a visit; one more before them is not timed
SECONDS = 10.0  # that the frames of the slowest file may take in all visits
WITHIN = 0.03  # of the frame: what its stages do not add up to is named where it is more


@dataclass(frozen=True)
class Quartiles:
    """Median and quartiles over all timed frames, in milliseconds."""

    median_ms: float
    q1_ms: float
    q3_ms: float

    def scaled(self, factor: float) -> "Quartiles":
        """The same at another speed of the machine."""
        return Quartiles(factor * self.median_ms, factor * self.q1_ms, factor * self.q3_ms)


@dataclass(frozen=True)
class FrameTime:
    """Time of a frame: an encoded image in memory becomes objects in the image's pixels, one frame after the other.

    Attributes:
        total: of the whole frame.
        decode: from the encoded image to pixels in RGB.
        letterbox: resizing into the input, padding, division by 255 and the order of the channels.
        graph: the call of the model, between the other stages; `Latency` is that of calls in close succession.
        post: thresholds, box decoding, NMS, and boxes in the image's pixels.
        runs: number of timed frames.
        width, height: of the frames in pixels; None where they differ.
    """

    total: Quartiles
    decode: Quartiles
    letterbox: Quartiles
    graph: Quartiles
    post: Quartiles
    runs: int
    width: int | None
    height: int | None

    @property
    def stages(self) -> dict[str, Quartiles]:
        """In the order of the work, by what the report calls them."""
        return {
            "decode": self.decode,
            "letterbox": self.letterbox,
            "graph": self.graph,
            "post-processing": self.post,
        }

    @property
    def rest_ms(self) -> float:
        """What the medians of the stages lack to the median of the whole frame, or have too much (negative)."""
        return self.total.median_ms - sum(stage.median_ms for stage in self.stages.values())

    @property
    def adds_up(self) -> bool:
        """Whether the stages add up to the frame within 3 %."""
        return abs(self.rest_ms) <= WITHIN * self.total.median_ms

    def scaled(self, factor: float) -> "FrameTime":
        """The same at another speed of the machine: every time is multiplied by `factor`."""
        total, decode, fit, graph, post = (one.scaled(factor) for one in (self.total, *self.stages.values()))
        return replace(self, total=total, decode=decode, letterbox=fit, graph=graph, post=post)

    @property
    def outside(self) -> float:
        """The share of the frame that the stages beside the graph take."""
        return (self.decode.median_ms + self.letterbox.median_ms + self.post.median_ms) / self.total.median_ms


@dataclass(frozen=True)
class Frames:
    """Frames for one variant, and what turns them into its input and its output into objects.

    Attributes:
        images: encoded, e.g. the content of JPEGs.
        size: width and height of all of them; None where they differ.
        settings: as `frame.settings` makes them.
    """

    images: tuple[bytes, ...]
    size: tuple[int, int] | None
    settings: dict[str, Any]


def frame_call(
    run: Callable[[np.ndarray], list[np.ndarray]], frames: Frames, threads: int
) -> Callable[[int], tuple[float, ...]]:
    """A function that takes frame `number` (of as many as are counted, from the first again) through all stages.

    It returns the seconds of each of `FrameTime.stages`.

    Args:
        run: (1, 3, H, W) float32 in 0..1 -> the outputs of the model, in pixels of the input.
        frames: to go round.
        threads: of OpenCV, where it is installed.
    """
    if letterbox.cv2:
        letterbox.cv2.setNumThreads(threads)
    keep_memory()
    side = frames.settings["imgsz"]
    inputs = np.empty((1, 3, side["height"], side["width"]), np.float32)

    def call(number: int) -> tuple[float, ...]:
        began = perf_counter()
        image, size = open_image(BytesIO(frames.images[number % len(frames.images)]))
        pixels = np.asarray(image)
        decoded = perf_counter()
        fitted, corner = letterbox.fit(pixels, (0, 1, 2), frames.settings["letterbox"], inputs)
        fits = perf_counter()
        output = run(inputs)[0]
        computed = perf_counter()
        np.isfinite(output).all()  # a bundle looks before it believes the numbers, which takes time
        boxes.objects(output, frames.settings, fitted, corner, size)
        return decoded - began, fits - decoded, computed - fits, perf_counter() - computed

    return call


def per_visit(milliseconds: float, rounds: int) -> int:
    """Timed frames of each visit, of a file whose frame takes about so long: as many as `SECONDS` allow, at least 1."""
    return max(1, min(PER_VISIT, int(SECONDS * 1e3 / (rounds * milliseconds)) - 1))


def frame_time(visits: Sequence[np.ndarray], speed: np.ndarray, size: tuple[int, int] | None) -> FrameTime:
    """Quartiles of what was timed.

    Args:
        visits: of each round milliseconds (frames, 1 + stages), the whole frame first.
        speed: by which the times of each round are multiplied, see `latency.at_one_speed`.
        size: width and height of all frames; None where they differ.
    """
    times = np.concatenate([visit * factor for visit, factor in zip(visits, speed, strict=True)])
    total, decode, fit, graph, post = (
        Quartiles(float(middle), float(low), float(high))
        for low, middle, high in np.percentile(times, [25, 50, 75], 0).T
    )
    width, height = size or (None, None)
    return FrameTime(total, decode, fit, graph, post, runs=len(times), width=width, height=height)
