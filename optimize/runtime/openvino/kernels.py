"""Reads which kernels OpenVINO really uses from the graph of the compiled model.

A kernel's name (`primitiveType`) ends with the type it computes in; a layer's `runtimePrecision` is only that of its
stored weights. A `compiled` model is an `openvino.CompiledModel`, a `network` the `openvino.Model` that was compiled, a
`layer` an `openvino.Node` of the compiled graph, a `port` an `openvino.Output`.
"""

from math import prod
from typing import Any

import numpy as np

from optimize.measure.profile import Kernel, Profiler, Summary
from optimize.runtime.openvino import cost, device


def operations(compiled: Any, network: Any) -> tuple[int, int]:
    """Operations of the compiled `network`, 2 per multiply-add: in int8 kernels, and in all other kernels."""
    products = _products(network)
    counts = {True: 0, False: 0}
    for layer in _layers(compiled):
        int8 = _word(layer, "primitiveType").endswith(device.FORMATS["int8"])
        counts[int8] += 2 * _multiply_adds(layer, products)
    return counts[True], counts[False]


def profiler(compiled: Any, network: Any) -> Profiler:
    """A profiler of the compiled `network`; it must have been compiled with PERF_COUNT."""
    request, products = compiled.create_infer_request(), _products(network)
    image = np.random.default_rng(0).random(tuple(compiled.input(0).get_shape()), dtype=np.float32)
    times: dict[str, list[float]] = {}

    def run(timed: bool) -> None:
        request.infer([image])
        for kernel in request.get_profiling_info() if timed else ():
            times.setdefault(kernel.node_name, []).append(kernel.real_time.total_seconds() * 1e3)

    def kernels(summary: Summary) -> list[Kernel]:
        layers = compiled.get_runtime_model().get_ordered_ops()
        timed = [layer for layer in layers if layer.get_friendly_name() in times]  # the others ran once, on constants
        return [_kernel(layer, float(summary(times[layer.get_friendly_name()])), products) for layer in timed]

    return Profiler(run, kernels)


def _kernel(layer: Any, milliseconds: float, products: dict[str, Any]) -> Kernel:
    names = [layer.get_friendly_name(), *_word(layer, "originalLayersNames").split(",")]
    read = [layer.input_value(i) for i in range(layer.get_input_size())]
    return Kernel(
        module=next(filter(None, map(module, names)), ""),
        reads=tuple(_tensor(port) for port in read),
        writes=tuple(_tensor(port) for port in layer.outputs()),
        milliseconds=milliseconds,
        ops=2 * _multiply_adds(layer, products),
        # a kernel without time worked in place
        bytes=sum(_bytes(port) for port in (*read, *layer.outputs())) if milliseconds else 0,
        arithmetic=_precision(_word(layer, "primitiveType")),
    )


def module(name: str) -> str:
    """The module in the name of a layer, `__module.<module>/<operator>`; empty where there is none.

    Empty also for activation functions, of which one module serves a whole network: the tracer names its last place.
    """
    found = name.removeprefix("__module.").split("/")[0] if name.startswith("__module.") else ""
    return "" if found.endswith(".act") else found


def _precision(primitive: str) -> str:
    end = primitive.rpartition("_")[2]
    return next((precision for precision, ends in device.FORMATS.items() if primitive.endswith(ends)), end)


def _tensor(port: Any) -> str:
    return f"{port.get_node().get_friendly_name()}:{port.get_index()}"


def _bytes(port: Any) -> int:
    return prod(port.get_shape()) * port.get_element_type().size


def _products(network: Any) -> dict[str, Any]:
    """The matrix products of `network`, by name."""
    return {op.get_friendly_name(): op for op in network.get_ops() if op.get_type_name() == "MatMul"}


def _multiply_adds(layer: Any, products: dict[str, Any]) -> int:
    """Multiply-adds by the shapes of the compiled layer; fused attention is counted by its original layers."""
    kind = _word(layer, "layerType")
    if kind == "Subgraph":
        originals = _word(layer, "originalLayersNames").split(",")
        return sum(cost.multiply_adds(products[name]) for name in originals if name in products)
    if kind not in ("Convolution", "Deconvolution", "FullyConnected", "MatMul"):
        return 0
    data, weight = (tuple(layer.input_value(i).get_shape()) for i in range(2))
    output = tuple(layer.get_output_shape(0))
    if kind in ("FullyConnected", "MatMul"):
        # however transposed, each element meets every column of the other factor; the first may serve a whole batch
        return max(prod(output[:-2]), prod(data[:-2])) * prod(data[-2:]) * output[-1]
    per_element = prod(weight[1 + len(weight) - len(data) :])  # a grouped weight has one dimension more, in front
    return prod(output if kind == "Convolution" else data) * per_element


def _layers(compiled: Any) -> list[Any]:
    return compiled.get_runtime_model().get_ops()


def _word(layer: Any, key: str) -> str:
    return layer.get_rt_info()[key].astype(str)
