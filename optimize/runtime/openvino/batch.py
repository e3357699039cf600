"""An OpenVINO model for several images in one call."""

from pathlib import Path

import numpy as np

from optimize.runtime.openvino import device


def with_batch(source: Path, target: Path, batch: int | None) -> None:
    """As `onnx.batch.with_batch`, from a folder to a folder."""
    import openvino as ov
    from openvino import opset13 as ops
    from ultralytics.utils import YAML

    from optimize.runtime.openvino import save

    network = device.read(source)
    for node in network.get_ordered_ops():
        if node.get_type_name() != "Reshape" or node.input_value(1).get_node().get_type_name() != "Constant":
            continue
        shape = np.array(node.input_value(1).get_node().data)
        if shape[0] > 0:
            copies = node.get_attributes()["special_zero"] and (shape[1:] == -1).any()
            shape[0] = 0 if copies else -1
            node.input(1).replace_source_output(ops.constant(shape).output(0))
    _, *others = (int(side) for side in network.input().shape)
    network.reshape({network.input(): ov.PartialShape([-1 if batch is None else batch, *others])})
    save(network, target)
    metadata = YAML.load(source / "metadata.yaml")
    metadata["batch"] = batch or 1
    metadata["args"] |= {"batch": batch or 1, "dynamic": batch is None}
    YAML.save(target / "metadata.yaml", metadata)
