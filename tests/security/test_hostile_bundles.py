"""A stranger's bundle runs only what lies in it, and prints no command that does more than it says."""

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.bundles import bundled, one_row

SECRET = "SECRET-MARKER"


@pytest.fixture(scope="module")
def honest(tmp_path_factory) -> Path:
    """A bundle of a model that does nothing but has one head's shape."""
    import onnx
    from onnx import TensorProto, helper

    folder = tmp_path_factory.mktemp("run")
    given = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64])
    output = helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 6, 84])
    value = helper.make_tensor("zeros", TensorProto.FLOAT, [1, 6, 84], [0.0] * 504)
    nodes = [
        helper.make_node("Identity", ["images"], ["unused"]),
        helper.make_node("Constant", [], ["output0"], value=value),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [given], [output]), opset_imports=[helper.make_opsetid("", 19)]
    )
    model.ir_version = 9
    for key, said in (("names", "{0: 'dark', 1: '<b>\\x1b[31m'}"), ("end2end", "False"), ("imgsz", "[64, 64]")):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, said
    onnx.save(model, folder / "tiny.onnx")
    return bundled(one_row(folder / "tiny.onnx", "onnxruntime"), folder)


def run(bundle: Path, cwd: Path, script: str, *words: str) -> subprocess.CompletedProcess:
    done = [
        sys.executable,
        "-I",
        "-c",
        f"import runpy, sys; sys.path.insert(0, {str(bundle)!r}); sys.argv[0] = {script!r};"
        f"runpy.run_path({str(bundle / script)!r}, run_name='__main__')",
    ]
    return subprocess.run([*done, *words], cwd=cwd, capture_output=True, text=True)


def changed(honest: Path, folder: Path, **changes) -> Path:
    import shutil

    shutil.copytree(honest, folder / "bundle")
    about = json.loads((folder / "bundle" / "bundle.json").read_text())
    (folder / "bundle" / "bundle.json").write_text(json.dumps(about | changes))
    return folder / "bundle"


WRONG = {
    "absolute": {"artefact": "{secret}"},
    "up": {"artefact": "../secret"},
    "windows": {"artefact": "..\\secret"},
    "drive": {"artefact": "C:secret"},
    "itself": {"artefact": "."},
    "below": {"artefact": "a/b"},
    "runtime": {"runtime": "os"},
    "list": {"runtime": ["onnxruntime"]},
    "precision": {"precision": 8},
    "run": {"run": "x\n; rm -rf ~"},
    "run up": {"run": "../../x"},
    "variant": {"variant": "\x1b[31m"},
    "names": {"names": "dark"},
    "no names": {"names": []},
    "pixels": {"imgsz": 10**9},
    "head": {"head": "x"},
    "nms": {"nms": {}},
    "letterbox": {"letterbox": 5},
    "hash": {"sha256": None},
}


@pytest.mark.command
@pytest.mark.parametrize("script", ["bench.py", "run.py"])
@pytest.mark.parametrize("case", WRONG)
def test_what_no_bundle_says_is_one_sentence(case, script, honest, tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    wrong = {k: v.format(secret=tmp_path / "secret") if isinstance(v, str) else v for k, v in WRONG[case].items()}
    bundle = changed(honest, tmp_path, **wrong)
    before = sorted(tmp_path.rglob("*"))
    done = run(bundle, tmp_path, script, *(["x.png"] if script == "run.py" else []))
    assert done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert "copy the bundle again" in done.stderr and SECRET not in done.stderr and "\x1b" not in done.stderr
    assert [path for path in sorted(tmp_path.rglob("*")) if "__pycache__" not in str(path)] == before


@pytest.mark.command
@pytest.mark.parametrize("text", ["[" * 100_000, "null", "[]", "\xff", ""])
def test_what_is_no_bundle_json_is_one_sentence(text, honest, tmp_path):
    bundle = changed(honest, tmp_path)
    (bundle / "bundle.json").write_bytes(text.encode("latin-1"))
    done = run(bundle, tmp_path, "bench.py")
    assert done.returncode == 1 and done.stderr.startswith("error: bundle.json") and done.stderr.count("\n") == 1


@pytest.mark.command
def test_an_artefact_that_is_a_link_is_one_sentence(honest, tmp_path):
    bundle = changed(honest, tmp_path)
    (bundle / "tiny.onnx").rename(tmp_path / "elsewhere.onnx")
    (bundle / "tiny.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    done = run(bundle, tmp_path, "bench.py")
    assert done.returncode == 1 and "is a link or no file; copy the bundle again" in done.stderr


@pytest.mark.command
def test_the_command_that_bench_prints_is_quoted(honest, tmp_path):
    bundle = changed(honest, tmp_path, run="x $(touch pwned); y")
    done = run(bundle, tmp_path, "bench.py", "--rounds", "12", "--threads", "1", "--device", "a \x1b[31mb")
    assert done.returncode == 0, done.stderr
    line = done.stdout.splitlines()[-1].partition(", then: ")[2]
    module = "optimize.import_measurement"
    if sys.platform != "win32":
        assert shlex.split(line) == ["python", "-m", module, "runs/x $(touch pwned); y", "measurement.json"]
    assert json.loads((tmp_path / "measurement.json").read_text())["device"] == "a \\x1b[31mb"


def test_names_in_a_bundle_s_readme_and_labels_are_text(honest, tmp_path):
    assert (honest / "labels.txt").read_text() == "dark\n<b>\\x1b[31m\n"
    report = one_row(honest / "tiny.onnx", "onnxruntime")
    row = report.results[1]
    named = replace(row, variant=replace(row.variant, tags=("<img src=x>\n# head",)))
    (tmp_path / "run").mkdir()
    made = bundled(replace(report, results=(report.results[0], named)), tmp_path / "run")
    text = (made / "README.md").read_text()
    assert "<img" not in text and "\n# head" not in text and "&lt;img src=x>" in text
