"""What finished work depends on is in its key: a store may lie in a folder that different machines share."""

from dataclasses import replace
from pathlib import Path

import pytest

from optimize import judge, provenance
from optimize.dataset import Dataset
from optimize.host import cpu
from optimize.identity import identity
from optimize.input_size import square
from optimize.judge import Judge
from optimize.measure.accuracy import Accuracy
from optimize.quant.bf16 import Bf16
from optimize.quant.int8 import Int8
from optimize.recover import qat
from optimize.recover.qat import Qat
from optimize.runtime import here
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.torch import Torch
from optimize.variant import Variant

CPU = {"model name": "A", "flags": "fpu avx2 avx512_vnni amx_int8"}


@pytest.fixture
def data() -> Dataset:
    return Dataset(Path("x.yaml"), ("a",), (), (), "beef")


@pytest.fixture
def on(monkeypatch):
    """Move to another CPU, as Linux describes it."""
    return lambda found: monkeypatch.setattr(cpu, "_cpuinfo", lambda: found)


@pytest.mark.parametrize(
    "other", [CPU | {"model name": "B"}, CPU | {"flags": "fpu avx2"}, {"model name": "A", "Features": "asimd i8mm"}]
)
@pytest.mark.parametrize("make", [lambda data: Int8(data, None), lambda data: Bf16(None)])
def test_what_a_score_or_an_instruction_decides_belongs_to_the_cpu(make, other, data, on):
    """int8 saturates without VNNI, and then layers return to float; bf16 is a row only where the CPU has it."""
    on(CPU)
    here_ = identity(make(data))
    on(other)
    assert identity(make(data)) != here_
    on(CPU | {"flags": CPU["flags"].replace("fpu", "fpu sep nx"), "cpu MHz": "2000"})
    assert identity(make(data)) == here_, "an equal machine shares the work"


def test_another_gpu_is_another_machine(data, monkeypatch):
    before = here.machine_name()
    monkeypatch.setattr(here.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(here.torch.cuda, "get_device_name", lambda: "NVIDIA L4")
    assert here.machine_name() == f"{before} and NVIDIA L4"


@pytest.mark.skipif(qat.unavailable() is not None, reason=str(qat.unavailable()))
def test_a_training_for_int8_belongs_to_the_version_that_simulates_it(data, monkeypatch):
    before = identity(Qat(data, epochs=1))
    monkeypatch.setattr(qat, "version", lambda name: {"nvidia-modelopt": "99.0"}[name])
    assert identity(Qat(data, epochs=1)) != before
    assert identity(Qat(data, epochs=1)).endswith("modelopt='99.0')")


@pytest.mark.parametrize("library", ["numpy", "opencv-python", "pillow", "onnxruntime", "openvino", "torch"])
def test_what_reads_images_or_runs_models_is_among_the_versions(library):
    assert library in provenance.versions()


@pytest.fixture
def validated(data, tmp_path, monkeypatch):
    """How often a variant was validated, so far."""
    calls: list[str] = []

    def validate(session, data, imgsz, keep, images, metric, end2end) -> Accuracy:
        calls.append("once")
        return Accuracy({"mAP50-95": 0.5}, 0, {})

    monkeypatch.setattr(judge, "validate", validate)
    monkeypatch.setattr(Judge, "open", lambda self, variant: lambda images: [])
    monkeypatch.setattr(Judge, "metadata", lambda self, variant: {"end2end": False})
    (tmp_path / "model.onnx").write_bytes(b"model")
    variant = Variant(tmp_path / "model.onnx", "onnxruntime", "fp32", square(64))

    def count(threads: int = 1, **changes) -> int:
        Judge(data, (Torch(), OnnxRuntime()), tmp_path / "store", threads, 6, 0).score(replace(variant, **changes))
        return len(calls)

    return count


def test_a_validation_belongs_to_its_cpu_its_threads_its_runtime_and_the_versions(validated, on, monkeypatch):
    on(CPU)
    assert [validated(), validated()] == [1, 1]
    on(CPU | {"flags": "fpu avx2"})
    assert [validated(), validated()] == [2, 2]
    on(CPU)
    assert [validated(), validated(runtime="torch"), validated(runtime="torch")] == [2, 3, 3]
    monkeypatch.setattr(judge, "versions", lambda: provenance.versions() | {"onnxruntime": "99.0"})
    assert [validated(), validated()] == [4, 4]
    assert [validated(threads=2), validated(threads=2)] == [5, 5]
