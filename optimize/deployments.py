"""The runtimes and precisions of a run, and the one whose milliseconds a latency target is of."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from torch import nn

from optimize.errors import InputError
from optimize.input_size import Size
from optimize.int8_cpu import Int8Cpu
from optimize.mix.way import Way
from optimize.precision import FP32
from optimize.provenance import versions
from optimize.pruner.latency import samples
from optimize.pruner.latency.deployment import Deployment
from optimize.pruner.latency.networks import architecture
from optimize.pruner.latency.samples import LatencySamples
from optimize.pruner.settings import LATENCY, Pruning
from optimize.quant.stage import PrecisionStage
from optimize.runtime.here import machine_name
from optimize.runtime.session import Runtime

log = logging.getLogger(__name__)

Ways = Mapping[str, Way]


def ways(
    runtimes: Sequence[Runtime], precisions: Sequence[PrecisionStage], threads: int, store: Path, int8_cpu: Int8Cpu
) -> Ways:
    """Every runtime with every precision that it has in a run, by name, e.g. `openvino-int8`, on this machine.

    Args:
        runtimes, precisions: of the run.
        threads: CPU threads.
        store: where measurements are kept.
        int8_cpu: that int8 files are made for.
    """
    found = dict[str, Way]()
    for runtime in runtimes:
        makes = [stage for stage in precisions if stage.precision != FP32 and stage.why_not(runtime) is None]
        for stage in (None, *makes):
            precision = stage.precision.name if stage else FP32.name
            place = Deployment(
                name=runtime.info.name,
                precision=precision,
                threads=threads,
                cpu=machine_name(),
                recipe=runtime.int8_recipes(int8_cpu)[0].name if precision == "int8" else "",
                version=versions().get(runtime.info.package, ""),
                runtime=runtime,
                store=store,
                int8_cpu=int8_cpu,
            )
            found.setdefault(str(place), Way(place, stage))
    return found


def with_deployment(pruning: Pruning, usable: Ways, model: nn.Module, imgsz: Size, asked: str) -> Pruning:
    """`pruning` with the deployment that its target is of; unchanged for other targets than the latency.

    Args:
        usable: the deployments of this run.
        model: the original.
        asked: the name of the precision that was asked for.

    Raises:
        InputError: pruner.deploy names none of them, or pruner.table is of another model, input or runtime.
    """
    if pruning.target != LATENCY or not pruning.share:
        return pruning
    allowed = allowed_ways(pruning, usable, model, imgsz)
    default = next(iter(usable)).partition("-")[0]
    first = f"{default}-{asked}", f"{default}-{FP32.name}"  # float32 where it doesn't have what was asked for
    name = next(iter(allowed)) if len(allowed) == 1 else next(name for name in first if name in allowed)
    return replace(pruning, deployment=allowed[name].deployment)


def allowed_ways(pruning: Pruning, usable: Ways, model: nn.Module, imgsz: Size) -> Ways:
    """Those of the deployments `usable` that a target in milliseconds may be of: one that is named, or all.

    Raises:
        InputError: as `with_deployment`.
    """
    table = _table(pruning.table, model, imgsz) if pruning.table else None
    if not usable:
        raise InputError("A target in milliseconds needs a runtime to measure in; give one, e.g. runtime=[openvino].")
    name = pruning.deploy or (f"{table.runtime}-{table.precision}" if table else None)
    if name is None:
        return usable
    if name not in usable:
        given = f"pruner.deploy={name}" if pruning.deploy else f"pruner.table={pruning.table} is of {name}, which"
        raise InputError(f"{given} is not a runtime and precision of this run; allowed are {', '.join(usable)}.")
    if table and name != f"{table.runtime}-{table.precision}":
        raise InputError(
            f"pruner.table={pruning.table} is of {table.runtime}-{table.precision}, and pruner.deploy={name}; leave "
            "pruner.deploy out, or give a table of it."
        )
    way = usable[name]
    if pruning.table and table:
        content = sha256(pruning.table.read_bytes()).hexdigest()
        if table.recipe != way.deployment.recipe:
            log.warning(
                f"{pruning.table} was measured in int8 by {table.recipe}, and this run quantizes by "
                f"{way.deployment.recipe} for that CPU; for times of it, make the table with --cpu "
                f"{way.deployment.int8_cpu.kind}."
            )
        there = replace(way.deployment, threads=table.threads, cpu=table.cpu, table=content, samples=table)
        way = replace(way, deployment=there)
    return {name: way}


def _table(path: Path, model: nn.Module, imgsz: Size) -> LatencySamples:
    given = f"pruner.table={path}"
    if not path.is_file():
        raise InputError(f"{given} does not exist; give the file that `python -m optimize.latency_table` wrote.")
    table = samples.read(path)
    if table is None:
        raise InputError(f"{given} is no latency table; give the file that `python -m optimize.latency_table` wrote.")
    if table.architecture != architecture(model):
        raise InputError(f"{given} is of a model with other layers or widths; make one of this model.")
    if table.imgsz != imgsz:
        raise InputError(
            f"{given} was measured at imgsz={table.imgsz}, and this run is at {imgsz}; give imgsz, or make one."
        )
    return table
