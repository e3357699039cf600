"""The runtime and precision whose milliseconds a latency target is of."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from torch import nn

from optimize.errors import InputError
from optimize.input_size import Size
from optimize.int8_cpu import Int8Cpu
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


def with_deployment(
    pruning: Pruning,
    model: nn.Module,
    imgsz: Size,
    runtimes: Sequence[Runtime],
    precisions: Sequence[PrecisionStage],
    asked: str,
    threads: int,
    store: Path,
    int8_cpu: Int8Cpu,
) -> Pruning:
    """`pruning` with the deployment that its target is of; unchanged for other targets than the latency.

    Args:
        model: the original.
        runtimes: that are used in this run.
        precisions: the stages of this run.
        asked: the name of the precision that was asked for.
        int8_cpu: that int8 files are made for.

    Raises:
        InputError: pruner.deploy names none of them, or pruner.table is of another model, input or runtime.
    """
    if pruning.target != LATENCY or not pruning.share:
        return pruning
    table = _table(pruning.table, model, imgsz) if pruning.table else None
    usable = {
        f"{runtime.info.name}-{name}": (runtime, name)
        for runtime in runtimes
        for name in (FP32.name, *_makes(precisions, runtime))
    }
    if not usable:
        raise InputError("pruner.target=latency needs a runtime to measure in; give one, e.g. runtime=[openvino].")
    name = pruning.deploy or (f"{table.runtime}-{table.precision}" if table else _default(usable, asked))
    if name not in usable:
        given = f"pruner.deploy={name}" if pruning.deploy else f"pruner.table={pruning.table} is of {name}, which"
        raise InputError(f"{given} is not a runtime and precision of this run; allowed are {', '.join(usable)}.")
    if table and name != f"{table.runtime}-{table.precision}":
        raise InputError(
            f"pruner.table={pruning.table} is of {table.runtime}-{table.precision}, and pruner.deploy={name}; leave "
            "pruner.deploy out, or give a table of it."
        )
    runtime, precision = usable[name]
    here = Deployment(
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
    if pruning.table and table:
        content = sha256(pruning.table.read_bytes()).hexdigest()
        if table.recipe != here.recipe:
            log.warning(
                f"pruner.table={pruning.table} was measured in int8 by {table.recipe}, and this run quantizes by "
                f"{here.recipe} for that CPU; for times of it, make the table with --cpu {int8_cpu.kind}."
            )
        here = replace(here, threads=table.threads, cpu=table.cpu, table=content, samples=table)
    return replace(pruning, deployment=here)


def _makes(precisions: Sequence[PrecisionStage], runtime: Runtime) -> list[str]:
    names = [stage.precision.name for stage in precisions if stage.why_not(runtime) is None]
    return [name for name in dict.fromkeys(names) if name != FP32.name]


def _default(usable: dict[str, tuple[Runtime, str]], asked: str) -> str:
    """The first runtime in the precision that was asked for, or in float32 where it doesn't have that."""
    first = next(iter(usable)).partition("-")[0]
    return f"{first}-{asked}" if f"{first}-{asked}" in usable else f"{first}-{FP32.name}"


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
