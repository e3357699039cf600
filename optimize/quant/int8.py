"""int8 after training: the recipe that proved best for each runtime, layers back to float where it loses too much."""

import json
import logging
import shutil
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter

from optimize.data.calibration import calibration_images
from optimize.dataset import Dataset
from optimize.errors import InputError
from optimize.host.files import move
from optimize.judge import Judge
from optimize.measure.latency import ALIKE
from optimize.quant.fallback import Trial, toward_float
from optimize.quant.recipes import calibrated, recipes_for
from optimize.quant.sensitivity import Quantizer
from optimize.runtime.here import here
from optimize.store.apply import REPORT
from optimize.variant import Variant

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Int8:
    """Effect: weights and activations of the network in 8 bits, the decode of the head in float32.

    Reads the exported float32 file; torch runs no int8 here, so its variants come back unchanged. The file must not
    lose more than `max_drop`: where it does, layers return to float one by one, those first whose return wins most,
    until it holds. report.json says what was done, and as `reached` whether it holds.
    The keys are explained in conf/quant/int8.yaml.

    Attributes:
        data: the data set whose training split calibrates.
        judge: measures accuracy, and latency where candidates are compared.
        reference: the float32 variant to lose against, where it is not the one that is quantized.
        against: the key of `reference`.
        machine: where it is scored, and where a search takes its times; elsewhere it may end otherwise.
    """

    data: Dataset
    judge: Judge = field(repr=False)
    calibration_images: int = 128
    seed: int = 0
    max_drop: float = 1.0
    search: bool = False
    reference: Variant | None = field(default=None, repr=False)
    against: str = field(default="", init=False)
    machine: str = field(default="", init=False)

    def __post_init__(self):
        object.__setattr__(self, "against", self.reference.key if self.reference else "")
        object.__setattr__(self, "machine", f"{self.judge.threads} threads of {here()}" if self.search else here())
        if self.calibration_images < 1:
            raise InputError(
                f"quant.calibration_images={self.calibration_images} must be at least 1; 128 is the default."
            )
        if self.max_drop < 0:
            raise InputError(f"quant.max_drop={self.max_drop} is not allowed; give 0 or more points, e.g. 1.0.")

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        if variant.runtime == "torch":
            return variant
        began = perf_counter()
        shutil.rmtree(folder / "tries", ignore_errors=True)  # of a killed call, whose scores are in the store
        images = calibration_images(self.data, self.calibration_images, self.seed, variant.imgsz)
        before = self.judge.score(self.judge.built(self.reference or variant)).score
        goal, report = before - self.max_drop / 100, {"calibration": images.described(), "max_drop": self.max_drop}
        recipes = recipes_for(variant.runtime)
        tries = [
            self._try(variant, calibrated(variant, images, recipe), recipe.name, (), folder)
            for recipe in (recipes if self.search else recipes[:1])
        ]
        best = max(tries, key=lambda trial: trial.score)
        if self.search:
            speeds = self._speeds(variant, tries)
            report["candidates"] = [_candidate(t, before, s) for t, s in zip(tries, speeds, strict=True)]
            best = _fastest([(s, t) for s, t in zip(speeds, tries, strict=True) if t.score >= goal]) or best
        if best.score < goal:
            log.info("%s loses %.1f points: returning layers to float", best.recipe, 100 * (before - best.score))
            attempt = partial(self._try, variant, best.quantizer, best.recipe, folder=folder)
            way = list(toward_float(best, attempt, self.judge, variant, goal))
            best = max(way, key=lambda trial: (trial.score >= goal, trial.score))
            way = way[: way.index(best) + 1]
            report["float_layers"] = _float_layers(way, self._speeds(variant, way), before)
        report |= {"recipe": best.recipe, "drop": 100 * (before - best.score), "reached": best.score >= goal}
        report["seconds"] = round(perf_counter() - began, 1)
        (folder / REPORT).write_text(json.dumps(report, indent=2), encoding="utf-8")
        path = folder / variant.path.name
        if path.is_dir():  # of a call that was killed between this line and the end
            shutil.rmtree(path)
        move(best.variant.path, path)
        shutil.rmtree(folder / "tries")
        return replace(best.variant, path=path, steps=variant.steps)

    def _try(self, variant: Variant, quantizer: Quantizer, recipe: str, floats: tuple[str, ...], folder: Path) -> Trial:
        tries = folder / "tries"
        tries.mkdir(exist_ok=True)
        target = tries / str(len(list(tries.iterdir()))) / variant.path.name
        target.parent.mkdir()
        quantizer.write(target, floats)
        made = replace(variant, path=target, precision="int8", tags=(*variant.tags, "int8"))
        made = made.after(f"{self!r} {recipe} {floats}")
        return Trial(recipe, quantizer, floats, made, self.judge.score(self.judge.built(made)).score)

    def _speeds(self, variant: Variant, tries: list[Trial]) -> list[float]:
        """How many times as fast as `variant` each is, all interleaved."""
        timing = self.judge.time([self.judge.built(v) for v in (variant, *(trial.variant for trial in tries))])
        return [latency.speedup for latency in timing.latencies[1:]]


def _fastest(timed: list[tuple[float, Trial]]) -> Trial | None:
    """The fastest; of those that are as fast within what can be told apart, the most accurate."""
    top = max((speed for speed, _ in timed), default=None)
    return max((t for speed, t in timed if speed >= top * (1 - ALIKE)), key=lambda t: t.score, default=None)


def _candidate(trial: Trial, before: float, speed: float) -> dict:
    return {"recipe": trial.recipe, "drop": 100 * (before - trial.score), "faster": speed}


def _float_layers(way: list[Trial], speeds: list[float], before: float) -> list[dict]:
    """One entry per layer that returned: the drop that was left then, and how much longer an image took."""
    return [
        {"layer": now.floats[-1], "drop": 100 * (before - now.score), "slower": speeds[i] / speeds[i + 1] - 1}
        for i, now in enumerate(way[1:])
    ]
