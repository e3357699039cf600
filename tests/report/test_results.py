"""results.json holds the whole report, and nothing but a results.json of ours is read."""

import json
from dataclasses import replace

import pytest

from helpers import reports
from optimize.errors import InputError
from optimize.host.state import HostState
from optimize.provenance import Host
from optimize.report import markdown, page, results, words
from optimize.result import Failure


def test_what_is_written_is_what_is_read(tmp_path):
    first, *others = reports.report().results
    rows = (replace(first, latency=None, profile=None), *others)
    report = reports.report(results=rows, failures=(Failure("int8", "openvino", "it failed."),))
    results.write(report, tmp_path / "results.json")
    assert results.read(tmp_path / "results.json") == report


def test_a_layer_of_a_block_that_was_removed_is_read_again(tmp_path):
    first, *others = reports.pruned().layers
    gone = replace(first, width=(64, 0), flops=(first.flops[0], 0), parameters=(1000, 0))
    made = reports.report(stages=(reports.pruned(layers=(gone, *others)),))
    results.write(made, tmp_path / "results.json")
    assert results.read(tmp_path / "results.json").stages == made.stages


def test_rows_carry_what_follows_from_them_for_whoever_reads_the_file_without_us(tmp_path):
    report = reports.report()
    results.write(report, tmp_path / "results.json")
    for row, result in zip(json.loads((tmp_path / "results.json").read_text())["results"], report.results, strict=True):
        assert row["name"] == result.variant.name
        assert row["flops"] == 2 * row["macs"] == result.flops == row["float_ops"] + row["int_ops"]
        assert row["int8_share"] == result.int8_share


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "does not exist; give the folder of a run that has ended"),
        ("{", "is not a results.json of this program"),
        ("[]", "is not a results.json of this program"),
        ('{"schema": 2, "variants": []}', "has schema 2, this version reads 3 to 5"),
        ("{}", "has schema None, this version reads 3 to 5"),
        ('{"schema": 4, "results": 5}', "is damaged at results: "),
    ],
)
def test_another_file_is_one_sentence(tmp_path, content, sentence):
    path = tmp_path / "results.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError) as error:
        results.read(path)
    assert str(error.value).startswith(f"{path} {sentence}")
    assert "\n" not in str(error.value)


def test_the_report_names_the_library_that_computed_the_metric():
    first = reports.report().results[0]

    def note(**changes) -> str:
        row = replace(first, accuracy=replace(first.accuracy, **changes))
        return next(line for line in words.notes(reports.report(results=(row,))) if line.startswith("Accuracy"))

    assert "for every row; the metric is that of ultralytics 8.4; `points`" in note(implementation="ultralytics 8.4")
    assert "; the metric is that of faster-coco-eval 1.8, without standard errors; `points`" in note(
        implementation="faster-coco-eval 1.8", folds=()
    )
    assert "for every row; `points`" in note()  # up to version 0.3


def test_the_state_of_the_host_is_in_report_and_page(tmp_path):
    before = HostState(0.25, "powersave", True, None, None, 0.0, None)
    after = HostState(1.9, "powersave", True, None, None, 0.0, None)
    report = reports.report(provenance=reports.provenance(timing=(before, after)))
    results.write(report, tmp_path / "results.json")
    assert results.read(tmp_path / "results.json") == report
    state = (
        "governor powersave, turbo on, load 0.25 before and 1.90 after the timing, CPU quota none; the system does not "
        "tell: SMT, degrees C"
    )
    assert words.host_state(report) == state
    markdown.write(report, tmp_path / "report.md")
    (line,) = (line for line in (tmp_path / "report.md").read_text().splitlines() if line.startswith("- Host: "))
    assert line.endswith(f"{state}.")
    page.write(report, tmp_path / "report.html")
    assert state in (tmp_path / "report.html").read_text()
    warm = replace(after, quota=1.5, temperature_c=71.4)
    hot = reports.report(provenance=reports.provenance(timing=(replace(before, temperature_c=55.0), warm)))
    assert "degrees C 55 before and 71 after the timing, CPU quota 1.5 cores" in words.host_state(hot)
    assert words.host_state(reports.report()) == ""


@pytest.mark.parametrize(
    ("cpu", "board", "name"),
    [
        ("Cortex", "a board", "Cortex"),
        (None, "Raspberry Pi 5 Model B", "Raspberry Pi 5 Model B"),
        (None, None, "aarch64"),
    ],
)
def test_a_host_whose_system_names_no_processor_is_called_by_its_board(cpu, board, name, tmp_path):
    made = reports.provenance(host=Host("Linux", "aarch64", cpu, (), 4, None, board))
    results.write(reports.report(provenance=made), tmp_path / "results.json")
    markdown.write(results.read(tmp_path / "results.json"), tmp_path / "report.md")
    assert f"- Host: {name}, 4 cores, Linux" in (tmp_path / "report.md").read_text()
