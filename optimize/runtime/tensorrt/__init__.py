"""TensorRT on an NVIDIA GPU: written against the documented API of TensorRT 10 and 11; needs a GPU to be run."""

import json
import re
from ast import literal_eval
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import torch

from optimize.errors import MeasurementError, OptimizeError, RuntimeUnavailable
from optimize.host.files import move
from optimize.inside import content
from optimize.int8_cpu import Int8Cpu
from optimize.measure.graph_cost import GraphCost
from optimize.runtime import onnx as onnx_file
from optimize.runtime.onnx import cost
from optimize.runtime.onnx.half import to_half
from optimize.runtime.onnx.int8 import TENSORRT, OnnxInt8, OnnxRecipe
from optimize.runtime.session import Images, Quantizer, Session, Writer
from optimize.runtime_info import RuntimeInfo
from optimize.store.aside import make_way
from optimize.store.held import held
from optimize.variant import Variant
from optimize.yolo.checkpoint import load
from optimize.yolo.export import to_onnx

OPSET = 19  # the first whose Q/DQ pairs take scales in fp16
OLDEST = 10
TIMINGS = 2**30  # bytes of a timing cache, at most


@dataclass(frozen=True)
class TensorRT:
    """Builds an engine from an ONNX file for this kind of GPU; the engine computes in the types of the file."""

    info: ClassVar = RuntimeInfo("tensorrt", "TensorRT", mark="diamond", processor="gpu", package="tensorrt")
    device_file: ClassVar[Path | None] = None
    uint8_inputs: ClassVar[tuple[()]] = ()
    batching: ClassVar[None] = None
    profiler: ClassVar[None] = (
        None  # one kernel holds many layers, and TensorRT reports neither its operations nor its bytes
    )

    def unavailable(self) -> str | None:
        if not find_spec("tensorrt"):
            return "tensorrt is not installed (pip install tensorrt)"
        if not torch.cuda.is_available():
            return "no CUDA GPU"
        try:
            import tensorrt
        except (ImportError, OSError) as error:  # the package on PyPI fetches its libraries from elsewhere
            return f"tensorrt is installed but can't be imported: {error}"
        if int(tensorrt.__version__.split(".")[0]) < OLDEST:
            return f"tensorrt {tensorrt.__version__} is too old (pip install 'tensorrt>={OLDEST}')"
        return None

    def export(self, variant: Variant, folder: Path) -> Variant:
        """The ONNX file that the engine is built from, after quantization: precision is written into the graph."""
        target = folder / f"{variant.path.stem}.onnx"
        to_onnx(load(variant.path), variant.imgsz, target, OPSET)
        return replace(variant, path=target, runtime=self.info.name)

    @property
    def build(self) -> "Build":
        """The stage ONNX -> engine. An engine fits one version and one kind of GPU, so its key has both."""
        if reason := self.unavailable():
            raise RuntimeUnavailable(f"runtime=tensorrt can't be used here: {reason}; leave it out.")
        import tensorrt

        return Build(version=tensorrt.__version__, gpu=_gpu())

    def open(self, variant: Variant, threads: int) -> Session:
        """Load the engine; `threads` is ignored. A run includes the copies to and from the GPU, as in deployment.

        Raises:
            OptimizeError: the engine was built elsewhere, or the GPU has no room for it.
        """
        import tensorrt as trt

        content = variant.path.read_bytes()
        start = 4 + int.from_bytes(content[:4], "little")
        # TensorRT's binding keeps the logger alive as long as the runtime, that as the engine, that as the context.
        engine = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(content[start:])
        context = engine.create_execution_context() if engine is not None else None
        if context is None:
            raise OptimizeError(
                f"TensorRT {trt.__version__} can't load {variant.path}: an engine runs only with the version and on "
                "the kind of GPU that it was built with, and needs free memory there; its log above says why."
            )
        tensors = {}
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            tensors[name] = torch.empty(tuple(engine.get_tensor_shape(name)), device="cuda")
            context.set_tensor_address(name, tensors[name].data_ptr())
        (source,) = (tensors[name] for name in tensors if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT)
        outputs = [tensors[name] for name in sorted(tensors) if tensors[name] is not source]  # output0, output1
        stream = torch.cuda.Stream()

        def run(images: np.ndarray) -> list[np.ndarray]:
            with torch.cuda.stream(stream):
                source.copy_(torch.from_numpy(images))
                if not context.execute_async_v3(stream.cuda_stream):
                    raise RuntimeError(f"TensorRT failed to run {variant.path}")
                return [output.cpu().numpy() for output in outputs]

        # The inspector reports types, but no multiply-adds, and nothing from inside a fused block.
        return Session(run, _arithmetic(engine), int8_ops=None, device="gpu")

    def count(self, variant: Variant) -> GraphCost:
        return cost.count(variant.path)

    def metadata(self, path: Path) -> dict[str, Any]:
        return engine_metadata(path) if path.suffix == ".engine" else onnx_file.metadata(path)

    def writer(self, precision: str) -> Writer | str:
        return to_half if precision == "fp16" else "its engines are built in fp32, fp16 and int8"

    def int8_recipes(self, cpu: Int8Cpu) -> Sequence[OnnxRecipe]:
        return TENSORRT

    def quantizer(self, source: Path, images: Images, recipe: OnnxRecipe) -> Quantizer:
        return OnnxInt8(source, images, recipe)


@dataclass(frozen=True)
class Build:
    """Effect: one engine file, with ultralytics' metadata in front of it as its own exporter writes it.

    An engine computes in the types of its graph, so the float parts of an int8 variant are converted to fp16 first: in
    float32 the engine would be a fifth slower (ultralytics#26167). The box decoding stays in float32.

    Builds for one kind of GPU run one after another, also those of parallel jobs, since a build times kernels; the
    next build reads these times from the cache.

    Attributes:
        version: of TensorRT.
        gpu: the kind of GPU; two alike share their engines.
    """

    version: str
    gpu: str

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        """Build the engine; raises OptimizeError where TensorRT can't read the graph or has no kernels for it."""
        import tensorrt as trt

        source = variant.path
        if variant.precision == "int8":
            source = folder / "half.onnx"
            to_half(variant.path, source)
        logger = trt.Logger(trt.Logger.ERROR)
        builder = trt.Builder(logger)
        # Strong typing: kernels use the graph's types. TensorRT 11 has only this mode and ignores the flag.
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse_from_file(str(source)):
            error = parser.get_error(0)
            raise OptimizeError(
                f"TensorRT {self.version} can't read {variant.name} at {error.node_name() or 'its start'}: "
                f"{error.desc()}; leave runtime=tensorrt out."
            )
        config = builder.create_builder_config()
        config.clear_flag(trt.BuilderFlag.TF32)  # on by default: float32 would multiply with 10 bits of mantissa
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that the precision of each layer can be read
        kept = self.timing_cache(folder.parent)
        with held(kept.parent, kept.name):
            timings = _attach(config, content(kept, TIMINGS) or b"")
            engine = builder.build_serialized_network(network, config)
            if engine is None:
                raise OptimizeError(
                    f"TensorRT {self.version} could not build an engine for {variant.name}; its log above says why; "
                    "leave runtime=tensorrt out."
                )
            partial = kept.with_name(f"{kept.name}.partial")
            make_way(partial)
            partial.write_bytes(timings.serialize())
            move(partial, kept)
        target = folder / f"{variant.path.stem}.engine"
        target.write_bytes(header(variant.path) + bytes(engine))
        return replace(variant, path=target)

    def timing_cache(self, store: Path) -> Path:
        """The file with the times of the kernels that were tried with this version on this kind of GPU."""
        return store / re.sub(r"[^\w.-]+", "_", f"tensorrt_{self.version}_{self.gpu}.timings")


def header(source: Path) -> bytes:
    """The metadata of an ONNX file as ultralytics reads it from an engine: its length in 4 bytes, then JSON."""
    properties = onnx.load(source, load_external_data=False).metadata_props
    text = json.dumps({prop.key: prop.value for prop in properties}).encode()
    return len(text).to_bytes(4, "little") + text


def engine_metadata(path: Path) -> dict[str, Any]:
    """What `header` wrote in front of an engine, read as `Runtime.metadata`."""
    with path.open("rb") as file:
        properties = json.loads(file.read(int.from_bytes(file.read(4), "little")))
    return {key: literal_eval(properties[key]) for key in onnx_file.METADATA}


def _gpu() -> str:
    """The kind of GPU, as far as an engine depends on it; one product name covers several sizes, e.g. of memory."""
    gpu = torch.cuda.get_device_properties(torch.cuda.current_device())
    memory = round(gpu.total_memory / 2**30)
    return f"{gpu.name}, sm_{gpu.major}{gpu.minor}, {gpu.multi_processor_count} SMs, {memory} GiB"


def _attach(config: Any, content: bytes) -> Any:
    """Give `config` the timing cache in `content`, or an empty one where TensorRT refuses it, which only costs time.

    `config` is a `tensorrt.IBuilderConfig`; returns the `tensorrt.ITimingCache`.
    """
    for stored in (content, b""):
        cache = config.create_timing_cache(stored)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return cache
    raise RuntimeError("TensorRT accepts no timing cache, not even an empty one")


def _arithmetic(engine: Any) -> str:
    """The types that the engine's layers read, as its own inspector names them; reformatting moves numbers only.

    TensorRT 10 says `Format/Datatype`: a type, or a sentence such as "Row major linear FP16 format"; 11 has a field
    `DataType` (NVIDIA TensorRT documentation, "Engine Inspector" and "Migrating IEngineInspector Usage").

    Raises:
        MeasurementError: the report names no type that we know.
    """
    import tensorrt as trt

    report = json.loads(engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON))
    layers = [layer for layer in report["Layers"] if layer.get("LayerType") != "Reformat"]
    read = [tensor for layer in layers for tensor in layer.get("Inputs", ())]
    types = " ".join(tensor[key] for tensor in read for key in tensor if key.lower().endswith("datatype"))
    found = [name for name, words in _TYPES.items() if re.search(rf"\b({words})\b", types, re.IGNORECASE)]
    if not found:
        raise MeasurementError(
            f"TensorRT {trt.__version__} doesn't report in which precision it computes, so it can't be measured; "
            "leave runtime=tensorrt out."
        )
    return "+".join(found)


_TYPES = {"int8": "int8", "bf16": "bfloat16|bf16", "fp16": "half|fp16", "fp32": "float|fp32"}
