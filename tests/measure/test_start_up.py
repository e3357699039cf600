"""A new process opens the file as a bundle does; its memory is what the system counts."""

import json
import shutil
import subprocess
import sys

import pytest

from helpers import reports
from helpers.lively import lively
from helpers.messages import says
from optimize.errors import MeasurementError
from optimize.host.memory import resident
from optimize.input_size import square
from optimize.measure import start_up
from optimize.report.sections import start_up as section
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.variant import Variant

MEASURE = start_up.measure  # conftest puts another one in its place


@pytest.fixture(scope="module")
def variant(tmp_path_factory) -> Variant:
    folder = tmp_path_factory.mktemp("start")
    weights = lively("yolov8n.yaml", folder / "tiny.pt", classes=3)
    return OnnxRuntime().export(Variant(weights, "torch", "fp32", square(64)), folder)


def test_a_file_is_opened_in_processes_without_torch(variant, monkeypatch):
    commands = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda command, **more: commands.append(command) or run(command, **more))
    ticks = []
    start = MEASURE(OnnxRuntime.device_file, variant, 1, lambda: ticks.append(1))
    assert len(ticks) == len(commands) == start_up.STARTS
    assert [command[-1] for command in commands] == ["50", "1", "1"]
    assert start.load_ms > 0 and start.first_ms > 0
    assert 10e6 < start.before_bytes < start.peak_bytes < 400e6  # torch alone takes more before it opens anything
    assert start.model_bytes == start.peak_bytes - start.before_bytes > variant.path.stat().st_size / 2


@pytest.mark.skipif(not shutil.which("/usr/bin/time"), reason="no /usr/bin/time here: apt-get install time")
def test_memory_is_what_time_v_counts(variant):
    words = (OnnxRuntime.device_file, variant.path, "fp32", 1, 64, 64, 50)
    command = ["/usr/bin/time", "-v", sys.executable, "-m", "optimize.measure.start_up", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    peak = json.loads(done.stdout)["peak_bytes"]
    (line,) = (line for line in done.stderr.splitlines() if "Maximum resident set size" in line)
    assert peak == pytest.approx(1024 * int(line.split()[-1]), rel=0.05)


def test_a_file_that_can_not_be_opened_is_named_with_the_reason(variant, tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"no model")
    broken = Variant(tmp_path / "a.onnx", "onnxruntime", "int8", square(64), ("pruned", "int8"))
    with pytest.raises(MeasurementError) as error:
        MEASURE(OnnxRuntime.device_file, broken, 1)
    assert says(str(error.value), "pruned+int8 on onnxruntime can't be opened in a new process: ... a.onnx")


def test_memory_that_is_taken_and_given_back_stays_the_peak():
    _, before = resident()
    taken = bytearray(3 * 10**8)
    for place in range(0, len(taken), 4096):
        taken[place] = 1
    now, _ = resident()
    del taken
    later, peak = resident()
    assert peak >= 0.99 * now and now > 3 * 10**8 and peak >= before  # the kernel counts in steps, for each core
    assert later < now - 2 * 10**8


def test_the_section_adds_the_first_call_to_the_loading_and_leaves_torch_out():
    (table,) = section.section(reports.report()).tables
    assert len(table.rows) == sum(row.variant.runtime != "torch" for row in reports.report().results)
    assert table.rows[0] == ("original", "onnxruntime", "120", "150", "95.0", "60.0", "35.0")
    assert section.section(reports.report(results=reports.report().results[:1])) is None
