"""Accuracy and latency of a variant as it would be deployed: one judge for what is reported and for what is chosen."""

import logging
from dataclasses import dataclass
from pathlib import Path

from optimize.data.dataset import Dataset
from optimize.measure import accuracy, latency
from optimize.measure.accuracy import Accuracy
from optimize.measure.graph_cost import GraphCost
from optimize.measure.latency import Timing
from optimize.progress import bar
from optimize.runtime.session import Runtime, Session
from optimize.stage import apply, digest
from optimize.variant import Variant
from optimize.yolo.validate import validate

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judge:
    """Runs variants of `runtimes` on the validation pictures of `data`.

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
        return next(runtime for runtime in self.runtimes if runtime.name == variant.runtime)

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

        def validated() -> Accuracy:
            session = self.open(variant)
            with bar(f"validating {variant.name} on {variant.runtime}", len(self.data.val)) as tick:
                found = validate(tick(session), self.data, variant.imgsz)
            log.info("%s on %s: %s %.4f", variant.name, variant.runtime, found.metric, found.score)
            return found

        identity = digest(variant.path), variant.precision, str(variant.imgsz), self.data.fingerprint
        return accuracy.once(self.store, identity, validated)

    def time(self, variants: list[Variant]) -> Timing:
        """Latencies of built variants, interleaved; each is compared with the first of its runtime or its original."""
        subjects = [(self.runtime(variant).open, variant) for variant in variants]
        return latency.measure(subjects, self.threads, self.rounds, self.seed)
