"""TensorRT on an NVIDIA GPU: written against the documented API of TensorRT 10 and 11; needs a GPU to be run."""

import json
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
import torch

from optimize.errors import RuntimeUnavailable
from optimize.measure import onnx_cost
from optimize.measure.graph_cost import GraphCost
from optimize.runtime.session import Session
from optimize.variant import Variant
from optimize.yolo.checkpoint import load
from optimize.yolo.export import to_onnx


@dataclass(frozen=True)
class TensorRT:
    name: ClassVar[str] = "tensorrt"

    def unavailable(self) -> str | None:
        if not find_spec("tensorrt"):
            return "tensorrt is not installed (pip install tensorrt)"
        return None if torch.cuda.is_available() else "no CUDA GPU"

    def export(self, variant: Variant, folder: Path) -> Variant:
        """The ONNX file that the engine is built from, after quantization: precision is written into the graph."""
        target = folder / f"{variant.path.stem}.onnx"
        to_onnx(load(variant.path), variant.imgsz, target)
        return replace(variant, path=target, runtime=self.name)

    @property
    def build(self) -> "Build":
        """The stage ONNX -> engine. An engine fits one version and one GPU, so its key has both."""
        if reason := self.unavailable():
            raise RuntimeUnavailable(f"runtime=tensorrt can't be used here: {reason}; leave it out.")
        import tensorrt

        return Build(version=tensorrt.__version__, gpu=torch.cuda.get_device_name())

    def open(self, variant: Variant, threads: int) -> Session:
        """`threads` play no part on a GPU. Copies to and from the GPU are part of a run, as they are in deployment."""
        import tensorrt as trt

        content = variant.path.read_bytes()
        start = 4 + int.from_bytes(content[:4], "little")
        engine = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(content[start:])
        context = engine.create_execution_context()
        tensors = {}
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            tensors[name] = torch.empty(tuple(engine.get_tensor_shape(name)), device="cuda")
            context.set_tensor_address(name, tensors[name].data_ptr())
        source, *outputs = tensors.values()
        stream = torch.cuda.Stream()

        def run(images: np.ndarray) -> list[np.ndarray]:
            with torch.cuda.stream(stream):
                source.copy_(torch.from_numpy(images))
                if not context.execute_async_v3(stream.cuda_stream):
                    raise RuntimeError(f"TensorRT failed to run {variant.path}")
                return [output.cpu().numpy() for output in outputs]

        # The inspector names types, but no multiply-adds, and nothing of what is inside a fused block.
        return Session(run, _arithmetic(engine), int8_ops=None)

    def count(self, variant: Variant) -> GraphCost:
        return onnx_cost.count(variant.path)


@dataclass(frozen=True)
class Build:
    """Effect: one engine file, with ultralytics' metadata in front of it as its own exporter writes it."""

    version: str
    gpu: str

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        import tensorrt as trt

        logger = trt.Logger(trt.Logger.ERROR)
        builder = trt.Builder(logger)
        # Strong typing: the graph's own types are law. TensorRT 11 knows nothing else and ignores the flag.
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse_from_file(str(variant.path)):
            raise RuntimeError(f"TensorRT can't read {variant.path}: {parser.get_error(0)}")
        config = builder.create_builder_config()
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that the precision of each layer can be read
        engine = builder.build_serialized_network(network, config)
        if engine is None:
            raise RuntimeError(f"TensorRT could not build an engine from {variant.path}; its log above says why.")
        target = folder / f"{variant.path.stem}.engine"
        target.write_bytes(header(variant.path) + bytes(engine))
        return replace(variant, path=target)


def header(source: Path) -> bytes:
    """The metadata of an ONNX file as ultralytics reads it from an engine: its length in 4 bytes, then JSON."""
    properties = onnx.load(source, load_external_data=False).metadata_props
    text = json.dumps({prop.key: prop.value for prop in properties}).encode()
    return len(text).to_bytes(4, "little") + text


def _arithmetic(engine) -> str:
    """The types of the layers' outputs, as the engine's own inspector names them."""
    import tensorrt as trt

    report = json.loads(engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON))
    formats = " ".join(output["Format/Datatype"] for layer in report["Layers"] for output in layer["Outputs"])
    names = {"int8": "Int8", "bf16": "BFloat16", "fp16": "FP16", "fp32": "FP32"}
    return "+".join(precision for precision, word in names.items() if word.lower() in formats.lower())
