"""Post-training int8 by each runtime's best recipe, by another or with layers in float where it loses too much."""

import logging
import shutil
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import ClassVar

from optimize.data.calibration import calibration_images
from optimize.dataset import Dataset
from optimize.errors import InputError
from optimize.host.cpu import int8_cpu
from optimize.host.files import move
from optimize.identity import OUTSIDE, identity
from optimize.int8_cpu import Int8Cpu
from optimize.judge import Judge
from optimize.measure.latency import ALIKE
from optimize.precision import Precision
from optimize.quant.fallback import Trial, toward_float
from optimize.runtime.here import machine_name
from optimize.runtime.session import Quantizer, Runtime
from optimize.store.apply import write_report
from optimize.variant import Variant
from optimize.work import Candidate, FloatLayer, Quantized

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Int8:
    """Effect: weights and activations of the network in 8 bits, the box decoding of the head in float32.

    The stage reads the exported float32 file; torch runs no int8 here, so its variants are returned unchanged. If the
    file loses more than `max_drop`, the runtime's second recipe is tried, with the same layers in int8. If both do,
    layers of the first return to float, those first that recover most, until it doesn't. `work.Quantized` reports what
    was done, and in `reached` whether the limit is met. The keys are explained in conf/quant/int8.yaml.

    Attributes:
        data: the data set whose training split gives the calibration images.
        judge: measures accuracy, on images that the report isn't of, and latency where candidates are compared.
        reference: the float32 variant that the drop refers to; None for the variant that is quantized.
        against: the key of `reference`.
        metric: the implementation that computes the scores, with its version.
        cpu: that the files are made for, which decides the recipe; this machine's by default.
        decided_on: the fingerprint of the images that accuracy is compared on.
        machine: where scores, and in a search times, are measured; on another machine the result may differ.
    """

    precision: ClassVar = Precision(
        "int8",
        bytes=1,
        computes=("int8", "fp16", "fp32"),  # a separate alarm checks how much of it is int8
        integer=True,
        fill=1.0,
    )

    data: Dataset
    judge: Judge = field(repr=False, metadata=OUTSIDE)
    calibration_images: int = 128
    seed: int = 0
    max_drop: float = 1.0
    search: bool = False
    reference: Variant | None = field(default=None, repr=False, metadata=OUTSIDE)
    metric: str = ""
    cpu: Int8Cpu = field(default_factory=int8_cpu)
    against: str = field(default="", init=False)
    decided_on: str = field(default="", init=False)
    machine: str = field(default="", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "against", self.reference.key if self.reference else "")
        object.__setattr__(self, "decided_on", self.data.choice_images.fingerprint)
        threads = f"{self.judge.threads} threads of " if self.search else ""
        object.__setattr__(self, "machine", f"{threads}{machine_name()}")
        if self.calibration_images < 1:
            raise InputError(
                f"quant.calibration_images={self.calibration_images} must be at least 1; 128 is the default."
            )
        if self.max_drop < 0:
            raise InputError(
                f"quant.max_drop={self.max_drop} is not allowed; give 0 or more percentage points, e.g. 1.0."
            )

    def why_not(self, runtime: Runtime) -> str | None:
        return None if runtime.int8_recipes(self.cpu) else "it has no recipe for int8"

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        runtime = self.judge.runtime(variant)
        recipes = runtime.int8_recipes(self.cpu)
        if not recipes:
            return variant
        began = perf_counter()
        shutil.rmtree(folder / "tries", ignore_errors=True)  # left by a killed run, whose scores are in the store
        images = calibration_images(self.data, self.calibration_images, self.seed, variant.imgsz)
        before = self.judge.choice_score(self.judge.built(self.reference or variant)).score
        goal = before - self.max_drop / 100
        float_layers: tuple[FloatLayer, ...] | None = None
        tries, speeds = list[Trial](), None
        for recipe in recipes if self.search else recipes[:2]:
            quantizer = runtime.quantizer(variant.path, images, recipe)
            quantized = self._write(variant, quantizer, recipe.name, (), folder)
            tries.append(Trial(recipe.name, quantizer, (), quantized, self._score(quantized)))
            if tries[-1].score < goal:
                log.info("%s loses %.1f percentage points", recipe.name, 100 * (before - tries[-1].score))
            elif not self.search:
                break
        best = max(tries, key=lambda trial: trial.score)
        if self.search:
            speeds = self._speeds(variant, tries)
            best = fastest([(s, t) for s, t in zip(speeds, tries, strict=True) if t.score >= goal], tries[0]) or best
        if best.score < goal:
            start = best if self.search else tries[0]
            log.info("returning layers to float in %s", start.recipe)
            write = partial(self._write, variant, start.quantizer, start.recipe, folder=folder)
            trials = list(toward_float(start, write, self._score, self.judge, variant, goal))
            best = max([*trials, best], key=lambda trial: (trial.score >= goal, trial.score))
            trials = trials[: trials.index(best) + 1] if best in trials else []
            float_layers = _float_layers(trials, self._speeds(variant, trials), before) if trials else ()
        report = Quantized(
            recipe=best.recipe,
            cpu=self.cpu.kind,
            drop=100 * (before - best.score),
            max_drop=self.max_drop,
            reached=best.score >= goal,
            seconds=round(perf_counter() - began, 1),
            calibration=images.describe(),
            candidates=_candidates(tries, speeds, before) if len(tries) > 1 else (),
            float_layers=float_layers,
            decided_on=self.data.choice_images.record.described,
        )
        write_report(report, folder)
        path = folder / variant.path.name
        if path.is_dir():  # left by a run that was killed below
            shutil.rmtree(path)
        move(best.variant.path, path)
        shutil.rmtree(folder / "tries")
        return replace(best.variant, path=path, steps=variant.steps)

    def _write(
        self, variant: Variant, quantizer: Quantizer, recipe: str, floats: tuple[str, ...], folder: Path
    ) -> Variant:
        tries = folder / "tries"
        tries.mkdir(exist_ok=True)
        target = tries / str(len(list(tries.iterdir()))) / variant.path.name
        target.parent.mkdir()
        quantizer.write(target, floats)
        name = self.precision.name
        quantized = replace(variant, path=target, precision=name, tags=(*variant.tags, name))
        return quantized.after(f"{identity(self)} {recipe} {floats}")

    def _score(self, quantized: Variant) -> float:
        return self.judge.choice_score(self.judge.built(quantized)).score

    def _speeds(self, variant: Variant, tries: list[Trial]) -> list[float]:
        """Speedup of each try over `variant`, all timed interleaved."""
        timing = self.judge.time([self.judge.built(v) for v in (variant, *(trial.variant for trial in tries))])
        return [latency.speedup for latency in timing.latencies[1:]]


def fastest(timed: list[tuple[float, Trial]], default: Trial) -> Trial | None:
    """`default` if it is among the trials whose speed is within the noise of the fastest, else their most accurate."""
    if not timed:
        return None
    top = max(speed for speed, _ in timed)
    alike = [trial for speed, trial in timed if speed >= top * (1 - ALIKE)]
    return default if default in alike else max(alike, key=lambda trial: trial.score)


def _candidates(tries: list[Trial], speeds: list[float] | None, before: float) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(trial.recipe, drop=100 * (before - trial.score), faster=speeds[i] if speeds else None)
        for i, trial in enumerate(tries)
    )


def _float_layers(trials: list[Trial], speeds: list[float], before: float) -> tuple[FloatLayer, ...]:
    """One entry per layer that returned to float: the drop that remained, and the slowdown of one image."""
    return tuple(
        FloatLayer(trial.floats[-1], drop=100 * (before - trial.score), slower=speeds[i] / speeds[i + 1] - 1)
        for i, trial in enumerate(trials[1:])
    )
