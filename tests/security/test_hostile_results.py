"""A stranger's results.json embeds no file of the user's, and ends every command that reads it by one sentence."""

import base64
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from helpers import ROOT
from helpers.commands import python_path
from helpers.messages import says
from helpers.results_cases import content, places, whole
from optimize.bound import earlier
from optimize.errors import InputError
from optimize.input_size import square
from optimize.report import draw, markdown, results
from optimize.sweep import job, sweep
from optimize.sweep.summary import page

SECRET = "SECRET-MARKER"
DERIVED = {"name", "flops", "macs", "float_ops", "int_ops", "int8_share", "missed", "verdict", "gates"}  # never read
WRONG = {
    "null": None,
    "object": {},
    "text": "x",
    "negative": -1,
    "zero": 0,
    "huge": 10**400,
    "none": float("nan"),
    "tiny": 5e-324,
    "controls": "\x1b[31m\x00\x07\u202e",
    "absolute": "/etc/passwd",
    "deep": json.loads("[" * 150 + "]" * 150),
}


@pytest.fixture
def run(tmp_path) -> Path:
    """A run's folder with one image, and a file beside it that nobody may see."""
    (tmp_path / "secret.txt").write_text(SECRET)
    folder = tmp_path / "run"
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (96, 64), "grey").save(folder / "images" / "0.jpg")
    return folder


def put(folder: Path, place: tuple, value) -> None:
    """results.json with `value` at `place`."""
    found = content(whole(), folder)
    inside = found
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    (folder / "results.json").write_text(json.dumps(found))


def refused(folder: Path) -> str:
    """The sentence by which drawing the run ends, with nothing written."""
    before = sorted(folder.rglob("*"))
    with pytest.raises(InputError) as error:
        draw(results.read(folder / "results.json"), folder)
    assert sorted(folder.rglob("*")) == before
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "path",
    ["{secret}", "../secret.txt", "..\\secret.txt", "C:\\secret.txt", "images/../../secret.txt", "\\\\host\\a"],
)
def test_an_image_s_path_stays_below_the_run(run, path):
    put(run, ("disagreement", "worst", 0, "path"), path.format(secret=run.parent / "secret.txt"))
    assert says(refused(run), "disagreement.worst.0.path ... out of the run's folder")


@pytest.mark.parametrize("linked", ["images/0.jpg", "images"])
def test_an_image_is_not_found_through_a_link(run, linked):
    content(whole(), run)
    (run / linked).rename(run.parent / "elsewhere")
    (run / linked).symlink_to(run.parent / "elsewhere")
    assert "is a link" in refused(run)


@pytest.mark.parametrize("kind", ["text", "pixels", "pipe"])
def test_what_is_no_image_is_named_and_not_embedded(run, kind, monkeypatch):
    file = run / "images" / "0.jpg"
    report = whole()
    file.unlink()
    if kind == "text":
        file.write_text(SECRET)
    elif kind == "pixels":
        Image.new("1", (20_000, 20_000)).save(file, format="PNG")
    elif hasattr(os, "mkfifo"):
        os.mkfifo(file)
    draw(report, run)
    html = (run / "report.html").read_text()
    assert "or would make the page too large: 0.png." in html
    assert base64.b64encode(SECRET.encode()).decode()[:-4] not in html and "data:image" not in html


def test_images_of_both_kinds_are_embedded_as_what_they_are(run):
    draw(whole(), run)
    assert "data:image/jpeg;base64," in (run / "report.html").read_text()
    Image.new("RGB", (96, 64)).save(run / "images" / "0.jpg", format="PNG")
    draw(whole(), run)
    assert "data:image/png;base64," in (run / "report.html").read_text()


@pytest.mark.command
def test_every_field_is_checked_or_can_be_anything(run, monkeypatch):
    """Whatever is in a field, reading ends by one sentence, or the report can be written."""
    monkeypatch.chdir(run)
    report = whole()
    honest = content(replace(report, results=(report.results[0], report.results[2])), run)
    honest["results"][-1] = {key: one for key, one in honest["results"][-1].items() if key not in DERIVED}
    count = 0
    for place in list(places(honest)):
        if place[0] in DERIVED:
            continue
        inside = honest
        for key in place[:-1]:
            inside = inside[key]
        for kind, value in [*WRONG.items(), ("missing", ...)]:
            before = inside[place[-1]]
            if value is ...:
                del inside[place[-1]]
            else:
                inside[place[-1]] = value
            (run / "results.json").write_text(json.dumps(honest))
            if value is ... and isinstance(inside, list):
                inside.append(before)  # it was the last
            else:
                inside[place[-1]] = before
            count += 1
            try:
                report = results.read(run / "results.json")
                markdown.write(report, run / "report.md")
            except InputError as error:
                assert "\n" not in str(error) and len(str(error)) < 2000, (place, kind)
            except Exception as error:
                raise AssertionError(f"{place} {kind}: {error!r}") from error
    assert count > 2000
    assert {path.name for path in run.rglob("*")} == {"images", "0.jpg", "results.json", "report.md"}


PARTS = {
    "runtime": (("results", 1, "variant", "runtime"), "tpu"),
    "runtime's name": (("results", 1, "runtime", "name"), "../tpu"),
    "mark": (("results", 1, "runtime", "mark"), "heart"),
    "precision": (("results", 1, "variant", "precision"), "fp4"),
    "precision's fill": (("results", 1, "precision", "fill"), 2),
    "date": (("provenance", "began"), "yesterday"),
    "nothing": (("results",), []),
    "operations": (("results", 0, "cost", "layers"), []),
    "metrics": (("results", 1, "accuracy", "metrics"), {"mAP50-95": 0.5}),
    "corners": (("disagreement", "worst", 0, "before", 0, "corners"), [[1, 1], [2, 2], [3, 3]]),
    "peak": (("machine", "bandwidth"), {}),
    "unit": (("device", "bandwidth"), {}),
    "artefact": (("measurements", 0, "sha256"), "f" * 64),
    "stage": (("stages", 0, "layers", 0, "flops"), ["many", 1]),
    "int8": (("results", 2, "quantization"), {"reached": 1, "drop": []}),
    "noise": (("noise",), None),
}


@pytest.mark.parametrize("case", PARTS)
def test_parts_that_do_not_fit_are_one_sentence(run, case):
    put(run, *PARTS[case])
    assert " is damaged at " in refused(run)


@pytest.mark.command
@pytest.mark.parametrize(
    "text",
    ['{"schema": ' + "[" * 100_000 + "}", "9" * 5000, '{"schema": 1e999}', '{"schema": "\\ud800"}', "\xff", "null", ""],
    ids=["deep", "long", "infinite", "half", "bytes", "null", "empty"],
)
def test_what_is_no_results_json_ends_every_command_by_one_sentence(run, text):
    (run / "results.json").write_bytes(text.encode("latin-1"))
    commands = {
        "optimize.report": [run],
        "optimize.import_measurement": [run, run / "results.json"],
        "optimize.bound": ["model=yolov8n.yaml", f"runs={run}", "limits.latency_ms=5"],
    }
    for module, words in commands.items() if text.startswith('{"schema": [') else list(commands.items())[:1]:
        done = subprocess.run(
            [sys.executable, "-m", module, *map(str, words)],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": python_path(ROOT)},
        )
        assert done.returncode == 1, (module, done.stderr)
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, (module, done.stderr)
    with pytest.raises(InputError):
        earlier.rows(str(run), "0" * 64, square(96), None)


SWEEPS = {
    "sweep.json": ['{"overrides": 5}', "[" * 100_000, '{"command":"x","overrides":[],"total":null,"began":1e300}', "9"],
    "0/job.json": ["[" * 100_000, "{}", '{"number":7,"overrides":[],"state":"built","host":"a","began":1}', '"x"'],
    "0/results.json": ["[" * 100_000, "{}"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in SWEEPS.items() for text in texts])
def test_what_is_no_sweep_is_one_sentence(swept, tmp_path, name, text):
    swept({0: ("prune=0.1", whole())}, 1)
    (tmp_path / "s" / name).write_text(text)
    with pytest.raises(InputError) as error:
        page.write(sweep.read(tmp_path / "s"))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "s" / "report.html").exists()


def test_what_a_sweep_s_jobs_note_leads_to_no_file_elsewhere(swept, tmp_path):
    (tmp_path / "secret.accuracy.json").write_text(SECRET)
    (tmp_path / "store").mkdir()
    known = swept({0: ("prune=0.1", whole())}, 1)
    (tmp_path / "s" / "0" / "uses.txt").write_text("../secret\n")
    (tmp_path / "s" / "0" / "work.txt").write_text("odd\nmade\n\nmade Prune\n")
    from optimize.sweep import disk

    assert disk.store_bytes(known) == 0
    assert sweep.read(tmp_path / "s").made == {"": 1, "Prune": 1}
    assert job.read(tmp_path / "s" / "0").state == job.BUILT
