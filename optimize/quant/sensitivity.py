"""Ranks layers by their sensitivity to int8: the gain in signal-to-noise ratio when a layer alone returns to float."""

from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from optimize.progress import bar
from optimize.runtime.session import Quantizer

IMAGES = 8  # noise differs little between images, and each layer needs one run per image


def signal_to_noise(expected: list[np.ndarray], quantized: list[np.ndarray]) -> float:
    """Signal-to-quantization-noise ratio (SQNR) in dB, the mean over the tensors."""
    pairs = zip(expected, quantized, strict=True)
    return float(np.mean([10 * np.log10(np.var(e) / max(np.mean((q - e) ** 2), 1e-30)) for e, q in pairs]))


def rank(quantizer: Quantizer, source: Path) -> list[tuple[str, float]]:
    """Each layer with the gain in dB of the box decoding's inputs when that layer is in float, the largest first.

    Args:
        quantizer: calibrated for `source`.
        source: the float file.
    """
    images = list(islice(quantizer.images, IMAGES))

    def run(path: Path) -> list[np.ndarray]:
        logits = quantizer.logits(path)
        return [np.stack(tensors) for tensors in zip(*(logits(image) for image in images), strict=True)]

    expected = run(source)

    def ratio(floats: list[str]) -> float:
        with TemporaryDirectory() as folder:
            target = Path(folder) / source.name
            quantizer.write(target, floats)
            return signal_to_noise(expected, run(target))

    start = ratio([])
    with bar("ranking layers", len(quantizer.layers)) as tick:
        gains = [(layer, tick(ratio)([layer]) - start) for layer in quantizer.layers]
    return sorted(gains, key=lambda pair: -pair[1])
