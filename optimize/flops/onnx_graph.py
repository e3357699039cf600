"""The table of an ONNX file, float or with Q/DQ nodes, without torch."""

from pathlib import Path

import onnx

from optimize.errors import InputError, described
from optimize.flops.named import named
from optimize.flops.picture import check
from optimize.flops.table import Table
from optimize.measure import onnx_cost


def table(path: Path, imgsz: int | None) -> Table:
    """See `count`."""
    try:
        model = onnx.load(path)
    except Exception as error:  # whatever a broken or foreign file raises, the user can only give another one
        raise InputError(f"model={path} is not an ONNX file ({described(error)}); give one that is.") from error
    size = check(str(path), _inputs(model.graph), imgsz)
    return Table(str(path), size, named(path, onnx_cost.layers(model)), onnx_cost.uncounted(model), None, None)


def _inputs(graph: onnx.GraphProto) -> list[tuple[int | str, ...]]:
    constants = {tensor.name for tensor in graph.initializer}
    shapes = [value.type.tensor_type.shape.dim for value in graph.input if value.name not in constants]
    return [tuple(dim.dim_value or dim.dim_param or "?" for dim in shape) for shape in shapes]
