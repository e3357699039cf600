"""Which images choices are made on, and which the report is of."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from optimize.data.selection import limited, separate
from optimize.dataset import Dataset, EvaluationImages


def data(count: int, test: int = 0, root: Path = Path("data")) -> Dataset:
    """Every image shows class 0, every fourth class 1 as well, every tenth class 2 alone, the last one nothing."""
    val, tested = (
        tuple(root / split / f"{i:04}.png" for i in range(n)) for split, n in (("val", count), ("test", test))
    )
    shown = {file: frozenset({2} if i % 10 == 9 else {0, 1} if i % 4 == 0 else {0}) for i, file in enumerate(val[:-1])}
    names = ("often", "some", "rare")
    return Dataset(root / "data.yaml", names, (), val, "f00d", classes=shown, test=tested, test_fingerprint="beef")


def test_with_a_test_split_choices_are_made_on_all_of_the_validation_split():
    choice, report = separate(data(20, test=7)).separated
    assert (choice.split, choice.files, choice.whole, choice.fingerprint) == ("val", data(20).val, True, "f00d")
    assert (report.split, len(report.files), report.whole, report.fingerprint) == ("test", 7, True, "beef")
    assert [part.record.described for part in (choice, report)] == ["20 validation images", "7 test images"]


def test_images_in_both_splits_are_reported_and_nothing_is_chosen_on_them():
    known = data(60, test=7)
    choice, report = separate(replace(known, test=(*known.test, *known.val[:5]))).separated
    assert (choice.files, len(report.files)) == (known.val[5:], 12)
    assert choice.record.described == "55 of 60 validation images"
    assert choice.fingerprint not in ("f00d", "beef")


def test_where_nearly_all_validation_images_are_tested_nothing_is_separated():
    known = data(60, test=7)
    assert separate(replace(known, test=(*known.test, *known.val[:11]))).separated is None  # 49 are left
    assert separate(replace(known, test=(*known.test, *known.val[:10]))).separated is not None


@pytest.mark.parametrize(
    ("count", "chosen"), [(149, None), (150, 50), (151, 50), (152, 50), (153, 51), (1500, 500), (1503, 500)]
)
def test_without_one_they_are_made_on_a_third_of_enough_validation_images(count, chosen):
    found = separate(data(count))
    if chosen is None:
        assert found.separated is None
        assert found.choice_images == found.report_images == EvaluationImages("val", found.val, count, "f00d")
        return
    choice, report = found.separated
    assert (len(choice.files), len(report.files)) == (chosen, count - chosen)
    assert sorted((*choice.files, *report.files)) == list(found.val)
    assert list(choice.files) == sorted(choice.files) and list(report.files) == sorted(report.files)
    assert {choice.split, report.split} == {"val"} and {choice.listed, report.listed} == {count}
    assert len({choice.fingerprint, report.fingerprint, found.fingerprint}) == 3
    assert choice.record.described == f"{chosen} of {count} validation images"


@pytest.mark.parametrize("count", [150, 301, 999, 3000])
def test_each_class_has_its_share_of_the_third(count):
    known = data(count)
    choice, _ = separate(known).separated
    everything = Counter(i for shown in known.classes.values() for i in shown)
    chosen = Counter(i for file in choice.files for i in known.classes.get(file, ()))
    share = len(choice.files) / count
    assert all(abs(chosen[i] - share * everything[i]) <= 2 for i in everything), (chosen, everything)


def test_the_third_is_the_same_in_every_folder_and_run_and_follows_the_content(tmp_path):
    here, there = separate(data(200)), separate(data(200, root=tmp_path))
    assert [file.name for file in here.choice_images.files] == [file.name for file in there.choice_images.files]
    assert here.choice_images.fingerprint == there.choice_images.fingerprint
    other = separate(replace(data(200), fingerprint="c0de"))
    assert other.choice_images.files == here.choice_images.files
    assert other.choice_images.fingerprint != here.choice_images.fingerprint


def test_no_training_depends_on_what_is_reported():
    assert repr(separate(data(200))) == repr(data(200)) == repr(data(200, test=7))


def test_few_images_are_a_balanced_part_of_each_set_and_the_whole_is_kept():
    known = separate(data(3000, test=600))
    few = limited(known, 120)
    choice, report = few.separated
    assert [part.record.described for part in (choice, report)] == [
        "120 of 3000 validation images",
        "120 of 600 test images",
    ]
    assert few.whole == known.report_images
    assert set(choice.files) < set(known.val) and set(report.files) < set(known.test)
    shown = Counter(i for file in choice.files for i in known.classes.get(file, ()))
    assert [round(shown[i] / 120, 2) for i in range(3)] == [0.9, 0.25, 0.1]
    assert len({part.fingerprint for part in (choice, report, known.choice_images, known.report_images)}) == 4


def test_where_the_images_are_few_already_nothing_is_left_out():
    for known in (data(40), separate(data(40, test=30)), separate(data(150))):
        assert limited(known, 100) == known
    only_choice = limited(separate(data(300, test=60)), 100)
    assert (only_choice.whole, len(only_choice.choice_images.files)) == (None, 100)
    assert only_choice.report_images.whole


def test_one_split_for_both_stays_one():
    few = limited(data(149), 60)
    assert few.choice_images == few.report_images
    assert (len(few.report_images.files), few.whole) == (60, data(149).validation_images)
