"""Find a data set the way ultralytics does, and refuse one that can't be measured on."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from ultralytics.data.utils import IMG_FORMATS, check_det_dataset, img2label_paths

from optimize.data.dataset import Dataset
from optimize.errors import InputError


def resolve(data: str) -> Dataset:
    """The data set of a data.yaml, or of any name that ultralytics knows (downloaded where there is a network).

    Raises:
        InputError: the yaml or a folder is missing, a split has no pictures or no labels, or a class is unknown.
    """
    try:
        info = check_det_dataset(data)
    except Exception as error:  # ultralytics raises anything from SyntaxError to FileNotFoundError here
        reason = " ".join(str(error).replace("❌", "").split()).split(" Note dataset download")[0]
        raise InputError(f"data={data} can't be used: {reason}; give a data.yaml with train, val and names.") from error
    yaml, names = Path(info["yaml_file"]), tuple(info["names"][i] for i in range(info["nc"]))
    splits = {split: tuple(sorted(_pictures(data, split, info[split]))) for split in ("train", "val")}
    total = sha256(repr(names).encode())
    for split, pictures in splits.items():
        if not pictures:
            raise InputError(
                f"data={data} has no pictures in its {split} split ({info[split]}); check the path in {yaml}."
            )
        if not _hash_labels(data, pictures, len(names), total):
            raise InputError(
                f"data={data} has no labels for its {split} split; put a .txt per picture into the folder labels, "
                "beside images."
            )
    return Dataset(yaml, names, splits["train"], splits["val"], total.hexdigest()[:16])


def _pictures(data: str, split: str, sources: str | list[str]) -> Iterator[Path]:
    """Pictures of a split, given as a folder, a text file of paths, or a list of these."""
    for source in [sources] if isinstance(sources, str) else sources:
        path = Path(source)
        if path.is_dir():
            found = path.rglob("*")
        elif path.is_file():
            lines = path.read_text().split("\n")
            found = (path.parent / line.strip() for line in lines if line.strip())
        else:
            raise InputError(f"data={data} names {path} for its {split} split, which does not exist; check the yaml.")
        yield from (p for p in found if p.suffix[1:].lower() in IMG_FORMATS)


def _hash_labels(data: str, pictures: tuple[Path, ...], classes: int, total) -> int:
    """Add every picture and its labels to the hash `total`; return the number of labelled objects."""
    objects = 0
    for picture, label in zip(pictures, img2label_paths([str(p) for p in pictures]), strict=True):
        if not picture.is_file():
            raise InputError(
                f"data={data} lists the picture {picture}, which does not exist; check the list of pictures."
            )
        stat = picture.stat()
        total.update(f"{picture.parent.name}/{picture.name} {stat.st_size} {stat.st_mtime_ns}".encode())
        if not Path(label).is_file():
            continue
        text = Path(label).read_bytes()
        total.update(text)
        for line in text.decode(errors="replace").splitlines():
            if not line.strip():
                continue
            first = line.split()[0]
            try:
                known = 0 <= int(float(first)) < classes
            except ValueError:
                known = False
            if not known:
                raise InputError(
                    f"{label} has the class {first}, but data={data} has classes 0 to {classes - 1}; mend the label."
                )
            objects += 1
    return objects
