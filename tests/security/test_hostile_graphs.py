"""Graphs from strangers are counted, or refused by one sentence, in seconds and little memory."""

import os
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from onnx import helper

from helpers.hangs import ends
from optimize.errors import InputError, OptimizeError
from optimize.flops import count, openvino_graph
from optimize.runtime.onnx import cost as onnx_cost

MEMORY = 500 * 10**6
WEIGHT = helper.make_tensor("w", 1, [4, 3, 3, 3], np.zeros(108, np.float32).tobytes(), raw=True)
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
node = helper.make_node


@pytest.fixture(autouse=True)
def bounded():
    before = psutil.Process().memory_info().rss
    with ends():
        yield
    assert psutil.Process().memory_info().rss - before < MEMORY


def value(name: str, shape: list | None, kind: int = 1) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def graph(path: Path, *nodes, weights=(WEIGHT,), shape=(1, 3, 8, 8), kind: int = 1, functions=()) -> Path:
    made = helper.make_graph(nodes, "g", [value("x", list(shape), kind)], [value("y", None)], list(weights))
    model = helper.make_model(made, opset_imports=OPSETS, functions=list(functions))
    path.write_bytes(model.SerializeToString())
    return path


def function(name: str, *nodes) -> onnx.FunctionProto:
    return helper.make_function("f", name, ["a"], ["b"], nodes, OPSETS)


def doubled(depth: int) -> list:
    """Functions of which each calls the one before twice."""
    twice = [
        function(f"f{i}", node(f"f{i - 1}", ["a"], ["m"], domain="f"), node(f"f{i - 1}", ["m"], ["b"], domain="f"))
        for i in range(1, depth + 1)
    ]
    return [function("f0", node("Relu", ["a"], ["b"])), *twice]


CONV = node("Conv", ["x", "w"], ["y"])
SHAPE_DOUBLES = [node("Concat", [f"s{i}", f"s{i}"], [f"s{i + 1}"], axis=0) for i in range(40)]
RANK_DOUBLES = [
    one
    for i in range(30)
    for one in (
        node("Shape", [f"r{i}"], [f"a{i}"]),
        node("Concat", [f"a{i}", f"a{i}"], [f"b{i}"], axis=0),
        node("Reshape", [f"r{i}", f"b{i}"], [f"c{i}"]),
        node("Relu", [f"c{i}"], [f"r{i + 1}"]),
    )
]
BAD = {
    "feeds itself": ([node("Transpose", ["a"], ["a"]), node("Conv", ["a", "w"], ["y"])], {}, "form a cycle"),
    "a circle": (
        [node("Cast", ["a"], ["b"], to=1), node("Cast", ["b"], ["a"], to=1), node("Conv", ["a", "w"], ["y"])],
        {},
        "form a cycle",
    ),
    "functions double": ([node("f40", ["x"], ["y"], domain="f")], {"functions": doubled(40)}, "operators when its"),
    "a function calls itself": (
        [node("f", ["x"], ["y"], domain="f")],
        {"functions": [function("f", node("f", ["a"], ["b"], domain="f"))]},
        "form a cycle",
    ),
    "shapes double": (
        [
            node("Shape", ["x"], ["s0"]),
            *SHAPE_DOUBLES,
            node("Reshape", ["x", "s40"], ["z"]),
            node("Conv", ["z", "w"], ["y"]),
        ],
        {},
        "grow without bound",
    ),
    "dimensions double": (
        [node("Identity", ["x"], ["r0"]), *RANK_DOUBLES, node("Conv", ["r30", "w"], ["y"])],
        {},
        "grow without bound",
    ),
    "no weights": ([node("Conv", ["x"], ["y"])], {}, "lacks an input"),
    "empty weights": ([node("Conv", ["x", ""], ["y"])], {}, "lacks an input"),
    "no inputs": ([node("Gemm", [], ["y"])], {}, "lacks an input"),
    "one factor": ([node("MatMul", ["x"], ["y"])], {}, "lacks an input"),
    "no output": ([node("Conv", ["x", "w"], [])], {}, "lacks an input or an output"),
    "missing weights": ([node("Conv", ["x", "none"], ["y"])], {}, "reads none, which no operator writes"),
    "given twice": ([CONV, CONV], {}, "defines the tensor y twice"),
    "type 99": ([CONV], {"kind": 99}, "can't be counted|data type 99|shape of y is unknown"),
    "2^62": ([CONV], {"shape": (1, 3, 2**62, 2**62)}, "shape of .* is unknown|no machine can hold"),
    "2^31": ([CONV], {"shape": (1, 3, 2**31, 2**31)}, "no machine can hold"),
    "negative": ([CONV], {"shape": (1, 3, -8, -8)}, "takes|unknown"),
}


@pytest.mark.parametrize("kind", BAD)
def test_an_onnx_file_that_can_not_be_is_one_sentence(kind, tmp_path):
    nodes, more, said = BAD[kind]
    with pytest.raises(OptimizeError, match=said):
        count(graph(tmp_path / "x.onnx", *nodes, **more))


def test_long_chains_are_counted_once(tmp_path):
    """Each of many convolutions reads its weight through the same long chain."""
    chain = [node("Identity", [f"w{i}" if i else "w"], [f"w{i + 1}"]) for i in range(3000)]
    convolutions = [node("Conv", ["x", "w3000"], [f"y{i}"]) for i in range(2000)]
    fused = [node("Relu", [f"z{i}" if i else "y0"], [f"z{i + 1}"]) for i in range(3000)]
    table = count(graph(tmp_path / "x.onnx", *chain, *convolutions, *fused, node("Identity", ["y1"], ["y"])))
    assert table.total.macs == 2000 * 4 * 27 * 36


def test_external_data_is_not_read_and_small_shapes_are(tmp_path):
    """A weight may name any file; of shapes those are read that lie beside the model."""
    weight = onnx.TensorProto(name="w", data_type=1, dims=[4, 3, 3, 3], data_location=onnx.TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="/etc/passwd")
    assert count(graph(tmp_path / "x.onnx", CONV, weights=[weight])).total.macs == 4 * 27 * 36
    nodes = node("Reshape", ["x", "s"], ["z"]), node("Conv", ["z", "w"], ["y"])
    shape = helper.make_tensor("s", 7, [4], np.array([1, 3, 16, 4]).tobytes(), raw=True)
    path = graph(tmp_path / "x.onnx", *nodes, weights=[WEIGHT, shape])
    expected = count(path).total
    onnx.save(onnx.load(path), tmp_path / "y.onnx", save_as_external_data=True, size_threshold=0)
    assert count(tmp_path / "y.onnx").total.macs == expected.macs == 4 * 27 * 14 * 2
    outside = onnx.load(tmp_path / "y.onnx", load_external_data=False)
    for tensor in outside.graph.initializer:
        next(entry for entry in tensor.external_data if entry.key == "location").value = "../y.onnx.data"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "z.onnx").write_bytes(outside.SerializeToString())
    with pytest.raises(OptimizeError):
        count(tmp_path / "in" / "z.onnx")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes")
@pytest.mark.parametrize("name", ["x.onnx", "x.xml", "x.bin"])
def test_pipes_are_no_models(name, tmp_path):
    (tmp_path / "x.xml").write_text("<net/>")
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(OptimizeError, match="no file"):
        count(tmp_path / name.replace(".bin", ".xml"))


def layer(i: int, kind: str, inputs: int, dims: str, more: str = "") -> str:
    ports = "".join(f'<port id="{port}">{dims}</port>' for port in range(inputs))
    out = "" if kind == "Result" else f'<output><port id="{inputs}" precision="FP32">{dims}</port></output>'
    return f'<layer id="{i}" name="n{i}" type="{kind}" version="opset1">{more}<input>{ports}</input>{out}</layer>'


def openvino(folder: Path, steps: int, kind: str) -> Path:
    """A MatMul of an image with itself, both after `steps` of `kind`."""
    inputs, axis = (2, '<data axis="0"/>') if kind == "Concat" else (1, "")
    dims = "".join(f"<dim>{size}</dim>" for size in (1, 3, 8, 8))
    layers = [layer(0, "Parameter", 0, dims, '<data shape="1,3,8,8" element_type="f32"/>')]
    edges = []

    def edge(source: int, target: int, port: int) -> None:
        place = 0 if source == 0 else inputs
        edges.append(f'<edge from-layer="{source}" from-port="{place}" to-layer="{target}" to-port="{port}"/>')

    for i in range(1, steps + 1):
        layers.append(layer(i, kind, inputs, dims, axis))
        for port in range(inputs):
            edge(i - 1, i, port)
    layers.append(layer(steps + 1, "MatMul", 2, dims, '<data transpose_a="false" transpose_b="false"/>'))
    edge(steps, steps + 1, 0)
    edge(steps, steps + 1, 1)
    layers.append(layer(steps + 2, "Result", 1, dims))
    edges.append(f'<edge from-layer="{steps + 1}" from-port="2" to-layer="{steps + 2}" to-port="0"/>')
    text = f'<?xml version="1.0"?><net name="m" version="11"><layers>{"".join(layers)}</layers>'
    (folder / "m.xml").write_text(f"{text}<edges>{''.join(edges)}</edges></net>")
    (folder / "m.bin").touch()
    return folder / "m.xml"


def test_an_openvino_chain_that_doubles_is_walked_once(tmp_path):
    pytest.importorskip("openvino")
    assert count(openvino(tmp_path, 20, "Concat")).total.macs == 2**20 * 3 * 8 * 8 * 8


def test_a_long_openvino_chain_needs_no_stack(tmp_path):
    pytest.importorskip("openvino")
    assert count(openvino(tmp_path, 5000, "ReLU")).total.macs == 3 * 8 * 8 * 8


@pytest.mark.parametrize("steps", [60])
def test_an_openvino_chain_of_more_than_any_machine_holds(steps, tmp_path):
    pytest.importorskip("openvino")
    with pytest.raises(OptimizeError, match=r"than any machine can hold|is not an OpenVINO model"):
        count(openvino(tmp_path, steps, "Concat"))


ENTITIES = '<!DOCTYPE n [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
XML = {
    "empty": "",
    "text": "hello",
    "cut off": '<?xml version="1.0"?><net name="m" version="11"><layers><layer id="0"',
    "deep": "<a>" * 200_000,
    "no layers": '<?xml version="1.0"?><net name="m" version="11"></net>',
    "entities": f'<?xml version="1.0"?>{ENTITIES}]><net name="&i;" version="11"><layers/><edges/></net>',
}


@pytest.mark.parametrize("kind", XML)
def test_a_broken_xml_is_one_sentence(kind, tmp_path):
    pytest.importorskip("openvino")
    (tmp_path / "m.xml").write_text(XML[kind])
    (tmp_path / "m.bin").touch()
    with pytest.raises(OptimizeError, match="model="):
        count(tmp_path / "m.xml")


@pytest.mark.parametrize("content", [None, b"", b"short"])
def test_a_bin_that_is_missing_or_short_is_one_sentence(content, tmp_path):
    ov = pytest.importorskip("openvino")
    from openvino import opset13 as ops

    image = ops.parameter([1, 3, 8, 8], np.float32)
    weight = ops.constant(np.random.default_rng(0).random((4, 3, 3, 3), np.float32))
    result = ops.convolution(image, weight, [1, 1], [0, 0], [0, 0], [1, 1])
    ov.save_model(ov.Model([ops.result(result)], [image]), tmp_path / "m.xml", compress_to_fp16=False)
    assert count(tmp_path / "m.xml").total.macs == 4 * 27 * 36
    (tmp_path / "m.bin").unlink()
    if content is not None:
        (tmp_path / "m.bin").write_bytes(content)
    with pytest.raises(OptimizeError, match="is not an OpenVINO model"):
        count(tmp_path / "m.xml")


YAML = {
    "aliases": "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    "classes": "nc: 1e10\n",
    "deep": f"a: {'[' * 100_000}",
    "huge": "#" + "x" * 2**22,
}


@pytest.mark.parametrize("kind", YAML)
def test_a_yaml_of_a_model_is_bounded_like_that_of_a_data_set(kind, tmp_path):
    (tmp_path / "m.yaml").write_text(f"{YAML[kind]}\nbackbone: [[-1, 1, Conv, [8, 3, 2]]]\nhead: []\n")
    with pytest.raises(OptimizeError, match=r"m\.yaml can't be read .*m\.yaml (stands|has|is)"):
        count(tmp_path / "m.yaml")


def test_what_openvino_can_not_read_in_time_is_a_sentence(tmp_path, monkeypatch):
    """A Concat chain that doubles feeds the shape of a Reshape: OpenVINO computes it while it reads the file."""
    monkeypatch.setattr(openvino_graph, "SECONDS", 3)
    doubling(40, tmp_path / "bad.xml")
    with pytest.raises(InputError, match=r"bad\.xml .* OpenVINO.* (more than|ends the)"):
        count(tmp_path / "bad.xml")


def doubling(steps: int, path: Path) -> None:
    """By hand, since to build it by OpenVINO would compute it as well."""
    ports = '<port id="{0}" precision="I64"><dim>{1}</dim></port>'
    layers = [
        '<layer id="0" name="x" type="Parameter" version="opset1"><data shape="1,3,8,8" element_type="f32"/><output>'
        '<port id="0" precision="FP32"><dim>1</dim><dim>3</dim><dim>8</dim><dim>8</dim></port></output></layer>',
        '<layer id="1" name="c" type="Const" version="opset1"><data element_type="i64" shape="1" offset="0" size="8"/>'
        f"<output>{ports.format(0, 1)}</output></layer>",
    ]
    edges = []
    for i in range(steps):
        layers.append(
            f'<layer id="{i + 2}" name="k{i}" type="Concat" version="opset1"><data axis="0"/><input>'
            f"{ports.format(0, 2**i)}{ports.format(1, 2**i)}</input>"
            f"<output>{ports.format(2, 2 ** (i + 1))}</output></layer>"
        )
        edges += [(i + 1, 0 if i == 0 else 2, i + 2, 0), (i + 1, 0 if i == 0 else 2, i + 2, 1)]
    last = steps + 2
    layers += [
        f'<layer id="{last}" name="r" type="Reshape" version="opset1"><data special_zero="true"/><input>'
        '<port id="0" precision="FP32"><dim>1</dim><dim>3</dim><dim>8</dim><dim>8</dim></port>'
        f'{ports.format(1, 2**steps)}</input><output><port id="2" precision="FP32"/></output></layer>',
        f'<layer id="{last + 1}" name="o" type="Result" version="opset1"><input><port id="0" precision="FP32"/></input>'
        "</layer>",
    ]
    edges += [(0, 0, last, 0), (last - 1, 2, last, 1), (last, 2, last + 1, 0)]
    wires = "".join(f'<edge from-layer="{a}" from-port="{b}" to-layer="{c}" to-port="{d}"/>' for a, b, c, d in edges)
    path.write_text(
        f'<net name="n" version="11"><layers>{"".join(layers)}</layers><edges>{wires}</edges></net>', encoding="utf-8"
    )
    path.with_suffix(".bin").write_bytes((1).to_bytes(8, "little"))


def test_a_shape_that_doubles_inside_a_branch_is_a_sentence(tmp_path, monkeypatch):
    """onnx follows shapes into branches, where nothing bounds them."""
    monkeypatch.setattr(onnx_cost, "MEMORY", 6 * 10**8)
    start = helper.make_tensor("s0", onnx.TensorProto.INT64, [1], [1])
    inside = [node("Constant", [], ["s0"], value=start), *SHAPE_DOUBLES, node("Reshape", ["x", "s40"], ["o"])]
    branch = helper.make_graph(inside, "b", [], [value("o", None)])
    condition = helper.make_tensor("c", onnx.TensorProto.BOOL, [], [True])
    path = graph(
        tmp_path / "bad.onnx",
        CONV,
        node("If", ["c"], ["z"], then_branch=branch, else_branch=branch),
        weights=(WEIGHT, condition),
    )
    with pytest.raises(InputError, match=r"more than|ends the process"):
        count(path)


def test_a_long_chain_before_many_products_is_walked_once(tmp_path):
    """Each product would walk the whole chain again: 100 s on two cores for these."""
    import openvino as ov
    from openvino import opset13 as ops

    chain = image = ops.parameter([1, 3, 8, 8], np.float32)
    order = ops.constant(np.array([0, 1, 3, 2]))
    for _ in range(3000):
        chain = ops.transpose(chain, order)
    products = [ops.matmul(chain, chain, False, False) for _ in range(3000)]
    ov.save_model(ov.Model(products, [image]), tmp_path / "long.xml", compress_to_fp16=False)
    assert count(tmp_path / "long.xml").total.flops == 3000 * 2 * 3 * 8**3
