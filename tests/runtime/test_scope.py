"""What stays in float, for every head: judged by the modules that operators come from, unknown to the walk."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from ultralytics import YOLO

from helpers.lively import lively, write_blocks
from helpers.quantized import quantized
from optimize.dataset import Dataset
from optimize.input_size import square
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.runtime.openvino.device import read
from optimize.runtime.scope import onnx_decode, onnx_last, openvino_decode, openvino_last
from optimize.runtime.tensorrt import TensorRT
from optimize.variant import Variant

pytestmark = pytest.mark.command

Link = tuple[tuple[str, str], tuple[str, str]]

FAMILIES = ("yolov8n", "yolo11n", "yolo26n")
MODELS = (
    *(f"{family}{task}" for family in FAMILIES for task in ("", "-seg", "-pose", "-obb", "-cls")),
    *("yolov10n", "yolo12n", "yolov8n-rtdetr"),
)
ONE_OF_EACH_HEAD = ("yolov8n", "yolo26n", "yolov8n-seg", "yolo26n-pose", "yolov8n-obb", "yolo11n-cls", "yolov8n-rtdetr")
END_TO_END = ("yolov10n", "yolo26n-pose")
# operators that feed the decode: for each of three sizes boxes, scores and what else there is; the prototypes; the
# boxes and scores of RT-DETR before and after the decoder, a box in between, and where each of two layers samples
LAST = {"": 6, "seg": 10, "pose": 9, "obb": 9, "cls": 1, "rtdetr": 7}
WEIGHTED = ("Conv", "Gemm", "MatMul", "Convolution")
RUNTIMES = {runtime.info.name: runtime for runtime in (OnnxRuntime(), OpenVino(), TensorRT())}

# Where operators lie inside the head: what has weights and what only serves these. All else there is the decode.
NETWORK = r"(one2one_)?cv[234]|proto"
CLASSIFIER = r"conv|pool|linear|Flatten|aten::flatten"
# RT-DETR is a network to its end; here boxes are refined, and the places are made where features are sampled.
BOXES = (
    r"decoder/(aten::\w+/)?\w+$"
    r"|decoder.layers.\d.cross_attn/((Slice|Slice_1|Sub|Split)$|aten::(slice|sub)|prim::ListUnpack)"
)


def of_the_decode(model: str, names: list[str]) -> set[str]:
    """Which of these operators belong to the decode, by the modules in their names: `/model.22/dfl/conv/Conv`."""
    found = [re.match(r"(?:/|__module\.)model\.(\d+)[./](.*)", name) for name in names]
    head = max((match[1] for match in found if match), key=int)
    inside = {match[0]: match[2] for match in found if match and match[1] == head}
    if model.endswith("-rtdetr"):
        return {name for name, path in inside.items() if re.match(BOXES, path)}
    network = CLASSIFIER if model.endswith("-cls") else NETWORK
    return {name for name, path in inside.items() if not re.match(network, path)}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("images")
    images = write_blocks(folder, 2, 0)
    return Dataset(folder / "x.yaml", ("class0", "class1"), images, images, "f00d")


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Callable[[str, str], Variant]:
    """Variant(model, runtime), made once."""
    made = {}

    def export(model: str, runtime: str) -> Variant:
        if (model, runtime) in made:
            return made[model, runtime]
        folder = tmp_path_factory.mktemp(f"{model}-{runtime}")
        if runtime == "torch":
            made[model, runtime] = Variant(lively(f"{model}.yaml", folder / "tiny.pt"), runtime, "fp32", square(64))
        else:
            made[model, runtime] = RUNTIMES[runtime].export(export(model, "torch"), folder)
        return made[model, runtime]

    return export


def onnx_links(path: Path) -> list[Link]:
    """Every edge of the graph as two pairs of name and type: of the operator that makes it and of its reader."""
    nodes = onnx.load(path).graph.node
    makers = {out: (node.name, node.op_type) for node in nodes for out in node.output}
    return [(makers[name], (node.name, node.op_type)) for node in nodes for name in node.input if name in makers]


def openvino_links(path: Path) -> list[Link]:
    def pair(op) -> tuple[str, str]:
        return op.get_friendly_name(), op.get_type_name()

    ops = read(path).get_ops()
    return [(pair(i.get_source_output().get_node()), pair(op)) for op in ops for i in op.inputs()]


def rounded(links: list[Link], decode: set[str]) -> set[str]:
    """Operators of `decode` that read rounded numbers, or whose own are rounded for a reader."""
    assert decode <= {name for link in links for name, _ in link}
    read_rounded = {reader for (_, made_by), (reader, _) in links if made_by in ("DequantizeLinear", "FakeQuantize")}
    made_rounded = {maker for (maker, _), (_, read_by) in links if read_by in ("QuantizeLinear", "FakeQuantize")}
    return decode & (read_rounded | made_rounded)


# The heads of these are of the same classes as yolov8n's.
LATER = ("yolo11n-seg", "yolo11n-pose", "yolo11n-obb")


@pytest.mark.parametrize(
    "model", [pytest.param(model, marks=pytest.mark.long if model in LATER else ()) for model in MODELS]
)
def test_the_scope_is_the_decode_of_the_head_and_no_more(model, exported):
    graph = onnx.load(exported(model, "onnxruntime").path)
    network = read(exported(model, "openvino").path)
    for types, found in (
        ({node.name: node.op_type for node in graph.graph.node}, onnx_decode(graph)),
        ({op.get_friendly_name(): op.get_type_name() for op in network.get_ops()}, openvino_decode(network)),
    ):
        decode = of_the_decode(model, [name for name, kind in types.items() if kind != "Constant"])
        assert decode
        assert decode <= set(found)
        weighted = [types[name] for name in found if types[name] in WEIGHTED]
        dfl = "26" not in model and not model.endswith(("-cls", "-rtdetr"))
        # the first layer of RT-DETR's positions reads boxes, before each of two layers
        assert len(weighted) == (2 if model.endswith("-rtdetr") else dfl)
    assert len(onnx_last(graph)) == len(openvino_last(network)) == LAST[model.partition("-")[2]]


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("model", ONE_OF_EACH_HEAD)
def test_int8_rounds_nothing_of_the_decode(model, runtime, exported, data, tmp_path):
    source = exported(model, runtime)
    links = openvino_links if runtime == "openvino" else onnx_links
    names = [name for link in links(source.path) for name, kind in link if kind not in ("Constant", "Result")]
    decode = of_the_decode(model, names)
    assert decode
    assert not rounded(links(quantized(source, data, tmp_path).path), decode)


@pytest.mark.parametrize("model", ["yolov8n", "yolov8n-rtdetr"])
def test_int8_for_tensorrt_rounds_nothing_of_the_decode(model, exported, data, tmp_path):
    source = exported(model, "tensorrt")
    decode = of_the_decode(model, [name for link in onnx_links(source.path) for name, _ in link])
    assert not rounded(onnx_links(quantized(source, data, tmp_path).path), decode)


@pytest.mark.parametrize("model", END_TO_END)
def test_int8_rounds_nothing_of_the_decode_of_an_end_to_end_head(model, exported, data, tmp_path, monkeypatch):
    """Stock ultralytics exports these; ours are one-to-many."""
    monkeypatch.chdir(tmp_path)
    stock = tmp_path / "stock.pt"
    shutil.copy(exported(model, "torch").path, stock)
    path = Path(YOLO(stock).export(format="onnx", imgsz=64, nms=False, opset=18, device="cpu", verbose=False))
    graph = onnx.load(path)
    assert [d.dim_value for d in graph.graph.output[0].type.tensor_type.shape.dim][:2] == [
        1,
        84,
    ]  # a row per box
    decode = of_the_decode(model, [node.name for node in graph.graph.node])
    assert decode <= set(onnx_decode(graph))
    assert len(onnx_last(graph)) == LAST[model.partition("-")[2]]
    (tmp_path / "int8").mkdir()
    made = quantized(Variant(path, "onnxruntime", "fp32", square(64)), data, tmp_path / "int8")
    assert not rounded(onnx_links(made.path), decode)
