"""Open the model of this bundle: one function per runtime, with threads and arithmetic pinned as when it was measured.

Each gives back a function from images, (1, 3, H, W) float32 in 0..1 and RGB, to the list of the model's outputs; and
one that reads back in which number formats it computes, e.g. `int8+fp32`, or gives None where the runtime doesn't tell.
"""

import json
import os
import re
import sys
from itertools import chain, count
from pathlib import Path, PureWindowsPath
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


def shown(text):
    """`text` in one line, without what controls a terminal."""
    return CONTROL.sub(lambda found: " " if found[0] in "\t\n\r" else ascii(found[0])[1:-1], text)


def read_bundle():
    """The content of bundle.json, whose names lead nowhere but into this folder."""
    try:
        bundle = json.loads((HERE / "bundle.json").read_text(encoding="utf-8"))
        wrong = next((key for key, check in BUNDLE.items() if not check(bundle[key])), None)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        sys.exit(f"error: bundle.json can't be read ({type(error).__name__}); copy the bundle again.")
    if wrong:
        sys.exit(f"error: {wrong} in bundle.json is nothing that a bundle is made with; copy the bundle again.")
    bundle["names"] = [shown(name) for name in bundle["names"]]
    return bundle


def artefact(bundle):
    """The model's file, or its folder."""
    path = HERE / bundle["artefact"]
    if not path.exists():
        sys.exit(f"error: {path.name} is not in {HERE}; copy the bundle again.")
    for place in [path, *path.rglob("*")]:
        if place.is_symlink() or not (place.is_file() or place.is_dir()):
            sys.exit(f"error: {shown(str(place))} is a link or no file; copy the bundle again.")
    return path


def is_name(value):
    """Whether it is a plain name of a file or a row: a part of a path, and nothing that leads elsewhere."""
    if not is_text(value):
        return False
    path = PureWindowsPath(value)  # which knows / and \\ alike
    return len(path.parts) == 1 and not path.anchor and value not in (".", "..")


def is_text(value):
    return isinstance(value, str) and 0 < len(value) < 1000 and not CONTROL.search(value)


def is_share(value):
    return isinstance(value, int | float) and 0 <= value <= 1


def is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 100_000


# Characters that control a terminal or turn the writing around.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
BUNDLE = {  # what bundle.json says as far as it is used, and what it may be
    "run": lambda value: is_text(value) and "/" not in value,
    "variant": is_text,
    "runtime": lambda value: isinstance(value, str) and value in RUNTIMES,
    "made_with": is_text,
    "precision": lambda value: value in ("fp32", "bf16", "fp16", "int8"),
    "artefact": is_name,
    "sha256": lambda value: isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value),
    "imgsz": is_count,
    "head": lambda value: value in ("one2many", "end2end", "rtdetr"),
    "letterbox": lambda value: value is None or (is_count(value["grey"] + 1) and value["grey"] < 256),
    "nms": lambda value: is_share(value["confidence"]) and is_share(value["iou"]) and is_count(value["max_detections"]),
    "names": lambda value: isinstance(value, list) and value and all(isinstance(name, str) for name in value),
}


def open_model(bundle, threads):
    """What `bundle`, as `read_bundle` gives it, describes, on as many CPU threads."""
    name, path = bundle["runtime"], artefact(bundle)
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
