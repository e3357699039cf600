"""Makes the tables of a checkpoint or of a yaml, with torch."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

import optimize.yolo  # noqa: F401  first, since it decides ultralytics' threads and output
from optimize.flops.table import Table
from optimize.input_size import Size, square
from optimize.measure import operations
from optimize.measure.cost import Cost, Layer
from optimize.measure.graph_cost import GraphLayer
from optimize.yolo import bounded_yaml  # noqa: F401  replaces what reads a yaml
from optimize.yolo.checkpoint import channels, check_size, deployed, trusted, usual_size
from optimize.yolo.size import Size as ModelSize
from optimize.yolo.size import build, size, without_numbers
from optimize.yolo.usable import open_model

OF_A_YAML = square(640)
# Above this product of parameters and pixels it is faster to follow the shapes than to compute: torch's meta device
# takes a second to import, and a YOLOv8s at 640 px takes nearly as long to compute on one thread.
HEAVY = 5 * 10**12


def tables(model: str, sizes: Sequence[Size | None], trust: bool) -> list[Table]:
    """See `count`; one table for each of `sizes`."""
    with trusted(trust):
        module, usual, _ = loaded(model)
    inputs = [given or usual for given in sizes]
    for imgsz in inputs:
        check_size(model, module, imgsz)
    whole, fused = size(module), deployed(module)
    return [_table(model, imgsz, whole, fused) for imgsz in inputs]


def loaded(model: str) -> tuple[nn.Module, Size, Path | None]:
    """The model of a checkpoint or of a yaml, its usual input size, and the path of the checkpoint if it is one.

    Raises:
        InputError: the model does not exist or can't be loaded.
    """
    if model.endswith((".yaml", ".yml")):
        return build(Path(model)), OF_A_YAML, None
    path, module = open_model(model)
    return module, usual_size(module), path


def counted(model: str, imgsz: Size | None) -> tuple[Cost, Size, Path | None]:
    """The cost of a checkpoint or of a yaml as it is deployed, at which size, and the path of the checkpoint.

    Raises:
        InputError: the model can't be loaded, or doesn't take an image of `imgsz`.
        MeasurementError: an operator that multiplies and adds has no formula.
    """
    module, usual, path = loaded(model)
    side = imgsz or usual
    check_size(model, module, side)
    fused = deployed(module)
    return operations.count(fused, side, channels(fused)), side, path


def _table(model: str, imgsz: Size, whole: ModelSize, fused: nn.Module) -> Table:
    small = size(fused)
    heavy = small.parameters * imgsz.pixels > HEAVY
    counted = operations.count(without_numbers(fused) if heavy else fused, imgsz, channels(fused))
    layers = tuple(_layer(layer) for layer in counted.layers if layer.flops or layer.parameters)
    uncounted = sorted({name.removeprefix("aten.").strip("_") for name in counted.uncounted})  # silu_ works in place
    return Table(model, imgsz, layers, tuple(uncounted), whole, small)


def _layer(layer: Layer) -> GraphLayer:
    return GraphLayer(
        name=layer.name,
        kind=layer.kind,
        float_ops=layer.flops,
        int_ops=0,
        parameters=layer.parameters,
        weight_bytes=layer.weight_bytes,
        read_bytes=layer.read_bytes,
        written_bytes=layer.written_bytes,
    )
