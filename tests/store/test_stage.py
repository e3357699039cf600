"""A variant is made once, whole or not at all."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from optimize.input_size import square
from optimize.store.apply import apply
from optimize.variant import Variant


@dataclass(frozen=True)
class Write:
    text: str

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        calls.append(self.text)
        target = folder / "model"
        target.write_text(self.text)
        if self.text == "killed":
            raise KeyboardInterrupt
        return replace(variant, path=target, tags=(*variant.tags, "written"))


@dataclass(frozen=True)
class Nothing:
    def __call__(self, variant: Variant, folder: Path) -> Variant:
        return variant


calls: list[str] = []


@pytest.fixture
def original(tmp_path) -> Variant:
    calls.clear()
    return Variant(tmp_path / "a.pt", "torch", "fp32", square(64), steps=("a",))


def test_equal_work_is_done_once(original, tmp_path):
    first = apply(Write("x"), original, tmp_path)
    assert apply(Write("x"), original, tmp_path) == first
    assert calls == ["x"]
    assert first.path.read_text() == "x"
    assert first.name == "written"
    assert first.steps == ("a", f"{__name__}.Write(text='x')")


def test_other_settings_or_another_history_are_other_work(original, tmp_path):
    apply(Write("x"), original, tmp_path)
    apply(Write("y"), original, tmp_path)
    apply(Write("x"), original.after("b"), tmp_path)
    assert calls == ["x", "y", "x"]


def test_a_killed_stage_leaves_no_variant_and_its_work_to_go_on_from(original, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        apply(Write("killed"), original, tmp_path)
    assert not list(tmp_path.glob("*/variant.json"))
    assert [p.read_text() for p in tmp_path.glob("*.partial/model")] == ["killed"]


def test_an_artefact_that_was_changed_is_made_again(original, tmp_path):
    made = apply(Write("x"), original, tmp_path)
    made.path.write_text("damaged")
    assert apply(Write("x"), original, tmp_path).path.read_text() == "x"
    assert calls == ["x", "x"]


def test_a_stage_with_nothing_to_do_returns_the_variant_itself_and_keeps_nothing(original, tmp_path):
    assert apply(Nothing(), original, tmp_path) is original
    assert [p for p in tmp_path.iterdir() if p.is_dir()] == []
