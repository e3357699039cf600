"""Reads which kernels ONNX Runtime really ran from the profile that it writes.

The model file doesn't determine them: Q/DQ pairs become int8 kernels only where they are fused, and a CPU without fp16
kernels runs fp16 as fp32.
"""

import json
import re
from itertools import takewhile
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from optimize.measure.profile import Kernel, Profiler, Summary
from optimize.runtime.onnxruntime import device


def profiler(path: Path, options: Any) -> Profiler:
    """A profiler of the file `path` as it is deployed; `options` are the session's options, and are changed."""
    folder = TemporaryDirectory()
    options.enable_profiling = True
    options.profile_file_prefix = f"{folder.name}/profile"
    options.optimized_model_filepath = f"{folder.name}/optimized.onnx"
    session = device.session(path, options)
    feed = session.get_inputs()[0]
    image, calls = np.random.default_rng(0).random(feed.shape, dtype=np.float32), []

    def run(timed: bool) -> None:
        session.run(None, {feed.name: image})
        calls.append(timed)

    def kernels(summary: Summary) -> list[Kernel]:
        with folder:
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
            graph = onnx.load(options.optimized_model_filepath).graph
        by_kernel: dict[str, list[dict[str, Any]]] = {}
        for event in events:
            if event["name"].endswith(device.RAN):
                by_kernel.setdefault(event["name"].removesuffix(device.RAN), []).append(event)
        times = {
            name: summary([e["dur"] / 1e3 for e, timed in zip(events, calls, strict=True) if timed])
            for name, events in by_kernel.items()
        }
        return _kernels(graph, {name: events[0]["args"] for name, events in by_kernel.items()}, times)

    return Profiler(run, kernels)


def _kernels(graph: onnx.GraphProto, ran: dict[str, dict[str, Any]], times: dict[str, float]) -> list[Kernel]:
    """Profiled kernels, by the names of their nodes, in the order of execution.

    Shapes and types are those of the optimized graph, which still holds weights that kernels pack for themselves, and
    that the profile therefore misses.
    """
    nodes = {node.name: node for node in graph.node}
    sizes = {tensor.name: {_type(tensor.data_type): list(tensor.dims)} for tensor in graph.initializer}
    for value in graph.input:
        kind = value.type.tensor_type
        sizes[value.name] = {_type(kind.elem_type): [dimension.dim_value for dimension in kind.shape.dim]}
    kernels = []
    for name, kernel in ran.items():
        node = nodes[name]
        sizes |= zip(filter(None, node.output), kernel["output_type_shape"], strict=True)
        whole = {**kernel, "input_type_shape": [sizes[tensor] for tensor in node.input if tensor]}
        kernels.append(_kernel(node, whole, float(times[name])))
    return kernels


def _kernel(node: onnx.NodeProto, kernel: dict[str, Any], milliseconds: float) -> Kernel:
    integer, multiply_adds = _multiply_adds(kernel) if kernel["op_name"] in _SECOND_FACTOR else (None, 0)
    return Kernel(
        module=module(node.name),
        reads=tuple(node.input),
        writes=tuple(node.output),
        milliseconds=milliseconds,
        ops=2 * multiply_adds,
        bytes=sum(_bytes(tensor) for tensor in (*kernel["input_type_shape"], *kernel["output_type_shape"])),
        arithmetic="int8" if integer else _precision(kernel["output_type_shape"][0]),
    )


def module(name: str) -> str:
    """The module in the name of a node, which holds the exporter's scopes: `/model.8/m.0/cv1/conv/Conv`.

    Empty where there is none, and for activation functions, which belong to the layer that they are applied to. The
    scope of a list's or a sequence's member repeats that of its parent: `/model.22/cv2.0/cv2.0.1` is
    `model.22.cv2.0.1`. A module that is called again gets a number: `/model.9/m_1`. Operators begin with a capital.
    A module that is passed to another one is named by where it is called, as in RT-DETR's decoder.
    """
    parts: list[str] = []
    scopes = name.removeprefix("InsertedPrecisionFreeCast_").lstrip("/").split("/")[:-1]  # fp16 that runs in float32
    for scope in takewhile(lambda scope: not scope[:1].isupper(), scopes):
        scope = re.sub(r"_\d+$", "", scope)
        if parts and scope.startswith(f"{parts[-1]}."):
            parts.pop()
        parts.append(scope)
    return "" if parts and parts[-1] == "act" else ".".join(parts)


def _precision(tensor: dict[str, list[int]]) -> str:
    (kind,) = tensor
    return next((precision for precision, names in device.FORMATS.items() if kind in names), kind)


def _bytes(tensor: dict[str, list[int]]) -> int:
    ((kind, shape),) = tensor.items()
    number = onnx.TensorProto.DataType.Value(kind.upper())
    return prod(shape) * onnx.helper.tensor_dtype_to_np_dtype(number).itemsize


def _type(number: int) -> str:
    """The name of an ONNX data type as profiles write it, e.g. `float` or `uint8`."""
    return onnx.TensorProto.DataType.Name(number).lower()


def operations(kernels: device.Kernels) -> tuple[int, int]:
    """Operations, 2 per multiply-add, that ran in integer kernels, and in float kernels.

    Convolutions in ONNX Runtime's blocked layout, which is float's, are counted with their channels padded to blocks.
    """
    counts = {True: 0, False: 0}
    for kernel in kernels:
        if kernel["op_name"] in _SECOND_FACTOR:
            integer, multiply_adds = _multiply_adds(kernel)
            counts[integer] += 2 * multiply_adds
    return counts[True], counts[False]


def _multiply_adds(kernel: dict[str, Any]) -> tuple[bool, int]:
    """Whether a kernel multiplies integers, and its multiply-adds; the formulas hold for every memory layout."""
    inputs = [next(iter(tensor.items())) for tensor in kernel["input_type_shape"]]
    ((_, output),) = kernel["output_type_shape"][0].items()
    (_, data), (kind, weight) = inputs[0], inputs[_SECOND_FACTOR[kernel["op_name"]]]
    integer = kind in device.FORMATS["int8"]
    if kernel["op_name"] == "ConvTranspose":
        return integer, prod(data) * prod(weight[1:])
    if "Conv" in kernel["op_name"]:
        return integer, prod(output) * prod(weight[1:])
    # however transposed, every element meets each column of the other factor; a first factor may serve a whole batch
    return integer, max(prod(output[:-2]), prod(data[:-2])) * prod(data[-2:]) * output[-1]


_SECOND_FACTOR = {  # the kernels that multiply and add, and where among their inputs the second factor stands
    **dict.fromkeys(("Conv", "FusedConv", "NhwcFusedConv", "ConvTranspose", "ConvInteger"), 1),
    **dict.fromkeys(("MatMul", "FusedMatMul", "Gemm", "FusedGemm"), 1),
    **dict.fromkeys(("MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"), 1),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", "QGemm"), 3),  # behind scale and zero point of the first
}
