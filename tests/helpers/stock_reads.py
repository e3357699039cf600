"""What ultralytics' dataset classes load. As a command it never imports our package, so that what it says is stock's.

python tests/helpers/stock_reads.py SETS.json READ.pickle
"""

import json
import os
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np


def read(task: str, data: str, single_cls: bool, split: str, root: Path) -> dict[str, Any] | str:
    """What the dataset of a training (`train`) or of a validation (`val`) holds; the exception where it ends in one.

    Files are told as seen from `root`. `pixels` are those that a training or validation decodes.
    """
    from ultralytics.cfg import get_cfg
    from ultralytics.data import ClassificationDataset, build_yolo_dataset
    from ultralytics.data.utils import check_cls_dataset, check_det_dataset

    def name(file: str) -> str:
        return os.path.relpath(os.path.abspath(file), root)

    args = get_cfg(overrides={"task": task, "single_cls": single_cls, "imgsz": 64, "mosaic": 0.0})
    info = (check_cls_dataset if task == "classify" else check_det_dataset)(data)
    if single_cls:
        info |= {"names": {0: "item"}, "nc": 1}
    try:
        if task == "classify":
            found = ClassificationDataset(
                info[split], args, augment=split == "train", prefix=split, names=info["names"]
            )
            files = [sample[0] for sample in found.samples]
            return {
                "images": [name(file) for file in files],
                "listed": [name(sample[0]) for sample in found.base.samples],
                "cls": [np.array([[sample[1]]]) for sample in found.samples],
                "pixels": [np.asarray(found.imread(file)) for file in files],
            }
        found = build_yolo_dataset(args, info[split], 4, info, mode=split)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return {
        "images": [name(file) for file in found.im_files],
        "listed": [name(file) for file in found.get_img_files(info[split])],
        "shapes": [np.array(label["shape"]) for label in found.labels],
        "cls": [label["cls"] for label in found.labels],
        "boxes": [label["bboxes"] for label in found.labels],
        "polygons": [np.concatenate([np.zeros((0, 2)), *label["segments"]]) for label in found.labels],
        "points of polygons": [np.array([len(points) for points in label["segments"]]) for label in found.labels],
        "keypoints": [np.zeros(0) if label["keypoints"] is None else label["keypoints"] for label in found.labels],
        "pixels": [found.load_image(i)[0] for i in range(len(found))],
    }


if __name__ == "__main__":
    given = SimpleNamespace(sets=Path(sys.argv[1]), target=Path(sys.argv[2]))
    answers = [
        {split: read(*one, split, given.sets.parent) for split in ("train", "val")}
        for one in json.loads(given.sets.read_text())
    ]
    assert "optimize" not in sys.modules
    given.target.write_bytes(pickle.dumps(answers))
