"""The int8 stage as a whole: what it may lose, what it tries, and what goes back to float where it loses too much.

The judge is a stand-in that looks into the file, since a network with random weights has no accuracy to lose.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import onnx
import pytest

from helpers.commands import command
from helpers.hard import harden
from helpers.lively import lively, write_blocks
from helpers.messages import like, says
from helpers.quantized import quantized
from helpers.runtimes import ALL
from optimize.data.calibration import CalibrationImages, calibration_images
from optimize.dataset import Dataset
from optimize.errors import InputError
from optimize.host.cpu import int8_cpu
from optimize.identity import identity
from optimize.input_size import square
from optimize.measure.accuracy import Accuracy
from optimize.measure.cost import Cost
from optimize.quant import fallback
from optimize.quant.fallback import WORST, Trial
from optimize.quant.int8 import Int8, fastest
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.runtime.openvino.device import read
from optimize.runtime.session import Quantizer
from optimize.variant import Variant
from optimize.variants import Model, _in_precision
from optimize.yolo.checkpoint import load, save

RUNTIMES = {runtime.info.name: runtime for runtime in (OnnxRuntime(), OpenVino())}
FLOAT_SCORE = 0.5


@pytest.fixture(scope="module", autouse=True)
def calibrated_and_ranked_once():
    """Both take many seconds, and a quantizer that has written a file writes the next as if it were the first."""
    with pytest.MonkeyPatch.context() as patch:
        for runtime in (OnnxRuntime, OpenVino):
            patch.setattr(runtime, "quantizer", calibrated_once(runtime.quantizer))
        patch.setattr(fallback, "rank", cache(fallback.rank))
        yield


def calibrated_once(calibrate: Callable[..., Quantizer]) -> Callable[..., Quantizer]:
    made = {}

    def quantizer(self, path: Path, images: CalibrationImages, recipe) -> Quantizer:
        key = (path, images.files, recipe)
        if key not in made:
            made[key] = calibrate(self, path, images, recipe)
        return made[key]

    return quantizer


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("images")
    return Dataset(folder / "x.yaml", ("class0", "class1"), write_blocks(folder, 8, 0), (), "f00d")


@pytest.fixture(scope="module")
def hard(tmp_path_factory) -> Path:
    """Float-equal to a lively yolov8n, with a dead channel of large weights in every bottleneck."""
    path = tmp_path_factory.mktemp("model") / "hard.pt"
    model = load(lively("yolov8n.yaml", path))
    harden(model, times=200)
    save(model, path)
    return path


@pytest.fixture(scope="module")
def exported(hard, tmp_path_factory) -> dict[str, Variant]:
    model = Variant(hard, "torch", "fp32", square(64), steps=("hard",))
    return {name: runtime.export(model, tmp_path_factory.mktemp(name)) for name, runtime in RUNTIMES.items()}


def hard_layers_in_int8(variant: Variant) -> int:
    """How many of the hardened convolutions, the second of each bottleneck, the file has in int8."""
    if variant.runtime == "openvino":
        convolutions = [op for op in read(variant.path).get_ops() if op.get_type_name() == "Convolution"]
        weights = {op.get_friendly_name(): op.input_value(1).get_node().get_type_name() for op in convolutions}
        return sum(".m.0.cv2" in name or ".m.1.cv2" in name for name, kind in weights.items() if kind != "Constant")
    graph = onnx.load(variant.path).graph
    stored = {tensor.name for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv" and node.input[1] not in stored]
    return sum(node.name.endswith("/cv2/conv/Conv") and "/m." in node.name for node in convolutions)


@dataclass(frozen=True)
class Judge:
    """A point is lost for every hardened layer in int8, and `always` for being int8.

    `speeds` are those of a benchmark, the first is the float's; `trained` is what a training for int8 gives back.
    """

    speeds: tuple[float, ...] = ()
    always: float = 0.0
    trained: float = 0.0
    threads: int = 1

    def built(self, variant: Variant) -> Variant:
        return variant

    def count(self, variant: Variant):
        return RUNTIMES[variant.runtime].count(variant)

    def choice_score(self, variant: Variant) -> Accuracy:
        if variant.precision != "int8":
            return Accuracy({"mAP50-95": FLOAT_SCORE}, 8, {})
        lost = self.always + 0.01 * hard_layers_in_int8(variant) - self.trained * ("qat" in variant.tags)
        return Accuracy({"mAP50-95": FLOAT_SCORE - lost}, 8, {})

    def runtime(self, variant: Variant):
        return ALL[variant.runtime]

    def time(self, variants: list[Variant]):
        speeds = self.speeds or (1.0, *(2 - 0.1 * i for i in range(len(variants))))
        return SimpleNamespace(latencies=[SimpleNamespace(speedup=speed) for speed in speeds[: len(variants)]])


def made(variant: Variant, folder: Path, **settings) -> tuple[Variant, dict]:
    result = Int8(**settings)(variant, folder)
    return result, json.loads((folder / "report.json").read_text())


@pytest.mark.command
@pytest.mark.parametrize("name", RUNTIMES)
def test_noise_names_the_layers_that_int8_hurts(name, exported, data, tmp_path):
    source = exported[name]
    quantizer = RUNTIMES[name].quantizer(
        source.path, calibration_images(data, 8, 0, square(64)), RUNTIMES[name].int8_recipes(int8_cpu())[0]
    )
    assert hard_layers_in_int8(quantized(source, data, tmp_path)) == 10  # bottlenecks of yolov8n
    ranked = fallback.rank(quantizer, source.path)
    assert sorted(layer for layer, _ in ranked) == sorted(quantizer.layers)
    assert all("cv2" in layer and ".m" in layer.replace("/m", ".m") for layer, _ in ranked[:3])
    assert ranked[0][1] > 0.5  # dB


@pytest.mark.command
@pytest.mark.parametrize("name", RUNTIMES)
def test_layers_return_to_float_one_by_one_until_it_holds(name, exported, data, tmp_path):
    result, report = made(exported[name], tmp_path, data=data, judge=Judge(), max_drop=8.5)
    assert report["reached"]
    assert report["drop"] == pytest.approx(8)
    back = [entry["layer"] for entry in report["float_layers"]]
    assert len(set(back)) == len(back)
    assert [round(entry["drop"]) for entry in report["float_layers"]][-1] == 8
    assert 10 - hard_layers_in_int8(result) == sum("cv2" in layer and "m." in layer for layer in back) == 2
    slower = [(2 - 0.1 * i) / (2 - 0.1 * (i + 1)) - 1 for i in range(len(back))]
    assert [entry["slower"] for entry in report["float_layers"]] == pytest.approx(slower)
    assert (result.precision, result.name, result.steps) == ("int8", "int8", exported[name].steps)
    assert result.path == tmp_path / exported[name].path.name
    assert {path.name for path in tmp_path.iterdir()} == {result.path.name, "report.json"}
    assert (
        RUNTIMES[name].open(result, threads=1).int8_ops == RUNTIMES[name].count(result).int_ops
    )  # it runs, as it says


@pytest.mark.command
@pytest.mark.parametrize("name", RUNTIMES)
def test_a_layer_that_returned_computes_as_in_float(name, exported, data, tmp_path):
    """All of them back: nothing is left of int8, nor of what the quantizer did to the biases."""
    source = exported[name]
    quantizer = RUNTIMES[name].quantizer(
        source.path, calibration_images(data, 8, 0, square(64)), RUNTIMES[name].int8_recipes(int8_cpu())[0]
    )
    back = replace(source, path=tmp_path / source.path.name)
    quantizer.write(back.path, quantizer.layers)
    assert RUNTIMES[name].count(back).int_ops == 0
    weights = RUNTIMES[name].count(source).weight_bytes
    assert RUNTIMES[name].count(back).weight_bytes == weights


@dataclass(frozen=True)
class JudgeOfRecipes(Judge):
    """Points are lost by recipe, in the order in which they are tried, and `with_floats` with layers in float."""

    lost: tuple[float, ...] = ()
    with_floats: float = 0.0

    def choice_score(self, variant: Variant) -> Accuracy:
        names = [recipe.name for recipe in self.runtime(variant).int8_recipes(int8_cpu())]
        made = variant.steps[-1]
        if variant.precision != "int8":
            lost = 0.0
        elif made.endswith(" ()"):
            lost = next(points for name, points in zip(names, self.lost, strict=False) if made.endswith(f" {name} ()"))
        else:
            lost = self.with_floats
        return Accuracy({"mAP50-95": FLOAT_SCORE - 0.01 * lost}, 8, {})


@pytest.mark.command
@pytest.mark.parametrize(
    ("name", "lost", "with_floats", "taken", "back"),
    [
        ("onnxruntime", (0.9, 0.0), 0.0, 0, None),  # the default holds, so no other is made
        ("onnxruntime", (1.1, 0.4), 0.0, 1, None),
        ("openvino", (1.1, 0.4), 0.0, 1, None),
        ("onnxruntime", (3.0, 1.1), 0.0, 0, 1),  # none holds, so layers of the default return
        ("onnxruntime", (3.0, 1.1), 2.0, 1, 0),  # nor does that help
    ],
)
def test_another_recipe_is_tried_before_layers_return(name, lost, with_floats, taken, back, exported, data, tmp_path):
    judge = JudgeOfRecipes(lost=lost, with_floats=with_floats)
    _, report = made(exported[name], tmp_path, data=data, judge=judge, max_drop=1.0)
    recipes = [recipe.name for recipe in RUNTIMES[name].int8_recipes(int8_cpu())]
    assert report["recipe"] == recipes[taken]
    assert report["drop"] == pytest.approx(with_floats if back else lost[taken])
    assert (None if report["float_layers"] is None else len(report["float_layers"])) == back
    tried = [(one["recipe"], pytest.approx(one["drop"]), one["faster"]) for one in report["candidates"]]
    assert tried == ([(recipes[i], lost[i], None) for i in range(2)] if lost[0] > 1 else [])


@pytest.mark.command
def test_where_nothing_helps_the_best_is_kept_and_named(exported, data, tmp_path):
    """Neither the worst layers nor as many as may return to float are enough, so the others are not tried."""
    result, report = made(exported["onnxruntime"], tmp_path, data=data, judge=Judge(always=0.05), max_drop=4)
    assert not report["reached"]
    drops = [entry["drop"] for entry in report["float_layers"]]
    assert report["drop"] == pytest.approx(min(drops))
    assert len(drops) == WORST
    assert hard_layers_in_int8(result) == round(report["drop"]) - 5


@pytest.mark.command
def test_a_search_keeps_the_fastest_that_holds(exported, data, tmp_path, monkeypatch):
    recipes, speeds = OpenVino().int8_recipes(int8_cpu())[:3], (1.0, 1.5, 2.5, 1.5)
    monkeypatch.setattr(OpenVino, "int8_recipes", lambda self, cpu: recipes)
    _, report = made(exported["openvino"], tmp_path, data=data, judge=Judge(speeds), max_drop=11, search=True)
    assert [entry["recipe"] for entry in report["candidates"]] == [recipe.name for recipe in recipes]
    assert [entry["faster"] for entry in report["candidates"]] == list(speeds[1:])
    assert report["recipe"] == recipes[1].name
    assert report["drop"] == pytest.approx(10)
    assert "1 threads of " in identity(Int8(data, Judge(), search=True))  # its times are those of this machine
    assert "threads" not in identity(Int8(data, Judge()))


def test_a_tie_goes_to_the_default():
    default, other, third = (Trial(name, None, (), None, score) for name, score in (("a", 0.5), ("b", 0.6), ("c", 0.4)))
    for speeds, expected in (
        ((2.0, 2.02, 1.0), default),  # within the noise of the fastest, though less accurate
        ((1.0, 2.0, 2.02), other),  # among others within it, the more accurate
        ((1.0, 2.0, 3.0), third),
    ):
        assert fastest(list(zip(speeds, (default, other, third), strict=True)), default) is expected
    assert fastest([(1.0, other), (1.01, third)], default) is other  # the default loses too much
    assert fastest([], default) is None


def test_what_int8_is_compared_with_is_part_of_its_identity(data):
    """One that was trained for int8 may have to hold what it lost before that training, or only since."""
    one, other = (Variant(Path("x"), "openvino", "fp32", square(64), steps=(step,)) for step in "ab")
    stages = [Int8(data, Judge(), reference=reference) for reference in (None, one, other)]
    assert len({identity(stage) for stage in stages}) == 3


@pytest.mark.command
def test_the_report_says_with_what_it_was_calibrated(exported, data, tmp_path):
    _, report = made(
        exported["onnxruntime"], tmp_path, data=data, judge=Judge(), max_drop=11, calibration_images=4, seed=3
    )
    assert report["calibration"]["images"] == 4
    assert report["calibration"]["seed"] == 3
    assert report["calibration"]["source"].endswith("x.yaml, training split")


@pytest.mark.command
def test_a_model_is_trained_for_int8_where_it_loses_too_much(exported, data, hard, tmp_path, monkeypatch):
    """What is compared is the float model before that training; the better of both int8 files stays."""
    trainings = []

    @dataclass(frozen=True)
    class Training:
        def __call__(self, variant: Variant, folder: Path) -> Variant:
            trainings.append(variant)
            shutil.copy(variant.path, folder / "trained.pt")
            return replace(variant, path=folder / "trained.pt", tags=(*variant.tags, "qat"))

    monkeypatch.setattr("optimize.quant.int8.toward_float", lambda first, *rest: iter([first]))
    model = Variant(hard, "torch", "fp32", square(64), steps=("hard",))
    for trained, name in ((0.01, "qat+int8"), (-0.01, "int8")):
        stage = Int8(data, Judge(trained=trained), max_drop=5)
        plan = SimpleNamespace(qat=Training(), judge=stage.judge, store=tmp_path / name)
        for rival in (False, True):  # which is taken as it is
            subject = Model(model, Cost((), ()), rival)
            found = _in_precision(plan, stage, OnnxRuntime(), subject, exported["onnxruntime"])
            assert found.name == ("int8" if rival else name)
    assert trainings == [model, model]


@pytest.mark.command
def test_an_int8_that_loses_more_than_allowed_is_reported_and_ends_with_code_3(
    monkeypatch, capsys, tmp_path, dataset, checkpoint
):
    monkeypatch.chdir(tmp_path)

    def score(judge, variant: Variant) -> Accuracy:
        return Accuracy({"mAP50-95": 0.3 if variant.precision == "int8" else 0.5, "mAP50": 0.6}, 8, {})

    monkeypatch.setattr("optimize.judge.Judge.score", score)
    monkeypatch.setattr("optimize.judge.Judge.choice_score", score)
    monkeypatch.setattr("optimize.quant.int8.toward_float", lambda first, *rest: iter([first]))
    words = f"model={checkpoint}", f"data={dataset}", "prune=0", "epochs=0", "rounds=12", "runtime=[onnxruntime]"
    code, out, err = command(monkeypatch, capsys, *words, "quant.max_drop=10")
    assert code == 3
    folder = Path(out.splitlines()[-1])
    report, results = (folder / "report.md").read_text(), json.loads((folder / "results.json").read_text())
    assert "## Quantization" in report
    missed = next(row["missed"] for row in results["results"] if row["missed"])
    for text in (err, report, missed):
        assert says(text, "int8 on onnxruntime ... 20.0 points of mAP50-95 ... quant.max_drop=10.0")
    assert [row["quantization"]["drop"] for row in results["results"] if row["variant"]["precision"] == "int8"] == [
        pytest.approx(20)
    ]


def test_a_negative_drop_is_one_sentence(data):
    with pytest.raises(InputError, match=like("quant.max_drop=-1 ... 0 or more")):
        Int8(data, Judge(), max_drop=-1)
