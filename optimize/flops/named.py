"""Groups the operators of a graph into layers, by the modules in their names."""

from pathlib import Path

from optimize.errors import InputError
from optimize.measure.graph_cost import GraphLayer, total
from optimize.runtime.onnxruntime import kernels as onnx_profile
from optimize.runtime.openvino import kernels as openvino_kernels


def layers_by_module(path: Path, operators: tuple[GraphLayer, ...]) -> tuple[GraphLayer, ...]:
    """One layer per module, in the order of the graph; an operator without a module in its name is its own layer.

    Raises:
        InputError: `operators` is empty.
    """
    if not operators:
        raise InputError(f"model={path} has no convolution and no matrix product, so it is no detector; give one.")
    layers: dict[str, list[GraphLayer]] = {}
    for operator in operators:
        name = openvino_kernels.module(operator.name) or onnx_profile.module(operator.name) or operator.name
        layers.setdefault(name, []).append(operator)
    return tuple(total(name, members[0].kind, members) for name, members in layers.items())
