"""Copies the best artefacts into the sweep's folder, under descriptive names."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from optimize.store.manifest import placing, remove
from optimize.sweep.summary.rows import Row

FOLDER = "artefacts"
LONGEST = 150  # letters; file systems take 255 bytes


def hand_out(worth: Sequence[Row], folder: Path) -> None:
    """Copy the artefacts of `worth` into `folder`/artefacts/<runtime>, in place of those that were copied earlier.

    The user's own checkpoints stay where they are.

    Raises:
        InputError: an artefact was changed since it was copied.
    """
    with placing(folder) as partial:
        for row, place in places(worth).items():
            source, target = row.result.variant.path, partial / FOLDER / place
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)
        remove(folder, [FOLDER])


def places(worth: Sequence[Row]) -> dict[Row, Path]:
    """Where below the artefacts' folder each row lies, e.g. `openvino/pruned+int8_prune=0.3_openvino_model`."""
    found: dict[Row, Path] = {}
    for row in worth:
        variant = row.result.variant
        if variant.runtime == "torch" and (row.result.rival or variant.name == "original"):
            continue
        told = "_".join([variant.name, *(f"{key}={value}" for key, value in row.overrides.items())])
        stem = re.sub(r"[^\w.+=-]+", "-", told)[:LONGEST].rstrip(".")
        stems = (stem, *(f"{stem}-{i}" for i in range(2, len(worth) + 1)))
        numbered = (Path(variant.runtime, f"{one}{variant.ending}") for one in stems)
        found[row] = next(place for place in numbered if place not in found.values())
    return found


def copied(worth: Sequence[Row], folder: Path) -> dict[Row, Path]:
    """The copies that are there, from `folder` on."""
    return {row: Path(FOLDER, place) for row, place in places(worth).items() if (folder / FOLDER / place).exists()}
