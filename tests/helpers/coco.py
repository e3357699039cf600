"""A tiny data set in the shape of COCO: `coco/val2017.txt`, with its annotations where stock ultralytics looks."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from helpers.tiny_tasks import write_dataset

SIDE = 64
STEMS = {"detect": "instances", "rtdetr": "instances", "segment": "instances", "pose": "person_keypoints"}


def write_coco(root: Path, task: str) -> Path:
    """The data.yaml of 8 images with an object each; COCO's numbers of the classes 0 and 1 are 1 and 2."""
    yaml = write_dataset(root / "coco", task)
    for split, name in (("train", "train2017"), ("val", "val2017")):
        images = sorted((root / "coco" / "images" / split).glob("*.png"))
        (root / "coco" / f"{name}.txt").write_text("".join(f"./images/{split}/{image.name}\n" for image in images))
    yaml.write_text(
        yaml.read_text()
        .replace("train: images/train", "path: .\ntrain: train2017.txt")
        .replace("val: images/val", "val: val2017.txt")
    )
    yaml.write_text(yaml.read_text().replace("path: .", f"path: {yaml.parent.as_posix()}"))
    if task == "pose":  # COCO's error of each of its 17 keypoints is in the evaluation
        _seventeen(root / "coco")
    annotations = root / "coco" / "annotations" / f"{STEMS[task]}_val2017.json"
    annotations.parent.mkdir()
    annotations.write_text(json.dumps(_annotations(root / "coco", task)))
    return yaml


def _seventeen(root: Path) -> None:
    for file in root.glob("labels/*/*.txt"):
        words = file.read_text().split()
        file.write_text(" ".join((words * 5)[:5] + (words[5:8] + words[8:11]) * 8 + words[5:8]) + "\n")
    yaml = root / "data.yaml"
    yaml.write_text(yaml.read_text().replace("kpt_shape: [2, 3]", "kpt_shape: [17, 3]"))


def _annotations(root: Path, task: str) -> dict:
    images, objects = [], []
    for file in sorted((root / "labels" / "val").glob("*.txt")):
        number, (kind, *values) = int(file.stem), map(float, file.read_text().split())
        width, height = Image.open(root / "images" / "val" / f"{file.stem}.png").size
        images.append({"id": number, "width": width, "height": height, "file_name": f"{file.stem}.png"})
        if task == "segment":
            corners = np.array(values).reshape(-1, 2) * (width, height)
            (left, top), (wide, high) = corners.min(0), np.ptp(corners, 0)
        else:
            x, y, wide, high = np.array(values[:4]) * (width, height, width, height)
            left, top = x - wide / 2, y - high / 2
        box = [float(value) for value in (left, top, wide, high)]
        one = {"id": len(objects) + 1, "image_id": number, "category_id": int(kind) + 1, "iscrowd": 0}
        one |= {"bbox": box, "area": float(wide * high)}
        if task == "segment":
            one["segmentation"] = [corners.ravel().tolist()]
        if task == "pose":
            points = np.array(values[4:]).reshape(-1, 3) * (width, height, 1)
            one |= {"keypoints": points.ravel().tolist(), "num_keypoints": len(points)}
        objects.append(one)
    return {"images": images, "annotations": objects, "categories": [{"id": i, "name": f"class{i}"} for i in (1, 2)]}
