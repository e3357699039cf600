"""What the latency target is of: named by the user or by default, here or on a device whose table was brought back."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from helpers.messages import says
from helpers.random_models import build
from optimize import latency_table
from optimize.deployments import ways, with_deployment
from optimize.errors import InputError
from optimize.host import cpu
from optimize.host.cpu import int8_cpu
from optimize.input_size import square
from optimize.precision import FP32, Precision
from optimize.pruner.l2 import L2
from optimize.pruner.latency import make, samples
from optimize.pruner.latency.networks import architecture
from optimize.pruner.prune import prune
from optimize.pruner.settings import Pruning
from optimize.quant.cpu import chosen_cpu
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino

SIZE = square(64)
INT8 = Precision("int8", bytes=1, computes=("int8",))


@pytest.fixture(scope="module")
def model():
    return build("yolov8n").float()


BOTH = (OpenVino(), OnnxRuntime())


def resolved(model, tmp_path, runtimes=BOTH, asked="int8", imgsz=SIZE, **pruning):
    stages = [
        SimpleNamespace(precision=INT8, why_not=lambda runtime: None),
        SimpleNamespace(precision=FP32, why_not=lambda runtime: None),
        SimpleNamespace(precision=SimpleNamespace(name="bf16"), why_not=lambda runtime: "this CPU has no bf16"),
    ]
    settings = Pruning(0.2, L2(), **{"target": "latency"} | pruning)
    return with_deployment(settings, ways(runtimes, stages, 2, tmp_path, int8_cpu()), model, imgsz, asked)


def test_the_default_is_the_first_runtime_and_the_precision_asked_for(model, tmp_path):
    assert str(resolved(model, tmp_path).deployment) == "openvino-int8"
    assert str(resolved(model, tmp_path, asked="bf16").deployment) == "openvino-fp32"  # which has none here
    named = resolved(model, tmp_path, deploy="onnxruntime-fp32").deployment
    assert (named.name, named.precision, named.recipe, named.threads) == ("onnxruntime", "fp32", "", 2)
    assert resolved(model, tmp_path, target="flops").deployment is None


def test_what_can_not_be_measured_is_told(model, tmp_path):
    with pytest.raises(InputError, match=r"pruner\.deploy=openvino-bf16 .*openvino-fp32, openvino-int8, onnxruntime"):
        resolved(model, tmp_path, deploy="openvino-bf16")
    with pytest.raises(InputError, match=r"needs a runtime to measure in; give one, e\.g\. runtime=\[openvino\]"):
        resolved(model, tmp_path, runtimes=())
    with pytest.raises(InputError, match=r"pruner\.deploy=openvino-int8 is for pruner\.target=latency"):
        resolved(model, tmp_path, target="flops", deploy="openvino-int8")


@pytest.fixture(scope="module")
def table(model, tmp_path_factory):
    """A table as a device brings it back: the folder is written here, and its script measures here."""
    folder = tmp_path_factory.mktemp("device") / "table"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency_table, "NETWORKS", 4)
        latency_table.write(model, SIZE, OnnxRuntime(), "int8", folder, int8_cpu())
    command = [sys.executable, "table.py", "--threads", "1", "--together", "2", "--out", "table.json"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}  # a command may set it
    how = {"cwd": folder, "env": environment, "capture_output": True, "text": True, "check": False}
    done = subprocess.run(command, **how)
    assert done.returncode == 0, done.stderr
    assert "networks 3 to 3 of 3" in done.stdout
    again = subprocess.run(command, **how)
    assert (again.returncode, "table.json exists" in again.stderr) == (1, True)
    return folder / "table.json"


@pytest.mark.command
def test_a_table_of_a_device_is_read_and_pruned_for(model, table, tmp_path):
    content = samples.read(table)
    assert (content.architecture, content.runtime, len(content.networks)) == (architecture(model), "onnxruntime", 4)
    assert content.networks[0].widths["model.0.conv"] == (16, 3)
    assert set(cpu.flags()) <= set(content.flags)  # those that the script read there
    assert chosen_cpu(table, None).kind == int8_cpu().kind
    settings = resolved(model, tmp_path, table=table, round_to=8)
    here = settings.deployment
    assert (str(here), here.threads, here.samples) == ("onnxruntime-int8", 1, content)
    report = prune(build("yolov8n").float(), SIZE, settings)
    assert (report.time.milliseconds, report.time.networks) == (None, 4)
    assert not list(tmp_path.glob(f"*{make.ENDING}"))  # nothing was measured here


@pytest.mark.command
def test_a_table_of_another_recipe_is_told(model, table, tmp_path, caplog):
    other = tmp_path / "other.json"
    other.write_text(json.dumps(json.loads(table.read_text()) | {"recipe": "u9s9"}))
    resolved(model, tmp_path, table=table)
    assert not caplog.messages
    resolved(model, tmp_path, table=other)
    kind = int8_cpu().kind
    assert [says(one, f"by u9s9 ... first layer float ... --cpu {kind}") for one in caplog.messages] == [True]


@pytest.mark.command
def test_a_table_that_does_not_fit_is_told(model, table, tmp_path):
    for path, message in (
        (tmp_path / "none.json", "does not exist"),
        (tmp_path / "other.json", "is no latency table"),
    ):
        (tmp_path / "other.json").write_text("{}")
        with pytest.raises(InputError, match=message):
            resolved(model, tmp_path, table=path)
    with pytest.raises(InputError, match="other layers or widths"):
        resolved(build("yolo11n").float(), tmp_path, table=table)
    with pytest.raises(InputError, match=r"measured at imgsz=64, and this run is at 96"):
        resolved(model, tmp_path, table=table, imgsz=square(96))
    with pytest.raises(InputError, match="is of onnxruntime-int8, which is not a runtime and precision of this run"):
        resolved(model, tmp_path, table=table, runtimes=(OpenVino(),))
    with pytest.raises(InputError, match=r"is of onnxruntime-int8, and pruner\.deploy=openvino-int8"):
        resolved(model, tmp_path, table=table, deploy="openvino-int8")
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(json.loads(table.read_text()) | {"networks": []}))
    with pytest.raises(InputError, match="is no latency table"):
        resolved(model, tmp_path, table=broken)
