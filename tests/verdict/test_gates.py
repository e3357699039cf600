"""Every alarm fires on what is really wrong, measured here (times are made up), and none on a healthy report."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import reports
from helpers.lively import lively
from helpers.messages import says
from optimize import report as writer
from optimize.host.state import HostState
from optimize.input_size import square
from optimize.judge import Judge
from optimize.measure import clock, latency
from optimize.result import Failure, Report, Result
from optimize.runtime.openvino import OpenVino, cpu_computes_bf16, device
from optimize.runtime.openvino.device import read
from optimize.runtime.session import Session
from optimize.runtime.torch import Torch
from optimize.variant import Variant
from optimize.verdict import gates
from optimize.work import Quantized
from optimize.yolo.dataset import resolve


def fired(report: Report, *names: str) -> list[str]:
    """Sentences of the gates `names`, or of all."""
    return [sentence for name, sentence in gates.fired(report) if name in names or not names]


def changed(row: Result, score: float | None = None, **changes) -> Result:
    """A made-up row with another score, or with `changes` to its latency."""
    accuracy = row.accuracy
    if score is not None:
        folds = tuple(fold + score - accuracy.score for fold in accuracy.folds)
        accuracy = replace(accuracy, metrics={"mAP50-95": score, "mAP50": score}, folds=folds)
    return replace(row, accuracy=accuracy, latency=replace(row.latency, **changes))


def measured(subjects: list[tuple[Callable, Variant]]) -> Report:
    """A made-up report with the times of `subjects`, which are all of one runtime."""
    timing = latency.measure(subjects, threads=1, rounds=4, seed=0)
    rows = (
        replace(reports.row("original", v.runtime, v.precision, 1.0, 0.6, 1.0), variant=v, latency=time)
        for (_, v), time in zip(subjects, timing.latencies, strict=True)
    )
    return reports.report(results=tuple(rows), noise=timing.noise, noise_spread=timing.noise_spread)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Variant:
    return Variant(lively("yolov8n.yaml", tmp_path_factory.mktemp("model") / "tiny.pt"), "torch", "fp32", square(64))


def test_a_healthy_report_has_no_alarm():
    assert gates.fired(reports.report()) == ()


@pytest.fixture
def taking(monkeypatch) -> Callable[[float], Session]:
    """`taking(seconds)` is a session whose calls take so long by the clock that the benchmark reads."""
    now = [0.0]
    monkeypatch.setattr(clock, "perf_counter", lambda: now[0])

    def forward(seconds: float) -> None:
        now[0] += seconds

    return lambda seconds: Session(lambda images: forward(seconds), "fp32", 0)


def test_a_timing_that_differs_from_itself(taking):
    """Two sessions of one artefact of which one takes longer, as on a machine that is busy half of the time."""
    waits = itertools.cycle([0.002, 0.003])

    def open_(variant: Variant, threads: int) -> Session:
        return taking(next(waits))

    found = measured([(open_, Variant(Path("x"), "torch", "fp32", square(32)))])
    assert found.noise > latency.ALIKE
    (sentence,) = fired(found, "A/A")
    assert sentence.startswith(
        f"the same artefact timed against itself (A/A) differs by {found.noise:.1%} (at most 5% "
    )
    assert fired(replace(found, noise=latency.ALIKE, noise_spread=gates.SPREAD), "A/A") == []
    assert fired(replace(found, noise=0.0, noise_spread=0.197), "A/A")  # seen on two cores that others used too


@pytest.mark.skipif(not cpu_computes_bf16(), reason="this CPU has no bf16")
def test_fp32_that_silently_ran_in_bf16(model, tmp_path):
    """OpenVINO as it runs unless it is told otherwise."""
    import openvino as ov

    exported = OpenVino().export(model, tmp_path)
    unpinned = ov.Core().compile_model(read(exported.path), "CPU")
    row = reports.row("original", "openvino", "fp32", 1.0, 0.6, 1.0)
    ran = [device.arithmetic(unpinned), OpenVino().open(exported, threads=1).arithmetic]
    bad, good = (fired(reports.report(results=(changed(row, arithmetic=name),))) for name in ran)
    assert bad[0].startswith("original on OpenVINO was made for fp32 but ran in bf16")
    assert (len(bad), good) == (1, [])


@pytest.mark.parametrize(
    ("precision", "ran", "alarm"),
    [
        ("fp32", "fp32", False),
        ("fp32", "fp16+fp32", True),
        ("fp16", "fp32", False),
        ("fp16", "bf16+fp32", True),
        ("bf16", "bf16+fp32", False),
        ("bf16", "fp32", True),
        ("int8", "int8+fp16+fp32", False),
        ("int8", "int8+bf16", True),
    ],
)
def test_what_each_precision_may_run_in(precision, ran, alarm):
    row = changed(reports.row("original", "openvino", precision, 1.0, 0.6, 1.0), arithmetic=ran)
    assert bool(fired(reports.report(results=(row,)), "wrong arithmetic")) is alarm


def test_an_artefact_that_is_slower_than_what_it_was_made_of(taking):
    subjects = [
        (
            lambda variant, threads, time=time: taking(time),
            Variant(Path("x"), "onnxruntime", "fp32", square(32), tags=tags),
        )
        for tags, time in (((), 0.002), (("pruned",), 0.004))
    ]
    found = replace(measured(subjects), noise=0.01, noise_spread=0.03)
    (sentence,) = fired(found, "slower")
    ratio = 1 / found.results[1].latency.speedup
    assert ratio == pytest.approx(2)
    assert sentence.startswith("pruned on ONNX Runtime is 2.00x slower than original in the same runtime (")


def test_slower_is_judged_against_the_float_file_and_against_the_original():
    whole = reports.report()
    place = {(r.variant.name, r.variant.runtime): i for i, r in enumerate(whole.results)}

    def slow(name: str, speedup: float) -> list[str]:
        rows, i = list(whole.results), place[name, "openvino"]
        rows[i] = changed(rows[i], speedup=speedup)
        return [sentence.split(" (")[0] for sentence in fired(replace(whole, results=tuple(rows)), "slower")]

    assert slow("int8", 0.96) == []  # differences below 5 % are noise here
    assert slow("int8", 0.94) == ["int8 on OpenVINO is 1.06x slower than original in the same runtime"]
    assert slow("pruned+int8", 1.0) == [
        "pruned+int8 on OpenVINO is 1.37x slower than pruned in the same runtime",
        "pruned+int8 on OpenVINO is 1.67x slower than int8 in the same runtime",
    ]
    assert slow("64px", 0.5) == []  # a rival was not made of the original
    assert slow("64px+int8", 0.5) == ["64px+int8 on OpenVINO is 2.67x slower than 64px in the same runtime"]
    rows = list(whole.results)
    i = place["pruned+int8", "openvino"]  # trained for int8, which leaves no float32 row of its own
    rows[i] = replace(changed(rows[i], speedup=1.0), variant=replace(rows[i].variant, tags=("pruned", "qat", "int8")))
    assert len(fired(replace(whole, results=tuple(rows)), "slower")) == 2


def test_an_accuracy_near_zero(dataset, checkpoint, tmp_path):
    """Of random weights, really validated."""
    data = resolve(str(dataset))
    judge = Judge(data, (Torch(),), tmp_path, threads=1, rounds=12, seed=0)
    random = judge.score(Variant(checkpoint, "torch", "fp32", square(64)))
    first, second, *others = reports.report().results
    (sentence,) = fired(reports.report(results=(first, replace(second, accuracy=random), *others)))
    assert sentence.startswith(f"pruned on PyTorch has mAP50-95 {random.score:.4f} where the original has 0.6000")
    (sentence,) = fired(reports.report(results=(replace(first, accuracy=random),)))
    assert sentence.startswith(
        f"the original itself has mAP50-95 {random.score:.4f}, so no row can be compared with it"
    )
    for score, alarm in ((0.07, False), (0.05, True)):
        assert bool(fired(reports.report(results=(first, changed(second, score))), "accuracy near zero")) is alarm


def test_a_variant_that_is_better_than_the_original_by_more_than_the_noise():
    first, second, *_ = reports.report().results
    error = second.accuracy.error_of_difference(first.accuracy)
    for times, alarm in ((1.9, False), (2.1, True)):
        found = fired(reports.report(results=(first, changed(second, 0.6 + times * error))), "better than the original")
        assert bool(found) is alarm
    assert found[0].startswith(
        f"pruned on PyTorch gains {210 * error:.1f} points of mAP50-95 over the original, with a"
    )
    more = replace(changed(second, 0.7), variant=replace(second.variant, tags=("pruned", "int8")))
    (one,) = fired(reports.report(results=(first, changed(second, 0.65), more)), "better than the original")
    assert one.startswith("pruned+int8 on PyTorch gains 10.0 points") and ", and so do pruned on PyTorch; check" in one
    assert error > 0.0025
    alike = replace(second, accuracy=replace(first.accuracy, metrics={"mAP50-95": 0.604, "mAP50": 0.8}))  # no noise
    unknown = replace(second, accuracy=replace(first.accuracy, metrics={"mAP50-95": 0.7, "mAP50": 0.8}, folds=()))
    rival = replace(changed(second, 0.7), rival=True)  # a larger model may well be better
    for row in (alike, unknown, rival):
        assert fired(reports.report(results=(first, row)), "better than the original") == []


def test_what_failed_or_lost_too_much_is_an_alarm_too():
    failed = Failure("int8", "openvino", "RuntimeError: no.")
    (first, *_, last) = reports.report().results
    lost = Quantized(reached=False, drop=3.0, max_drop=1.0)
    report = reports.report(failures=(failed,), results=(first, replace(last, rival=False, quantization=lost)))
    found = dict(gates.fired(report))
    assert found["failed"] == "int8 on openvino: RuntimeError: no."
    assert found["int8 drop"].startswith(
        "64px+int8 on openvino loses 3.0 points of mAP50-95 at best, quant.max_drop=1.0"
    )
    rival = replace(report, results=(first, replace(last, quantization=lost)))
    assert "int8 drop" not in dict(gates.fired(rival))


def test_alarms_stand_above_the_table_by_name(tmp_path, capsys):
    writer.write(reports.report(noise=0.08), tmp_path)
    (sentence,) = fired(reports.report(noise=0.08))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        "A/A: the same artefact timed against itself (A/A) differs by 8.0% (at most 5% is sound)"
    )
    assert (tmp_path / "report.md").read_text().split("| variant |")[0].count(f"**A/A: {sentence}**") == 1


def state(throttled: float | None, quota: float | None = 0.5) -> HostState:
    return HostState(0.5, None, None, False, quota, throttled, None)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (state(1.0), state(2.25), "1.2 s by its CPU quota of 0.5 cores during the timing, so latencies are too long"),
        (state(0.0), state(0.004, None), "0.004 s by its CPU quota during the timing ... fewer threads=."),
        (state(1.0), state(1.0), None),  # it was throttled before, and not during the timing
        (state(None), state(None), None),
    ],
)
def test_a_timing_that_a_quota_stopped(before, after, sentence):
    timed = reports.report(provenance=reports.provenance(timing=(before, after)))
    found = [gate.sentence for gate in gates.fired(timed) if gate.name == "throttled"]
    assert says(found[0], f"the process was throttled for {sentence}") if sentence else found == []


def test_a_report_without_the_state_of_its_host_has_no_such_alarm():
    assert "throttled" not in {gate.name for gate in gates.fired(reports.report())}
