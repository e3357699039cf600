"""An OpenVINO model that takes what a camera gives.

OpenVINO's own `PrePostProcessor` turns the order of the channels around in the weights of the first layer, which then
sums in another order: an int8 model rounds some activations to the next step, and boxes move. These graphs compute the
same numbers.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from optimize.runtime.openvino import device


def divide(source: Path, target: Path) -> None:
    """As `take_uint8`, by a division, which the plugin computes as a product with 1 / 255."""
    take_uint8(source, target, _divided)


def look_up(source: Path, target: Path) -> None:
    """As `take_uint8`, by a table of the 256 quotients: exact in every arithmetic, and slower."""
    take_uint8(source, target, _looked_up)


def take_uint8(source: Path, target: Path, scale: Callable[[Any], Any]) -> None:
    """Write `source`, whose input is (1, 3, H, W) float32, RGB in 0..1, to `target`, for (1, H, W, 3) uint8, BGR.

    Args:
        source, target: folders.
        scale: gives the node that divides the integers of another node by 255.
    """
    import openvino as ov
    from openvino import opset13 as ops

    from optimize.runtime.openvino import save

    network = device.read(source)
    (old,) = network.get_parameters()
    _, _, height, width = (int(side) for side in network.input().shape)
    frame = ops.parameter([1, height, width, 3], ov.Type.u8, name="frame")
    rgb = ops.gather(frame, ops.constant(np.array([2, 1, 0], np.int32)), ops.constant(np.int32(3)))
    planes = ops.transpose(rgb, ops.constant(np.array([0, 3, 1, 2], np.int32)))
    divided = scale(planes)
    divided.friendly_name = f"{device.PREPARES}/divide"
    old.output(0).replace(divided.output(0))
    frame.output(0).set_names({"frame"})
    network.add_parameters([frame])
    network.remove_parameter(old)
    network.validate_nodes_and_infer_types()
    save(network, target)
    shutil.copy(source / "metadata.yaml", target)


def _divided(planes: Any) -> Any:
    from openvino import opset13 as ops

    numbers = ops.convert(planes, "f32", name=f"{device.PREPARES}/convert")
    return ops.divide(numbers, ops.constant(np.float32(255)))


def _looked_up(planes: Any) -> Any:
    from openvino import opset13 as ops

    table = np.arange(256, dtype=np.float32) / np.float32(255)
    indices = ops.convert(planes, "i32", name=f"{device.PREPARES}/convert")
    return ops.gather(ops.constant(table), indices, ops.constant(np.int32(0)))
