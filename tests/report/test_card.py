"""The model card: every figure is the report's, its data can be read by Hugging Face, and no name becomes markup."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from helpers import reports
from helpers.messages import says
from optimize.dataset import ImageSet
from optimize.output import NAMES
from optimize.report import card, chart_image, draw, page
from optimize.result import Report
from optimize.store.manifest import RUN
from optimize.texts import mapped, shown
from optimize.verdict.verdict import chosen

IMAGES = ImageSet("test", 8, 8, "fedcba9876543210")
HOSTILE = [
    "a\n---\nlicense: mit\n---\n",
    "<script>alert(1)</script>",
    "# Heading",
    "a | b",
    "[x](http://evil.example)",
    "\x1b[31m",
]


def made(model: str = "/home/me/best.pt", data: str = "/home/me/sets/my.yaml", **changes) -> Report:
    changed = {"model": model, "card": True}
    source = reports.provenance(config=reports.provenance().config | changed, data=data, accuracy_on=IMAGES, **changes)
    return reports.report(provenance=source)


def written(report: Report, folder: Path) -> tuple[dict, str]:
    """The card's data, and its text."""
    card.write(mapped(report, shown), folder / "README.md")
    text = (folder / "README.md").read_text(encoding="utf-8")
    _, data, body = re.split(r"^---$", text, maxsplit=2, flags=re.MULTILINE)
    return yaml.safe_load(data), body


def figures(data: dict) -> dict[str, float]:
    (model,) = data["model-index"]
    return {metric["type"]: metric["value"] for metric in model["results"][0]["metrics"]}


def test_every_figure_is_that_of_the_verdicts_choice(tmp_path):
    report = made()
    row, (data, body) = chosen(report), written(report, tmp_path)
    assert figures(data) == {
        **row.accuracy.metrics,
        "standard_error": row.accuracy.error,
        "flops": row.flops,
        "parameters": row.cost.parameters,
        "size_bytes": row.size_bytes,
        "latency_ms": row.time.median_ms,
    }
    assert says(body, "| mAP50-95 | 0.6000 +- 0.0121 | 0.5960 +- 0.0121 | -0.4 points |")
    assert says(body, "Median 4.80 ms ... 2 threads, a CPU, 2 cores")


def test_it_names_data_machine_command_and_no_folder_of_the_user(tmp_path):
    data, body = written(made(), tmp_path)
    (model,) = data["model-index"]
    assert (model["name"], data["pipeline_tag"], data["tags"]) == (
        "best-int8",
        "object-detection",
        ["yolo", "detect", "int8", "openvino"],
    )
    assert model["results"][0]["dataset"] == {
        "name": "my.yaml",
        "type": "my",
        "split": "test",
        "args": {"images": 8, "fingerprint": IMAGES.fingerprint},
    }
    assert says(body, "made by yolo-optimize from best.pt") and says(body, "Accuracy is of 8 test images")
    assert "`python -m optimize prune=0.3 quant=int8`" in body and "/home/me" not in body


def test_a_data_yaml_has_the_name_of_its_folder(tmp_path):
    data, _ = written(made(data="/home/me/sets/bccd/data.yaml"), tmp_path)
    assert data["model-index"][0]["results"][0]["dataset"]["name"] == "bccd"


def test_it_claims_no_licence(tmp_path):
    data, body = written(made(), tmp_path)
    assert "license" not in data
    assert says(body, "This card states no licence ... ultralytics' own checkpoints are AGPL-3.0")


def test_what_was_not_measured_is_left_out(tmp_path):
    report = made()
    rows = [replace(row, latency=None, accuracy=replace(row.accuracy, folds=())) for row in report.results]
    data, body = written(replace(report, results=tuple(rows)), tmp_path)
    assert not {"latency_ms", "standard_error"} & figures(data).keys()
    assert says(body, "It was not timed.") and "+- 0" not in body


def test_with_a_part_of_the_images_the_accuracy_is_of_all(tmp_path):
    report, whole = made(), replace(IMAGES, images=9, listed=9)
    rows = [
        replace(r, whole=replace(r.accuracy, metrics={"mAP50-95": 0.5, "mAP50": 0.7}, images=9)) for r in report.results
    ]
    source = replace(report.provenance, whole=whole)
    data, body = written(replace(report, results=tuple(rows), provenance=source), tmp_path)
    assert (figures(data)["mAP50-95"], data["model-index"][0]["results"][0]["dataset"]["args"]["images"]) == (0.5, 9)
    assert says(body, "Accuracy is of 9 test images")


def test_where_nothing_was_made_it_is_of_the_original(tmp_path):
    report = made()
    rows = tuple(row for row in report.results if row.rival or row.variant.name == "original")
    data, _ = written(replace(report, results=rows, stages=()), tmp_path)
    assert data["model-index"][0]["name"] == "best-original"


def test_pruning_and_its_settings_are_told_of_pruned_rows_only(tmp_path):
    report = made()
    rows = tuple(row for row in report.results if row.variant.name != "int8")
    pruned = written(replace(report, results=rows), tmp_path)[1]
    assert "## What was done" in pruned and says(pruned, "asked 0.3")
    assert "## What was done" not in written(report, tmp_path)[1]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_text(name, tmp_path):
    report = made(f"{name}.pt", f"{name}.yaml", remarks=(name,), host=replace(reports.provenance().host, cpu=name))
    data, body = written(replace(report, failures=()), tmp_path)
    assert list(data) == ["pipeline_tag", "tags", "model-index"]
    assert "\x1b" not in str(data)
    tokens = MarkdownIt("commonmark").enable("table").parse(body)
    kinds = {token.type for block in tokens for token in (block, *(block.children or ()))}
    assert not kinds & {"html_block", "html_inline", "link_open", "hr"}
    titles = ["best", "Data and accuracy", "Times", "Limits", "Licence", "Repeat"]
    assert sum(token.type == "heading_open" for token in tokens) == len(titles)


def test_hugging_face_reads_it(tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    report = made()
    written(report, tmp_path)
    data = hub.ModelCard.load(tmp_path / "README.md").data
    assert data.model_name == "best-int8"
    assert {one.metric_type: one.metric_value for one in data.eval_results} == figures(card.metadata(report))


def test_a_run_has_it_only_where_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(chart_image, "write", lambda _, path: path.touch())  # drawing takes seconds
    monkeypatch.setattr(page, "write", lambda _, path, folder: path.touch())
    report = made()
    draw(report, tmp_path)
    assert (tmp_path / "README.md").exists() and "README.md" in NAMES[RUN]
    for folder, other in ("plain", reports.report()), ("early", replace(report, unfinished="it was stopped")):
        (tmp_path / folder).mkdir()
        draw(other, tmp_path / folder)
        assert not (tmp_path / folder / "README.md").exists()
