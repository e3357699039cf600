"""Device profiles, and that a bound is called one wherever it is shown."""

import math
import re
from dataclasses import asdict

import pytest
import yaml

from helpers import commands, reports
from helpers.boards import device, figure
from helpers.messages import is_error, like, says
from optimize.device.device import BYTES, FOLDER, known, load, save
from optimize.errors import InputError
from optimize.report import markdown, page, results, table, words
from optimize.report.sections import bounds as shown

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
    with pytest.raises(
        InputError, match=like(f"device_profile=raspberry-pi-9 ... {', '.join(known())} ... docs/devices.md")
    ):
        load("raspberry-pi-9")


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


MISSING = "... give a number with its kind and source ... null ... docs/devices.md"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without("memory"), f"lacks memory {MISSING}"),
        (without("bandwidth"), f"lacks bandwidth {MISSING}"),
        (without("bandwidth/cpu"), f"lacks bandwidth.cpu {MISSING}"),
        (without("cache/cpu"), f"lacks cache.cpu {MISSING}"),
        (without("peaks/cpu/fp32/value"), f"lacks peaks.cpu.fp32.value {MISSING}"),
        (without("peaks/cpu/fp32/source"), f"lacks peaks.cpu.fp32.source {MISSING}"),
        (put("peaks", {}), f"has no peak {MISSING}"),
        (put("memory", 8), f"has memory=8 {MISSING}"),
        (put("peaks/cpu/fp32/value", "fast"), f"has peaks.cpu.fp32.value=fast {MISSING}"),
        (put("colour", 1), f"has colour, which is no key of a device {MISSING}"),
        (
            put("peaks/cpu/int8/value", -3),
            "has peaks.cpu.int8=-3 ... more than 0 ... null",
        ),
        (put("bandwidth/cpu/value", 0), "has bandwidth.cpu=0 ... more than 0 ... null"),
        (
            put("bandwidth/cpu/value", math.nan),
            "has bandwidth.cpu=nan ... more than 0 ... null",
        ),
        (put("cache/cpu/value", -1), "has cache.cpu=-1 ... 0 or more ... null"),
        (put("memory/value", math.inf), "has memory=inf ... more than 0 ... null"),
        (put("memory/kind", "guessed"), "memory guessed ... theoretical, stated, measured"),
        (
            put("memory/source", " "),
            "no source for memory ... name the document",
        ),
        (
            put("peaks/cpu/int4", {"value": 1, "kind": "stated", "source": "x"}),
            "has peaks.cpu.int4 ... fp32, bf16, fp16, int8",
        ),
    ],
)
def test_a_wrong_profile_is_one_sentence(change, sentence, tmp_path):
    content, path = asdict(device()), tmp_path / "own.yaml"
    change(content)
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError) as error:
        load(str(path))
    assert says(str(error.value), f"device_profile={path} ... {sentence}")


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
    assert shown.section(plain) is None and shown.rows(plain) == []


def test_what_is_not_known_of_a_device_is_said():
    some = device(
        peaks={"npu": {"fp16": figure(None), "int8": figure(26000.0)}},
        bandwidth={"npu": figure(None)},
        cache={"npu": figure(None)},
        memory=figure(None),
    )
    notes = shown.notes(some)
    assert any(says(note, "no bound for npu in fp16 ... no peak") for note in notes)
    assert any(says(note, "Memory ... not bound npu ... bandwidth ... not known") for note in notes)
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
    assert is_error(error, "device_profile=raspberry-pi-9 ... hailo-8, ")
    assert not list(tmp_path.glob("runs/20*"))


def test_every_arithmetic_has_a_width():
    assert {a for name in known() for peaks in load(name).peaks.values() for a in peaks} <= BYTES.keys()
