"""Chooses input size, share to prune and precision for a limit of time.

The time of the original is measured in each runtime and precision. Where one of them meets the limit, nothing is
changed. Else a smaller input costs no training, and widths and blocks cost less accuracy after some: at inputs from
the largest at which the original meets the limit to its own, the rest of the time is pruned away and the model is
trained. The most accurate, on images that the report is not of, is taken. How little a cut costs shows only after all
epochs: of bccd's YOLOv8n, cut by 40 % of its time, 0.414 was left, and 0.610 of 0.614 after ten epochs.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import copyfile
from time import perf_counter

from pydantic import ConfigDict, TypeAdapter, ValidationError

from optimize.dataset import Dataset
from optimize.errors import TargetOutOfReach
from optimize.host.files import write_text
from optimize.identity import OUTSIDE
from optimize.input_size import Size
from optimize.inside import content
from optimize.judge import Judge
from optimize.latency_work import DeploymentChoice, Mixed, SizeChoice
from optimize.mix.originals import Original, fastest_first, measure_originals
from optimize.mix.sizes import around, between, family, fitting, nearest, spread
from optimize.mix.way import Way, times_at
from optimize.pruner.settings import Pruning
from optimize.recover.finetune import Finetune
from optimize.recover.rival import TrainRival
from optimize.rivals import at_size, rectangle
from optimize.shrink import shrink
from optimize.stage import Stage
from optimize.store.apply import apply, report_of, write_report
from optimize.variant import Variant
from optimize.yolo.checkpoint import load, stride

log = logging.getLogger(__name__)

MARGIN = 0.03  # of the limit, left for the 2 % by which an attempt may miss and for the clock's noise
SLOWER = 1.5  # a precision that takes as many times as long as the fastest would need a far smaller input
MOST_SHARE = 0.65  # of the time at an input, that widths and blocks may have to save there
CANDIDATES = 3  # inputs at which a model is cut and trained
BEGUN, MOST = "begun.json", 2**20


@dataclass(frozen=True)
class Begun:
    """What was timed: the considered deployments, the one that was chosen, and the candidates, not made yet."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    deployments: tuple[DeploymentChoice, ...]
    deployment: str
    candidates: tuple[SizeChoice, ...]


BEGINNING = TypeAdapter(Begun)


@dataclass(frozen=True)
class Mix:
    """The stage that chooses: it leaves a copy of the original with a `Mixed` beside it.

    Attributes:
        limit: milliseconds of one call.
        pruning: how to prune at each input; share and deployment follow from the choice.
        recovery: the stages after pruning.
        ways: the runtimes and precisions that may be chosen.
        data: the data set, whose images for choices are validated.
        judge: times and validates.
    """

    limit: float
    pruning: Pruning
    recovery: tuple[Stage, ...]
    ways: tuple[Way, ...]
    data: Dataset
    judge: Judge = field(repr=False, metadata=OUTSIDE)
    decided_on: str = field(default="", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "decided_on", self.data.choice_images.fingerprint)

    @property
    def aimed(self) -> float:
        return self.limit * (1 - MARGIN)

    @property
    def epochs(self) -> int:
        """That candidates are trained for; 0 where nothing is trained."""
        return sum(stage.epochs for stage in self.recovery if isinstance(stage, Finetune))

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        start, path = perf_counter(), folder / "original.pt"
        begun = _begun(folder / BEGUN) or self._timed(variant)
        write_text(folder / BEGUN, BEGINNING.dump_json(begun).decode())
        candidates = tuple(self._tried(variant, candidate, begun.deployment) for candidate in begun.candidates)
        imgsz, share, trained = best(candidates) if candidates else (variant.imgsz, 0.0, False)
        accuracy = self.judge.choice_score(variant)
        deployment = self._way(begun.deployment).deployment
        mixed = Mixed(
            limit_ms=self.limit,
            aimed_ms=self.aimed,
            cpu=deployment.cpu,
            threads=deployment.threads,
            metric=accuracy.metric,
            decided_on=self.data.choice_images.record.described,
            original=accuracy.score,
            epochs=self.epochs,
            deployments=begun.deployments,
            candidates=candidates,
            deployment=begun.deployment,
            imgsz=imgsz,
            share=share,
            trained=trained,
            seconds=round(perf_counter() - start, 1),
        )
        copyfile(variant.path, path)
        write_report(mixed, folder)
        (folder / BEGUN).unlink()
        return replace(variant, path=path)

    def choose(self, original: Variant) -> Mixed:
        """What is chosen for `original`, from the store if it was chosen before."""
        mixed = report_of(apply(self, original, self.judge.store))
        assert isinstance(mixed, Mixed)
        return mixed

    def start(self, original: Variant, imgsz: Size) -> Variant:
        """What is pruned and trained: `original` at the chosen input."""
        return original if imgsz == original.imgsz else at_size(original, imgsz)

    def stages(self, deployment: str, share: float, trained: bool, imgsz: Size) -> tuple[Stage, ...]:
        """The stages that make the model of a choice.

        Args:
            deployment, share, trained: as in `Mixed`.
            imgsz: the original's input, of which the latency table is.
        """
        if share:
            place = replace(self._way(deployment).deployment, table_imgsz=imgsz)
            return shrink(replace(self.pruning, share=share, deployment=place), list(self.recovery))
        finetunes = [stage for stage in self.recovery if isinstance(stage, Finetune) and stage.epochs]
        return (TrainRival.like(finetunes),) if trained and finetunes else ()

    def _way(self, deployment: str) -> Way:
        return next(way for way in self.ways if str(way) == deployment)

    def _timed(self, variant: Variant) -> Begun:
        """Times the original in every way, and at the inputs that are candidates in the best of them."""
        originals = fastest_first(measure_originals(variant, self.ways, self.judge))
        meeting = [one for one in originals if one.milliseconds <= self.limit]
        if meeting:
            taken = min(meeting, key=lambda one: one.drop)
            log.info("the original meets %g ms in %s, so nothing is changed", self.limit, taken.way)
            return Begun(tuple(one.choice(None) for one in originals), str(taken.way), ())
        sizes = family(variant.imgsz, self._filled(variant), stride(load(variant.path)))
        considered = [one for one in originals if one.reached] or originals
        near = [one for one in considered if one.milliseconds <= SLOWER * considered[0].milliseconds]
        expected = {str(one.way): self._expected(variant, one, sizes) for one in near}
        taken = max(near, key=lambda one: expected[str(one.way)][0])
        candidates = self._candidates(variant, taken, sizes, expected[str(taken.way)][1])
        choices = tuple(one.choice(expected[str(one.way)][0] if one in near else None) for one in originals)
        return Begun(choices, str(taken.way), candidates)

    def _filled(self, variant: Variant) -> Size | None:
        filled = rectangle(variant, self.data.shape)
        return filled.imgsz if filled else None

    def _expected(self, variant: Variant, one: Original, sizes: Sequence[Size]) -> tuple[float, dict[Size, float]]:
        """The accuracy of the original at the input at which it meets the limit in this way, and what was timed.

        Raises:
            TargetOutOfReach: it meets the limit at none.
        """
        most = variant.imgsz.pixels * self.aimed / one.milliseconds  # time falls no faster than pixels
        probes = list(dict.fromkeys([nearest(sizes, most), nearest(sizes, 0.6 * most)]))
        times = {variant.imgsz: one.milliseconds} | self._times(variant, one, probes)
        if min(times.values()) > self.aimed:
            times |= self._times(variant, one, [sizes[-1]])
        if min(times.values()) > self.aimed:
            raise TargetOutOfReach(
                f"limits.latency_ms={self.limit:g} can't be reached: in {one.way} the original takes "
                f"{times[sizes[-1]]:.2f} ms at its smallest input, {sizes[-1]} px; give a larger limit."
            )
        pixels = fitting(times, self.aimed)
        scores = {size: self._score(variant, size) for size in around([variant.imgsz, *sizes], pixels)}
        return between(scores, pixels) - one.drop / 100, times

    def _candidates(
        self, variant: Variant, one: Original, sizes: Sequence[Size], times: dict[Size, float]
    ) -> tuple[SizeChoice, ...]:
        """The inputs at which to prune, the smallest first: at that nothing has to be pruned."""
        pixels = fitting(times, self.aimed)
        small = [size for size in sizes if size.pixels <= 1.1 * pixels][:3]
        large = [size for size in sizes if size.pixels > pixels and size not in small]
        within = [size for size in large if 1 - self.aimed / between(times, size.pixels) <= MOST_SHARE]
        timed = self._times(variant, one, [*spread(within, CANDIDATES - 1), *small])
        fits = next((size for size, milliseconds in timed.items() if milliseconds <= self.aimed), None)
        larger = spread([size for size in timed if fits is None or size.pixels > fits.pixels], CANDIDATES - 1)
        return tuple(
            SizeChoice(
                imgsz=size,
                milliseconds=timed[size],
                share=round(max(0.0, 1 - self.aimed / timed[size]), 3),
                untrained=self._score(variant, size),
                recovered=None,
            )
            for size in reversed([*larger, *([fits] if fits else [])])
        )

    def _times(self, variant: Variant, one: Original, sizes: list[Size]) -> dict[Size, float]:
        model = load(variant.path)
        return times_at(one.way, model, variant.imgsz, one.milliseconds, sizes, self.judge.seed)

    def _score(self, variant: Variant, size: Size) -> float:
        """Accuracy of the original at an input, on the images for choices."""
        return self.judge.choice_score(self.start(variant, size)).score

    def _tried(self, variant: Variant, candidate: SizeChoice, deployment: str) -> SizeChoice:
        """`candidate` with the accuracy of the model that is made there."""
        start = made = self.start(variant, candidate.imgsz)
        try:
            for stage in self.stages(deployment, candidate.share, True, variant.imgsz):
                made = apply(stage, made, self.judge.store)
        except TargetOutOfReach as error:
            log.info("%s px: %s", candidate.imgsz, error)
            return candidate
        if made == start:
            return candidate
        recovered = self.judge.choice_score(made).score
        log.info("%s px, %.0f %% of the time pruned: %.4f", candidate.imgsz, 100 * candidate.share, recovered)
        return replace(candidate, recovered=recovered)


def best(candidates: Sequence[SizeChoice]) -> tuple[Size, float, bool]:
    """Input and share of the most accurate candidate, and whether it is trained; for equal ones the least changed.

    Raises:
        TargetOutOfReach: none can be made.
    """
    scores = [
        *((one.untrained, -one.share, one, False) for one in candidates if not one.share),
        *((one.recovered, -one.share, one, True) for one in candidates if one.recovered is not None),
    ]
    if not scores:
        raise TargetOutOfReach(
            "limits.latency_ms can't be reached: no input is small enough for the original, and pruning does not save "
            "enough at any; give a larger limit, a larger pruner.max_ratio or pruner.round_to=8."
        )
    *_, taken, trained = max(scores, key=lambda score: score[:2])
    return taken.imgsz, taken.share, trained


def _begun(path: Path) -> Begun | None:
    """What an interrupted call left in `path`; None where there is none, or none that is whole."""
    try:
        return BEGINNING.validate_json(content(path, MOST) or b"")
    except ValidationError:
        return None
