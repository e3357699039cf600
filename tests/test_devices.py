"""Device profiles, the bounds by their formulas, and that a bound is called one wherever it is shown."""

import math
import re
from dataclasses import asdict, replace

import commands
import pytest
import reports
import torch
import yaml
from torch import nn

from optimize import profile_device
from optimize.device import BYTES, FOLDER, Device, Figure, known, load, save
from optimize.errors import InputError, MeasurementError
from optimize.measure import machine
from optimize.measure.bound import WINOGRAD, Roofs, bounds, limit
from optimize.measure.cost import Cost, Layer, count
from optimize.measure.roofline import Machine
from optimize.report import bounds as shown
from optimize.report import markdown, page, results, table, words
from optimize.yolo.checkpoint import deployed

FORMULAS = {  # cores x GHz x operations a cycle
    ("raspberry-pi-4", "cpu", "fp32"): 4 * 1.8 * 2 * 2 * 2,
    ("raspberry-pi-5", "cpu", "fp32"): 4 * 2.4 * 2 * 4 * 2,
    ("raspberry-pi-5", "cpu", "fp16"): 4 * 2.4 * 2 * 8 * 2,
    ("raspberry-pi-5", "cpu", "int8"): 4 * 2.4 * 2 * 16 * 2,
    ("rockchip-rk3588", "cpu", "fp32"): 4 * 2.4 * 16 + 4 * 1.8 * 8,
    ("rockchip-rk3588", "cpu", "fp16"): 4 * 2.4 * 32 + 4 * 1.8 * 16,
    ("rockchip-rk3588", "cpu", "int8"): 4 * 2.4 * 64 + 4 * 1.8 * 32,
    ("intel-n100", "cpu", "fp32"): 4 * 3.4 * 2 * 4 * 2,
    ("intel-n100", "cpu", "int8"): 4 * 3.4 * 2 * 16 * 2,
    ("intel-i7-1165g7", "cpu", "fp32"): 4 * 4.7 * 16 * 2,
    ("intel-i7-1165g7", "cpu", "int8"): 4 * 4.7 * 64 * 2,
    ("jetson-nano", "gpu", "fp32"): 128 * 0.9216 * 2,
    ("jetson-nano", "gpu", "fp16"): 128 * 0.9216 * 4,
    ("jetson-orin-nano", "gpu", "fp32"): 8 * 1.02 * 512 * 2,
    ("jetson-orin-nano", "gpu", "fp16"): 8 * 1.02 * 1024 * 2,
    ("jetson-orin-nano", "gpu", "int8"): 8 * 1.02 * 2048 * 2,
}
BANDWIDTHS = {  # billions of transfers a second x bytes
    "raspberry-pi-4": 3.2 * 4,
    "raspberry-pi-5": 4.267 * 4,
    "rockchip-rk3588": 6.4 * 8,
    "intel-n100": 4.8 * 8,
    "intel-i7-1165g7": 4.267 * 16,
    "jetson-nano": 3.2 * 8,
    "jetson-orin-nano": 6.4 * 16,
}


def figure(value: float | None) -> Figure:
    return Figure(value, "stated", "a data sheet")


def device(**changes) -> Device:
    """100 GFLOPS, 400 GOPS, 10 GB/s, a cache of 1 MB, 1 GB."""
    made = Device(
        name="a board",
        peaks={"cpu": {"fp32": figure(100.0), "int8": figure(400.0)}},
        bandwidth={"cpu": figure(10.0)},
        cache={"cpu": figure(1.0)},
        memory=figure(1.0),
    )
    return replace(made, **changes)


@pytest.mark.parametrize("name", known())
def test_a_shipped_device_says_how_it_is_used_and_where_each_figure_is_from(name):
    assert (FOLDER / f"{name}.yaml").read_text().startswith("# python -m optimize.bound model=yolo26n.pt imgsz=640 dev")
    found = load(name)
    peaks = [figure for peaks in found.peaks.values() for figure in peaks.values()]
    for one in [*peaks, *found.bandwidth.values(), *found.cache.values(), found.memory]:
        assert one.kind in ("theoretical", "stated")
        assert len(one.source) > 20
    assert any("http" in peak.source for peak in peaks)


def test_theoretical_peaks_and_bandwidths_follow_from_clock_and_width():
    theoretical = {
        (name, unit, arithmetic): figure.value
        for name in known()
        for unit, peaks in load(name).peaks.items()
        for arithmetic, figure in peaks.items()
        if figure.kind == "theoretical" and figure.value is not None
    }
    assert theoretical == pytest.approx(FORMULAS, rel=1e-4)
    found = {name: next(iter(load(name).bandwidth.values())) for name in known()}
    assert {n: b.value for n, b in found.items() if b.kind == "theoretical"} == pytest.approx(BANDWIDTHS, rel=1e-3)


def test_an_unknown_device_is_answered_with_the_list():
    with pytest.raises(InputError) as error:
        load("raspberry-pi-9")
    assert str(error.value) == (
        f"device_profile=raspberry-pi-9 is not known; give one of {', '.join(known())}, or the path of a yaml of your "
        "own (docs/devices.md)."
    )


def without(path: str):
    def change(content: dict) -> None:
        *places, last = path.split("/")
        for place in places:
            content = content[place]
        del content[last]

    return change


def put(path: str, value):
    def change(content: dict) -> None:
        *places, last = path.split("/")
        for place in places:
            content = content[place]
        content[last] = value

    return change


MISSING = "give a number with its kind and source, and null as its value where it is not known (docs/devices.md)."


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without("memory"), f"lacks memory; {MISSING}"),
        (without("bandwidth"), f"lacks bandwidth; {MISSING}"),
        (without("bandwidth/cpu"), f"lacks bandwidth.cpu; {MISSING}"),
        (without("cache/cpu"), f"lacks cache.cpu; {MISSING}"),
        (without("peaks/cpu/fp32/value"), f"lacks peaks.cpu.fp32.value; {MISSING}"),
        (without("peaks/cpu/fp32/source"), f"lacks peaks.cpu.fp32.source; {MISSING}"),
        (put("peaks", {}), f"has no peak; {MISSING}"),
        (put("memory", 8), f"has memory=8; {MISSING}"),
        (put("peaks/cpu/fp32/value", "fast"), f"has peaks.cpu.fp32.value=fast; {MISSING}"),
        (put("colour", 1), f"has colour, which is no key of a device; {MISSING}"),
        (
            put("peaks/cpu/int8/value", -3),
            "has peaks.cpu.int8=-3; give more than 0, or null where it is not known.",
        ),
        (put("bandwidth/cpu/value", 0), "has bandwidth.cpu=0; give more than 0, or null where it is not known."),
        (
            put("bandwidth/cpu/value", math.nan),
            "has bandwidth.cpu=nan; give more than 0, or null where it is not known.",
        ),
        (put("cache/cpu/value", -1), "has cache.cpu=-1; give 0 or more, or null where it is not known."),
        (put("memory/value", math.inf), "has memory=inf; give more than 0, or null where it is not known."),
        (put("memory/kind", "guessed"), "calls memory guessed; a figure is one of theoretical, stated, measured."),
        (
            put("memory/source", " "),
            "gives no source for memory; name the document, and how the figure follows from it.",
        ),
        (
            put("peaks/cpu/int4", {"value": 1, "kind": "stated", "source": "x"}),
            "has peaks.cpu.int4; an arithmetic is one of fp32, bf16, fp16, int8.",
        ),
    ],
)
def test_a_wrong_profile_is_one_sentence(change, sentence, tmp_path):
    content, path = asdict(device()), tmp_path / "own.yaml"
    change(content)
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError) as error:
        load(str(path))
    assert str(error.value) == f"device_profile={path} {sentence}"


@pytest.mark.parametrize("text", ["[1", "just words", "- 1"])
def test_a_file_that_is_no_profile_is_one_sentence(text, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"^device_profile={re.escape(str(path))} is no (yaml|profile); give .*\.$"):
        load(str(path))


def test_a_profile_is_read_as_it_was_written(tmp_path):
    made = device(memory=figure(None), cache={"cpu": figure(0.0)}, cache_bandwidth={"cpu": figure(50.0)}, machine="x")
    save(made, tmp_path / "own.yaml")
    assert load(str(tmp_path / "own.yaml")) == made


def test_what_no_software_can_avoid_is_counted_at_convolutions_and_linear_layers():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.small = nn.Conv2d(3, 8, 3, padding=1)
            self.strided = nn.Conv2d(8, 16, 3, stride=2, padding=1)
            self.dilated = nn.Conv2d(16, 16, 3, dilation=2, padding=2)
            self.point = nn.Conv2d(16, 4, 1)
            self.linear = nn.Linear(16, 5)

        def forward(self, image):
            maps = self.point(self.dilated(self.strided(nn.functional.silu(self.small(image)))))
            return self.linear(maps.flatten(2)) @ torch.ones(5, 2)

    found = {layer.name: layer for layer in count(Network(), 8).layers}
    moved = {name: (layer.read_bytes, layer.written_bytes, layer.winograd_flops) for name, layer in found.items()}
    product = moved.pop("", None)
    assert moved == {
        "small": (4 * 3 * 8 * 8, 4 * 8 * 8 * 8, 2 * 3 * 9 * 8 * 8 * 8),
        "strided": (4 * 8 * 8 * 8, 4 * 16 * 4 * 4, 0),
        "dilated": (4 * 16 * 4 * 4, 4 * 16 * 4 * 4, 0),
        "point": (4 * 16 * 4 * 4, 4 * 4 * 4 * 4, 0),
        "linear": (4 * 4 * 16, 4 * 4 * 5, 0),
    }
    assert product[2] == 0


LAYER = Layer("a", "Conv2d", 400_000_000, 0, 400_000, 0, 4_000_000, 3_000_000, 300_000_000)
ROOFS = Roofs(peak=100.0, bandwidth=10.0, cache_bandwidth=None, cache=1e6, width=4)


@pytest.mark.parametrize(
    ("roofs", "milliseconds", "bound"),
    [
        ({}, 4.0, "compute"),
        ({"peak": 1000.0}, (4.4 - 1 + 3 - 1) / 10, "memory"),
        ({"peak": 1000.0, "cache": 0.0}, (4.4 + 3) / 10, "memory"),
        ({"peak": 1e4, "cache": 3.5e6}, (4.4 - 3.5) / 10, "memory"),
        ({"peak": 1000.0, "cache": 5e6}, 0.4, "compute"),
        ({"peak": 1000.0, "cache": 5e6, "cache_bandwidth": 5.0}, 7.4 / 5, "memory"),
        ({"peak": 1e5, "width": 1}, (1.1 - 1) / 10, "memory"),
        ({"peak": 1000.0, "cache": None}, 0.4, "compute"),
        ({"peak": 1000.0, "bandwidth": None}, 0.4, "compute"),
    ],
)
def test_a_layer_takes_at_least_what_its_operations_and_what_no_cache_holds_take(roofs, milliseconds, bound):
    found = limit(LAYER, replace(ROOFS, **roofs))
    assert (found.bound_ms, found.bound) == (pytest.approx(milliseconds), bound)
    assert found.intensity == 400_000_000 / (7_400_000 * roofs.get("width", 4) / 4)


def test_winograd_multiplies_less_in_small_convolutions_only():
    assert WINOGRAD == (6 + 2) ** 2 / (6 * 6 * 3 * 3)
    assert limit(LAYER, ROOFS, winograd=True).bound_ms == pytest.approx((100 + 300 * WINOGRAD) / 100)
    assert limit(replace(LAYER, winograd_flops=0), ROOFS, winograd=True).bound_ms == 4.0


def test_a_model_has_a_bound_in_each_arithmetic_and_without_a_peak_only_its_memory_counts():
    cost = Cost((LAYER, replace(LAYER, name="b"), Layer("silu", "SiLU", 0, 0, 0, 9_000_000)), ())
    fp32, int8 = bounds(cost, device())
    assert (fp32.unit, fp32.arithmetic, fp32.bound_ms) == ("cpu", "fp32", 8.0)
    assert (int8.arithmetic, int8.bound_ms) == ("int8", 2.0)
    assert [layer.name for layer in fp32.layers] == ["a", "b"]
    assert fp32.winograd_ms == pytest.approx(2 * (100 + 300 * WINOGRAD) / 100)
    assert (fp32.memory, int8.memory) == (800_000 + 7_000_000, (800_000 + 7_000_000) / 4)
    some = device(peaks={"gpu": {"fp16": figure(None), "fp32": figure(1.0)}}, bandwidth={"gpu": figure(None)})
    unknown, slow = bounds(cost, replace(some, cache={"gpu": figure(None)}, memory=figure(0.0038)))
    assert (unknown.unit, unknown.arithmetic, unknown.memory, unknown.fits) == ("gpu", "fp16", 7_800_000 / 2, False)
    assert (unknown.layers, unknown.bound_ms, unknown.winograd_ms) == (None, None, None)
    assert (slow.unit, slow.arithmetic, slow.bound_ms) == ("gpu", "fp32", 800.0)


@pytest.mark.parametrize(("memory", "fits"), [(0.0078, True), (0.0077, False), (None, None)])
def test_a_model_fits_where_its_weights_and_its_largest_layer_do(memory, fits):
    cost = Cost((LAYER, replace(LAYER, name="b")), ())
    assert bounds(cost, device(memory=figure(memory)))[0].fits is fits


def test_the_bound_is_the_flops_over_the_peak_where_the_caches_hold_every_layer(yolo11n):
    cost = count(deployed(yolo11n), 64)
    (bound,) = [b for b in bounds(cost, load("raspberry-pi-5")) if b.arithmetic == "fp32"]
    assert bound.bound_ms == pytest.approx(cost.flops / 153.6e6)
    assert bound.winograd_ms < bound.bound_ms


def test_a_measured_profile_bounds_each_runtime_by_its_own_figures(yolo11n, monkeypatch):
    monkeypatch.setattr(profile_device.cpu, "caches", lambda: 1e9)
    peaks, speeds = {"openvino": {"fp32": 100.0}, "onnxruntime": {"fp32": 80.0}}, {"openvino": 9e9, "onnxruntime": 9e9}
    found = Machine(peaks, speeds, speeds)
    cost = count(deployed(yolo11n), 64)
    fast, slow = bounds(cost, profile_device.device(found, threads=1, tries=2))
    assert (fast.unit, fast.bound_ms) == ("openvino", pytest.approx(cost.flops / 100e6))
    assert (slow.unit, slow.bound_ms) == ("onnxruntime", pytest.approx(cost.flops / 80e6))
    starved = replace(found, cache_bandwidth={"openvino": 1e-3, "onnxruntime": 1e-3})
    moved = sum(layer.weight_bytes + layer.read_bytes + layer.written_bytes for layer in cost.layers if layer.flops)
    assert bounds(cost, profile_device.device(starved, threads=1, tries=2))[0].bound_ms == pytest.approx(moved / 1e3)


def test_a_measured_profile_has_the_same_schema(monkeypatch, tmp_path, capsys):
    found = Machine({"openvino": {"fp32": 123.4564}}, {"openvino": 20.0}, {"openvino": 50.0})
    asked = []
    monkeypatch.setattr(machine, "alone", lambda *given: asked.append(given) or found)
    monkeypatch.setattr("sys.argv", ["profile_device", str(tmp_path / "here.yaml"), "--threads", "2"])
    profile_device.main()
    here = load(str(tmp_path / "here.yaml"))
    (runtimes, threads, _), _ = asked
    assert (set(runtimes), threads) == ({"openvino", "onnxruntime"}, 2)
    assert (here.peaks["openvino"]["fp32"].value, here.bandwidth["openvino"].value) == (123.46, 20.0)
    assert here.cache_bandwidth["openvino"].value == 50.0
    assert here.memory.value > 0.1
    kinds = {here.peaks["openvino"]["fp32"], here.bandwidth["openvino"], here.cache["openvino"], here.memory}
    assert {one.kind for one in kinds} == {"measured"}
    assert all(re.search(r"2 threads, load average [\d.]+, \d{4}-\d\d-\d\d$", one.source) for one in kinds)
    assert re.search(r"openvino \d{4}\.", here.peaks["openvino"]["fp32"].source)
    assert "openvino: 123.46 in fp32 (1e9 operations a second); 20 GB/s from memory" in capsys.readouterr().out


FIRST = Machine({"openvino": {"fp32": 100.0}}, {"openvino": 20.0}, {"openvino": 40.0})


def test_what_is_measured_twice_must_agree():
    second = Machine({"openvino": {"fp32": 86.0}}, {"openvino": 23.0}, {"openvino": 35.0})
    better = Machine({"openvino": {"fp32": 100.0}}, {"openvino": 23.0}, {"openvino": 40.0})
    assert profile_device.unsure([FIRST, second]) == []
    assert profile_device.best([FIRST, second]) == profile_device.best([second, FIRST]) == better


@pytest.mark.parametrize(
    ("again", "figure"),
    [
        ({"peaks": {"openvino": {"fp32": 84.0}}}, ("openvino in fp32", 100.0, 84.0, "operations")),
        ({"peaks": {"openvino": {}}}, ("openvino in fp32", 100.0, 0.0, "operations")),
        ({"bandwidth": {"openvino": 24.0}}, ("openvino from memory", 24.0, 20.0, "bytes")),
        ({"cache_bandwidth": {"openvino": 33.0}}, ("openvino from the caches", 40.0, 33.0, "bytes")),
    ],
)
def test_a_figure_whose_two_best_values_differ_is_measured_again(again, figure, monkeypatch):
    tries = [FIRST, replace(FIRST, **again), replace(FIRST, bandwidth={"openvino": 23.5})]
    assert profile_device.unsure(tries[:1]) and profile_device.unsure(tries[:2]) == [figure]
    left = iter(tries)
    monkeypatch.setattr(profile_device.machine, "alone", lambda *_: next(left))
    made = profile_device.profiled(threads=1)
    assert made.peaks["openvino"]["fp32"].value == 100
    assert "the best of 72 calls" in made.peaks["openvino"]["fp32"].source


def test_where_no_two_of_the_best_agree_no_profile_is_made(monkeypatch):
    speeds = iter(range(20, 28))
    monkeypatch.setattr(
        profile_device.machine,
        "alone",
        lambda *_: replace(FIRST, bandwidth={"openvino": 1.2 ** next(speeds)}),
    )
    with pytest.raises(MeasurementError) as error:
        profile_device.profiled(threads=1)
    assert str(error.value) == (
        "openvino from memory reached 137 and at the next best of 8 tries 114 billion bytes a second; other work "
        "disturbs, so no profile is written: run it again on a quiet machine."
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["{}/none/here.yaml"], "{}/none/here.yaml can't be written; give the path of a yaml in a folder that exists."),
        (["{}/here.yaml", "--threads", "0"], "--threads 0 is not allowed; give 1 or more."),
    ],
)
def test_a_profile_that_can_not_be_made_is_one_sentence(words, sentence, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["profile_device", *(word.format(tmp_path) for word in words)])
    with pytest.raises(InputError) as error:
        profile_device.main()
    assert str(error.value) == sentence.format(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_report_states_bounds_apart_from_what_is_measured(tmp_path, capsys):
    report, plain = reports.report(device=device()), reports.report()
    assert shown.rows(report)[:2] == [
        ("original", "96", "cpu", "fp32", "1.000", "10", "10", "0.0", "yes"),
        ("original", "96", "cpu", "int8", "1.000", "2.5", "2.5", "0.0", "yes"),
    ]
    assert [row[0] for row in shown.rows(report)] == [n for n in ("original", "pruned", "64px") for _ in range(2)]
    assert words.rows(report) == words.rows(plain)
    for made, stated in ((report, True), (plain, False)):
        markdown.write(made, tmp_path / "report.md")
        page.write(made, tmp_path / "report.html")
        table.show(made)
        texts = [(tmp_path / name).read_text() for name in ("report.md", "report.html")]
        for text in [*texts, capsys.readouterr().out]:
            assert ("Lower bound on a board: computed, not measured" in text) is stated
            assert ("A bound, not a measurement" in text) is stated
    assert shown.section(plain) == [] == shown.rows(plain)


def test_what_is_not_known_of_a_device_is_said():
    some = device(
        peaks={"npu": {"fp16": figure(None), "int8": figure(26000.0)}},
        bandwidth={"npu": figure(None)},
        cache={"npu": figure(None)},
        memory=figure(None),
    )
    notes = shown.notes(some)
    assert "No time bounds npu in fp16, since there is no peak with a source." in notes
    assert "The bandwidth or the caches of npu are not known and bound nothing." in notes
    assert shown.rows(reports.report(device=some))[0][2:4] == ("npu", "fp16")
    assert shown.rows(reports.report(device=some))[0][5:] == ("-", "-", "0.0", "-")
    assert shown.sources(some)[:2] == [
        "npu, fp16: not known. a data sheet",
        "npu, int8: 26000 GOPS, stated. a data sheet",
    ]
    assert len(shown.notes(device())) == len(notes) - 2


def test_a_report_is_drawn_again_with_its_device(tmp_path):
    report = reports.report(device=device())
    results.write(report, tmp_path / "results.json")
    assert results.read(tmp_path / "results.json").device == report.device


def test_a_run_refuses_an_unknown_device_before_any_work(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, error = commands.command(monkeypatch, capsys, "device_profile=raspberry-pi-9")
    assert (code, out) == (1, "")
    assert error.startswith("error: device_profile=raspberry-pi-9 is not known; give one of hailo-8, ")
    assert not list(tmp_path.glob("runs/20*"))


def test_every_arithmetic_has_a_width():
    assert {a for name in known() for peaks in load(name).peaks.values() for a in peaks} <= BYTES.keys()
