"""Every way to fail, with every key that names a file or folder, leaves what the user has as it is."""

import errno
import shutil
from pathlib import Path

import pytest
from PIL import Image

from helpers.commands import close_logs, command
from helpers.messages import is_error, says
from helpers.ownership import finished, snapshot
from optimize import output
from optimize.store.manifest import SWEEP

pytestmark = pytest.mark.command

QUICK = "rounds=12", "threads=1", "rivals=none", "quant=none", "runtime=[]", "prune=0"


@pytest.mark.parametrize("key", output.FIXED)
@pytest.mark.parametrize("mode", [[], ["-m"]])
def test_hydra_gives_no_file_another_name(mode, key, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, _, err = command(
        monkeypatch, capsys, *mode, "prune=0.3", f"{key}=photos" if "chdir" not in key else f"{key}=1"
    )
    assert code == 1
    assert says(err, f"{key}= ... not allowed ... overwritten ... leave")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "word",
    [
        "hydra.job_logging.handlers.file.filename=thesis.txt",
        "+hydra.job_logging.handlers.file.mode=w",
        "hydra.hydra_logging.root.handlers=[console]",
        "hydra/hydra_logging=default",
        "~hydra.callbacks.run",
        "~hydra/callbacks",
        "--experimental-rerun=config.pickle",
    ],
)
def test_hydra_opens_no_log_of_the_users_and_skips_no_check(word, tmp_path, monkeypatch, capsys):
    (tmp_path / "thesis.txt").write_text("x")
    before = snapshot(tmp_path)
    monkeypatch.chdir(tmp_path)
    code, out, err = command(monkeypatch, capsys, "prune=0.3", word)
    assert (code, out) == (1, "")
    assert is_error(err, f"{word} ... not allowed ... overwritten ... leave it out")
    assert snapshot(tmp_path) == before


@pytest.fixture(scope="module")
def user(tmp_path_factory, dataset, checkpoint) -> Path:
    """What a user has: documents, a data set that needs care, a checkpoint, and an earlier run that was edited."""
    root = tmp_path_factory.mktemp("user")
    (root / "documents" / "photos").mkdir(parents=True)
    (root / "documents" / "thesis.txt").write_text("x")
    (root / "documents" / "photos" / "0.png").write_bytes(b"png")
    shutil.copytree(dataset.parent, root / "data", ignore=shutil.ignore_patterns("*.cache"))
    (root / "data" / "labels" / "train.cache").write_bytes(b"somebody's")
    image = root / "data" / "images" / "train" / "0.png"
    Image.open(image).save(image.with_suffix(".jpg"), quality=95)
    image.unlink()
    truncated = image.with_suffix(".jpg")
    truncated.write_bytes(truncated.read_bytes()[:-2])
    shutil.copy(checkpoint, root / "tiny.pt")
    earlier = finished(root / "earlier")
    (earlier / "report.md").write_text("# report, with my remarks")
    finished(root / "sweep", SWEEP)
    return root


FAILURES = {  # words, or what to break
    "value": ["prune=2"],
    "type": ["epochs=many"],
    "key": ["nonsense=1"],
    "choice": ["quant=int4"],
    "model": ["model=missing.pt"],
    "not a model": ["model=documents/thesis.txt"],
    "data": ["data=missing.yaml"],
    "not data": ["data=tiny.pt"],
    "imgsz": ["imgsz=63"],
    "rival": ["rivals=[missing.pt]"],
    "device": ["device_profile=missing.yaml"],
    "runtime": ["runtime=[tensorrt]"],
    "limit": ["limits.latency_ms=-1"],
    "tracking": ["tracking=nowhere"],
    "finished": ["hydra.run.dir=earlier"],
    "among images": ["hydra.run.dir=data/images/train"],
    "disk": [],
    "bug": [],
    "killed": [],
}
PLACES = {
    "documents": "hydra.run.dir=documents",
    "here": "hydra.run.dir=.",
    "data": "hydra.run.dir=data",
    "images": "hydra.run.dir=data/images/val",
    "earlier": "hydra.run.dir=earlier",
    "replaced": "hydra.run.dir=earlier overwrite=true",
    "other names": "hydra.run.dir=documents hydra.output_subdir=photos",
    "the store": "hydra.run.dir=out store=out",
    "store among images": "store=data/images/val hydra.run.dir=out",
    "checkpoint": "hydra.run.dir=tiny.pt",
    "sweep": "hydra.run.dir=sweep overwrite=true",
    "store in documents": "store=documents hydra.run.dir=out",
    "store in data": "store=data hydra.run.dir=out",
    "store in a run": "store=earlier hydra.run.dir=out",
    "store is a file": "store=tiny.pt hydra.run.dir=out",
}
LATE = {"disk": OSError(errno.ENOSPC, "full"), "bug": RuntimeError("a bug"), "killed": KeyboardInterrupt()}


# Each failure in every third place, and what fails late in all; the other combinations are for `make test-long`.
COMBINATIONS = [
    pytest.param(failure, place, marks=() if failure in LATE or (i + j) % 3 == 0 else pytest.mark.long)
    for i, failure in enumerate(FAILURES)
    for j, place in enumerate(PLACES)
]


@pytest.mark.parametrize(("failure", "place"), COMBINATIONS)
def test_no_failure_touches_what_the_user_has(failure, place, user, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(user)
    before = snapshot(user)

    def fail(plan, folder, keep):
        raise LATE[failure]

    if failure in LATE:
        monkeypatch.setattr("optimize.pipeline.run", fail)
    words = "model=tiny.pt", "data=data/data.yaml", *QUICK, *PLACES[place].split(), *FAILURES[failure]
    code, _, err = command(monkeypatch, capsys, *words)
    after = snapshot(user)
    new = after.keys() - before.keys()
    assert code in (1, 130), err
    assert "Traceback" not in err
    times = {path for path in before if (user / path).is_dir()} if failure in LATE else set()  # a log lies in it now
    assert {path: after.get(path) for path in before.keys() - times} == {
        path: told for path, told in before.items() if path not in times
    }
    if failure not in LATE:
        assert new == set()
    close_logs()
    for path in sorted(new, reverse=True):
        (user / path).rmdir() if (user / path).is_dir() else (user / path).unlink()
