"""Several calls at once in ONNX Runtime: a session of its own for each stream, which share the threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from optimize.runtime.onnxruntime import device


def open_streams(path: Path, precision: str, threads: int, streams: int) -> Callable[[np.ndarray, int], object]:
    """A function that calls a file `count` times with an input, `streams` calls at once.

    `precision` is ignored, as the file alone decides it. Each session has an equal part of the threads, at least one.
    """
    sessions = [device.session(path, device.options(max(1, threads // streams))) for _ in range(streams)]
    runs, pool = [device.runner(one) for one in sessions], ThreadPoolExecutor(streams)

    def burst(images: np.ndarray, count: int) -> None:
        for done in [pool.submit(runs[i % streams], images) for i in range(count)]:
            done.result()

    return burst
