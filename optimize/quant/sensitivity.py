"""Which layers int8 hurts most: the signal to noise that each gives back when it alone returns to float."""

from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from optimize.progress import bar
from optimize.runtime.session import Quantizer

IMAGES = 8  # noise differs little between images, and every layer needs a run of each


def signal_to_noise(expected: list[np.ndarray], found: list[np.ndarray]) -> float:
    """SQNR in dB, 10 log10 of signal power over noise power, the mean over the tensors."""
    pairs = zip(expected, found, strict=True)
    return float(np.mean([10 * np.log10(np.var(e) / max(np.mean((f - e) ** 2), 1e-30)) for e, f in pairs]))


def rank(quantizer: Quantizer, source: Path) -> list[tuple[str, float]]:
    """Layers with the dB that the decode's inputs gain when the layer is in float, the largest gain first.

    Args:
        quantizer: calibrated for `source`.
        source: the float file.
    """
    images = list(islice(quantizer.images, IMAGES))

    def run(path: Path) -> list[np.ndarray]:
        logits = quantizer.logits(path)
        return [np.stack(tensors) for tensors in zip(*(logits(image) for image in images), strict=True)]

    expected = run(source)

    def noise(floats: list[str]) -> float:
        with TemporaryDirectory() as folder:
            target = Path(folder) / source.name
            quantizer.write(target, floats)
            return signal_to_noise(expected, run(target))

    start = noise([])
    with bar("ranking layers", len(quantizer.layers)) as tick:
        gains = [(layer, tick(noise)([layer]) - start) for layer in quantizer.layers]
    return sorted(gains, key=lambda pair: -pair[1])
