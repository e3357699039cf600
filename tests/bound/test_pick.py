"""Which model to take under a budget: measurements decide, bounds only rule out; and the command that says so."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml

from helpers import reports
from helpers.boards import device, figure
from helpers.messages import is_error, like, says
from helpers.reports import measurement
from optimize.bound import __main__ as command
from optimize.bound import earlier
from optimize.bound.pick import Candidate, Measured, explain, largest, misses, verdict
from optimize.cli import one_sentence
from optimize.device.bound import bounds
from optimize.device.device import known, load
from optimize.errors import InputError
from optimize.input_size import square
from optimize.limits import Limits
from optimize.measure.cost import Cost, Layer
from optimize.report import results
from optimize.store.apply import digest
from optimize.work import Quantized


def cost(gflops: float, parameters: int = 1_000_000) -> Cost:
    """Half of it in 3x3 convolutions."""
    flops = round(gflops * 1e9)
    return Cost((Layer("a", "Conv2d", flops, parameters, 4 * parameters, 0, 0, 0, flops // 2),), ())


def candidate(name: str, gflops: float, *milliseconds: float) -> Candidate:
    own = cost(gflops)
    rows = (measured(t, own.flops) for t in milliseconds)
    return Candidate(name, 640, own, bounds(own, device()), tuple(rows))


def measured(milliseconds: float, flops: int, kind: str = "int8", **changes) -> Measured:
    """An int8 row by default, that loses 0.4 points."""
    made = Measured(
        run="runs/a",
        host="a CPU",
        name=kind,
        runtime="openvino",
        arithmetic=f"{kind}+fp32",
        latency_ms=milliseconds,
        size_mb=1.0,
        flops=flops,
        replaces=("cpu", kind),
        points=-0.4,
        metric="mAP50-95",
    )
    return replace(made, **changes)


FAST, SLOW = bounds(cost(1.0), device())[::-1]  # int8 2.5 ms, fp32 10 ms; with Winograd 1.5 and 6.0 ms


@pytest.mark.parametrize(
    ("limits", "slow", "fast"),
    [
        (Limits(), "not ruled out", "not ruled out"),
        (Limits(latency_ms=10), "not ruled out", "not ruled out"),
        (Limits(latency_ms=7), "only with Winograd", "not ruled out"),
        (Limits(latency_ms=5), "ruled out: at least 5.99 instead of 5 ms", "not ruled out"),
        (Limits(size_mb=1.5), "ruled out: at least 2 instead of 1.5 MB", "not ruled out"),
        (
            Limits(size_mb=0.5, flops=5e8),
            "ruled out: 1 instead of 0.5 GFLOPs, at least 2 instead of 0.5 MB",
            "ruled out: 1 instead of 0.5 GFLOPs, at least 1 instead of 0.5 MB",
        ),
    ],
)
def test_a_bound_rules_out_and_never_promises(limits, slow, fast):
    assert (explain(cost(1.0), SLOW, limits), explain(cost(1.0), FAST, limits)) == (slow, fast)


def test_what_does_not_fit_the_memory_is_ruled_out_without_any_limit():
    (tight, _) = bounds(cost(1.0), device(memory=figure(0.003)))
    assert misses(cost(1.0), tight, Limits()) == ["at least 4 MB of memory, more than the device has"]


def test_an_arithmetic_whose_peak_is_not_known_is_ruled_out_by_size_and_memory_only():
    peaks = {"cpu": {"fp32": figure(100.0), "int8": figure(None)}}
    slow, unknown = bounds(cost(1.0), device(peaks=peaks))
    assert explain(cost(1.0), slow, Limits(latency_ms=1)) == "ruled out: at least 5.99 instead of 1 ms"
    assert explain(cost(1.0), unknown, Limits(latency_ms=1)) == "not ruled out: no int8 peak known"
    assert explain(cost(1.0), unknown, Limits(size_mb=0.5)) == "ruled out: at least 1 instead of 0.5 MB"
    (_, tight) = bounds(cost(1.0), device(peaks=peaks, memory=figure(0.0009)))
    assert misses(cost(1.0), tight, Limits()) == ["at least 1 MB of memory, more than the device has"]
    open_ = Candidate("a", 640, cost(1.0), (slow, unknown), ())
    assert largest([open_], Limits(latency_ms=1)) == (open_, None)
    assert "a at 640 px (cpu in int8, whose peak is not known)" in verdict([open_], Limits(latency_ms=1), "")[0]


def test_without_a_device_flops_are_exact_and_a_file_has_a_byte_per_weight():
    assert misses(cost(1.0), None, Limits(flops=1e9, size_mb=1)) == []
    assert misses(cost(1.0), None, Limits(size_mb=0.9)) == ["at least 1 instead of 0.9 MB"]


def test_the_largest_that_no_bound_rules_out_is_taken_in_whatever_order():
    models = [candidate("small", 1), candidate("large", 8), candidate("middle", 4)]
    assert largest(models, Limits(latency_ms=7)) == (models[2], None)  # 8 GFLOPs take at least 12 ms in int8, 4 take 6
    (told,) = verdict(models, Limits(latency_ms=7), " on a board")
    assert says(
        told, "largest ... can meet ... on a board ... middle at 640 px (cpu in int8) ... not measured ... measure it"
    )


def test_a_measurement_decides_instead_of_the_bound():
    models = [candidate("small", 1, 9.0, 6.0), candidate("large", 8, 11.0), candidate("middle", 4)]
    assert largest(models, Limits(latency_ms=7)) == (models[2], models[0])
    assert largest(models, Limits(latency_ms=12)) == (models[1], models[1])
    assert largest(models, Limits(latency_ms=1.6)) == (None, None)
    taken = "small at 640 px ... int8 on openvino in int8+fp32 ... 6 ms on a CPU ... -0.4 points of mAP50-95 ... runs/a"
    first, second = verdict(models, Limits(latency_ms=7), "")
    assert says(first, "can meet ... middle at 640 px") and "was measured" not in first
    assert says(second, f"was measured to meet ... {taken}") and "middle" not in second
    assert verdict(models, Limits(latency_ms=1.6), "") == []


def test_a_measurement_takes_the_place_of_the_bound_of_its_own_unit_and_arithmetic_only():
    model = candidate("a", 1)  # at least 10 ms in fp32, 2.5 in int8
    slow = replace(model, measured=(measured(180.0, model.cost.flops, "fp32"),))
    assert largest([slow], Limits(latency_ms=50)) == (slow, None)
    (told,) = verdict([slow], Limits(latency_ms=50), "")
    assert says(
        told, "can meet ... a at 640 px (cpu in int8) ... misses them ... not measured: cpu in int8. ... measure it"
    )
    both = replace(model, measured=(*slow.measured, measured(60.0, model.cost.flops)))
    assert largest([both], Limits(latency_ms=50)) == (None, None)
    elsewhere = replace(slow, measured=(*slow.measured, measured(60.0, model.cost.flops, replaces=("gpu", "int8"))))
    assert largest([elsewhere], Limits(latency_ms=50)) == (elsewhere, None)


def test_a_row_that_can_not_be_believed_decides_nothing():
    model = candidate("a", 1)
    fast = measured(3.0, model.cost.flops, doubts=("It is broken.",))
    doubtful = replace(model, measured=(fast,))
    assert largest([doubtful], Limits(latency_ms=5)) == (doubtful, None)
    assert "It was not measured." in verdict([doubtful], Limits(latency_ms=5), "")[0]
    slow = replace(model, measured=(replace(fast, latency_ms=9.0),))
    assert slow.possible(Limits(latency_ms=5))
    assert not replace(slow, measured=(replace(slow.measured[0], doubts=()),)).possible(Limits(latency_ms=5))


MISSING = "model is missing ... model=yolo26n.pt ... model=[a.pt,b.pt]"


@pytest.fixture
def own(tmp_path) -> Path:
    """A profile of a machine like that of the made-up report."""
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(asdict(device(cpu="a CPU", machine="x86_64"))))
    return path


def called(capsys, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `python -m optimize.bound WORDS`."""
    code = 0
    try:
        with one_sentence():
            command.main(words)
    except SystemExit as stop:
        code = stop.code
    out = capsys.readouterr()
    return code, out.out, out.err


def test_the_command_lists_its_keys_and_every_device(capsys):
    assert called(capsys)[:2] == called(capsys, "--help")[:2] == (0, f"{command.HELP}\n")
    for name in (*known(), *(f"\n  {name} " for name in command.Settings.__dataclass_fields__)):
        assert name in command.HELP


def test_one_model_is_shown_by_layer_several_in_total(capsys, own, checkpoint):
    code, out, error = called(capsys, f"model={checkpoint}", f"device_profile={own}")
    assert (code, error) == (0, "")
    assert "model.2.cv1.conv" in out
    assert "Lower bound on a board: computed, not measured" in out
    assert "tiny.pt at 64 px by layer. Lower bound on a board" in " ".join(out.split())
    assert "The largest" not in out
    code, out, _ = called(capsys, f"model=[{checkpoint},digits]", f"device_profile={own}", "imgsz=96")
    assert code == 0
    assert "model.2.cv1.conv" not in out
    assert [line.split("│")[2].strip() for line in out.splitlines() if line.startswith("│")] == ["96"] * 4


def test_a_yaml_has_a_bound_before_anything_is_trained(capsys, own):
    code, out, _ = called(capsys, "model=yolov8n.yaml", f"device_profile={own}", "imgsz=64")
    fp32 = next(line for line in out.splitlines() if " fp32 " in line and "yolov8n.yaml" in line)
    assert (code, [cell.strip() for cell in fp32.split("│")[1:6]]) == (
        0,
        ["yolov8n.yaml", "64", "cpu", "fp32", "0.087"],
    )


def test_limits_name_the_largest_or_end_with_3(capsys, own, checkpoint):
    words = [f"model=[digits,{checkpoint}]", f"device_profile={own}", "imgsz=64"]
    code, out, _ = called(capsys, *words, "limits.latency_ms=100")
    assert code == 0
    assert out.replace("\n", " ").count("can meet the limits on a board: ") == 1
    code, out, error = called(capsys, *words, "limits.latency_ms=0.001")
    assert (code, "ruled out" in out) == (3, True)
    assert is_error(error, "no model can meet ... on a board ... give smaller models ... imgsz ... limits")


def test_an_earlier_run_on_the_device_decides(capsys, own, checkpoint, tmp_path):
    report = reports.report()
    first = report.results[0]
    mine = replace(first, sha256=digest(checkpoint), variant=replace(first.variant, imgsz=square(64)))
    report = replace(report, results=(mine, *report.results[1:]))
    (tmp_path / "run").mkdir()
    results.write(report, tmp_path / "run" / "results.json")
    words = [f"model={checkpoint}", f"runs={tmp_path / 'run'}", "limits.latency_ms=5"]
    code, out, _ = called(capsys, *words, f"device_profile={own}")
    flat = " ".join(out.split())
    assert code == 0
    assert "Measured in runs, not bounds" in out
    assert "measured to meet the limits on a board" in flat
    assert "as int8 on openvino in int8+fp32, 4.8 ms on a CPU" in flat  # 0.6 of 8 ms
    assert "pruned" not in out  # another model
    assert called(capsys, *words)[0] == 0
    assert called(capsys, *words[:2], "limits.latency_ms=4", f"device_profile={own}")[0] == 3
    out = called(capsys, *words, f"device_profile={own}", "imgsz=96")[1]
    assert "Measured in runs" not in out
    assert f"{tmp_path / 'run'} has no measurement of {checkpoint} at 96 px." in " ".join(out.split())
    own.write_text(own.read_text().replace("a CPU", "another CPU"))
    code, out, error = called(capsys, *words, f"device_profile={own}")
    assert (code, out) == (1, "")
    assert is_error(error, f"runs={tmp_path / 'run'} ... a CPU, a board is another CPU ... give runs of that device")


def test_what_was_brought_back_from_the_device_decides_though_the_run_was_elsewhere(capsys, checkpoint, tmp_path):
    report = reports.report()
    first = report.results[0]
    mine = replace(first, sha256=digest(checkpoint), variant=replace(first.variant, imgsz=square(64)))
    arm = measurement(system="Linux-6.12.47-aarch64-with-glibc2.41")
    brought = replace(arm, device="Raspberry Pi 5 Model B Rev 1.0", median_ms=21.5)
    other = replace(arm, device="Raspberry Pi 4 Model B Rev 1.4", median_ms=20.0)
    called_so = replace(brought, device="Raspberry Pi 5, emulated", system="Linux-6.12.47-x86_64", median_ms=20.5)
    report = replace(report, results=(mine, *report.results[1:]), measurements=(brought, other, called_so))
    (tmp_path / "run").mkdir()
    results.write(report, tmp_path / "run" / "results.json")
    words = [f"model={checkpoint}", f"runs={tmp_path / 'run'}", "device_profile=raspberry-pi-5"]
    code, out, _ = called(capsys, *words, "limits.latency_ms=25")
    assert code == 0
    assert says(" ".join(out.split()), "int8 on openvino in int8+fp32 ... 21.5 ms on Raspberry Pi 5 Model B Rev 1.0")
    assert [name in out for name in ("a CPU", "Pi 4", "emulated")] == [False] * 3
    code, out, _ = called(capsys, *words, "limits.latency_ms=21")
    assert (code, "measured to meet" in out) == (0, False)
    assert says(" ".join(out.split()), "misses them ... not measured: cpu in fp32, cpu in fp16.")
    out = called(capsys, *words[:2], "limits.latency_ms=25")[1]
    assert "4.8 ms on a CPU" in " ".join(out.split())  # anywhere
    code, out, error = called(capsys, *words[:2], "device_profile=jetson-nano")
    assert (code, out) == (1, "")
    what = f"runs={tmp_path / 'run'} ... x86_64, Jetson Nano 4 GB is aarch64"
    assert is_error(error, f"{what} ... give runs of that device ... --device='Jetson Nano 4 GB'")


def found(report, device_profile: str, folder: Path, **host) -> list[Measured]:
    """What `earlier` takes of `report`, whose original was measured on `host`."""
    made = report.provenance
    host = replace(made.host, machine="aarch64", cpu=None, **host)
    folder.mkdir(exist_ok=True)
    results.write(replace(report, provenance=replace(made, host=host)), folder / "results.json")
    first = report.results[0]
    return earlier.rows(str(folder), first.sha256, first.variant.imgsz, load(device_profile))


def test_a_run_is_of_a_board_only_if_the_board_says_so(tmp_path):
    pi = found(reports.report(), "raspberry-pi-5", tmp_path, board="Raspberry Pi 5 Model B Rev 1.0")
    assert {row.replaces for row in pi} == {("cpu", "fp32"), ("cpu", "int8")}
    for board, called_so in (
        ("Raspberry Pi 4 Model B Rev 1.4", "Raspberry Pi 4 Model B Rev 1.4"),
        ("Raspberry Pi 500 Rev 1.0", "Raspberry Pi 500 Rev 1.0"),
        (None, "a board without a name"),
    ):
        with pytest.raises(InputError) as error:
            found(reports.report(), "raspberry-pi-5", tmp_path, board=board)
        what = f"runs={tmp_path} ... {called_so}, which may not be Raspberry Pi 5"
        assert says(str(error.value), f"{what} ... give runs of that device ... --device='Raspberry Pi 5'")


def test_a_time_of_the_cpu_says_nothing_of_a_gpu(tmp_path):
    one = measurement(system="Linux-aarch64", device="Jetson Nano 4 GB")
    with pytest.raises(
        InputError, match=like(f"runs={tmp_path} ... the cpu ... Jetson Nano 4 GB ... gpu ... leave runs=")
    ):
        found(reports.report(measurements=(one,)), "jetson-nano", tmp_path, board=None)


def test_rows_that_an_alarm_speaks_of_are_told_and_left_out(tmp_path):
    board = "Raspberry Pi 5 Model B"
    report = reports.report()
    broken = [
        replace(row, accuracy=replace(row.accuracy, metrics={"mAP50-95": 0.001, "mAP50": 0.01}))
        if (row.variant.name, row.variant.runtime) == ("int8", "openvino")
        else row
        for row in report.results
    ]
    rows = found(replace(report, results=tuple(broken)), "raspberry-pi-5", tmp_path, board=board)
    assert [(row.name, row.runtime) for row in rows if row.doubts] == [("int8", "openvino")]
    (bad,) = (row for row in rows if row.doubts)
    assert says(bad.doubts[0], "int8 on OpenVINO ... mAP50-95 0.0010 ... original ... 0.6000 ... broken")
    assert bad.points == pytest.approx(-59.9)
    noisy = found(replace(report, noise=0.2), "raspberry-pi-5", tmp_path, board=board)
    assert all("(A/A) differs by 20.0%" in row.doubts[0] for row in noisy)
    missed = Quantized(reached=False, drop=3.0, max_drop=1.0)
    lost = [replace(row, quantization=missed if row.variant.name == "int8" else None) for row in report.results]
    rows = found(replace(report, results=tuple(lost)), "raspberry-pi-5", tmp_path, board=board)
    assert {row.name for row in rows if row.doubts} == {"int8"}
    brought = measurement(system="Linux-aarch64", device=board, noise=0.2)
    rows = found(replace(report, measurements=(brought,)), "raspberry-pi-5", tmp_path, board=None)
    assert {(row.host, bool(row.doubts)) for row in rows} == {(board, True)}  # made-up files all have the same bytes


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["model=digits"], "neither a device nor a limit ... give device_profile= ... limits.flops=4e9"),
        (["device_profile=hailo-8"], MISSING),
        (["model=[]", "device_profile=hailo-8"], MISSING),
        (["model=", "device_profile=hailo-8"], MISSING),
        (["digits"], "digits ... give key=value ... model=yolo26n.pt"),
        (["model=a.pt", "imgsz=[a"], "imgsz=[a ... [a,b], without spaces"),
        (
            ["model=digits", "limits.latency_ms=5"],
            "limits.latency_ms needs device_profile= ... or runs=",
        ),
        (
            ["model=digits", "limits.frame_ms=5", "device_profile=raspberry-pi-5"],
            "limits.frame_ms needs whole frames, and a bound is of the graph alone ... latency_ms, flops or size_mb",
        ),
        (
            ["model=digits", "limits.max_drop=1"],
            "limits.max_drop needs labelled images ... `python -m optimize` ... latency_ms, flops or size_mb",
        ),
        (
            ["model=digits", "limits.flops=0"],
            "limits.flops=0 ... more than 0 ... null",
        ),
        (
            ["model=digits", "limits=5"],
            "limits=5 ... limits.latency_ms=, limits.flops= or limits.size_mb=",
        ),
        (
            ["model=digits", "device_profile=hailo-8", "imgsz=100"],
            "imgsz=100 ... digits ... stride 32, e.g. 96 or 128.",
        ),
        (
            ["model=digits", "device_profile=hailo-8", "imgsz=0"],
            "imgsz=0 ... pixels ... stride",
        ),
        (
            ["model=yolov8n-p6.yaml", "device_profile=hailo-8", "imgsz=96"],
            "imgsz=96 ... yolov8n-p6.yaml ... stride 64, e.g. 64 or 128.",
        ),
        (
            ["model=digits", "device_profile=hailo-8", "runs=none"],
            "none/results.json does not exist ... the folder of a run ... runs/2026-11-22_12-00-00",
        ),
        (
            ["model=digits", "colour=red"],
            "colour is not a key ... model, device_profile, imgsz, runs, trust, limits",
        ),
    ],
)
def test_a_wrong_word_is_one_sentence(words, sentence, capsys):
    code, out, error = called(capsys, *words)
    assert (code, out) == (1, "") and is_error(error, sentence)
