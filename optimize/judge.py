"""Evaluates accuracy and latency of a deployed variant, for the report and for the selection of recipes alike."""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimize.data.frames import frames_of
from optimize.dataset import Dataset, EvaluationImages
from optimize.errors import during
from optimize.host.quiet import timing, working
from optimize.measure import clock, latency, machine, start_up, throughput, validation
from optimize.measure.accuracy import Accuracy
from optimize.measure.detections import CONFIDENCE, Detections
from optimize.measure.disagreement import ComparedImage, Disagreement, Pair, compare
from optimize.measure.graph_cost import GraphCost
from optimize.measure.latency import Open, Timing
from optimize.measure.profile import Profile
from optimize.measure.roofline import Machine
from optimize.measure.start_up import StartUp
from optimize.measure.throughput import Load, Rate
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
    """Evaluates variants of `runtimes` on the images of `data`: for the report on some, for choices on others.

    Attributes:
        data: the data set, which says on which images.
        runtimes: every runtime that a variant may name.
        store: the folder of finished work; an artefact in it that was validated is not validated again.
        threads: CPU threads of every runtime.
        rounds, seed: of the latency benchmark.
        seconds: that the visits of one file may take in it.
        metric: the implementation that computes the accuracy, `ultralytics` or `coco`.
        frame: width and height of the frames that are timed; None for the images as they are.
    """

    data: Dataset
    runtimes: tuple[Runtime, ...]
    store: Path
    threads: int
    rounds: int
    seed: int
    metric: str = ULTRALYTICS
    seconds: float = clock.LONGEST
    frame: tuple[int, int] | None = None

    def runtime(self, variant: Variant) -> Runtime:
        return next(runtime for runtime in self.runtimes if runtime.info.name == variant.runtime)

    def built(self, variant: Variant) -> Variant:
        """The deployed form of `variant`: itself, or the engine built from it."""
        return apply(self.runtime(variant).build, variant, self.store)

    def count(self, variant: Variant) -> GraphCost | None:
        """The operations of `variant`, counted on its file."""
        return self.runtime(variant).count(variant)

    def metadata(self, variant: Variant) -> dict[str, Any]:
        """What `variant`'s file says of itself, as `Runtime.metadata`."""
        return self.runtime(variant).metadata(variant.path)

    def open(self, variant: Variant) -> Session:
        return self.runtime(variant).open(variant, self.threads)

    def score(self, variant: Variant) -> Accuracy:
        """Accuracy of a built variant on the images of the report; nothing may be chosen by it."""
        return self._validation(variant, self.data.report_images).accuracy

    def whole_score(self, variant: Variant) -> Accuracy:
        """Accuracy of a built variant on all images of the report, where `score` is on a part of them."""
        return self._validation(variant, self.data.whole or self.data.report_images, "whole-validation").accuracy

    def choice_score(self, variant: Variant) -> Accuracy:
        """Accuracy of a built variant on the images that choices are made on."""
        return self._validation(variant, self.data.choice_images, "choice-validation").accuracy

    def is_scored(self, variant: Variant) -> bool:
        """Whether the store holds what `score` gives."""
        return validation.is_validated(self.store, self._identity(variant, self.data.report_images))

    def detections(self, variant: Variant) -> Iterator[Detections]:
        """Detections of a built variant in each image of the report, in the same order for every variant."""
        return self._validation(variant, self.data.report_images).detections()

    def _validation(self, variant: Variant, images: EvaluationImages, work: str = "validation") -> Validation:
        @working()
        def validated(keep: Callable[[Detections], object]) -> Accuracy:
            session, end2end = self.open(variant), bool(self.metadata(variant)["end2end"])
            what = f"validating {variant.name} on {variant.runtime}"
            with during(what), bar(what, len(images.files)) as tick:
                accuracy = validate(tick(session), self.data, variant.imgsz, keep, images, self.metric, end2end)
            where = images.record.described
            log.info("%s on %s, %s: %s %.4f", variant.name, variant.runtime, where, accuracy.metric, accuracy.score)
            return accuracy

        return validation.validate_once(self.store, self._identity(variant, images), validated, work)

    def _identity(self, variant: Variant, images: EvaluationImages) -> tuple[str, ...]:
        """Everything that an accuracy depends on."""
        artefact = digest(variant.path), variant.runtime, variant.precision, str(variant.imgsz)
        # the number of threads changes the order of torch's sums
        conditions = machine_name(), str(self.threads), str(versions()), implementation(self.metric)
        return *artefact, images.split, images.fingerprint, *conditions

    @working()
    def disagreement(self, before: Variant, after: Variant, folder: Path) -> Disagreement:
        """Images where the detections of `before` and `after` differ; copies of the worst go to `folder`/images."""
        files = self.data.report_images.files
        root = os.path.commonpath([image.parent for image in files])
        names = [image.relative_to(root).as_posix() for image in files]
        images, agreeing, worst = compare(self.detections(before), self.detections(after), names.__getitem__)
        (folder / "images").mkdir(exist_ok=True)

        def shown(rank: int, pair: Pair) -> ComparedImage:
            position, path = pair.before.image, Path("images", f"{rank}.jpg")
            width, height = write_small_copy(files[position], folder / path, self.data.task)
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
    def time(self, variants: list[Variant], with_frames: bool = False) -> Timing:
        """Latencies of built variants, interleaved, each relative to its runtime's original or else first variant.

        Args:
            variants: with distinct files.
            with_frames: whether to time whole frames as well, for the tasks whose outputs a bundle decodes.
        """
        subjects: list[tuple[Open, Variant]] = [(self.runtime(variant).open, variant) for variant in variants]
        frames = frames_of(variants, self.metadata, self.data, self.frame) if with_frames else ()
        return latency.measure(subjects, self.threads, self.rounds, self.seed, seconds=self.seconds, frames=frames)

    @timing()
    def start_up(self, variants: list[Variant]) -> tuple[StartUp | None, ...]:
        """Time to load, time to the first result and memory of built variants; None where no bundle opens the file."""
        device_files = [self.runtime(variant).device_file for variant in variants]
        with bar("starting", start_up.STARTS * sum(file is not None for file in device_files)) as tick:
            count = tick(bool)
            return tuple(
                start_up.measure(file, variant, self.threads, count) if file else None
                for file, variant in zip(device_files, variants, strict=True)
            )

    @timing()
    def throughput(self, loads: list[Load]) -> list[Rate]:
        """Images per second of each of `loads`."""
        return throughput.measure(loads, self.threads, self.seed)

    @timing()
    def profile(self, variants: list[Variant]) -> tuple[tuple[Profile | None, ...], Machine | None]:
        """Time by layer of built variants (None where the runtime reports none), and the peaks of this machine."""
        return machine.measure([(self.runtime(variant).profiler, variant) for variant in variants], self.threads)
