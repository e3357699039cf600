"""Measures the peak performance and bandwidth that a runtime reaches here, by its own profile of synthetic graphs."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from optimize.input_size import square
from optimize.measure.profile import OpenProfiler, Profile, interleaved
from optimize.measure.roofline import Machine
from optimize.variant import Variant

WIDTHS, SIZE = (64, 128, 256), 80  # channels of 3x3 convolutions, and height and width; each next width halves these
OPSET, IR = 18, 10
ROUNDS = 3
MOVED = {"memory": (1, 4096, 64, 64), "cache": (1, 64, 64, 64)}  # tensors of 64 MiB and of 1 MiB


def measure(
    subjects: list[tuple[OpenProfiler | None, Variant]], threads: int
) -> tuple[tuple[Profile | None, ...], Machine | None]:
    """Profile each `(profiler, variant)`, see `Runtime.profiler`, and measure the machine's roofline.

    The roofline has a peak for each arithmetic that multiplies and adds in a profile, and the bandwidths of each
    runtime. An arithmetic that the runtime doesn't use although the file asks for it has no peak. Without any profile
    the machine is None.
    """
    profiles = interleaved(subjects, threads)
    runtimes: dict[str, tuple[OpenProfiler, set[str]]] = {}
    for (open_, variant), profile in zip(subjects, profiles, strict=True):
        if open_ and profile:
            arithmetics = runtimes.setdefault(variant.runtime, (open_, set()))[1]
            arithmetics.update(layer.arithmetic for layer in profile.layers if layer.ops)
    return profiles, measure_machine(runtimes, threads) if runtimes else None


def measure_machine(runtimes: dict[str, tuple[OpenProfiler, set[str]]], threads: int, rounds: int = ROUNDS) -> Machine:
    """Measure the bandwidths of each runtime, and its peaks in the given arithmetics; takes 1 to 2 s per runtime.

    Args:
        runtimes: by name, how to open a profiler, and the arithmetics to measure, e.g. `int8`.
        threads: CPU threads.
        rounds: as in `interleaved`.
    """
    kinds = [(name, open_, kind) for name, (open_, needed) in runtimes.items() for kind in (*sorted(needed), *MOVED)]
    with TemporaryDirectory() as folder:
        paths = {kind: Path(folder) / f"{kind}.onnx" for _, _, kind in kinds}
        for kind, path in paths.items():
            if kind in MOVED:
                write_copies(path, MOVED[kind])
            else:
                write_convolutions(path, quantized=kind == "int8")
        subjects = [(open_, Variant(paths[kind], name, kind, square(SIZE))) for name, open_, kind in kinds]
        profiles = interleaved(subjects, threads, rounds, min)  # the minimum, since disturbances only slow a call down
    profiled = {(name, kind): profile for (name, _, kind), profile in zip(kinds, profiles, strict=True) if profile}
    peaks = {(name, kind): peak(profile, kind) for (name, kind), profile in profiled.items() if kind not in MOVED}
    return Machine(
        peaks={
            name: {kind: best for kind in sorted(needed) if (best := peaks.get((name, kind))) is not None}
            for name, (_, needed) in runtimes.items()
        },
        bandwidth={name: bandwidth(profile) for (name, kind), profile in profiled.items() if kind == "memory"},
        cache_bandwidth={name: bandwidth(profile) for (name, kind), profile in profiled.items() if kind == "cache"},
    )


def peak(profile: Profile, arithmetic: str) -> float | None:
    """1e9 operations a second of the fastest layer that really ran in `arithmetic`; None where no layer did."""
    ran = [layer for layer in profile.layers if layer.ops and layer.arithmetic == arithmetic]
    return max((layer.ops / layer.milliseconds / 1e6 for layer in ran), default=None)


def bandwidth(profile: Profile) -> float:
    """1e9 bytes a second of the layer that moved them fastest."""
    return max(layer.bytes / layer.milliseconds / 1e6 for layer in profile.layers)


def write_convolutions(path: Path, *, quantized: bool) -> None:
    """Write an ONNX graph of three convolutions of each width, of 472 million operations each, or half with stride 2.

    Quantized, it is like our int8 files for ONNX Runtime: U8 Q/DQ pairs before and after each convolution, and S8
    weights per output channel. OpenVINO runs such pairs in its int8 kernels, too.
    """
    random, nodes, weights = np.random.default_rng(0), [], {}
    tensor, width = "images", WIDTHS[0]
    for i, following in enumerate(width for width in WIDTHS for _ in range(3)):
        layer, stride = _scope(f"conv{i}"), 1 if following == width else 2
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


def write_copies(path: Path, shape: tuple[int, ...]) -> None:
    """Write an ONNX graph that reads a tensor of `shape` and writes another, then only reads that."""
    _save(path, [_node("Relu", ["images"], f"{_scope('write')}/Relu_output_0")], {}, shape)


def _save(path: Path, nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], shape: tuple[int, ...]) -> None:
    """Write `nodes`, followed by a mean over height and width, so that the output is small."""
    nodes = [*nodes, _node("GlobalAveragePool", [nodes[-1].output[0]], f"{_scope('read')}/Mean_output_0")]
    source = helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, shape)
    target = helper.make_tensor_value_info(nodes[-1].output[0], onnx.TensorProto.FLOAT, None)
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "bench", [source], [target], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR), path)


def _node(kind: str, read: list[str], written: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, read, [written], f"{written}_{kind}", **attributes)


def _scope(layer: str) -> str:
    """The name of `layer` as both runtimes' `module` functions parse it, so that profiles tell layers apart."""
    return f"__module.{layer}"
