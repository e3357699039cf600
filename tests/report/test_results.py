"""results.json holds the whole report, and nothing but a results.json of ours is read."""

import json
from dataclasses import replace

import pytest

from helpers import reports
from optimize.errors import InputError
from optimize.provenance import Host
from optimize.report import markdown, results, words
from optimize.result import Failure


def test_what_is_written_is_what_is_read(tmp_path):
    first, *others = reports.report().results
    rows = (replace(first, latency=None, profile=None), *others)
    report = reports.report(results=rows, failures=(Failure("int8", "openvino", "it failed."),))
    results.write(report, tmp_path / "results.json")
    assert results.read(tmp_path / "results.json") == report


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
