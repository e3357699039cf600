"""Makes the table of an ONNX file, float or with Q/DQ nodes, without torch."""

from pathlib import Path

import onnx
from onnx import external_data_helper

from optimize.errors import InputError, described
from optimize.flops.input_size import check
from optimize.flops.named import layers_by_module
from optimize.flops.table import Table
from optimize.input_size import Size
from optimize.runtime.onnx import cost as onnx_cost

FEW = 1024  # bytes, enough for any shape


def table(path: Path, imgsz: Size | None) -> Table:
    """See `count`."""
    if not path.is_file():
        raise InputError(f"model={path} is no file; give an ONNX file.")
    try:
        model = onnx.load(path, load_external_data=False)  # shapes don't need it, and it may point to any file
        _load_shapes(model, path.parent)
    except Exception as error:  # a broken or foreign file raises many types, and the user can only give another
        raise InputError(f"model={path} is not an ONNX file ({described(error)}); give one that is.") from error
    size = check(str(path), _inputs(model.graph), imgsz)
    try:
        layers, uncounted = onnx_cost.layers(model), onnx_cost.uncounted(model)
    except InputError as error:
        raise InputError(f"model={path} can't be counted: {error}") from error
    return Table(str(path), size, layers_by_module(path, layers), uncounted, None, None)


def _load_shapes(model: onnx.ModelProto, folder: Path) -> None:
    """Load small integer tensors from external files, since shapes are computed from them.

    onnx reads no file outside of `folder`.
    """
    for tensor in model.graph.initializer:
        integers = tensor.data_type in (onnx.TensorProto.INT32, onnx.TensorProto.INT64)
        if external_data_helper.uses_external_data(tensor) and integers and len(tensor.dims) < 2:
            reference = {entry.key: entry.value for entry in tensor.external_data}
            file = folder / reference.get("location", "")
            if int(reference.get("length", FEW + 1)) <= FEW and file.is_file():
                external_data_helper.load_external_data_for_tensor(tensor, str(folder))
                tensor.data_location = onnx.TensorProto.DEFAULT
                del tensor.external_data[:]


def _inputs(graph: onnx.GraphProto) -> list[tuple[int | str, ...]]:
    constants = {tensor.name for tensor in graph.initializer}
    shapes = [value.type.tensor_type.shape.dim for value in graph.input if value.name not in constants]
    return [tuple(dim.dim_value or dim.dim_param or "?" for dim in shape) for shape in shapes]
