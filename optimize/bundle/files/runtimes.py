"""Open the model of this bundle: one function per runtime, with threads and arithmetic pinned as when it was measured.

Each gives back a function from pictures, (1, 3, H, W) float32 in 0..1 and RGB, to the list of the model's outputs; and
one that reads back in which number formats it computes, e.g. `int8+fp32`, or gives None where the runtime doesn't tell.
"""

import json
import os
import sys
from itertools import chain, count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

HERE = Path(__file__).resolve().parent


def open_onnxruntime(path, precision, threads):
    import onnxruntime

    def session(**more):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        for key, value in more.items():
            setattr(options, key, value)
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def arithmetic():
        with TemporaryDirectory() as folder:
            profiled = session(enable_profiling=True, profile_file_prefix=f"{folder}/profile")
            profiled.run(None, {feed.name: np.zeros(feed.shape, np.float32)})
            events = json.loads(Path(profiled.end_profiling()).read_text(encoding="utf-8"))
        ran = [event["args"] for event in events if event["name"].endswith("_kernel_time")]
        computed = [kernel["output_type_shape"] for kernel in ran if kernel["op_name"] not in MOVES["onnxruntime"]]
        types = {name for outputs in computed for tensor in outputs for name in tensor}
        return named({"uint8": "int8", "float": "fp32", "float16": "fp16", "bfloat16": "bf16"}.get(t, t) for t in types)

    opened = session()
    (feed,) = opened.get_inputs()
    return lambda images: opened.run(None, {feed.name: images}), arithmetic


def open_openvino(path, precision, threads):
    import openvino

    # Without the hint it would run float32 models in bf16 or fp16 on some CPUs.
    hint = openvino.Type.bf16 if precision == "bf16" else openvino.Type.f32
    pins = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": hint}
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(str(next(path.glob("*.xml")))), "CPU", pins)

    def arithmetic():
        layers = [layer.get_rt_info() for layer in compiled.get_runtime_model().get_ops()]
        computing = [layer for layer in layers if layer["layerType"].astype(str) not in MOVES["openvino"]]
        ends = {layer["primitiveType"].astype(str).rpartition("_")[2].lower() for layer in computing}
        return named({"u8": "int8", "i8": "int8", "f32": "fp32", "f16": "fp16"}.get(end, end) for end in ends)

    return lambda images: list(compiled(images).values()), arithmetic


def open_ncnn(path, precision, threads):
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    # It would run float32 models in fp16 on ARM.
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_packed = net.opt.use_bf16_storage = False
    if net.load_param(str(path / "model.ncnn.param")) or net.load_model(str(path / "model.ncnn.bin")):
        raise RuntimeError("its log above says why")
    (source,), (output,) = net.input_names(), net.output_names()

    def run(images):
        image = np.ascontiguousarray(images[0])  # ncnn reads this memory itself, so it must outlive the run
        with net.create_extractor() as extractor:
            code = extractor.input(source, ncnn.Mat(image))
            code, made = (code, None) if code else extractor.extract(output)
            if code:  # reading what it made would crash
                sys.exit(f"error: ncnn {ncnn.__version__} failed to run {path.name} (error {code}); see above for why.")
            return [np.array(made)[None]]

    return run, lambda: None


def open_litert(path, precision, threads):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    (source,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()

    def arithmetic():  # the types in the file choose the kernels, and nothing changes them
        from ai_edge_litert.tools import flatbuffer_utils

        model = flatbuffer_utils.read_model(str(path))
        graph = model.subgraphs[0]
        kinds = [flatbuffer_utils.opcode_to_name(model, one.opcodeIndex) for one in graph.operators]
        computing = [one for one, kind in zip(graph.operators, kinds, strict=True) if kind not in MOVES["litert"]]
        types = {flatbuffer_utils.type_to_name(graph.tensors[i].type) for one in computing for i in one.outputs}
        return named({"INT8": "int8", "FLOAT16": "fp16", "FLOAT32": "fp32"}.get(kind, kind) for kind in types)

    def run(images):
        interpreter.set_tensor(source["index"], images)
        interpreter.invoke()
        return [interpreter.get_tensor(output["index"])]

    return run, arithmetic


RUNTIMES = {"onnxruntime": open_onnxruntime, "openvino": open_openvino, "ncnn": open_ncnn, "litert": open_litert}
MODULES = {"litert": "ai_edge_litert"}  # where a runtime's module is not called like it

MOVES = {  # what moves or converts numbers and computes none, as each runtime calls it
    "onnxruntime": {
        *("Cast", "Concat", "DequantizeLinear", "Gather", "QLinearConcat", "QuantizeLinear", "ReorderInput"),
        *("ReorderOutput", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"),
    },
    "openvino": {
        *("Concatenation", "Const", "Convert", "Input", "Output", "Reorder", "Reshape", "Split", "StridedSlice"),
        "Transpose",
    },
    "litert": {
        *("BROADCAST_TO", "CONCATENATION", "DEQUANTIZE", "GATHER", "PAD", "QUANTIZE", "RESHAPE", "SLICE", "SPLIT"),
        *("STRIDED_SLICE", "TRANSPOSE"),
    },
}


def named(kinds):
    """The number formats among `kinds`, in one order; None where there is none that we know."""
    return "+".join(sorted({"int8", "bf16", "fp16", "fp32"} & set(kinds), key=["int8", "bf16", "fp16", "fp32"].index))


def cores():
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def unused(path):
    """`path`, or with a number behind its stem where that exists: measurement.json, measurement-2.json ..."""
    numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(2))
    return next(place for place in chain([path], numbered) if not os.path.lexists(place))


def open_model(bundle, threads):
    """What `bundle`, the content of bundle.json, describes, on as many CPU threads."""
    name, path = bundle["runtime"], HERE / bundle["artefact"]
    if not path.exists():
        sys.exit(f"error: {path.name} is not in {HERE}; copy the bundle again.")
    try:
        return RUNTIMES[name](path, bundle["precision"], threads)
    except ImportError as error:
        sys.exit(f"error: {error}; the first command of README.md installs what is needed.")
    except Exception as error:  # each runtime has its own kinds
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        made = f"it was made with {bundle['made_with']}, and the first command of README.md installs the newest"
        sys.exit(f"error: {name} {version(name)} can't load {path.name} ({why}); {made}.")


def checked(outputs, bundle):
    """The one output of a model, if it is what the head that `bundle` names gives out."""
    head, count = bundle["head"], len(bundle["names"])
    shapes = " and ".join(str(output.shape) for output in outputs)
    rows = len(outputs) == 1 and outputs[0].ndim == 3 and outputs[0].shape[1 if head == "one2many" else 2]
    if rows != (4 + count if head == "one2many" else 6):
        sys.exit(f"error: an output of shape {shapes} is none of a {head} head with {count} classes.")
    if not np.isfinite(outputs[0]).all():
        sys.exit(f"error: {bundle['artefact']} gives numbers that are not finite here, so nothing it says counts.")
    return outputs[0]


def version(name):
    """Of a runtime that is imported."""
    return sys.modules[MODULES.get(name, name)].__version__
