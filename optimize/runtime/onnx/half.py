"""An ONNX file in fp16."""

from pathlib import Path


def to_half(source: Path, target: Path) -> None:
    """Write ONNX `source` to `target`: the network and its Q/DQ scales in fp16, the box decoding in float32."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    from optimize.runtime.scope import onnx_cut

    # The converter's own block list casts to fp16 and back between any two blocked nodes, so the graph is cut instead.
    network, decode, border = onnx_cut(onnx.load(source))
    half = convert_float_to_float16(network, keep_io_types=True)
    OnnxModel(half).topological_sort()  # the converter appends its casts at the end
    onnx.save(onnx.compose.merge_models(half, decode, io_map=[(name, name) for name in border]), target)
