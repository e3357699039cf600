"""What bench.py measures on a device comes back into the report, as a row that nothing else is compared with."""

import json
import runpy
import sys
from dataclasses import asdict, replace
from pathlib import Path

import onnx
import pytest
from PIL import Image

from helpers import reports
from helpers.bundles import bundled, one_row, start
from helpers.lively import lively, write_blocks
from helpers.quantized import quantized
from helpers.reports import measurement
from optimize import import_measurement
from optimize.dataset import Dataset
from optimize.input_size import square
from optimize.measure import clock
from optimize.report import chart_image, markdown, page, results
from optimize.report.charts import front
from optimize.runtime.litert import LiteRT
from optimize.runtime.ncnn import Ncnn
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.store.manifest import placing
from optimize.variant import Variant
from optimize.verdict import gates, verdict


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return lively("yolov8n.yaml", tmp_path_factory.mktemp("weights") / "tiny.pt", classes=3)


@pytest.fixture
def bring(monkeypatch, capsys):
    """Exit code, stdout and stderr of the command."""

    def command(run: Path, file: Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["import_measurement", str(run), str(file)])
        try:
            import_measurement.main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        out = capsys.readouterr()
        return code, out.out, out.err

    return command


RUNTIMES = [
    pytest.param(runtime, id=runtime.info.name, marks=pytest.mark.skipif(bool(why), reason=why or ""))
    for runtime in (OnnxRuntime(), OpenVino(), Ncnn(), LiteRT())
    for why in [runtime.unavailable()]
]


@pytest.mark.command
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_bundle_measured_without_this_package_comes_back(runtime, weights, tmp_path, bring):
    run = tmp_path / "2026-11-22_12-00-00"
    run.mkdir()
    report = one_row(runtime.export(Variant(weights, "torch", "fp32", square(64)), tmp_path).path, runtime.info.name)
    with placing(run) as partial:
        results.write(report, partial / "results.json")
    bundle = bundled(report, run)
    sustained = ("--minutes", "0.01") if runtime == OnnxRuntime() else ()
    words = "--device", "a  board | of mine", "--threads", "1", "--rounds", "12", *sustained
    done = start(bundle / "bench.py", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith(f"import_measurement runs/{run.name} measurement.json")
    code, out, err = bring(run, tmp_path / "measurement.json")
    assert code == 0, err
    assert out.splitlines()[-1] == str(run)
    assert "Measured on devices" in out and "a board | of mine" in out
    (found,) = results.read(run / "results.json").measurements
    assert (found.device, found.threads, found.runs, found.run) == ("a board | of mine", 1, 12 * clock.TIMED, run.name)
    assert runtime.open(report.results[1].variant, 1).arithmetic == "fp32"
    assert found.arithmetic == (None if runtime.info.name == "ncnn" else "fp32")  # ncnn names no kernels
    assert 0 < found.q1_ms <= found.median_ms <= found.q3_ms <= found.p90_ms and found.p99_ms is None
    assert len(found.sustained) == bool(sustained)
    if sustained:  # a window is ten seconds
        assert found.sustained[0].seconds >= 10 and found.sustained[0].median_ms < 100
        assert "minutes are too short to tell" in done.stdout
        minutes = f"{found.sustained[-1].seconds / 60:.1f}"  # more on a machine that is held up meanwhile
        assert rf"a board \| of mine, pruned: {minutes} minutes are too short" in (run / "report.md").read_text()
    assert set(found.versions) == {"python", "numpy", runtime.info.name}
    assert r"| a board \| of mine | pruned | " in (run / "report.md").read_text()
    assert '<th scope="row" class="word">a board | of mine</th>' in (run / "report.html").read_text()


@pytest.mark.command
def test_no_figure_of_this_host_changes_and_the_device_has_no_speed_up(tmp_path):
    before = reports.report()
    after = replace(before, measurements=(measurement(),))
    assert verdict.headline(after) == verdict.headline(before)
    assert gates.fired(after) == gates.fired(before)
    for chart in (front.against_flops, front.against_latency):
        assert chart(front.points(after)) == chart(front.points(before))
    markdown.write(after, tmp_path / "report.md")
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert (
        "| Raspberry Pi 5 | int8 | openvino | int8+fp32 | 4 | 31.25 | 30.50-32.00 | 34.50 | - | 0.4% | 2.0% | "
        "2400 / 2200 | 61 / - |"
    ) in lines
    markdown.write(before, tmp_path / "report.md")
    without = (tmp_path / "report.md").read_text().splitlines()
    assert [line for line in without if line not in lines] == []
    page.write(before, tmp_path / "before.html")
    page.write(after, tmp_path / "after.html")
    assert 'id="devices"' not in (tmp_path / "before.html").read_text()
    assert 'id="devices"' in (tmp_path / "after.html").read_text()


@pytest.mark.command
def test_the_image_shows_devices_below_the_charts_of_this_host(tmp_path):
    before = reports.report()
    chart_image.write(before, tmp_path / "before.png")
    chart_image.write(replace(before, measurements=(measurement(),)), tmp_path / "after.png")
    with Image.open(tmp_path / "before.png") as old, Image.open(tmp_path / "after.png") as new:
        assert new.width >= old.width and new.height > old.height
        assert new.crop((0, 0, *old.size)).tobytes() == old.tobytes()


def test_a_second_measurement_of_a_device_and_its_threads_takes_the_place_of_the_first():
    report = reports.report()
    for new in (measurement(), measurement(threads=1), measurement(device="phone"), measurement(median_ms=30.75)):
        report = import_measurement.added(report, new)
    found = [(one.device, one.threads, one.median_ms) for one in report.measurements]
    assert found == [("Raspberry Pi 5", 1, 31.25), ("phone", 4, 31.25), ("Raspberry Pi 5", 4, 30.75)]


def test_a_device_that_can_not_be_believed_is_an_alarm():
    noisy, wrong = measurement(noise=0.06), measurement(precision="bf16", arithmetic="fp32")
    report = reports.report()
    results = (*report.results, reports.row("original", "openvino", "bf16", 1.0, 0.6, 6.0, reference=8.0))
    loud = gates.fired(replace(report, results=results, measurements=(noisy, wrong)))
    assert [(gate.name, gate.sentence[:36]) for gate in loud] == [
        ("A/A", "on Raspberry Pi 5, 4 threads, the sa"),
        ("wrong arithmetic", "the bf16 file that was measured on R"),
    ]


WRONG = {
    "none": (None, "does not exist; give the measurement.json"),
    "text": ("hello", "is no measurement (at its start: Invalid JSON"),
    "field": ({"median_ms": "fast"}, "is no measurement (at median_ms: "),
    "missing": ({"noise": ...}, "is no measurement (at noise: Field required)"),
    "zero": ({"q1_ms": 0}, "holds impossible figures"),
    "negative": ({"noise": -1}, "holds impossible figures"),
    "order": ({"median_ms": 99.0}, "holds impossible figures"),
    "infinite": ({"clock_mhz": [float("nan"), 1]}, "holds impossible figures"),
    "windows": (
        {"sustained": [{"seconds": 10, "median_ms": 0, "clock_mhz": None, "temperature_c": None}]},
        "holds impossible figures",
    ),
    "schema": ({"schema": 3}, "has schema 3, this version reads 1 and 2"),
    "other": (
        {"sha256": "f" * 64},
        "the measurement is of the bundle of another run: its int8 artefact for openvino",
    ),
    "precision": ({"precision": "fp16"}, "the measurement is of the bundle of another run: its fp16 artefact"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_measurement_of_this_run_is_one_sentence_and_changes_nothing(case, tmp_path, bring):
    content, sentence = WRONG[case]
    results.write(reports.report(), tmp_path / "results.json")
    before = (tmp_path / "results.json").read_bytes()
    file = tmp_path / "measurement.json"
    if isinstance(content, str):
        file.write_text(content)
    elif content is not None:
        whole = asdict(measurement()) | content
        file.write_text(json.dumps({key: value for key, value in whole.items() if value is not ...}))
    code, out, err = bring(tmp_path, file)
    assert (code, out) == (1, "")
    assert err.startswith("error: ") and sentence in err and err.count("\n") == 1
    assert (tmp_path / "results.json").read_bytes() == before
    assert not (tmp_path / "report.md").exists()


@pytest.mark.command
@pytest.mark.parametrize("runtime", [one for one in RUNTIMES if one.id != "ncnn"])  # which names no kernels
def test_the_arithmetic_of_int8_is_read_back_as_on_the_host(runtime, weights, tmp_path):
    images = write_blocks(tmp_path, 8, 0), write_blocks(tmp_path, 8, 1)
    data = Dataset(tmp_path / "x.yaml", ("class0", "class1", "class2"), *images, "f00d")
    (tmp_path / "int8").mkdir()
    made = quantized(runtime.export(Variant(weights, "torch", "fp32", square(64)), tmp_path), data, tmp_path / "int8")
    _, arithmetic = runpy.run_path(str(runtime.device_file))["open_model"](made.path, "int8", 1)
    assert arithmetic() == runtime.open(made, 1).arithmetic == "int8+fp32"


@pytest.mark.command
@pytest.mark.parametrize("out", ["no/such/x.json", "folder", "tiny.onnx/x.json"])
def test_bench_looks_where_it_will_write_before_it_measures(out, weights, tmp_path):
    report = one_row(OnnxRuntime().export(Variant(weights, "torch", "fp32", square(64)), tmp_path).path, "onnxruntime")
    bundle = bundled(report, tmp_path)
    (tmp_path / "folder").mkdir()
    (bundle / "tiny.onnx").unlink()  # so it can't have looked at the model before
    done = start(bundle / "bench.py", "--out", out, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: --out {out} can't be written; give a file in a folder that is there.\n"


@pytest.mark.command
@pytest.mark.parametrize("case", ["shape", "count", "finite"])
def test_bench_times_no_model_whose_output_is_wrong(case, weights, tmp_path):
    made = OnnxRuntime().export(Variant(weights, "torch", "fp32", square(64)), tmp_path)
    model, sentence = onnx.load(made.path), "an output of shape (1, 7, 84) is none of a one2many head with 2 classes."
    output = model.graph.output[0].name
    if case == "count":
        model.graph.output.append(model.graph.output[0])
        model.graph.output[1].name = "again"
        model.graph.node.append(onnx.helper.make_node("Identity", [output], ["again"]))
        sentence = "an output of shape (1, 7, 84) and (1, 7, 84) is none of a one2many head with 3 classes."
    if case == "finite":
        next(node for node in model.graph.node if output in node.output).output[0] = "before"
        model.graph.node.append(onnx.helper.make_node("Log", ["negative"], [output]))
        model.graph.node.insert(len(model.graph.node) - 1, onnx.helper.make_node("Neg", ["before"], ["negative"]))
        sentence = "tiny.onnx gives numbers that are not finite here, so nothing it says counts."
    onnx.save(model, made.path)
    bundle = bundled(one_row(made.path, "onnxruntime"), tmp_path)
    if case == "shape":
        about = json.loads((bundle / "bundle.json").read_text())
        (bundle / "bundle.json").write_text(json.dumps(about | {"names": about["names"][:2]}))
    done = start(bundle / "bench.py", "--rounds", "12", "--threads", "1", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"error: {sentence}\n")
    assert not (tmp_path / "measurement.json").exists()


@pytest.mark.command
def test_bench_refuses_an_artefact_that_is_not_the_one_described(weights, tmp_path):
    report = one_row(OnnxRuntime().export(Variant(weights, "torch", "fp32", square(64)), tmp_path).path, "onnxruntime")
    bundle = bundled(report, tmp_path)
    with (bundle / report.results[1].variant.path.name).open("ab") as file:
        file.write(b"x")
    done = start(bundle / "bench.py", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: tiny.onnx is not the file that bundle.json describes; copy the bundle again.\n"
    assert not (tmp_path / "measurement.json").exists()
