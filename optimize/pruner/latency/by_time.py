"""Selects widths for a latency target, from the table to the record of how it was met."""

from collections import Counter
from copy import deepcopy
from functools import partial

import numpy as np
from torch import nn

from optimize.input_size import Size
from optimize.latency_work import TimeTarget
from optimize.pruner.budget import Goal
from optimize.pruner.latency.deployment import Deployment
from optimize.pruner.latency.fit import Fit, errors, fit
from optimize.pruner.latency.make import samples_of
from optimize.pruner.latency.networks import traced
from optimize.pruner.latency.predict import PredictedLatency
from optimize.pruner.latency.samples import LatencySamples
from optimize.pruner.latency.target import Attempt, aim, stopwatch
from optimize.pruner.latency.timing import Timed
from optimize.pruner.selection import Selection, narrow, select
from optimize.pruner.sensitivity import Sensitivities
from optimize.pruner.settings import Pruning


def select_by_time(
    model: nn.Module,
    original: nn.Module,
    imgsz: Size,
    settings: Pruning,
    deployment: Deployment,
    scanned: Sensitivities | None = None,
) -> tuple[Selection, float, TimeTarget]:
    """What to keep of `model` so that the share of the time of `original` goes; the share that is gone; the record.

    Raises:
        TargetOutOfReach: the share can't be reached; the sentence states the largest that can.
        MeasurementError: the clock can't tell, or a network can't be timed.
    """
    source = traced(original, imgsz)
    samples = deployment.samples or samples_of(source, deployment.table_imgsz or imgsz, deployment, settings.seed)
    fitted = fit(samples).at(imgsz.pixels / samples.imgsz.pixels)
    whole = fitted.milliseconds(source.full)

    def choose(share: float) -> Selection:
        goal = Goal(settings.target, whole, share)
        return select(model, imgsz, settings, goal, partial(PredictedLatency, fitted), scanned)

    if deployment.samples:
        chosen = choose(settings.share)
        return chosen, 1 - chosen.left / whole, _record(samples, fitted, deployment, chosen, whole, None)
    with stopwatch(original, imgsz, deployment, settings.seed) as time:

        def measure(chosen: Selection) -> tuple[float, Timed]:
            narrowed = deepcopy(model)
            narrow(narrowed, chosen)
            return time(narrowed)

        best = aim(settings.share, whole, choose, measure)
    return best.chosen, 1 - best.left, _record(samples, fitted, deployment, best.chosen, whole, best)


def _record(
    samples: LatencySamples, fitted: Fit, deployment: Deployment, chosen: Selection, whole: float, best: Attempt | None
) -> TimeTarget:
    widths = np.array([block.units for block in chosen.blocks])
    without = float(PredictedLatency(fitted, chosen.trace, chosen.blocks)(widths, chosen.branches))
    apart = np.abs(errors(samples))
    return TimeTarget(
        deployment=str(deployment),
        cpu=samples.cpu,
        threads=samples.threads,
        networks=len(samples.networks),
        noise=samples.noise,
        error=float(np.median(apart)),
        worst=float(apart.max()),
        steps={str(step): layers for step, layers in sorted(Counter(one.step for one in fitted.layers).items())},
        rest_ms=fitted.rest,
        profiling=fitted.profiling,
        predicted=1 - chosen.left / whole,
        milliseconds=(best.timed.milliseconds, best.timed.milliseconds * best.left) if best else None,
        attempts=best.number if best else 0,
        by_blocks=1 - without / whole if chosen.branches else 0.0,
    )
