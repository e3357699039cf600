"""Static int8 for ONNX: quantize/dequantize pairs around the operators, weights per channel."""

from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quant_pre_process, quantize_static

from optimize.data.calibration import CalibrationImages
from optimize.progress import bar
from optimize.quant.scope import onnx_decode, onnx_last


class _Reader(CalibrationDataReader):
    """Feeds pictures one by one, as ONNX Runtime's calibrator asks for them."""

    def __init__(self, name: str, pictures: Iterable[np.ndarray], tick: Callable[[Callable], Callable]):
        feed = tick(lambda picture: {name: picture})
        self.feeds = (feed(picture) for picture in pictures)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.feeds, None)


def quantize(source: Path, target: Path, pictures: CalibrationImages, *, symmetric: bool) -> None:
    """Write `source` in int8 to `target`, in the form that its runtime computes in.

    A range is the mean over the pictures of each picture's extremes: with the extremes of all, one odd picture widens a
    range, and more pictures made it worse (yolov8n on COCO: mAP50-95 0.438 with 32, 0.421 with 106; 0.448 so).

    ONNX Runtime on x86 (`symmetric=False`): unsigned activations and signed weights in every operator, since signed
    activations run at half the speed of float and convolutions alone gain nothing. The last convolutions stay float:
    its int8 kernels would round the raw boxes and scores to one scale, 1.4 points of mAP for 2 % of the operations.

    TensorRT (`symmetric=True`): both signed with zero point 0, pairs before weighted operators only, and biases in
    float, as its parser demands (NVIDIA TensorRT documentation, "Explicit Quantization"). An addition reads its
    residual through the pair of the convolution beside it, as the same page recommends: the quantizer's pair stands
    before all that reads a tensor.
    """
    model = onnx.load(source)
    with TemporaryDirectory() as folder, bar("calibrating", len(pictures)) as tick:
        prepared = Path(folder) / "prepared.onnx"  # shapes written into the graph, as the quantizer asks for
        quant_pre_process(source, prepared, skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            _Reader(model.graph.input[0].name, pictures, tick),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            weight_type=QuantType.QInt8,
            **(_tensorrt(model) if symmetric else _x86(model)),
        )


def _x86(model: onnx.ModelProto) -> dict:
    return {
        "activation_type": QuantType.QUInt8,
        "nodes_to_exclude": onnx_decode(model) + onnx_last(model),
        "extra_options": {"CalibMovingAverage": True},
    }


def _tensorrt(model: onnx.ModelProto) -> dict:
    # No ConvTranspose: it takes a scale per input channel (NVIDIA/TensorRT#2380), the quantizer gives one per output.
    weighted = ["Conv", "Gemm", "MatMul"]
    return {
        "activation_type": QuantType.QInt8,
        "nodes_to_exclude": onnx_decode(model),
        "op_types_to_quantize": weighted,
        "extra_options": {
            "CalibMovingAverage": True,
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "AddQDQPairToWeight": True,
            "DedicatedQDQPair": True,
            "OpTypesToExcludeOutputQuantization": weighted,
            "QuantizeBias": False,
        },
    }
