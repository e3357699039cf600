"""The oracle: stock ultralytics, in a process that never saw our package, and we read the same of every data set.

`PYTHONPATH=tests python tests/yolo/test_dataset_oracle.py` prints the table.
"""

import json
import os
import pickle
import subprocess
import sys
import tempfile
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from helpers import ROOT
from helpers.nasty_sets import TASKS, NastySet, names, state, write_sets
from helpers.stock_reads import read
from optimize.dataset import Dataset
from optimize.errors import InputError
from optimize.yolo.dataset import resolve

pytestmark = pytest.mark.command

SPLITS = ("train", "val")


@dataclass(frozen=True)
class Case:
    """One data set as stock reads it, as our trainings and validations read it, and our record of it or refusal."""

    given: NastySet
    root: Path
    stock: dict
    ours: dict
    record: Dataset | str
    changed: list[str]

    @property
    def refused(self) -> list[str]:
        return [answer for answer in self.stock.values() if isinstance(answer, str)]


def read_all(folder: Path) -> list[Case]:
    """Every set twice, from two equal trees: stock writes into the one that it reads."""
    theirs, ours = folder / "stock", folder / "ours"
    asked = [(one.task, str(one.data), one.single_cls) for one in write_sets(theirs)]
    (theirs / "sets.json").write_text(json.dumps(asked))
    script = [sys.executable, str(ROOT / "tests/helpers/stock_reads.py"), "sets.json", "read.pickle"]
    script[2:] = [str(theirs / name) for name in script[2:]]
    quiet = {"YOLO_VERBOSE": "false", "YOLO_AUTOINSTALL": "false", "PYTHONPATH": ""}
    subprocess.run(script, cwd=theirs, env=os.environ | quiet, check=True, capture_output=True)
    stock = pickle.loads((theirs / "read.pickle").read_bytes())
    cases = []
    with chdir(ours.mkdir() or ours):
        for one, answer in zip(write_sets(ours), stock, strict=True):
            before = state(ours)
            try:
                record = resolve(str(one.data), one.task, one.single_cls)
            except InputError as error:
                record = str(error)
            loaded = {split: read(one.task, str(one.data), one.single_cls, split, ours) for split in SPLITS}
            after = state(ours)
            changed = [path for path in before | after if before.get(path) != after.get(path)]
            cases.append(Case(one, ours, answer, loaded, record, changed))
    return cases


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> dict[str, Case]:
    found = read_all(tmp_path_factory.mktemp("oracle"))
    return {f"{case.given.task} {case.given.name}": case for case in found}


@pytest.mark.parametrize("name", [f"{task} {name}" for task, name in names()])
def test_a_data_set_is_what_stock_ultralytics_sees(name, cases):
    case = cases[name]
    assert case.changed == []
    if case.refused:
        assert isinstance(case.record, str)
        return
    for split in SPLITS:
        stock, loaded = case.stock[split], case.ours[split]
        assert loaded.keys() == stock.keys()
        assert (loaded["images"], loaded["listed"]) == (stock["images"], stock["listed"])
        for field in stock.keys() - {"images", "listed"}:
            for ours, theirs in zip(loaded[field], stock[field], strict=True):
                assert ours.shape == theirs.shape
                np.testing.assert_allclose(ours, theirs, rtol=0, atol=0 if field == "pixels" else 1e-6)
        images = [os.path.relpath(image, case.root) for image in getattr(case.record, split)]
        assert images == stock["images"]
        assert left_out(case, split) == len(missing(stock)) + outside_of_all_classes(case, split)
    labelled = [pair for split in SPLITS for pair in zip(*of(case.stock[split]), strict=True)]
    shown = {image: set(cls.flatten().astype(int)) for image, cls in labelled}
    assert {os.path.relpath(image, case.root): set(on) for image, on in case.record.classes.items()} == shown


def of(answer: dict) -> tuple[list, list]:
    return answer["images"], answer["cls"]


def missing(answer: dict) -> list[str]:
    """Listed and not kept; hidden files, which classification lists, are no images of the user's."""
    return [name for name in answer["listed"] if name not in answer["images"] and "/._" not in name]


def left_out(case: Case, split: str) -> int:
    return sum(record.images for record in case.record.left_out if record.split == split)


def outside_of_all_classes(case: Case, split: str) -> int:
    """Images that stock's classification does not even list."""
    return int((case.given.task, case.given.name, split) == ("classify", "other folders", "val"))


def test_the_sets_are_as_nasty_as_they_claim(cases):
    """Else all of the above would say nothing."""
    for case in cases.values():
        if case.given.name in ("damaged images", "wrong labels", "broken rows"):
            assert all(missing(case.stock[split]) for split in SPLITS), case.given
            assert all(case.stock[split]["images"] for split in SPLITS)
    assert len(cases) >= 30 and min(sum(c.given.task == task for c in cases.values()) for task in TASKS) >= 6
    refused = {name for name, case in cases.items() if case.refused}
    boxes = {"segment one plain box", "obb one plain box"}
    nothing = {f"{task} {name}" for task in TASKS[:-1] for name in ("nothing left", "a linked split")}
    assert refused == boxes | nothing


def table(cases: list[Case]) -> str:
    """A line for every set and split."""
    lines = [f"{'task':9}{'set':20}{'split':6}{'listed':>7}{'stock':>6}{'ours':>6}{'objects':>8}  equal  reasons"]
    for case in cases:
        for split in SPLITS:
            stock, loaded = case.stock[split], case.ours[split]
            head = f"{case.given.task:9}{case.given.name:20}{split:6}"
            if isinstance(stock, str) or isinstance(case.record, str):
                said = stock if isinstance(stock, str) else "(its other split is refused)"
                lines.append(f"{head}{'':27}  refused: {' '.join(said.split())[:90]}")
                continue
            equal = all(
                len(stock[field]) == len(loaded[field]) and all(map(np.array_equal, stock[field], loaded[field]))
                for field in stock
            )
            reasons = [record.reasons for record in case.record.left_out if record.split == split]
            counts = f"{len(stock['listed']):7}{len(stock['images']):6}{len(getattr(case.record, split)):6}"
            objects = sum(map(len, stock["cls"]))
            lines.append(f"{head}{counts}{objects:8}  {'yes' if equal else 'NO':5}  {reasons[0] if reasons else ''}")
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(table(read_all(Path(folder))))
