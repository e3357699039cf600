"""The operators of a graph as layers, by the modules in their names."""

from pathlib import Path

from optimize.errors import InputError
from optimize.measure.graph_cost import GraphLayer, total
from optimize.runtime.onnxruntime import kernels as onnx_profile
from optimize.runtime.openvino import kernels as openvino_kernels


def layers_by_module(path: Path, operators: tuple[GraphLayer, ...]) -> tuple[GraphLayer, ...]:
    """One layer per module, in the order of the graph; an operator whose name tells none is a layer of its own.

    Raises:
        InputError: there are no operators, so this is no network.
    """
    if not operators:
        raise InputError(f"model={path} has no convolution and no matrix product, so it is no detector; give one.")
    layers: dict[str, list[GraphLayer]] = {}
    for operator in operators:
        name = openvino_kernels.module(operator.name) or onnx_profile.module(operator.name) or operator.name
        layers.setdefault(name, []).append(operator)
    return tuple(total(name, own[0].kind, own) for name, own in layers.items())
