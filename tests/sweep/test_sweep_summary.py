"""The summary of a sweep, on made-up reports: what is one row, which rows win, what CSV and terminal say."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers import reports
from helpers.messages import says
from helpers.sweeps import lines, made
from optimize.dataset import ImageSet
from optimize.errors import LimitMissed
from optimize.input_size import square
from optimize.limits import Limits
from optimize.quant.bf16 import Bf16
from optimize.result import Failure
from optimize.store.manifest import placing
from optimize.sweep import disk, end
from optimize.sweep.summary import artefacts, page, summary, table
from optimize.sweep.sweep import Sweep, read
from optimize.variant import Variant
from optimize.verdict import verdict


def one(sweep: Sweep, name: str, runtime: str, **overrides: str) -> summary.Row:
    rows = [row for row in summary.summarize(sweep).rows if row.overrides == overrides]
    return next(r for r in rows if (r.result.variant.name, r.result.variant.runtime) == (name, runtime))


def test_an_artefact_of_several_jobs_is_one_row_that_names_them(four):
    rows = summary.summarize(four).rows
    # a job has 9 rows, with int8 15: 3 models in 3 runtimes, 2 of which have int8
    assert sum(len(report.results) for report in four.reports.values()) == 2 * 9 + 2 * 15
    assert len(rows) == (3 + 2) * 2 + (3 + 2) * 2  # the original and the rival once; a pruned model for each ratio
    assert one(four, "original", "openvino").jobs == (0, 1, 2, 3)
    assert one(four, "int8", "openvino", quant="int8").jobs == (1, 3)
    assert one(four, "pruned", "openvino", prune="0.3").jobs == (2, 3)
    assert one(four, "pruned+int8", "openvino", prune="0.3", quant="int8").jobs == (3,)
    assert one(four, "pruned", "openvino", prune="0.3").called == "pruned on OpenVINO with prune=0.3"


def test_the_same_file_in_another_arithmetic_or_at_another_size_is_another_row(swept):
    first, *others = made(0.1, "none").results
    bf16 = replace(first, precision=Bf16.precision, variant=replace(first.variant, precision="bf16"))
    small = replace(first, variant=replace(first.variant, imgsz=square(64), tags=("64px",)))
    rows = (first, bf16, small, *others)
    assert len({row.sha256 for row in rows[:3]}) == 1
    found = swept({0: ("prune=0.1", replace(made(0.1, "none"), results=rows)), 1: ("prune=0.2", made(0.2, "none"))})
    assert [row.jobs for row in summary.summarize(found).rows][:3] == [(0, 1), (0,), (0,)]


def test_models_are_named_without_the_folders_that_all_of_them_share(swept):
    other = made(0.1, "none")
    first = replace(other.results[0], sha256="b" * 64)
    other = replace(other, results=(first, *other.results[1:]))
    found = swept(
        {
            0: ("model=/data/a/weights/best.pt", made(0.1, "none")),
            1: ("model=/data/b/weights/best.pt", other),
        }
    )
    assert found.jobs[0].overrides == ("model=/data/a/weights/best.pt",)
    assert one(found, "original", "torch", model="a/weights/best.pt").jobs == (0,)
    assert one(found, "original", "openvino", model="b/weights/best.pt").jobs == (1,)  # another original in torch
    assert " with model=" in summary.summarize(found).headline


def test_the_fronts_are_what_no_row_of_any_job_beats(four):
    known = summary.summarize(four)
    costs = {
        "FLOPs": lambda row: row.result.flops,
        "latency": lambda row: row.result.latency.median_ms,
        "size": lambda row: row.result.size_bytes,
    }
    for name, cost in costs.items():
        points = [(cost(row), row.result.accuracy.score) for row in known.rows]
        unbeaten = {(c, s) for c, s in points if not any(a <= c and b >= s and (a, b) != (c, s) for a, b in points)}
        assert [(cost(row), row.result.accuracy.score) for row in known.fronts[name]] == sorted(unbeaten)
        assert len(unbeaten) >= 3
    assert {row for front in known.fronts.values() for row in front} <= set(known.worth)


def test_the_verdict_is_over_the_rows_of_all_jobs(four):
    # prune=0.1 loses 0.6 points in int8 and takes 8 * 0.9 * 0.6 ms; prune=0.3 is faster and loses 2.4
    figures = "1.9x faster ... 10 % fewer FLOPs ... -0.6 points of mAP50-95 ... 0.94 MB instead of 4.00 MB"
    headline = summary.summarize(four).headline
    assert says(
        headline, f"pruned+int8 on OpenVINO with prune=0.1 quant=int8 ... {figures} ... 10 of 20 rows ... 1 point"
    )
    found = summary.summarize(four)
    assert [row.jobs for row in found.rows if found.is_best(row)] == [(1,)]


def test_of_one_job_the_verdict_is_that_of_its_report(swept):
    for limits in (Limits(), Limits(max_drop=0.1), Limits(latency_ms=5), Limits(latency_ms=0.1, size_mb=0.1)):
        report = made(0.3, "int8", 0.02, limits=limits)
        assert summary.summarize(swept({0: ("prune=0.3", report)})).headline == verdict.headline(report)


def test_points_are_lost_against_the_own_original(swept):
    better = made(0.1, "none", -0.06)
    raised = replace(
        better.results[0],
        sha256="b" * 64,
        accuracy=replace(better.results[0].accuracy, metrics={"mAP50-95": 0.70, "mAP50": 0.9}),
    )
    better = replace(better, results=(raised, *better.results[1:]))
    found = swept({0: ("model=a.pt", made(0.1, "none", 0.005)), 1: ("model=b.pt", better)})
    page.write(found, ended=True)
    told = {(line["override.model"], line["variant"], line["runtime"]): line for line in lines(found)}
    assert float(told["a.pt", "pruned", "openvino"]["points"]) == pytest.approx(-0.5)
    assert float(told["b.pt", "pruned", "openvino"]["points"]) == pytest.approx(-4)
    assert float(told["b.pt", "pruned", "openvino"]["score"]) > float(told["a.pt", "pruned", "openvino"]["score"])
    assert summary.summarize(found).headline.startswith("pruned on OpenVINO with model=a.pt: ")  # b.pt loses too much


def test_what_can_not_be_compared_has_a_verdict_and_fronts_of_its_own(swept):
    one_thread = made(0.1, "none", provenance=reports.provenance(threads=1))
    found = summary.summarize(swept({0: ("threads=1", one_thread), 1: ("threads=2", made(0.1, "none"))}))
    assert [finding.parts[0].split(":")[0] for finding in found.findings] == [
        "data.yaml, threads=1",
        "data.yaml, threads=2",
    ]
    assert len(found.rows) == 2 * 9
    assert {row.report.provenance.threads for row in found.fronts["latency"]} == {1, 2}


def test_rows_of_two_metrics_are_never_compared(swept):
    metrics = "ultralytics 8.4", "faster-coco-eval 1.8"
    jobs = [made(0.1, "none", provenance=reports.provenance(metric=metric)) for metric in metrics]
    found = summary.summarize(swept({0: ("metric=ultralytics", jobs[0]), 1: ("metric=coco", jobs[1])}))
    assert [finding.parts[0].split(":")[0] for finding in found.findings] == [f"data.yaml, {one}" for one in metrics]
    assert len(found.rows) == 2 * 9


def test_each_of_several_limits_has_its_verdict(swept):
    strict, loose = (made(0.3, "int8", 0.02, limits=Limits(max_drop=drop)) for drop in (0, 5))
    found = summary.summarize(swept({0: ("limits.max_drop=0", strict), 1: ("limits.max_drop=5", loose)}))
    assert says(found.headline, "max_drop=0 ... Nothing beats the original ... 8 ms on OpenVINO")
    assert [(f.verdict.limits.max_drop, f.row.result.variant.name) for f in found.findings] == [
        (0, "original"),
        (5, "pruned+int8"),
    ]


def test_while_it_goes_on_nothing_is_made_up(swept):
    jobs = {0: ("prune=0.1", made(0.1, "int8", timed=False)), 1: ("prune=0.3", None), 2: ("prune=2", "give less.")}
    sweep = swept(jobs, total=5)
    assert says(
        summary.summarize(sweep).headline, "1 of 5 ... 1 failed ... 1 running ... 2 not begun ... not timed yet"
    )
    page.write(sweep)
    text = (sweep.folder / "report.html").read_text()
    assert text.count(">not timed yet</td>") == 2 * 15
    assert '<meta http-equiv="refresh"' in text
    assert re.search(r"job 1 <span[^>]*>running<", text) and "2 jobs</th>" in text and ">not begun</td>" in text
    built = [line for line in lines(sweep) if not line["error"]]
    assert len(built) == 15
    for line in built:
        unknown = (
            "median_ms",
            "p90_ms",
            "p99_ms",
            "speedup",
            "threads",
            "arithmetic",
            "int8_share",
            "best",
            "front_latency",
        )
        assert [line[key] for key in unknown] == [""] * len(unknown)
        assert line["front_size"] in ("0", "1")
    page.write(sweep, ended=True)
    assert '<meta http-equiv="refresh"' not in (sweep.folder / "report.html").read_text()


def test_a_sweep_of_which_nothing_was_built_says_so(swept):
    sweep = swept({0: ("prune=1.2", "prune=1.2 is not allowed."), 1: ("prune=2", "prune=2 is not allowed.")}, total=2)
    page.write(sweep, ended=True)
    assert says(summary.summarize(sweep).headline, "0 of 2 ... 2 failed ... not timed yet")
    assert [line["error"] for line in lines(sweep)] == ["prune=1.2 is not allowed.", "prune=2 is not allowed."]


def test_a_failure_stands_in_page_csv_and_terminal_with_its_sentence(swept, capsys):
    broken = made(0.1, "none", failures=(Failure("int8", "openvino", "it saw no image."),))
    sweep = swept({0: ("prune=0.1", broken), 1: ("prune=0.2", broken), 2: ("prune=2", "give less than 1.")})
    page.write(sweep, ended=True)
    text = (sweep.folder / "report.html").read_text()
    assert re.search(r'job 2 <span class="over">failed.*give less than 1\.</td>', text)
    assert text.count("openvino: it saw no image.</td>") == 1  # once for both
    assert [(line["jobs"], line["variant"], line["override.prune"], line["error"]) for line in lines(sweep)[-2:]] == [
        ("2", "", "2", "give less than 1."),
        ("0 1", "int8", "", "it saw no image."),
    ]
    table.show(sweep)
    assert "- job 2 with prune=2 failed: give less than 1.\n" in capsys.readouterr().out


def test_an_alarm_of_several_jobs_is_told_once_with_their_numbers(swept):
    sweep = swept({i: (f"prune={p}", made(p, "none", noise=0.2)) for i, p in enumerate((0.1, 0.2, 0.3))})
    (gate, numbers), *others = summary.alarms(sweep).items()
    assert (gate.name, numbers, others) == ("A/A", [0, 1, 2], [])
    page.write(sweep, ended=True)
    assert (sweep.folder / "report.html").read_text().count("timed against itself (A/A) differs by") == 1


def test_the_csv_holds_the_figures_as_they_were_measured(four):
    page.write(four, ended=True)
    found = lines(four)
    rows = summary.summarize(four).rows
    assert len(found) == len(rows) == 20
    for line, row in zip(found, rows, strict=True):
        result = row.result
        assert line["sha256"] == result.sha256 and line["artefact"] == str(result.variant.path)
        assert int(line["flops"]) == result.flops == 2 * int(line["macs"])
        assert int(line["size_bytes"]) == result.size_bytes
        assert float(line["score"]) == float(line["accuracy.mAP50-95"]) == result.accuracy.score
        assert float(line["median_ms"]) == result.latency.median_ms
        assert float(line["speedup"]) == result.latency.speedup
        assert line["jobs"] == " ".join(map(str, row.jobs))
        assert line["override.epochs"] == "5"
        assert line["override.prune"] == row.overrides.get("prune", "")
    assert list(found[0])[:6] == ["jobs", "variant", "runtime", "override.prune", "override.quant", "override.epochs"]
    assert sum(int(line["best"]) for line in found) == 1


def test_work_and_disk_are_those_of_all_jobs(four, tmp_path):
    for name, size in (("a" * 16, 1000), ("b" * 16, 200), ("c" * 16, 30)):
        (tmp_path / "store" / name).mkdir(parents=True)
        (tmp_path / "store" / name / "file").write_bytes(b"0" * size)
    (tmp_path / "store" / f"{'b' * 16}.accuracy.json").write_bytes(b"0" * 4)
    for number, names in ((0, "a"), (1, "ab")):
        (four.folder / str(number) / "uses.txt").write_text("".join(f"{name * 16}\n" for name in names))
        (four.folder / str(number) / "work.txt").write_text("made Prune\nfound Prune\nmade validation\n")
    found = read(four.folder)
    assert disk.store_bytes(found) == 1000 + 200 + 4
    assert disk.folder_bytes(found) == sum(file.stat().st_size for file in four.folder.rglob("*") if file.is_file())
    page.write(found, ended=True)
    text = (four.folder / "report.html").read_text()
    assert re.search(r">Prune</th><td>2</td><td>2</td>", text) and re.search(
        r">validation</th><td>2</td><td>0</td>", text
    )
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    assert disk.store_bytes(found) is None


def test_what_is_worth_taking_lies_in_the_sweeps_folder_under_telling_names(four, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    worth = summary.summarize(four).worth
    for row in worth:
        path = row.result.variant.path
        folder = row.result.variant.runtime == "openvino"
        (path if folder else path.parent).mkdir(parents=True, exist_ok=True)
        (path / "model.xml" if folder else path).write_text(row.result.sha256)
    with placing(four.folder) as partial:
        (partial / "artefacts" / "torch").mkdir(parents=True)
        (partial / "artefacts" / "torch" / "old.pt").touch()
    artefacts.hand_out(worth, four.folder)
    found = {str(path.relative_to(four.folder / "artefacts")) for path in (four.folder / "artefacts").glob("*/*")}
    assert "openvino/pruned+int8_prune=0.1_quant=int8_openvino_model" in found
    assert not any(name.startswith("torch/o") for name in found)  # the user's own stays where it is, the old is gone
    page.write(four, ended=True)
    told = {line["copy"] for line in lines(four)} - {""}
    assert told == {f"artefacts/{name}" for name in found}
    assert (
        "artefacts/openvino/pruned+int8_prune=0.1_quant=int8_openvino_model"
        in (four.folder / "report.html").read_text()
    )


def test_copies_have_names_that_are_files_and_no_two_the_same():
    result = SimpleNamespace(
        variant=Variant(Path("a.onnx"), "onnxruntime", "fp32", square(64), ("pruned",)), rival=False
    )
    told = ("../../a/b.pt", "..:..:a:b.pt", "x" * 300)
    rows = [summary.Row(result, None, (i,), {"model": model}) for i, model in enumerate(told)]
    names = [str(place) for place in artefacts.places(rows).values()]
    assert names[:2] == ["onnxruntime/pruned_model=..-..-a-b.pt.onnx", "onnxruntime/pruned_model=..-..-a-b.pt-2.onnx"]
    assert len(names[2]) < 200
    for runtime in ("openvino", "ncnn"):  # ultralytics knows a folder by how its name ends
        variant = Variant(Path(f"0.5_{runtime}_model"), runtime, "fp32", square(64), ("pruned",))
        row = summary.Row(SimpleNamespace(variant=variant, rival=False), None, (0,), {"prune": "0.5"})
        assert str(artefacts.places([row])[row]) == f"{runtime}/pruned_prune=0.5_{runtime}_model"


def test_the_terminal_shows_what_is_on_a_front_or_best(four, capsys):
    table.show(four)
    out = capsys.readouterr().out
    assert summary.summarize(four).headline.split(";")[0] in " ".join(out.split())
    assert len(re.findall(r"^│ ", out, re.MULTILINE)) == len(summary.summarize(four).worth) < 20
    assert re.search(r"│ pruned\+int8 \(best\) +│ +0\.1 │ +int8 │ openvino ", out)


def test_a_job_at_a_smaller_input_is_compared_with_the_original_at_the_largest(swept):
    large, small = made(0.3, "none"), made(0.3, "none")
    halved = [
        replace(
            row,
            variant=replace(row.variant, imgsz=square(48)),
            sha256=row.sha256[::-1],
            accuracy=replace(row.accuracy, metrics={"mAP50-95": row.accuracy.score - 0.1, "mAP50": 0.5}),
            latency=replace(row.latency, median_ms=row.latency.median_ms / 4),
        )
        for row in small.results
    ]
    small = replace(small, results=tuple(halved), provenance=reports.provenance(imgsz=square(48)))
    sweep = swept({0: ("imgsz=96", large), 1: ("imgsz=48", small)}, 2)
    found = {row.called: row for row in summary.summarize(sweep).rows}
    row = found["pruned on OpenVINO with imgsz=48"]
    assert row.result.latency.speedup == pytest.approx(
        4 * found["pruned on OpenVINO with imgsz=96"].result.latency.speedup
    )
    assert row.result.latency.speedup_low == pytest.approx(0.97 * row.result.latency.speedup)
    page.write(sweep, ended=True)
    points = {(line["override.imgsz"], line["variant"], line["runtime"]): line["points"] for line in lines(sweep)}
    assert float(points["96", "original", "openvino"]) == 0
    assert float(points["48", "original", "openvino"]) == pytest.approx(-10)
    assert "imgsz=96" in summary.summarize(sweep).headline  # nothing at 48 px loses at most one point


def test_a_sweep_misses_its_limits_where_only_a_smaller_input_hides_what_it_costs(swept):
    limits = Limits(max_drop=1, latency_ms=3)
    large = made(0.3, "none", limits=limits)  # its fastest row takes 5.6 ms
    quick = [
        replace(row, variant=replace(row.variant, imgsz=square(48)), latency=replace(row.latency, median_ms=2.0))
        for row in large.results
    ]
    worse = [replace(row, accuracy=replace(row.accuracy, metrics={"mAP50-95": 0.4, "mAP50": 0.6})) for row in quick]
    small = replace(large, results=tuple(worse), provenance=reports.provenance(imgsz=square(48)))
    assert verdict.decide(small).best  # against its own original it lost nothing
    found = summary.summarize(swept({0: ("imgsz=96", large), 1: ("imgsz=48", small)}, 2))
    with pytest.raises(LimitMissed) as error:
        end._judge(found, lost=None, untold=None)
    assert str(error.value) == found.headline


def test_rows_that_are_reported_on_other_images_are_not_compared(swept):
    both = {"val": ImageSet("val", 8, 8, "v"), "test": ImageSet("test", 9, 9, "t")}
    jobs = {
        i: (f"selection={split}", made(0.3, "none", provenance=reports.provenance(accuracy_on=images)))
        for i, (split, images) in enumerate(both.items())
    }
    found = summary.summarize(swept(jobs))
    assert [row.jobs for row in found.rows] == [(0,)] * 9 + [(1,)] * 9
    places = [finding.parts[0].partition(":")[0] for finding in found.findings]
    assert places == ["data.yaml, 8 validation images", "data.yaml, 9 test images"]


def test_each_verdict_says_what_choosing_among_the_rows_of_all_jobs_is_worth(four):
    found = summary.summarize(four)
    (finding,) = found.findings
    assert finding.optimism.rows == len(found.rows)
    assert page._optimism(found) == [finding.optimism.sentence]
