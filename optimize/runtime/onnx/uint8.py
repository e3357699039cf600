"""An ONNX file that takes what a camera gives."""

from pathlib import Path

import numpy as np


def take_uint8(source: Path, target: Path) -> None:
    """Write `source`, whose input is (1, 3, H, W) float32, RGB in 0..1, to `target`, for (1, H, W, 3) uint8, BGR.

    The order of axes and channels, the conversion and the division by 255 come first in the graph.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(source)
    graph, old = model.graph, model.graph.input[0]
    _, _, height, width = (axis.dim_value for axis in old.type.tensor_type.shape.dim)
    graph.input.remove(old)
    graph.input.insert(0, helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, height, width, 3]))
    graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), "frame_rgb"))
    graph.initializer.append(numpy_helper.from_array(np.array(255, np.float32), "frame_white"))
    first = [
        helper.make_node("Transpose", ["frame"], ["frame_planes"], "frame_planes", perm=[0, 3, 1, 2]),
        helper.make_node("Gather", ["frame_planes", "frame_rgb"], ["frame_ordered"], "frame_ordered", axis=1),
        helper.make_node("Cast", ["frame_ordered"], ["frame_float"], "frame_float", to=TensorProto.FLOAT),
        helper.make_node("Div", ["frame_float", "frame_white"], [old.name], "frame_divided"),
    ]
    for place, node in enumerate(first):
        graph.node.insert(place, node)
    onnx.checker.check_model(model)
    onnx.save(model, target)
