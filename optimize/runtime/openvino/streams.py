"""Several calls at once in OpenVINO, by its hint for throughput and its queue of requests."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from optimize.runtime.openvino import device


def open_streams(path: Path, precision: str, threads: int, streams: int) -> Callable[[np.ndarray, int], object]:
    """A function that calls a model `count` times with an input, `streams` calls at once, on `threads` in all."""
    import openvino as ov

    hints = {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": streams}
    queue = ov.AsyncInferQueue(device.compiled(device.read(path), precision, threads, **hints), streams)

    def burst(images: np.ndarray, count: int) -> None:
        for _ in range(count):
            queue.start_async({0: images})
        queue.wait_all()

    return burst
