"""Tiny data sets as users have them: every way to list images, and everything that can be wrong with one of them."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from helpers.tiny_tasks import write_dataset

TASKS = ("detect", "segment", "pose", "obb", "classify")
JPEG_TAIL = b"\0\0 metadata that a phone wrote behind the image"


@dataclass(frozen=True)
class NastySet:
    """One data set: `data=` for it, its task, and whether its classes are taken for one."""

    name: str
    task: str
    data: Path
    single_cls: bool


def write_sets(root: Path) -> list[NastySet]:
    """All of them, each in a folder below `root`; paths in lists of images are as seen from `root`."""
    sets = []
    for task, name in names():
        folder = root / f"{task}-{name}".replace(" ", "-")
        data = write_dataset(folder, task, count=8)
        _changes(task)[name](folder)
        sets.append(NastySet(name, task, data, single_cls=name == "one class"))
    return sets


def names() -> list[tuple[str, str]]:
    """Task and name of each."""
    return [(task, name) for task in TASKS for name in _changes(task)]


def _changes(task: str) -> dict[str, Callable[[Path], None]]:
    return CLASSIFY if task == "classify" else ANY | OWN.get(task, {})


def append_to_jpeg(image: Image.Image, path: Path, orientation: int | None = None) -> None:
    """Write a JPEG, for a camera turned as `orientation` says, that does not end as a JPEG must."""
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    image.save(path, "JPEG", exif=exif)
    path.write_bytes(path.read_bytes() + JPEG_TAIL)


def turn_into_jpeg(png: Path, orientation: int | None = None) -> None:
    """Replace a PNG by such a JPEG."""
    with Image.open(png) as image:
        append_to_jpeg(image.resize((48, 64)), png.with_suffix(".jpg"), orientation)
    png.unlink()


def _hide(folder: Path) -> None:
    for images in _image_folders(folder):
        (images / "._0.png").write_bytes(b"\0\5\26\7Mac OS X")
        (images / ".1.png").write_bytes((images / _first(images)).read_bytes())
        if "labels" in {path.name for path in folder.iterdir()}:  # elsewhere a folder is a class
            (images / ".ipynb_checkpoints").mkdir()
            (images / ".ipynb_checkpoints" / "0-checkpoint.png").write_bytes((images / _first(images)).read_bytes())
    for cache in ("train.cache", "val.cache", "labels/train.cache", "labels/val.cache"):
        if (folder / cache).parent.is_dir():
            (folder / cache).write_bytes(b"another program's")


def _damage(folder: Path) -> None:
    for split in ("train", "val"):
        files = sorted(folder.glob(f"images/{split}/*.png")) or sorted(folder.glob(f"{split}/*/*.png"))
        files[0].write_bytes(b"no image")
        files[1].write_bytes(files[1].read_bytes()[:150])
        files[2].write_bytes(b"")
        Image.new("RGB", (8, 8)).save(files[3])
        turn_into_jpeg(files[4])
        turn_into_jpeg(files[5], orientation=6)
        half = files[6].with_suffix(".jpg")
        Image.open(files[6]).save(half)
        half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
        files[6].unlink()


def _several_folders(folder: Path) -> None:
    for kind in ("images", "labels"):
        (folder / kind / "more").mkdir()
        for file in sorted((folder / kind / "val").iterdir())[:3]:
            file.rename(folder / kind / "more" / f"m{file.name}")
    _edit_yaml(folder, "train: [images/train, images/more]", "val: [images/more, images/val]")


def _list_with_bom(folder: Path) -> None:
    for split in ("train", "val"):
        lines = [f"./images/{split}/{i}.png" for i in (2, 0, 1, 5)]
        (folder / f"{split}.txt").write_text("\n".join([*lines, "", "./readme.md"]), encoding="utf-8-sig")
    _edit_yaml(folder, "train: train.txt", "val: val.txt")


def _list_from_here(folder: Path) -> None:
    """Lines as seen from the working directory, absolute ones, one twice, and one that does not exist."""
    for split in ("train", "val"):
        images = folder.relative_to(folder.parent) / "images" / split
        lines = [images / "0.png", folder / "images" / split / "1.png", images / "3.png", images / "3.png"]
        (folder / f"{split}.txt").write_text("\r\n".join(map(str, [*lines, images / "none.png"])))
    _edit_yaml(folder, "train: train.txt", "val: [val.txt, images/train]")


def _links(folder: Path) -> None:
    """Images and labels lie elsewhere; in the validation folder lie a linked folder and a linked file."""
    (folder / "real").mkdir()
    for kind, ending in (("images", "png"), ("labels", "txt")):
        os.rename(folder / kind, folder / "real" / kind)
        (folder / kind).symlink_to(f"real/{kind}")
        (folder / kind / "val" / "linked").symlink_to("../train")
        (folder / kind / "val" / f"more.{ending}").symlink_to(f"../train/3.{ending}")


def _linked_split(folder: Path) -> None:
    """ultralytics looks for the labels where the images really are."""
    os.rename(folder / "images" / "train", folder / "real")
    (folder / "images" / "train").symlink_to("../real")


def _class_links(folder: Path) -> None:
    os.rename(folder / "train" / "class1", folder / "elsewhere")
    (folder / "train" / "class1").symlink_to("../elsewhere")
    (folder / "val" / "class0" / "more.png").symlink_to("../../train/class0/0.png")


def _labels(folder: Path) -> None:
    """A file of labels for each thing that can be wrong with one, and some that look wrong and are not."""
    for split in ("train", "val"):
        label = [folder / "labels" / split / f"{i}.txt" for i in range(8)]
        row = label[0].read_text().strip()
        more = row.split(maxsplit=1)[1]
        label[0].write_text(row, encoding="utf-8-sig")
        label[1].write_text(f"1 {more}\n\n1 {more}\n0 {more}\n")  # one of them twice
        label[2].write_text("")
        label[3].unlink()
        label[4].write_text(f"{row}\n0 1.5 {more.split(maxsplit=1)[1]}\n")
        label[5].write_text(f"7 {more}\n")
        label[6].write_text(f"{row}\n0 -0.5 {more.split(maxsplit=1)[1]}\n")


def _broken_rows(folder: Path) -> None:
    for split in ("train", "val"):
        label = [folder / "labels" / split / f"{i}.txt" for i in range(8)]
        row = label[0].read_text().strip()
        label[0].write_text(f"{row} 0.9\n")  # a confidence behind it, as save_conf=True writes
        label[1].write_text(f"{row}\n0 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9\n{row[:-4]}\n")
        label[2].write_text(f"cat {row[2:]}\n")
        label[3].write_text(f"0.5 {row[2:]}\n")
        label[4].write_text(f"{row}\n0 0.5 0.5\n")
        label[5].write_text(row.replace(" ", "\t") + " \r\n")


def _mixed(folder: Path) -> None:
    """Boxes and polygons in one file, boxes in one and polygons in another file."""
    for split in ("train", "val"):
        label = [folder / "labels" / split / f"{i}.txt" for i in range(8)]
        polygon = "0 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9\n"
        label[0].write_text(label[0].read_text() + polygon)
        label[1].write_text(polygon)
        label[2].write_text(f"{polygon}1 0.2 0.2 0.8 0.2 0.5 0.9\n")


def _boxes_only(folder: Path) -> None:
    (folder / "labels" / "val" / "1.txt").write_text("0 0.5 0.5 0.2 0.2\n")


def _two_dimensions(folder: Path) -> None:
    """Keypoints without visibility; a negative one is not labelled."""
    for label in folder.glob("labels/*/*.txt"):
        numbers = label.read_text().split()
        label.write_text(" ".join([*numbers[:7], *numbers[8:10]]) + "\n")
    (folder / "labels" / "val" / "0.txt").write_text("0 0.5 0.5 0.9 0.9 -0.005 -0.005 0.9 0.9\n")
    _edit_yaml(folder, "kpt_shape: [2, 2]")


def _nothing_left(folder: Path) -> None:
    for label in folder.glob("labels/val/*.txt"):
        label.write_text("0 5 5 5 5\n")


def _other_folders(folder: Path) -> None:
    """Classes that only one split has, images outside of all classes and deeper inside, and `valid` for `val`."""
    os.rename(folder / "val", folder / "valid")
    os.rename(folder / "valid" / "class2", folder / "valid" / "class9")
    os.rename(folder / "valid" / "class1" / "1.png", folder / "valid" / "1.png")
    (folder / "train" / "class0" / "deeper").mkdir()
    os.rename(folder / "train" / "class0" / "0.png", folder / "train" / "class0" / "deeper" / "0.png")


def _image_folders(folder: Path) -> list[Path]:
    return (
        [folder / "images" / "train", folder / "images" / "val"]
        if (folder / "images").is_dir()
        else [folder / split / "class0" for split in ("train", "val")]
    )


def _first(folder: Path) -> str:
    return sorted(path.name for path in folder.iterdir() if path.name[0] != ".")[0]


def _edit_yaml(folder: Path, *lines: str) -> None:
    keys = {line.split(":")[0] for line in lines}
    kept = [line for line in (folder / "data.yaml").read_text().splitlines() if line.split(":")[0] not in keys]
    (folder / "data.yaml").write_text("\n".join([*lines, *kept]) + "\n")


def _unchanged(folder: Path) -> None:
    pass


ANY = {
    "folders": _unchanged,
    "hidden files": _hide,
    "several folders": _several_folders,
    "list with a BOM": _list_with_bom,
    "list from here": _list_from_here,
    "links": _links,
    "a linked split": _linked_split,
    "damaged images": _damage,
    "wrong labels": _labels,
    "one class": _labels,
    "nothing left": _nothing_left,
}
OWN = {
    "detect": {"broken rows": _broken_rows, "boxes and polygons": _mixed},
    "segment": {"one plain box": _boxes_only},
    "pose": {"broken rows": _broken_rows, "two dimensions": _two_dimensions},
    "obb": {"one plain box": _boxes_only},
}
CLASSIFY = {
    "folders": _unchanged,
    "hidden files": _hide,
    "links": _class_links,
    "damaged images": _damage,
    "other folders": _other_folders,
    "one class": _unchanged,
}


def state(root: Path) -> dict[str, tuple]:
    """Of everything below `root`: what it is, its content, and when it was changed."""
    found = {}
    for path in sorted(root.rglob("*")):
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(root))] = content, path.lstat().st_mtime_ns, path.lstat().st_ino
    return found
