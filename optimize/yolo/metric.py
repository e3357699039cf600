"""Which implementation computes the accuracy: ultralytics' own metric, or COCO's evaluation where it is asked for.

Stock `yolo val` decides that by what is installed and what a folder is called: on `coco/val2017.txt` or a path with
`lvis` it takes COCO's evaluation where `faster-coco-eval` works, and its own metric where not. Here `metric=` decides.
"""

from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from ultralytics.data.utils import check_det_dataset
from ultralytics.engine.validator import BaseValidator
from ultralytics.utils import LOGGER

from optimize.dataset import Dataset
from optimize.errors import InputError
from optimize.yolo.progress import stdout_to_stderr
from optimize.yolo.tasks import BY_NAME

ULTRALYTICS, COCO = "ultralytics", "coco"
PACKAGE = "faster-coco-eval"
BOXES, MASKS, KEYPOINTS = {"B": "bbox"}, {"M": "segm"}, {"P": "keypoints"}  # COCO's names by ultralytics' letters
JUDGED = {"detect": BOXES, "rtdetr": BOXES, "segment": BOXES | MASKS, "pose": BOXES | KEYPOINTS}
LEAVE = "leave metric= out for ultralytics' own metric"


def implementation(metric: str) -> str:
    """The library that computes the metric, with its version."""
    library = PACKAGE if metric == COCO else "ultralytics"
    return f"{library} {version(library)}"


def check_metric(metric: str, data: Dataset) -> None:
    """Check that `metric` can be computed on `data`.

    Raises:
        InputError: it is COCO's, and the package, the shape of the data set or its annotations are missing.
    """
    if metric != COCO:
        return
    if find_spec("faster_coco_eval") is None:
        raise InputError(f"metric=coco needs {PACKAGE}, which is not installed; run pip install '.[coco]', or {LEAVE}.")
    if data.task not in JUDGED:
        raise InputError(f"metric=coco is not for {data.task} models, but for {', '.join(JUDGED)}; {LEAVE}.")
    if data.report_images.split == "test":
        raise InputError(
            f"metric=coco judges the validation split, and data={data.yaml} has a test split, which would be reported; "
            f"give selection=val, or {LEAVE}."
        )
    with stdout_to_stderr():
        info = check_det_dataset(str(data.yaml), autodownload=False)
    file = _annotations(info["val"], data.task)
    if file is None:
        raise InputError(
            f"metric=coco needs a validation split in the shape of COCO or LVIS, a val2017.txt below a folder with "
            f"`coco` in its name or a path with `lvis`, and data={data.yaml} has {info['val']}; {LEAVE}."
        )
    if not (info["path"] / file).is_file():
        raise InputError(f"metric=coco needs {info['path'] / file}, which does not exist; put it there, or {LEAVE}.")
    if unnumbered := [image for image in data.val if not image.stem.isdecimal()]:
        raise InputError(
            f"metric=coco needs images that are named by their numbers in the annotations, and {unnumbered[0]} is not; "
            f"{LEAVE}."
        )


def _annotations(val: str | list[str], task: str) -> Path | None:
    """Where stock looks for the annotations of this split, relative to the data set; None where it isn't COCO's."""
    if not isinstance(val, str):
        return None
    if "coco" in val and Path(val).name == "val2017.txt":
        return Path("annotations", "person_keypoints_val2017.json" if task == "pose" else "instances_val2017.json")
    return Path("annotations", "lvis_v1_val.json") if "lvis" in val and task != "pose" else None


@dataclass(frozen=True)
class CocoEvaluation:
    """COCO's evaluation of one validation, in place of the one in `validator`, which is left out where it fails.

    Attributes:
        validator: ultralytics'.
        data: what it validates on.
        done: the finished evaluations by ultralytics' letter: `B` boxes, `M` masks, `P` keypoints.
    """

    validator: BaseValidator
    data: Dataset
    done: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.validator.eval_json = self._evaluate  # called with what ultralytics' own metric found, if anything was

    def _evaluate(self, stats: dict[str, Any]) -> dict[str, Any]:
        from faster_coco_eval import COCO as Annotations
        from faster_coco_eval import COCOeval_faster

        file = self.validator.data["path"] / _annotations(self.validator.data["val"], self.data.task)
        truth = Annotations(file)
        images = [int(Path(image).stem) for image in self.validator.dataloader.dataset.im_files]
        if unknown := set(images).difference(truth.getImgIds()):
            raise InputError(f"metric=coco: {file} has no image {min(unknown)}, which the split lists; {LEAVE}.")
        found = truth.loadRes(self.validator.jdict)
        for letter, kind in JUDGED[self.data.task].items():
            evaluation = COCOeval_faster(
                truth, found, iouType=kind, lvis_style=self.validator.is_lvis, print_function=LOGGER.info
            )
            evaluation.params.imgIds = images
            evaluation.run()
            stats[f"metrics/mAP50({letter})"] = evaluation.stats_as_dict["AP_50"]
            stats[f"metrics/mAP50-95({letter})"] = evaluation.stats_as_dict["AP_all"]
            self.done[letter] = evaluation
        return stats

    def classes(self) -> dict[str, float] | None:
        """The main metric of each class with objects; None where nothing was found, which ultralytics calls 0 as well.

        Raises:
            InputError: ultralytics does not take the data set for COCO's.
        """
        if not self.validator.args.save_json:
            raise InputError(f"metric=coco: ultralytics does not take {self.data.yaml} for COCO or LVIS; {LEAVE}.")
        main = next(iter(BY_NAME[self.data.task].metrics.values()))
        evaluation = self.done.get(main[-2])  # the letter in `metrics/mAP50-95(B)`
        if evaluation is None:
            return None
        numbers = {number: i for i, number in enumerate(self.validator.class_map)}
        every = evaluation.eval["precision"][:, :, :, 0, -1]  # IoU, recall, class; objects of all sizes
        precision = {numbers[number]: every[:, :, i] for i, number in enumerate(evaluation.params.catIds)}
        return {self.data.titles[i]: float(np.mean(at)) for i, at in sorted(precision.items()) if (at > -1).all()}
