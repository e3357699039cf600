"""The examples of docs/extending work as they stand on the page, from outside the package."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import ROOT, reports
from helpers.commands import command, python_path
from optimize.report import results
from optimize.yolo.checkpoint import load, save

PAGES = sorted((ROOT / "docs" / "extending").glob("*.md"))


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / "extending" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_an_example_is_short_and_has_a_checklist(page):
    text = page.read_text(encoding="utf-8")
    assert "## The protocol" in text and "## A working example" in text and "\n- [ ] " in text
    assert all(len(block.splitlines()) <= 40 for block in blocks(page.name, "python"))


@pytest.fixture
def from_outside(tmp_path, monkeypatch, capsys, dataset, checkpoint):
    """Run the command with the code and the yaml of a page, which lie outside the package; what results.json says."""

    def run(page: str, module: str, yaml: str, *words: str, change=lambda source: source) -> tuple[Path, dict, str]:
        (source,), (config,) = blocks(page, "python"), blocks(page, "yaml")
        package, name = module.split(".")
        for known in (module, package):  # of the test before
            monkeypatch.delitem(sys.modules, known, raising=False)
        (tmp_path / package).mkdir()
        (tmp_path / package / f"{name}.py").write_text(change(source), encoding="utf-8")
        (tmp_path / "conf" / yaml).parent.mkdir(parents=True)
        (tmp_path / "conf" / yaml).write_text(config, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.chdir(tmp_path)
        given = f"model={checkpoint}", f"data={dataset}", "prune=0", "rounds=12", "threads=1", "rivals=none"
        path = f"hydra.searchpath=[{(tmp_path / 'conf').as_uri()}]"
        code, out, err = command(monkeypatch, capsys, *given, *words, path, "trust=true", charts=True)
        assert code == 0, err
        folder = Path(out.splitlines()[-1])
        return folder, json.loads((folder / "results.json").read_text(encoding="utf-8")), out

    return run


def test_the_runtime_of_the_page_is_measured_and_shown(from_outside):
    words = "runtime=[opencv]", "quant=fp16"
    folder, found, out = from_outside("runtime.md", "my_runtimes.opencv", "runtime/opencv.yaml", *words)
    first, row = found["results"]
    assert (row["variant"]["runtime"], row["latency"]["arithmetic"]) == ("opencv", "fp32")
    assert row["flops"] == first["flops"]
    assert row["accuracy"]["metrics"] == pytest.approx(first["accuracy"]["metrics"], abs=1e-3)
    assert "opencv gets no fp16 file: OpenCV computes in float32." in found["provenance"]["remarks"]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert '"triangle-right"' in page and '"opencv"' in page
    assert "opencv" in out and "opencv" in (folder / "report.md").read_text(encoding="utf-8")
    drawn = results.read(folder / "results.json")
    assert [one.runtime.title for one in drawn.results] == ["PyTorch", "OpenCV"]


@pytest.mark.parametrize("computes", ["fp32", "int4"])
def test_the_precision_of_the_page_is_measured_and_shown(computes, from_outside):
    """The file computes in float32; a precision that must compute in int4 has an alarm for that."""
    honest = 'computes=("fp32",), requires=("fp32",)'
    other = f'computes=("{computes}", "fp32"), requires=("{computes}",)'
    folder, found, out = from_outside(
        "precision.md",
        "my_quant.w4",
        "quant/w4.yaml",
        "runtime=[onnxruntime,openvino]",
        "quant=w4",
        change=lambda source: source.replace(honest, other),
    )
    rows = {(row["variant"]["runtime"], row["variant"]["precision"]): row for row in found["results"]}
    row = rows["onnxruntime", "w4"]
    assert ("openvino", "w4") not in rows
    assert row["precision"]["fill"] == 0.7 and row["name"] == "w4" and found["quant"] == "w4"
    assert "openvino gets no w4 file: its files are no ONNX." in found["provenance"]["remarks"]
    wrong = [alarm["sentence"] for alarm in found["alarms"] if alarm["name"] == "wrong arithmetic"]
    assert len(wrong) == (computes == "int4")
    assert all("w4 on ONNX Runtime was made for w4 but ran in fp32" in sentence for sentence in wrong)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert '"full": 0.7' in page or '"full":0.7' in page
    assert "w4" in out and ("WRONG ARITHMETIC" in out) is (computes == "int4")


def test_the_section_of_the_page_is_one_file_and_one_line(tmp_path):
    section, _ = blocks("report_section.md", "python")
    shutil.copytree(ROOT / "optimize", tmp_path / "optimize", ignore=shutil.ignore_patterns("__pycache__", "*.pt"))
    folder = tmp_path / "optimize" / "report" / "sections"
    (folder / "parameters.py").write_text(section, encoding="utf-8")
    (folder / "__init__.py").write_text(
        (folder / "__init__.py")
        .read_text(encoding="utf-8")
        .replace("    saved,\n", "    parameters,\n    saved,\n")
        .replace("    saved.section,", "    saved.section,\n    parameters.section,"),
        encoding="utf-8",
    )
    (tmp_path / "run").mkdir()
    results.write(reports.report(), tmp_path / "run" / "results.json")
    code = (
        "from pathlib import Path; from optimize.report import results, write; "
        "write(results.read(Path('run/results.json')), Path())"
    )
    env = os.environ | {"PYTHONPATH": python_path(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    texts = [done.stdout, *((tmp_path / name).read_text(encoding="utf-8") for name in ("report.md", "report.html"))]
    assert all("Parameters" in text and "MB in float32" in text for text in texts)
    assert "| original | 4,000 | 0.02 |" in texts[1] and 'href="#parameters"' in texts[2]


@pytest.mark.command
def test_the_task_of_the_page_is_one_file_and_one_line(tmp_path, dataset, checkpoint):
    task, _ = blocks("task.md", "python")
    for folder in ("optimize", "conf"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "*.pt"))
    folder = tmp_path / "optimize" / "yolo" / "tasks"
    (folder / "blobs.py").write_text(task, encoding="utf-8")
    (folder / "__init__.py").write_text(
        (folder / "__init__.py")
        .read_text(encoding="utf-8")
        .replace("import classify,", "import blobs, classify,")
        .replace("    classify.TASK,", "    classify.TASK,\n    blobs.TASK,"),
        encoding="utf-8",
    )
    model = load(checkpoint)
    model.blobs = True
    save(model, tmp_path / "tiny.pt")
    given = "model=tiny.pt", f"data={dataset}", "prune=0.3", "pruner=l2", "quant=int8", "epochs=1", "batch=4"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "helpers.quick",
            *given,
            "runtime=[onnxruntime]",
            "rounds=12",
            "threads=1",
            "rivals=none",
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": python_path(tmp_path, ROOT / "tests")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "epoch 1 of 1: mAP30-75 " in done.stderr
    run = tmp_path / done.stdout.splitlines()[-1]
    found = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert found["provenance"]["task"] == "blobs"
    assert {row["variant"]["precision"] for row in found["results"]} == {"fp32", "int8"}
    assert all(list(row["accuracy"]["metrics"]) == ["mAP30-75", "mAP30"] for row in found["results"])
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Optimization report · blobs · 64 px" in page
    for text in (done.stdout, page, (run / "report.md").read_text(encoding="utf-8")):
        assert "mAP30-75" in text and "a blob is found from an overlap of 0.3 on" in " ".join(text.split())


def test_the_criterion_of_the_page_prunes(tmp_path, monkeypatch, capsys, dataset, checkpoint):
    (source,), (yaml,) = blocks("criterion.md", "python"), blocks("criterion.md", "yaml")
    (tmp_path / "my_criteria").mkdir()
    (tmp_path / "my_criteria" / "fpgm.py").write_text(source, encoding="utf-8")
    (tmp_path / "conf" / "pruner").mkdir(parents=True)
    (tmp_path / "conf" / "pruner" / "fpgm.yaml").write_text(yaml, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    given = f"model={checkpoint}", f"data={dataset}", "prune=0.3", "epochs=0", "rounds=12", "threads=1"
    mine = (
        "pruner=fpgm",
        "runtime=[]",
        "quant=none",
        "rivals=none",
        f"hydra.searchpath=[{(tmp_path / 'conf').as_uri()}]",
    )
    code, out, err = command(monkeypatch, capsys, *given, *mine, "trust=true")
    assert code == 0, err
    found = json.loads((Path(out.splitlines()[-1]) / "results.json").read_text(encoding="utf-8"))
    stage = found["stages"][0]
    assert stage["criterion"] == "my_criteria.fpgm.FPGM(p=2)"
    assert stage["reached"] == pytest.approx(0.3, abs=0.02)
    code, _, err = command(monkeypatch, capsys, *given, *mine, "trust=true", "pruner.criterion.p=3")
    assert code == 1 and "pruner.criterion.p=3 is not allowed; give 1 or 2." in err
    code, _, err = command(monkeypatch, capsys, *given, *mine)
    assert code == 1 and "criterion._target_=my_criteria.fpgm.FPGM" in err and "trust=true" in err
