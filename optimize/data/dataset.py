"""A data set as every stage sees it: its yaml, its pictures, and a fingerprint of its content."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Dataset:
    """A data set in ultralytics' format.

    Only the fingerprint takes part in `repr`, and so in a stage's identity: the same content in another folder is the
    same data set, and changed content is another one.

    Attributes:
        yaml: the data.yaml; for `classify` the folder that holds a folder per split.
        names: class names, in the order of their ids.
        train: pictures of the training split.
        val: pictures of the validation split.
        fingerprint: 16 hex digits over class names, labels, and names, sizes and dates of the pictures.
        task: of the models that read it: `detect`, `segment`, `pose`, `obb`, `classify`, or `rtdetr`, which detects but
            sees pictures in another form.
        keypoints: for `pose`, how many an object has and the numbers of each (2, or 3 with its visibility).
    """

    yaml: Path = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    train: tuple[Path, ...] = field(repr=False)
    val: tuple[Path, ...] = field(repr=False)
    fingerprint: str
    task: str = "detect"
    keypoints: tuple[int, ...] | None = field(default=None, repr=False)
