"""What ONNX Runtime really ran, read from the profile that it writes of one run.

The file doesn't tell: Q/DQ pairs become int8 kernels only where they fuse, and a CPU without fp16 kernels runs fp16 as
fp32.
"""

import json
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np


def run(path: Path, options, **session) -> list[dict]:
    """One entry per kernel of one run: `op_name`, and type and shape of every input and output.

    `options` are those of the session to be known, and are changed; `session` is handed on to this run's session.
    """
    import onnxruntime as ort

    with TemporaryDirectory() as folder:
        options.enable_profiling = True
        options.profile_file_prefix = f"{folder}/profile"
        # A weight that a kernel has packed for itself is freed, and missing in the profile; the kernels are the same.
        options.add_session_config_entry("session.disable_prepacking", "1")
        profiled = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"], **session)
        feed = profiled.get_inputs()[0]
        profiled.run(None, {feed.name: np.zeros(feed.shape, np.float32)})
        events = json.loads(Path(profiled.end_profiling()).read_text())
    return [event["args"] for event in events if event["name"].endswith("_kernel_time")]


def arithmetic(kernels: list[dict]) -> str:
    """The precisions of what they give out, without those that only move or convert numbers."""
    outputs = (kernel["output_type_shape"] for kernel in kernels if kernel["op_name"] not in _MOVES)
    types = {name for output in outputs for tensor in output for name in tensor}
    return "+".join(precision for precision, names in _PRECISIONS.items() if types & names)


def operations(kernels: list[dict]) -> tuple[int, int]:
    """Operations, 2 per multiply-add, that ran in integer kernels, and in float kernels.

    Convolutions in ONNX Runtime's blocked layout, which is float's, are counted with their channels padded to blocks.
    """
    counts = {True: 0, False: 0}
    for kernel in kernels:
        if kernel["op_name"] in _SECOND_FACTOR:
            integer, multiply_adds = _multiply_adds(kernel)
            counts[integer] += 2 * multiply_adds
    return counts[True], counts[False]


def _multiply_adds(kernel: dict) -> tuple[bool, int]:
    """Whether they are of integers, and how many; no formula asks for the order of channels, height and width."""
    inputs = [next(iter(tensor.items())) for tensor in kernel["input_type_shape"]]
    ((_, output),) = kernel["output_type_shape"][0].items()
    (_, data), (kind, weight) = inputs[0], inputs[_SECOND_FACTOR[kernel["op_name"]]]
    integer = kind in _PRECISIONS["int8"]
    if kernel["op_name"] == "ConvTranspose":
        return integer, prod(data) * prod(weight[1:])
    if "Conv" in kernel["op_name"]:
        return integer, prod(output) * prod(weight[1:])
    # however transposed, every element meets each column of the other factor; a first factor may serve a whole batch
    return integer, max(prod(output[:-2]), prod(data[:-2])) * prod(data[-2:]) * output[-1]


_PRECISIONS = {"int8": {"int8", "uint8"}, "bf16": {"bfloat16"}, "fp16": {"float16"}, "fp32": {"float"}}
_SECOND_FACTOR = {  # the kernels that multiply and add, and where among their inputs the second factor stands
    **dict.fromkeys(("Conv", "FusedConv", "NhwcFusedConv", "ConvTranspose", "ConvInteger"), 1),
    **dict.fromkeys(("MatMul", "FusedMatMul", "Gemm", "FusedGemm"), 1),
    **dict.fromkeys(("MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"), 1),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", "QGemm"), 3),  # behind scale and zero point of the first
}
_MOVES = {  # operators that move or convert numbers and compute none
    *(
        "Cast",
        "Concat",
        "DequantizeLinear",
        "Gather",
        "QLinearConcat",
        "QuantizeLinear",
        "ReorderInput",
        "ReorderOutput",
    ),
    *("Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"),
}
