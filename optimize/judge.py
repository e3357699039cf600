"""Evaluates accuracy and latency of a deployed variant, for the report and for the selection of recipes alike."""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from optimize.dataset import Dataset
from optimize.errors import during
from optimize.host.quiet import timing, working
from optimize.measure import clock, latency, machine, validation
from optimize.measure.accuracy import Accuracy
from optimize.measure.detections import CONFIDENCE, Detections
from optimize.measure.disagreement import ComparedImage, Disagreement, Pair, compare
from optimize.measure.graph_cost import GraphCost
from optimize.measure.latency import Open, Timing
from optimize.measure.profile import Profile
from optimize.measure.roofline import Machine
from optimize.measure.validation import Validation
from optimize.progress import bar
from optimize.provenance import versions
from optimize.runtime.here import machine_name
from optimize.runtime.session import Runtime, Session
from optimize.store.apply import apply, digest
from optimize.variant import Variant
from optimize.yolo.image import write_small_copy
from optimize.yolo.metric import ULTRALYTICS, implementation
from optimize.yolo.validate import validate

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judge:
    """Evaluates variants of `runtimes` on the validation images of `data`.

    Attributes:
        data: the data set, whose validation split is used.
        runtimes: every runtime that a variant may name.
        store: the folder of finished work; an artefact in it that was validated is not validated again.
        threads: CPU threads of every runtime.
        rounds, seed: of the latency benchmark.
        seconds: that the visits of one file may take in it.
        metric: the implementation that computes the accuracy, `ultralytics` or `coco`.
    """

    data: Dataset
    runtimes: tuple[Runtime, ...]
    store: Path
    threads: int
    rounds: int
    seed: int
    seconds: float = clock.LONGEST
    metric: str = ULTRALYTICS

    def runtime(self, variant: Variant) -> Runtime:
        return next(runtime for runtime in self.runtimes if runtime.info.name == variant.runtime)

    def built(self, variant: Variant) -> Variant:
        """The deployed form of `variant`: itself, or the engine built from it."""
        return apply(self.runtime(variant).build, variant, self.store)

    def count(self, variant: Variant) -> GraphCost | None:
        """The operations of `variant`, counted on its file."""
        return self.runtime(variant).count(variant)

    def open(self, variant: Variant) -> Session:
        return self.runtime(variant).open(variant, self.threads)

    def score(self, variant: Variant) -> Accuracy:
        """Accuracy of a built variant on the validation split."""
        return self._validation(variant).accuracy

    def detections(self, variant: Variant) -> Iterator[Detections]:
        """Detections of a built variant in each image of the validation split, in the same order for every variant."""
        return self._validation(variant).detections()

    def _validation(self, variant: Variant) -> Validation:
        @working()
        def validated(keep: Callable[[Detections], object]) -> Accuracy:
            session = self.open(variant)
            work = f"validating {variant.name} on {variant.runtime}"
            with during(work), bar(work, len(self.data.val)) as tick:
                accuracy = validate(tick(session), self.data, variant.imgsz, keep, self.metric)
            log.info("%s on %s: %s %.4f", variant.name, variant.runtime, accuracy.metric, accuracy.score)
            return accuracy

        artefact = digest(variant.path), variant.runtime, variant.precision, str(variant.imgsz)
        # the number of threads changes the order of torch's sums
        conditions = *artefact, self.data.fingerprint, machine_name(), str(self.threads), str(versions())
        identity = *conditions, implementation(self.metric)
        return validation.validate_once(self.store, identity, validated)

    @working()
    def disagreement(self, before: Variant, after: Variant, folder: Path) -> Disagreement:
        """Images where the detections of `before` and `after` differ; copies of the worst go to `folder`/images."""
        root = os.path.commonpath([image.parent for image in self.data.val])
        names = [image.relative_to(root).as_posix() for image in self.data.val]
        images, agreeing, worst = compare(self.detections(before), self.detections(after), names.__getitem__)
        (folder / "images").mkdir(exist_ok=True)

        def shown(rank: int, pair: Pair) -> ComparedImage:
            position, path = pair.before.image, Path("images", f"{rank}.jpg")
            width, height = write_small_copy(self.data.val[position], folder / path, self.data.task)
            return ComparedImage(
                path=path,
                name=names[position],
                width=width,
                height=height,
                truth=pair.before.truth,
                before=pair.before.found,
                after=pair.after.found,
                disagreement=pair.disagreement,
            )

        return Disagreement(
            before=f"{before.name} on {before.runtime}",
            after=f"{after.name} on {after.runtime}",
            confidence=CONFIDENCE,
            images=images,
            agreeing=agreeing,
            worst=tuple(shown(rank, pair) for rank, pair in enumerate(worst)),
        )

    @timing()
    def time(self, variants: list[Variant]) -> Timing:
        """Latencies of built variants, interleaved, each relative to its runtime's original or else first variant."""
        subjects: list[tuple[Open, Variant]] = [(self.runtime(variant).open, variant) for variant in variants]
        return latency.measure(subjects, self.threads, self.rounds, self.seed, seconds=self.seconds)

    @timing()
    def profile(self, variants: list[Variant]) -> tuple[tuple[Profile | None, ...], Machine | None]:
        """Time by layer of built variants (None where the runtime reports none), and the peaks of this machine."""
        return machine.measure([(self.runtime(variant).profiler, variant) for variant in variants], self.threads)
