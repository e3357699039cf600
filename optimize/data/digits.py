"""The embedded data set: handwritten digits composed onto photographs, made on this machine, with exact boxes.

Nothing is downloaded. The digits are the 1,797 of scikit-learn's `load_digits` (8x8, from the UCI "Optical Recognition
of Handwritten Digits" test set); the photographs are its two `load_sample_images`, and for the test split the two that
ultralytics brings. Every scene has its own seed, so it doesn't depend on other scenes, and scene i of a small data set
is scene i of a larger one.

No two splits share a digit or a part of a photograph. A box is the tight box around the visible ink: the pixels that a
stroke covers at least by half and that no later digit hides.

A mirrored digit is another glyph, so train with `fliplr=0`.
"""

import os
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import affine_transform, gaussian_filter
from ultralytics.utils import ASSETS

from optimize.host.files import move
from optimize.inside import is_plain
from optimize.store import manifest
from optimize.store.aside import set_aside
from optimize.store.held import held

VERSION = 2  # raise it when scenes change, so that an old data set in a store is not used for the new one
SEED = 1  # of every scene; not the version, so that a scene that needn't change stays as it is
SIDE = 160  # height and width of a scene in pixels
NAMES = tuple("0123456789")
FOLDS = {  # split: (seed, the digits, two photographs, first and last + 1 column of both); a fifth is not trained on
    "train": (0, [i for i in range(1797) if i % 5 != 4], (0, 1), slice(0, 400)),
    "val": (1, [i for i in range(1797) if i % 40 in (4, 9, 19, 34)], (0, 1), slice(400, 640)),  # half of each class
    "test": (2, [i for i in range(1797) if i % 40 in (14, 24, 29, 39)], (2, 3), slice(None)),
}
INK = 0.5  # a pixel counts as ink if a stroke covers at least this share of it
HIDDEN = 0.15  # a later digit may cover at most this share of the visible ink of another


@dataclass(frozen=True)
class Scene:
    """One image and what is on it, n digits.

    Attributes:
        pixels: (SIDE, SIDE, 3) uint8, RGB.
        owner: (SIDE, SIDE) int, the digit (0 to n - 1) whose ink is visible in a pixel, or -1.
        classes: n class indices, 0 to 9.
        sources: n indices into `load_digits().images`.
    """

    pixels: np.ndarray
    owner: np.ndarray
    classes: tuple[int, ...]
    sources: tuple[int, ...]

    @property
    def boxes(self) -> np.ndarray:
        """(n, 4) int: left, top, right, bottom of the visible ink in pixels; right and bottom are exclusive."""
        return np.array([_box(self.owner == index) for index in range(len(self.classes))])


def compose(root: Path, train: int = 800, val: int = 200) -> Path:
    """Return the `data.yaml` of an ultralytics detection data set under `root`; compose it if it is missing.

    The folder appears whole or not at all, and parallel processes compose it once.

    Args:
        root: folder of the store.
        train, val: number of images in each split; the test split has as many as the validation split.
    """
    folder = root / f"digits-v{VERSION}-{train}-{val}-{val}"
    partial = folder.with_name(f"{folder.name}.partial")
    with held(root, folder.name):
        if os.path.lexists(folder) and not (folder.is_dir() and is_plain(folder)):
            set_aside(folder)
        if not folder.exists():
            if os.path.lexists(partial) and not (partial.is_dir() and is_plain(partial)):
                set_aside(partial)
            shutil.rmtree(partial, ignore_errors=True)
            _write(partial, {"train": train, "val": val, "test": val})
            manifest.seal(partial)
            move(partial, folder)
    return folder / "data.yaml"


def scene(split: str, index: int) -> Scene:
    """Compose scene `index` of `train`, `val` or `test`."""
    seed, digits, photographs, columns = FOLDS[split]
    rng = np.random.default_rng([SEED, seed, index])
    canvas = _background(rng, photographs, columns)
    owner = np.full((SIDE, SIDE), -1)
    sources: list[int] = []
    for _ in range(rng.integers(2, 7)):
        source = int(rng.choice(digits))
        ink = _place(_glyph(rng, source), rng)
        after = np.where(ink >= INK, len(sources), owner)
        if _hides_too_much(owner, after):
            continue
        owner, canvas = after, _paint(canvas, ink, rng)
        sources.append(source)
    sigma = rng.uniform(0, 0.9)
    canvas = gaussian_filter(canvas, (sigma, sigma, 0))
    canvas += rng.normal(0, rng.uniform(1, 7), canvas.shape)
    classes = tuple(int(_digits()[1][source]) for source in sources)
    return Scene(canvas.round().clip(0, 255).astype(np.uint8), owner, classes, tuple(sources))


def _background(rng: np.random.Generator, photographs: tuple[int, int], columns: slice) -> np.ndarray:
    """(SIDE, SIDE, 3) float: a turned square of one of two photographs."""
    photo = _photographs()[photographs[rng.integers(2)]][:, columns]
    side = rng.integers(80, 240, endpoint=True)
    top, left = (rng.integers(0, size - side, endpoint=True) for size in photo.shape[:2])
    crop = np.rot90(photo[top : top + side, left : left + side], int(rng.integers(4)))
    resized = Image.fromarray(np.ascontiguousarray(crop)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.array(resized, dtype=np.float64)


def _glyph(rng: np.random.Generator, source: int) -> np.ndarray:
    """(size, size) float in 0..1: how much ink covers each pixel of the digit, scaled, stretched and turned."""
    height = np.exp(rng.uniform(np.log(28), np.log(76)))  # of the digit in pixels; small ones as often as large ones
    stretch, angle = np.exp(rng.uniform(-0.2, 0.2)), np.radians(rng.uniform(-15, 15))
    size = int(1.5 * height * max(stretch, 1)) + 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    to_source = np.diag([8 / height, 8 / height / stretch]) @ turn
    offset = 3.5 - to_source @ np.full(2, (size - 1) / 2)
    smooth = affine_transform(_digits()[0][source], to_source, offset, (size, size), order=3)
    return ((smooth - 0.4) / 0.2).clip(0, 1)  # sharp edges: 8x8 blown up is a blur


def _place(glyph: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(SIDE, SIDE) float in 0..1: the glyph's ink somewhere on the scene, whole."""
    left, top, right, bottom = _box(glyph > 0)
    ink = glyph[top:bottom, left:right]
    y, x = (rng.integers(0, SIDE - size, endpoint=True) for size in ink.shape)
    layer = np.zeros((SIDE, SIDE))
    layer[y : y + ink.shape[0], x : x + ink.shape[1]] = ink
    return layer


def _hides_too_much(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether a digit below would lose more than HIDDEN of the ink that it still shows."""
    count = before.max() + 1
    shown, left = (np.bincount(owner[owner >= 0], minlength=count)[:count] for owner in (before, after))
    return bool((left < (1 - HIDDEN) * shown).any())


def _paint(canvas: np.ndarray, ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The canvas, changed in place, with one more digit in a colour lighter or darker than what lies under it."""
    ground = canvas[ink >= INK].mean(axis=0)
    contrast = rng.uniform(80, 160) * rng.choice([-1, 1])
    if not 0 <= ground.mean() + contrast <= 255:
        contrast = -contrast
    colour = (ground + contrast + rng.normal(0, 25, 3)).clip(0, 255)
    inked = ink > 0
    opacity = (ink[inked] * rng.uniform(0.85, 1))[:, None]
    canvas[inked] += opacity * (colour - canvas[inked])
    return canvas


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the true pixels; right and bottom are exclusive."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    """(1797, 8, 8) float in 0..1, how much ink each pixel holds, and (1797,) int, which digit it is."""
    from sklearn.datasets import load_digits  # takes most of a second, and most runs bring their own images

    digits = load_digits()
    return digits.images / 16, digits.target


@cache
def _photographs() -> list[np.ndarray]:
    """Four photographs, (height, width, 3) uint8: (427, 640) the first two, the others larger."""
    from sklearn.datasets import load_sample_images

    return [*load_sample_images().images, *(np.array(Image.open(ASSETS / name)) for name in ("bus.jpg", "zidane.jpg"))]


def _write(folder: Path, counts: dict[str, int]) -> None:
    for split, count in counts.items():
        images, labels = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for index in range(count):
            composed = scene(split, index)
            Image.fromarray(composed.pixels).save(images / f"{index:05}.jpg", quality=95, subsampling=0)
            (labels / f"{index:05}.txt").write_text("".join(_rows(composed)), encoding="utf-8", newline="\n")
    names = "".join(f'  {index}: "{name}"\n' for index, name in enumerate(NAMES))
    # no `path`: ultralytics then takes the folder of this file as the root, whatever the working directory is
    (folder / "data.yaml").write_text(
        f"train: images/train\nval: images/val\ntest: images/test\nnames:\n{names}", encoding="utf-8", newline="\n"
    )


def _rows(composed: Scene) -> list[str]:
    """Lines of an ultralytics label file: class, then centre x and y, width and height as shares of the side."""
    rows = []
    for index, (left, top, right, bottom) in zip(composed.classes, composed.boxes, strict=True):
        values = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
        rows.append(f"{index} {' '.join(f'{value / SIDE:.6f}' for value in values)}\n")
    return rows
