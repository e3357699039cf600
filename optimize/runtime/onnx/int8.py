"""Static int8 for ONNX: quantize/dequantize pairs around the operators, weights per channel."""

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quant_pre_process, quantize_static

from optimize.int8_cpu import DOT, KINDS, NEON
from optimize.progress import Tick, bar
from optimize.runtime.scope import onnx_decode, onnx_first, onnx_last, onnx_products
from optimize.runtime.session import Images

WEIGHTED = ["Conv", "Gemm", "MatMul"]


@dataclass(frozen=True)
class OnnxRecipe:
    """One way to quantize an ONNX file to int8; the box decoding of the head stays in float.

    Attributes:
        name: name in the report.
        signed: activations in S8 instead of U8; weights are always S8, per output channel.
        symmetric: activations around zero, without a zero point; half of a SiLU's range is then unused.
        narrow: weights of 7 bits: without VNNI, x86 adds two products in 16 bits, which 8 bits can overflow.
        weighted_only: quantize only convolutions and matrix products, not the operators between them.
        first: also quantize the convolution that reads the image.
        last: also quantize the convolutions whose outputs the box decoding reads.
        attention: also quantize the products of two activations.
        concatenations, residuals: also quantize the concatenations, and the additions of a residual.
        min_max: min-max calibration, over all images, instead of moving-average calibration, the mean over images.
    """

    name: str
    signed: bool = False
    symmetric: bool = False
    narrow: bool = False
    weighted_only: bool = False
    first: bool = True
    last: bool = False
    attention: bool = True
    concatenations: bool = True
    residuals: bool = True
    min_max: bool = False


# Figures in docs/quantization.md. The layer that reads the image is float: no slower, 4 dB more reach the decode of
# yolov8n on deeppcb, and without VNNI it alone overflows much. Int8 kernels would round the raw boxes and scores of the
# last convolutions to one scale. With min-max calibration (`extremes`) one unusual image widens a range.
ONNXRUNTIME = (
    OnnxRecipe("u8s8, first layer float", first=False),
    OnnxRecipe("s8s8, first layer float", signed=True, first=False),
    OnnxRecipe("u8s8, first layer float, 7-bit weights", first=False, narrow=True),
    OnnxRecipe("u8s8"),
    OnnxRecipe("u8s8, first layer float, extremes", first=False, min_max=True),
    OnnxRecipe("u8s8, first layer float, last layers too", first=False, last=True),
    OnnxRecipe("u8s8, first layer and concatenations float", first=False, concatenations=False),
    OnnxRecipe("u8s8, first layer and residuals float", first=False, residuals=False),
)
# On each kind of CPU the default, and the one to try where that loses too much: the same graph with other ranges. x86
# has kernels for unsigned activations alone, and computes signed ones in float. ARM has both, and prefers signed ones
# (documentation of onnxruntime's `quantize`, and its pull request 9902). They keep their zero point, so the numbers are
# the same.
ONNXRUNTIME_FIRST = dict.fromkeys(KINDS, ("u8s8, first layer float", "u8s8, first layer float, extremes")) | (
    dict.fromkeys((DOT, NEON), ("s8s8, first layer float", "u8s8, first layer float, extremes"))
)
# Both signed with zero point 0, pairs before weighted operators only, and biases in float, as its parser demands
# (NVIDIA TensorRT documentation, "Explicit Quantization"). An addition reads its residual through the pair of the
# convolution beside it, as the same page recommends: the quantizer's pair stands before all that reads a tensor.
TENSORRT = (OnnxRecipe("s8s8, explicit", signed=True, symmetric=True, weighted_only=True, last=True),)


class OnnxInt8:
    """A calibrated ONNX model, which writes int8 files with some layers left in float.

    Attributes:
        layers: names of the operators with weights that `recipe` makes int8, in the graph's order.
    """

    def __init__(self, source: Path, images: Images, recipe: OnnxRecipe):
        self.model, self.images = onnx.load(source), images
        last = onnx_last(self.model)
        self.last = [node.output[0] for node in self.model.graph.node if node.name in last]
        floats = {
            *onnx_decode(self.model),
            *([] if recipe.first else onnx_first(self.model)),
            *([] if recipe.last else last),
            *([] if recipe.attention else onnx_products(self.model)),
            *(node.name for node in self.model.graph.node if node.op_type == "Concat" and not recipe.concatenations),
            *(node.name for node in self.model.graph.node if node.op_type == "Add" and not recipe.residuals),
            # ONNX Runtime has no int8 kernel for it, and TensorRT's takes a scale per input channel
            # (NVIDIA/TensorRT#2380), where the quantizer gives one per output.
            *(node.name for node in self.model.graph.node if node.op_type == "ConvTranspose"),
        }
        weights = {tensor.name for tensor in self.model.graph.initializer}
        self.layers = [
            node.name
            for node in self.model.graph.node
            if node.op_type in WEIGHTED and weights & set(node.input) and node.name not in floats
        ]
        with TemporaryDirectory() as folder:
            feed = self.model.graph.input[0].name
            self.quantized = _quantize(source, feed, Path(folder), self.images, recipe, sorted(floats))

    def write(self, target: Path, floats: Sequence[str] = ()) -> None:
        """Write the int8 file; `floats` are layers that stay in float, with the activation that follows each."""
        names = {name for layer in floats for name in self._with_activation(layer)}
        originals = {node.name: node for node in self.model.graph.node}
        weights = {tensor.name: tensor for tensor in self.model.graph.initializer}
        inner = {tensor for name in names for tensor in originals[name].output}
        int8_model = onnx.ModelProto()
        int8_model.CopyFrom(self.quantized)
        for node in int8_model.graph.node:
            for i, name in enumerate(originals[node.name].input if node.name in names else ()):
                if name in inner:
                    node.input[i] = name
                elif name in weights:
                    node.input[i] = f"{node.name}/{name}"  # the plain name may belong to the dequantized weights
                    int8_model.graph.initializer.add().CopyFrom(weights[name])
                    int8_model.graph.initializer[-1].name = node.input[i]
        onnx.save(_without_unused(int8_model), target)

    def _with_activation(self, layer: str) -> list[str]:
        """A layer and the nodes of its activation function, e.g. the Sigmoid and Mul of a SiLU."""
        names, tensors = [layer], set(next(node for node in self.model.graph.node if node.name == layer).output)
        for node in self.model.graph.node:  # in topological order
            if node.op_type in ("Sigmoid", "Mul", "Relu", "LeakyRelu") and set(node.input) <= tensors:
                names.append(node.name)
                tensors |= set(node.output)
        return names

    def logits(self, path: Path) -> Callable[[np.ndarray], list[np.ndarray]]:
        """A function that runs the file `path` on an image and returns the inputs of the box decoding."""
        import onnxruntime as ort

        model = onnx.load(path)
        del model.graph.output[:]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self.last)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return lambda image: session.run(None, {model.graph.input[0].name: image})


def _quantize(
    source: Path, feed: str, folder: Path, images: Images, recipe: OnnxRecipe, floats: list[str]
) -> onnx.ModelProto:
    prepared, target = folder / "prepared.onnx", folder / "int8.onnx"
    # writes shapes into the graph, which the quantizer requires
    quant_pre_process(source, prepared, skip_optimization=True, skip_symbolic_shape=True)
    options: dict[str, bool | list[str]] = {"CalibMovingAverage": not recipe.min_max}
    if recipe.symmetric:
        options |= {"ActivationSymmetric": True, "WeightSymmetric": True}
    if recipe in TENSORRT:
        options |= {
            "AddQDQPairToWeight": True,
            "DedicatedQDQPair": True,
            "OpTypesToExcludeOutputQuantization": WEIGHTED,
            "QuantizeBias": False,
        }
    with bar("calibrating", len(images)) as tick, redirect_stdout(sys.stderr):  # stdout belongs to the report
        quantize_static(
            prepared,
            target,
            _Reader(feed, images, tick),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QInt8 if recipe.signed else QuantType.QUInt8,
            reduce_range=recipe.narrow,
            op_types_to_quantize=WEIGHTED if recipe.weighted_only else None,
            nodes_to_exclude=floats,
            extra_options=options,
        )
    return onnx.load(target)


def _without_unused(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` without the nodes and constants that no output depends on."""
    used, kept = {output.name for output in model.graph.output}, []
    for node in reversed(model.graph.node):
        if used & set(node.output):
            used |= set(node.input)
            kept.append(node)
    constants = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(reversed(kept))
    model.graph.initializer.extend(constants)
    return model


class _Reader(CalibrationDataReader):
    """Feeds images one by one, as ONNX Runtime's calibrator asks for them."""

    def __init__(self, name: str, images: Iterable[np.ndarray], tick: Tick):
        feed = tick(lambda image: {name: image})
        self.feeds = (feed(image) for image in images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.feeds, None)
