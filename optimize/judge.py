"""Accuracy and latency of a variant as it would be deployed: one judge for what is reported and for what is chosen."""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from optimize.dataset import Dataset
from optimize.errors import during
from optimize.host.quiet import timing, working
from optimize.measure import latency, machine, validation
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
from optimize.yolo.validate import validate

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judge:
    """Runs variants of `runtimes` on the validation images of `data`.

    Attributes:
        data: its validation split decides.
        runtimes: every runtime that a variant may name.
        store: where finished work lies; an artefact that was validated once is not validated again.
        threads: CPU threads of every runtime.
        rounds, seed: of the latency benchmark.
    """

    data: Dataset
    runtimes: tuple[Runtime, ...]
    store: Path
    threads: int
    rounds: int
    seed: int

    def runtime(self, variant: Variant) -> Runtime:
        return next(runtime for runtime in self.runtimes if runtime.info.name == variant.runtime)

    def built(self, variant: Variant) -> Variant:
        """What `variant` is when it is deployed: itself, or the engine that is made of it."""
        return apply(self.runtime(variant).build, variant, self.store)

    def count(self, variant: Variant) -> GraphCost | None:
        """Operations counted on the file itself."""
        return self.runtime(variant).count(variant)

    def open(self, variant: Variant) -> Session:
        return self.runtime(variant).open(variant, self.threads)

    def score(self, variant: Variant) -> Accuracy:
        """Accuracy of a built variant on the validation split."""
        return self._validation(variant).accuracy

    def detections(self, variant: Variant) -> Iterator[Detections]:
        """What a built variant finds in each image of the validation split, in the same order for all."""
        return self._validation(variant).detections()

    def _validation(self, variant: Variant) -> Validation:
        @working()
        def validated(keep: Callable[[Detections], object]) -> Accuracy:
            session = self.open(variant)
            work = f"validating {variant.name} on {variant.runtime}"
            with during(work), bar(work, len(self.data.val)) as tick:
                found = validate(tick(session), self.data, variant.imgsz, keep)
            log.info("%s on %s: %s %.4f", variant.name, variant.runtime, found.metric, found.score)
            return found

        artefact = digest(variant.path), variant.runtime, variant.precision, str(variant.imgsz)
        # torch adds up in another order on other threads
        identity = *artefact, self.data.fingerprint, machine_name(), str(self.threads), str(versions())
        return validation.validate_once(self.store, identity, validated)

    @working()
    def disagreement(self, before: Variant, after: Variant, folder: Path) -> Disagreement:
        """Where `after` finds something else than `before`; copies of the worst images go to `folder`/images."""
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
        """Latencies of built variants, interleaved; each is compared with the first of its runtime or its original."""
        subjects: list[tuple[Open, Variant]] = [(self.runtime(variant).open, variant) for variant in variants]
        return latency.measure(subjects, self.threads, self.rounds, self.seed)

    @timing()
    def profile(self, variants: list[Variant]) -> tuple[tuple[Profile | None, ...], Machine | None]:
        """Time by layer of built variants, None where the runtime doesn't tell, and what this machine can do."""
        return machine.measure([(self.runtime(variant).profiler, variant) for variant in variants], self.threads)
