"""Makes a latency table: times networks of an architecture, once for each of them, runtime, precision and machine."""

import logging
import os
import shutil
from hashlib import sha256
from pathlib import Path
from time import perf_counter

from torch import nn

from optimize.host.cpu import flags
from optimize.host.files import move
from optimize.identity import identity
from optimize.input_size import Size
from optimize.inside import is_plain
from optimize.measure.profile import Profile
from optimize.progress import bar
from optimize.pruner.latency import samples, timing
from optimize.pruner.latency.deployment import Deployment
from optimize.pruner.latency.networks import Drawn, Traced, architecture, deploy, draw, made
from optimize.pruner.latency.samples import LatencySamples, LayerShape, NetworkTime
from optimize.store.aside import set_aside
from optimize.store.durations import INSIDE
from optimize.store.held import held, record_found, record_made
from optimize.variant import Variant
from optimize.yolo import coupling, depth

log = logging.getLogger(__name__)

NETWORKS = 16  # with 12, 16 or 30 of them the median error of others was 1 % on a quiet machine
QUIET = 0.025  # A/A that a table is kept with at once: below 2 % others were off by 1 to 2 % (median), at 4.6 % by 4 %
ENDING = ".latency.json"
STAGE = INSIDE


def samples_of(source: Traced, imgsz: Size, deployment: Deployment, seed: int) -> LatencySamples:
    """The measurements of the architecture of `source` from the store, or made now.

    Raises:
        MeasurementError: a network can't be opened or called, or the clock can't tell.
    """
    path = place(source.model, imgsz, deployment)
    key = path.name.removesuffix(ENDING)
    with held(deployment.store, key):
        known = samples.read(path)
        if known is not None:
            record_found(STAGE)
            return known
        began, partial = perf_counter(), deployment.store / f"{key}.partial"
        if os.path.lexists(path):
            set_aside(path)
        if os.path.lexists(partial):  # left by a killed run, if it is a folder of plain files
            shutil.rmtree(partial) if partial.is_dir() and is_plain(partial, alone=True) else set_aside(partial)
        partial.mkdir()
        measured = measure(source, imgsz, deployment, NETWORKS, seed, partial)
        samples.write(measured, partial / path.name)
        move(partial / path.name, path)
        shutil.rmtree(partial)
        record_made(STAGE, perf_counter() - began, path.stat().st_size)
        log.info("timed %d networks on %s in %.0f s", NETWORKS, deployment, perf_counter() - began)
    return measured


def place(model: nn.Module, imgsz: Size, deployment: Deployment) -> Path:
    """Where the store keeps the measurements of the architecture of `model`."""
    schema = LatencySamples.__dataclass_fields__["schema"].default
    parts = (STAGE, str(schema), architecture(model), str(imgsz), identity(deployment))
    key = sha256("\n".join(parts).encode()).hexdigest()[:16]
    return deployment.store / f"{key}{ENDING}"


def measure(source: Traced, imgsz: Size, deployment: Deployment, count: int, seed: int, folder: Path) -> LatencySamples:
    """Deploy `count` networks with random widths and blocks to `folder`, the original first, and time them.

    Raises:
        MeasurementError: as `samples_of`.
    """
    drawn = draw(source, count, seed)
    with bar(f"networks for the latency table of {deployment}", count) as tick:

        @tick
        def deployed(number: int) -> Variant:
            network = made(source, drawn[number], seed + number)
            return deploy(
                network, deployment.runtime, deployment.precision, imgsz, folder / str(number), deployment.int8_cpu
            )

        networks = [deployed(number) for number in range(count)]
    timed = timing.steady(lambda: timing.timed(deployment.runtime, networks, deployment.threads, seed), QUIET)
    profiles = timing.profiled(deployment.runtime, networks, deployment.threads)
    times = tuple(
        NetworkTime(
            widths=source.widths(one),
            milliseconds=timed.milliseconds * share,
            layers=by_layer(source, one, profile) if profile else None,
        )
        for one, share, profile in zip(drawn, (1.0, *timed.shares), profiles, strict=True)
    )
    return LatencySamples(
        architecture=architecture(source.model),
        imgsz=imgsz,
        runtime=deployment.name,
        version=deployment.version,
        precision=deployment.precision,
        recipe=deployment.recipe,
        cpu=deployment.cpu,
        threads=deployment.threads,
        flags=tuple(flags()),
        noise=timed.noise,
        layers=shapes(source),
        networks=times,
    )


def by_layer(source: Traced, drawn: Drawn, profile: Profile) -> dict[str, float]:
    """Milliseconds of each layer of a network by its profile, by the layer's name in the original."""
    layers = list(source.widths(drawn))
    names = {name: name for name in layers} | coupling.unfused_names(source.model)
    names = {depth.name_after(fused, drawn.gone): name for fused, name in names.items() if name in layers}
    vanished = {module for branch in drawn.gone for module in branch.modules}
    cutting = {
        name: tuple(block for block in blocks if block not in vanished)
        for name, blocks in depth.cutting(source.model).items()
    }
    return timing.by_known_layer(profile, layers, names, cutting)


def shapes(source: Traced) -> dict[str, LayerShape]:
    """What every layer computes; one that runs at several sizes, as in a shared head, has the sum over them."""
    by_name = dict[str, LayerShape]()
    for term in source.trace.terms:
        if term.layer in source.layers:
            weight = source.model.get_submodule(term.layer).get_parameter("weight")
            positions = term.scale / max(weight.shape[2:].numel(), 1)
            before = by_name.get(term.layer, LayerShape(0.0, 0.0))
            by_name[term.layer] = LayerShape(before.multiply_adds + term.scale, before.positions + positions)
    return {name: by_name[name] for name in source.layers}
