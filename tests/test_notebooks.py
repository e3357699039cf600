"""The notebooks of the docs run from top to bottom in a kernel, show what they promise, and hold no output of ours."""

import re
from pathlib import Path

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient
from traitlets.config import Config

from helpers import ROOT
from helpers.commands import python_path

FOLDER = ROOT / "docs" / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
UNTIMED = (
    "from pathlib import Path",
    "from pytest import MonkeyPatch",
    "from helpers.direct import time_nothing",
    "time_nothing(MonkeyPatch(), Path())",
)
NOISE = re.compile("warning|deprecated|ipywidgets|traceback|error", re.IGNORECASE)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_stored_without_outputs_and_for_any_python(name):
    text = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    notebook = nbformat.reads(text, 4)
    nbformat.validate(notebook)
    assert text == nbformat.writes(notebook) + "\n"  # so that saving it in Jupyter changes what was edited alone
    assert set(notebook.metadata) == {"kernelspec", "language_info"} and notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata.language_info) == {"name"}  # no version of whoever saved it
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all((cell.outputs, cell.execution_count) == ([], None) for cell in code)
    assert "parameters" in code[0].metadata.tags and notebook.cells[0].source.startswith("# ")


@pytest.mark.parametrize("name", NAMES)
def test_every_link_of_a_notebook_leads_to_something(name):
    text = "\n".join(cell.source for cell in nbformat.read(FOLDER / f"{name}.ipynb", 4).cells)
    links = re.findall(r"\]\(([^)\s#]+)", text)
    assert links or name != "demo"
    assert not [link for link in links if not (FOLDER / link).exists()]


def executed(name: str, folder: Path, monkeypatch, **parameters) -> nbformat.NotebookNode:
    """The notebook after it ran in `folder`, a cell with `parameters` behind its own, as papermill does it.

    Its kernel takes no time for its timings, like the tests' own process.
    """
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", 4)
    first = next(number for number, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
    given = [f"{key} = {value!r}" for key, value in parameters.items()]
    notebook.cells.insert(first + 1, nbformat.v4.new_code_cell("\n".join([*given, *UNTIMED])))
    return run(notebook, folder, monkeypatch)


def run(notebook: nbformat.NotebookNode, folder: Path, monkeypatch) -> nbformat.NotebookNode:
    monkeypatch.setenv("PYTHONPATH", python_path(ROOT, ROOT / "tests"))
    monkeypatch.setenv("YOLO_OPTIMIZE_LOCKS", str(folder))  # no time is judged, so none need wait for others
    NotebookClient(notebook, kernel_name="python3", timeout=300, resources={"metadata": {"path": folder}}).execute()
    return notebook


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def printed(notebook: nbformat.NotebookNode, stream: str) -> str:
    return "".join(output.text for output in outputs(notebook) if output.get("name") == stream)


def shown_run(notebook: nbformat.NotebookNode) -> str:
    """The HTML of the one run; checks that nothing else but text and images is shown, and nothing puzzling."""
    assert {output.output_type for output in outputs(notebook)} <= {"stream", "execute_result"}
    told = printed(notebook, "stderr")
    assert "validation images" in told and not NOISE.findall(told) and "-:--:--" not in told  # no bar
    (html,) = (output.data["text/html"] for output in outputs(notebook) if "text/html" in output.get("data", {}))
    return html


def test_a_mistake_is_shown_as_its_sentence_alone(capsys):
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    shell.run_cell("from optimize.errors import InputError\nraise InputError('model=a is not there; give one.')")
    assert capsys.readouterr().out.strip() == "InputError: model=a is not there; give one."


@pytest.fixture
def tiny(checkpoint, dataset) -> dict:
    more = {"rivals": "none", "rounds": 12, "threads": 1, "batch": 4}
    return {"model": str(checkpoint), "data": str(dataset), "epochs": 1, "runtime": ["onnxruntime"], "more": more}


@pytest.mark.command
def test_a_kernel_starts_the_processes_that_time(checkpoint, tmp_path, monkeypatch):
    code = f"from optimize import measure_latency\nprint(measure_latency([{str(checkpoint)!r}], rounds=12, threads=1))"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    assert "median_ms" in printed(run(notebook, tmp_path, monkeypatch), "stdout")


@pytest.mark.command
def test_the_demo_shows_the_verdict_the_table_and_the_chart(tiny, tmp_path, monkeypatch):
    notebook = executed("demo", tmp_path, monkeypatch, **tiny)
    html = shown_run(notebook)
    assert all(f"<td>{cell}" in html for cell in ("original", "int8", "onnxruntime")) and "pruned" in html
    file = re.search(r"file: +(.*)", printed(notebook, "stdout"))[1]
    assert Path(file).exists()
    assert any("image/png" in output.get("data", {}) for output in outputs(notebook))


@pytest.mark.command
def test_your_own_model_ends_with_a_bundle(tiny, tmp_path, monkeypatch):
    notebook = executed("your_own_model", tmp_path, monkeypatch, **tiny, max_drop=100.0)
    assert "<td>pruned" in shown_run(notebook)
    text = printed(notebook, "stdout")
    assert "GFLOPs" in text and re.search(r"channels of model\.\d", text) and "the limits are met" in text
    folder = Path(re.search(r"folder to copy: +(.*)", text)[1])
    assert (folder / "run.py").is_file() and "bench.py\n" in text


@pytest.mark.command
def test_choosing_for_a_device_leaves_out_the_sizes_that_are_ruled_out(tiny, tmp_path, monkeypatch):
    notebook = executed("choosing_for_a_device", tmp_path, monkeypatch, **tiny, sizes=[128, 64], latency_ms=0.1)
    assert "original" in shown_run(notebook)
    text = printed(notebook, "stdout")
    assert "not ruled out by 0.1 ms: [64]" in text and len(re.findall("ms in torch", text)) == 2
    assert (Path(re.search(r"folder to copy: +(.*)", text)[1]) / "bench.py").is_file()
