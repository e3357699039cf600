"""An ONNX file for several images in one call."""

from ast import literal_eval
from pathlib import Path


def with_batch(source: Path, target: Path, batch: int | None) -> None:
    """Write `source`, whose calls take one image, to `target` for calls of `batch` images, None for any number.

    Its Reshapes have the batch of one as a number: in its place 0 copies that of the input, or where no other axis is
    -1, -1 computes it (ONNX operator Reshape), which also holds where an attention joins batch and areas.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load(source)
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for name in {node.input[1] for node in graph.node if node.op_type == "Reshape"} & constants.keys():
        shape = numpy_helper.to_array(constants[name]).copy()
        if shape[0] > 0:
            shape[0] = 0 if (shape[1:] == -1).any() else -1
            constants[name].CopyFrom(numpy_helper.from_array(shape, name))
    for value in (*graph.input, *graph.output):
        axis = value.type.tensor_type.shape.dim[0]
        axis.Clear()
        if batch is None:
            axis.dim_param = "batch"
        else:
            axis.dim_value = batch
    del graph.value_info[:]  # shapes of a batch of one
    for prop in model.metadata_props:  # by which stock ultralytics splits what it is given
        if prop.key == "batch":
            prop.value = str(batch or 1)
        elif prop.key == "args":
            prop.value = str(literal_eval(prop.value) | {"batch": batch or 1, "dynamic": batch is None})
    onnx.save(onnx.shape_inference.infer_shapes(model), target)
