"""Peaks and bandwidths that a runtime really reaches here, by its own profile of graphs that do nothing else."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import helper, numpy_helper
from rich.progress import track

from optimize.measure.process import fresh
from optimize.measure.profile import Profile
from optimize.measure.roofline import Machine
from optimize.progress import CONSOLE
from optimize.variant import Variant

Ask = tuple[str, Callable, set[str]]  # a runtime's name, its `profile`, and the arithmetics that peaks are asked of

WIDTHS, SIZE = (64, 128, 256), 80  # channels of convolutions of 3x3; each next width is half as large, as in a YOLO
OPSET, IR = 18, 10
IN_CACHE, IN_MEMORY = (1, 64, 64, 64), (1, 4096, 64, 64)  # tensors of 1 and of 64 MiB


def measure(profiled: list[tuple[str, Callable, Profile]], threads: int) -> Machine:
    """Measure, in a fresh process, what the limits of `(runtime's name, its profile function, a profile)` need.

    Those are peaks of each arithmetic that multiplies and adds in a profile, and bandwidths of its runtime. An
    arithmetic that the runtime doesn't use when asked for it has no peak. Takes about 2 s per runtime.
    """
    asked = {name: (name, function, set()) for name, function, _ in profiled}
    for name, _, profile in profiled:
        asked[name][2].update(layer.arithmetic for layer in profile.layers if layer.ops)
    return fresh(_measure, list(asked.values()), threads)


def _measure(asked: list[Ask], threads: int) -> Machine:
    peaks, bandwidth, cached = {}, {}, {}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bench.onnx"
        bar = track(asked, "peaks of this machine", console=CONSOLE, transient=True, disable=not CONSOLE.is_terminal)
        for name, profile, arithmetics in bar:
            peaks[name] = {}
            for arithmetic in sorted(arithmetics):
                convolutions(path, quantized=arithmetic == "int8")
                best = peak(profile(Variant(path, name, arithmetic, SIZE), threads), arithmetic)
                peaks[name] |= {arithmetic: best} if best else {}
            for found, shape in ((bandwidth, IN_MEMORY), (cached, IN_CACHE)):
                moves(path, shape)
                layers = profile(Variant(path, name, "fp32", shape[-1]), threads).layers
                found[name] = max(layer.bytes / layer.milliseconds / 1e6 for layer in layers)
    return Machine(peaks, bandwidth, cached)


def peak(profile: Profile, arithmetic: str) -> float | None:
    """1e9 operations a second of the fastest layer that really ran in `arithmetic`; None where none did."""
    ran = [layer for layer in profile.layers if layer.ops and layer.arithmetic == arithmetic]
    return max((layer.ops / layer.milliseconds / 1e6 for layer in ran), default=None)


def convolutions(path: Path, *, quantized: bool) -> None:
    """Write three convolutions of each width, of 472 million operations each, or half of that where one gets smaller.

    Quantized as our int8 files for ONNX Runtime are, in pairs of U8 before and after each, weights in S8 per output
    channel; OpenVINO takes such pairs for its own.
    """
    random, nodes, weights = np.random.default_rng(0), [], {}
    tensor, width = "images", WIDTHS[0]
    for i, following in enumerate(width for width in WIDTHS for _ in range(3)):
        layer, stride = _named(f"conv{i}"), 1 if following == width else 2
        kernel = random.normal(0, (9 * width) ** -0.5, (following, width, 3, 3)).astype(np.float32)
        read = [tensor, f"{layer}.weight"]
        if quantized:
            nodes += _pair(tensor)
            weights[f"{layer}.scale"] = np.abs(kernel).max((1, 2, 3)) / 127
            kernel = (kernel / weights[f"{layer}.scale"][:, None, None, None]).round().astype(np.int8)
            read = [nodes[-1].output[0], f"{layer}/float"]
            nodes.append(_node("DequantizeLinear", [f"{layer}.weight", f"{layer}.scale"], read[1], axis=0))
        weights[f"{layer}.weight"] = kernel
        tensor = f"{layer}/Conv_output_0"
        nodes.append(_node("Conv", read, tensor, strides=[stride] * 2, pads=[1] * 4))
        width = following
    if quantized:
        weights |= {"scale": np.float32(0.03), "zero": np.uint8(128)}
        nodes += _pair(tensor)
    _save(path, nodes, weights, (1, WIDTHS[0], SIZE, SIZE))


def _pair(tensor: str) -> list[onnx.NodeProto]:
    quantized, back = f"{tensor}_quantized", f"{tensor}_dequantized"
    return [
        _node("QuantizeLinear", [tensor, "scale", "zero"], quantized),
        _node("DequantizeLinear", [quantized, "scale", "zero"], back),
    ]


def moves(path: Path, shape: tuple[int, ...]) -> None:
    """Write a graph that reads a tensor of `shape` and writes another, then only reads that."""
    _save(path, [_node("Relu", ["images"], f"{_named('write')}/Relu_output_0")], {}, shape)


def _save(path: Path, nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], shape: tuple[int, ...]) -> None:
    """Write `nodes`, and behind them a mean over height and width, so that little is given out."""
    nodes = [*nodes, _node("GlobalAveragePool", [nodes[-1].output[0]], f"{_named('read')}/Mean_output_0")]
    source = helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, shape)
    target = helper.make_tensor_value_info(nodes[-1].output[0], onnx.TensorProto.FLOAT, None)
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "bench", [source], [target], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR), path)


def _node(kind: str, read: list[str], written: str, **attributes) -> onnx.NodeProto:
    return helper.make_node(kind, read, [written], f"{written}_{kind}", **attributes)


def _named(layer: str) -> str:
    """A scope that both runtimes' `module` takes for one, so that their profiles tell layers apart."""
    return f"__module.{layer}"
