"""The single steps as functions: their examples run, and a wrong input is one sentence."""

import inspect
from doctest import DocTestFinder, DocTestRunner

import numpy as np
import pytest

import optimize
from helpers.messages import like
from optimize import bound_latency, count_flops, measure_latency, prune, quantize, sensitivity, steps
from optimize.errors import InputError

FUNCTIONS = bound_latency, count_flops, prune, sensitivity, quantize, measure_latency
EXAMPLES = {one.name.rpartition(".")[2]: one for one in DocTestFinder().find(steps) if one.examples}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_the_example_of_each_function_gives_what_it_says(function, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    assert DocTestRunner().run(EXAMPLES[function.__name__], out=said.append).failed == 0, "".join(said)


def test_every_function_is_exported_and_says_its_errors():
    assert {function.__name__ for function in FUNCTIONS} == set(optimize.STEPS) == set(EXAMPLES)
    for function in FUNCTIONS:
        text = inspect.getdoc(function)
        assert all(part in text for part in ("Args:", "Raises:", *list(inspect.signature(function).parameters)[:1]))


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: bound_latency("digits", "raspberry-pi-9"), "device_profile=raspberry-pi-9 ... raspberry-pi-5"),
        (lambda: count_flops("nowhere.onnx"), "nowhere.onnx does not exist"),
        (lambda: prune("digits", 0.3, "p.pt", pruner="taylor"), "pruner=taylor ... give data"),
        (lambda: prune("digits", 0.3, "p.pt", target="latency"), "target=latency ... optimize.optimize"),
        (lambda: prune("digits", 0, "p.pt"), "share=0 removes nothing"),
        (lambda: prune("digits", 0.3, "p.pt", round=4), "pruner.round is not a key ... pruner.round_to"),
        (lambda: prune("digits", 0.3, "p.pt", imgsz=100), "imgsz=100 ... 96 or 128"),
        (
            lambda: quantize("digits", [np.zeros((3, 64, 64))], "a.onnx", imgsz=64),
            "float64 ... (3, 64, 64) ... float32",
        ),
        (lambda: quantize("digits", [], "a.onnx", runtime="torch"), "runtime=torch has no int8"),
        (lambda: quantize("digits", [], "a.onnx", runtime="tflite"), "runtime=tflite ... litert"),
        (lambda: quantize("digits", [], "a.onnx"), "images is empty"),
        (lambda: measure_latency([]), "models is empty"),
        (lambda: measure_latency(["digits"], rounds=3), "rounds=3 ... 12 or more"),
        (lambda: measure_latency(["gone_openvino_model"]), "gone_openvino_model does not exist"),
        (lambda: sensitivity("digits", "nowhere.yaml"), "nowhere.yaml"),
    ],
)
def test_a_wrong_input_is_one_sentence_and_writes_nothing(call, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=like(sentence)):
        call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.command
def test_files_of_two_runtimes_are_timed_each_at_its_own_size(tmp_path):
    images = [np.random.default_rng(0).random((1, 3, 64, 96), dtype=np.float32)]
    paths = [
        quantize("digits", images, tmp_path / "a.onnx", imgsz=(64, 96)),
        quantize("digits", images, tmp_path / "b_openvino_model", imgsz=(64, 96), runtime="openvino"),
    ]
    latencies = measure_latency(paths, threads=1, rounds=12).latencies
    assert [one.arithmetic for one in latencies] == ["int8+fp32", "int8+fp32"]
    assert [one.speedup for one in latencies] == [1.0, 1.0]
    with pytest.raises(InputError, match=like("a.onnx exists ... another name")):
        quantize("digits", images, tmp_path / "a.onnx")
