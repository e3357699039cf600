"""What is chosen for a limit of time, on a clock and accuracies that follow formulas."""

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from optimize.errors import TargetOutOfReach
from optimize.input_size import Size, square
from optimize.latency_work import Mixed, SizeChoice
from optimize.mix import mix as module
from optimize.mix.mix import Mix, best
from optimize.mix.originals import Original
from optimize.pruner.l2 import L2
from optimize.pruner.latency.deployment import Deployment
from optimize.pruner.settings import Pruning
from optimize.recover.finetune import Finetune
from optimize.recover.qat import Qat
from optimize.store.apply import report_of
from optimize.variant import Variant

FULL, PER_PIXEL = square(320), 10.0 / 320**2  # the original takes 10 ms in int8
INT8, BF16, FP32 = "openvino-int8", "openvino-bf16", "openvino-fp32"


@dataclass(frozen=True)
class Cut:
    """A stage in place of scan, cut and training: the share and the epochs are what a model is known by."""

    share: float
    epochs: int

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        if self.share > 0.5:
            raise TargetOutOfReach(f"prune={self.share} can't be reached")
        return replace(variant, tags=(*variant.tags, "pruned", str(self.share)))


def of_size(pixels: int) -> float:
    """Accuracy of the original at an input: 0.6 at its own, less for each pixel that is missing."""
    return 0.6 - 0.4 * (1 - pixels / FULL.pixels)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Chooses for a limit; `loses` gives the accuracy that a share costs."""
    paths = {}

    def chosen(limit, loses=lambda share: 0.2 * share, drops=(0.0, 0.0, 0.5), shape=None, epochs=8, scale=1.0):
        times = dict(zip((FP32, BF16, INT8), (24.0, 14.0, 10.0), strict=True))
        ways = [SimpleNamespace(deployment=deployment(name), elsewhere=False, name=name) for name in times]

        def score(variant):
            if "pruned" in variant.tags:
                return of_size(variant.imgsz.pixels) - loses(float(variant.tags[-1]))
            return of_size(variant.imgsz.pixels) + ("trained" in variant.tags) * 0.01

        def choice_score(variant):
            paths.setdefault("scored", []).append((variant.imgsz, variant.tags))
            return SimpleNamespace(score=score(variant), metric="mAP50-95")

        judge = SimpleNamespace(choice_score=choice_score, seed=0, store=tmp_path)
        images = SimpleNamespace(fingerprint="f", record=SimpleNamespace(described="87 validation images"))
        data = SimpleNamespace(choice_images=images, shape=shape)
        originals = [
            Original(Named(way.deployment), times[way.name], drop, True) for way, drop in zip(ways, drops, strict=True)
        ]
        monkeypatch.setattr(module, "measure_originals", lambda *_: originals)
        monkeypatch.setattr(
            module,
            "times_at",
            lambda way, model, full, whole, sizes, seed: {s: scale * whole * s.pixels / full.pixels for s in sizes},
        )
        monkeypatch.setattr(module, "load", lambda path: None)
        monkeypatch.setattr(module, "stride", lambda model: 32)
        monkeypatch.setattr("optimize.rivals.load", lambda path: None)
        monkeypatch.setattr("optimize.rivals.stride", lambda model: 32)
        monkeypatch.setattr(module, "apply", lambda stage, variant, store: stage(variant, tmp_path))
        monkeypatch.setattr(
            module, "shrink", lambda pruning, recovery: (Cut(pruning.share, sum(s.epochs for s in recovery)),)
        )
        monkeypatch.setattr(
            module.TrainRival,
            "__call__",
            lambda self, variant, folder: replace(variant, tags=(*variant.tags, "trained")),
        )
        recovery = (Finetune(None, epochs, Path("best.pt")), *([Qat(None, 1, 16, None, 0)] if epochs else []))
        mix = Mix(limit, Pruning(0, L2(), target="latency"), recovery, tuple(o.way for o in originals), data, judge)
        folder = tmp_path / "stage"
        folder.mkdir(exist_ok=True)
        (tmp_path / "best.pt").write_bytes(b"checkpoint")
        variant = Variant(tmp_path / "best.pt", "torch", "fp32", FULL)
        left = mix(variant, folder)
        assert left.path.read_bytes() == b"checkpoint" and not (folder / "begun.json").exists()
        mixed = report_of(left)
        assert isinstance(mixed, Mixed)
        return mixed, mix

    chosen.paths = paths
    return chosen


@dataclass(frozen=True)
class Named:
    deployment: Deployment
    elsewhere: bool = False

    def __str__(self) -> str:
        return str(self.deployment)


def deployment(name: str) -> Deployment:
    runtime, precision = name.split("-")
    return Deployment(runtime, precision, 2, "a cpu", "", "1", runtime=None, store=Path())


def test_where_the_original_meets_the_limit_nothing_is_changed(run):
    mixed, mix = run(11.0)
    assert (mixed.deployment, mixed.imgsz, mixed.share, mixed.trained, mixed.candidates) == (INT8, FULL, 0, False, ())
    assert mix.stages(mixed.deployment, mixed.share, mixed.trained, FULL) == ()
    assert [(one.deployment, one.milliseconds) for one in mixed.deployments] == [(INT8, 10), (BF16, 14), (FP32, 24)]
    assert run(15.0)[0].deployment == BF16  # int8 meets it too and loses 0.5 points


def test_the_smaller_input_is_taken_where_pruning_costs_more(run):
    """224 px need 4.9 ms, and 5.2 less 3 % are aimed at."""
    mixed, mix = run(5.2, loses=lambda share: 0.9 * share)
    assert (mixed.imgsz, mixed.share, mixed.trained) == (square(224), 0, True)
    assert mixed.aimed_ms == pytest.approx(5.044)
    (stage,) = mix.stages(mixed.deployment, mixed.share, mixed.trained, FULL)
    assert (type(stage).__name__, stage.epochs) == ("TrainRival", 8)
    untrained, _ = run(5.2, loses=lambda share: 0.9 * share, epochs=0)
    assert (untrained.imgsz, untrained.share, untrained.trained) == (square(224), 0, False)
    assert untrained.candidates[0].recovered is None


def test_the_full_input_is_taken_where_pruning_costs_little(run):
    """-49 % costs 0.05, and the smaller input 0.20; beyond -50 % nothing is reached."""
    mixed, mix = run(5.2, loses=lambda share: 0.1 * share)
    assert (mixed.imgsz, mixed.share) == (FULL, pytest.approx(1 - 0.97 * 5.2 / 10, abs=1e-3))
    assert mixed.epochs == 8
    (cut,) = mix.stages(mixed.deployment, mixed.share, mixed.trained, FULL)
    assert (cut.share, cut.epochs) == (mixed.share, 8 + 1)  # QAT as well


def test_a_mix_is_taken_where_each_alone_costs_more(run):
    """Pruning costs the square of the share, the input in proportion: best in between."""
    mixed, _ = run(6.0, loses=lambda share: 1.2 * share**2)
    sizes = [one.imgsz for one in mixed.candidates]
    assert sizes == sorted(sizes, key=lambda size: size.pixels) and len(sizes) == 3
    scores = {one.imgsz: one.recovered for one in mixed.candidates}
    assert mixed.imgsz == max(scores, key=scores.get)
    assert 0 < mixed.share < 1 - mixed.aimed_ms / 10
    for one in mixed.candidates:
        assert one.share == pytest.approx(max(0, 1 - mixed.aimed_ms / one.milliseconds), abs=1e-3)


def test_a_cut_out_of_reach_is_no_candidate(run):
    mixed, _ = run(4.4, loses=lambda share: 0.0)
    missing = [one for one in mixed.candidates if one.recovered is None]
    assert missing and all(one.share > 0.5 for one in missing)
    assert mixed.share <= 0.5


def test_the_precision_is_weighed_against_the_input_that_its_time_allows(run):
    """At 5 ms bf16 needs 0.36 of the pixels where int8 needs 0.49: 5 points of accuracy."""
    assert run(5.0, drops=(0.0, 0.0, 4.0))[0].deployment == INT8
    assert run(5.0, drops=(0.0, 0.0, 6.0))[0].deployment == BF16
    expected = {one.deployment: one.expected for one in run(5.0, drops=(0.0, 0.0, 4.0))[0].deployments}
    assert expected[FP32] is None  # far slower
    assert expected[INT8] == pytest.approx(of_size(FULL.pixels * 0.485) - 0.04)


def test_the_rectangle_that_images_fill_takes_the_place_of_the_square(run):
    mixed, _ = run(7.0, loses=lambda share: 0.9 * share, shape=(480, 640))
    assert {one.imgsz.height < one.imgsz.width for one in mixed.candidates} == {True}
    assert mixed.imgsz == Size(224, 288)  # 6.3 ms; 256x320 takes 8


def test_a_limit_below_everything_names_what_is_reachable(run):
    with pytest.raises(TargetOutOfReach, match=r"limits\.latency_ms=0\.05 .* openvino-int8 .* takes 0\.10 ms .* 32 px"):
        run(0.05)


def test_a_stopped_choice_goes_on_with_what_was_timed(run, monkeypatch, tmp_path):
    (tmp_path / "stage").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(Cut, "__call__", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(5.0)
    assert (tmp_path / "stage/begun.json").is_file()
    resumed, _ = run(5.0, scale=2.0)  # would be other times
    assert resumed.candidates[-1].milliseconds == pytest.approx(10.0)


def test_equal_accuracies_go_to_what_is_least_changed():
    common = {"milliseconds": 1.0, "untrained": 0.5}
    small = SizeChoice(square(64), share=0.0, recovered=0.5, **common)
    large = SizeChoice(square(96), share=0.4, recovered=0.5, **common)
    assert best([small, large]) == (square(64), 0.0, False)
    assert best([replace(small, recovered=0.51), large]) == (square(64), 0.0, True)
    with pytest.raises(TargetOutOfReach, match=r"a larger limit, a larger pruner\.max_ratio or pruner\.round_to=8"):
        best([replace(large, recovered=None)])
