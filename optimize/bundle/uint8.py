"""`bundle_input=uint8`: a bundle's model takes what a camera gives, if that changes nothing in what it computes."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from optimize.errors import VariantFailed
from optimize.runtime.session import Runtime, Session
from optimize.variant import Variant

ALIKE = 1e-5  # of the largest number of an output
IMAGES = 3  # of noise, that both models are compared on


def write_for_camera(variant: Variant, runtime: Runtime, target: Path) -> None:
    """Write the model of `variant` to `target`, for (1, H, W, 3) uint8 BGR instead of (1, 3, H, W) float32 RGB in 0..1.

    Of the runtime's ways the first is taken whose outputs equal those of `variant`.

    Raises:
        VariantFailed: none has equal outputs.
    """
    differences = []
    for write in runtime.uint8_inputs:
        write(variant.path, target)
        made = replace(variant, path=target)
        differences.append(difference(runtime.open(variant, 1), runtime.open(made, 1), variant))
        if differences[-1] <= ALIKE:
            return
        (shutil.rmtree if target.is_dir() else Path.unlink)(target)
    raise VariantFailed(
        f"there is no bundle, since {variant.name} on {variant.runtime} gives other outputs (by {min(differences):.1g} "
        "of the largest) where its graph takes uint8; leave bundle_input out."
    )


def difference(for_floats: Session, for_pixels: Session, variant: Variant) -> float:
    """The largest difference of any output on images of noise, as a share of the largest number of that output."""
    rng, largest = np.random.default_rng(0), 0.0
    for _ in range(IMAGES):
        pixels = rng.integers(0, 256, (1, variant.imgsz.height, variant.imgsz.width, 3), dtype=np.uint8)
        planes = np.ascontiguousarray(pixels[..., ::-1].transpose(0, 3, 1, 2))
        pairs = zip(for_floats(planes / np.float32(255)), for_pixels(pixels), strict=True)
        for one, other in pairs:
            if not (np.isfinite(one).all() and np.isfinite(other).all()):
                return float("inf")
            largest = max(largest, float(np.abs(one - other).max() / (np.abs(one).max() or 1.0)))
    return largest
