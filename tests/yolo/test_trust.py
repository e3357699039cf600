"""Neither a checkpoint nor a data set runs code; `trust=true` allows it to the checkpoints of one run."""

import builtins
import json
import os
import pickle
import shutil
import sys
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.utils.collect_env

from helpers.commands import command
from helpers.messages import like, says
from optimize.errors import InputError
from optimize.host.process import run_in_new_process
from optimize.yolo.checkpoint import load, trusted
from optimize.yolo.dataset import resolve

OWN = """
from torch import nn

class Doubled(nn.Module):
    def __init__(self, inside):
        super().__init__()
        self.inside = inside
        self.f, self.i, self.type, self.np = inside.f, inside.i, inside.type, inside.np

    def forward(self, x):
        return 2 * self.inside(x)
"""


class Bomb:
    """Calls `function` when it is unpickled."""

    def __init__(self, function, *arguments):
        self.made = function, arguments

    def __reduce__(self):
        return self.made


@pytest.fixture
def ran(tmp_path) -> Path:
    """Appears when a bomb goes off."""
    return tmp_path / "ran"


def system(ran: Path) -> Bomb:
    return Bomb(os.system, f"touch {ran}")


def nested(path: Path, ran: Path, checkpoint: Path) -> None:
    content = torch.load(checkpoint, weights_only=False)
    content["model"].model[2].act = system(ran)
    torch.save(content, path)


def zipped(path: Path, data: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")


BOMBS = {
    "system": ("posix.system", lambda path, ran, _: torch.save({"model": system(ran)}, path)),
    "eval": (
        "builtins.eval",
        lambda path, ran, _: torch.save({"model": Bomb(builtins.eval, f"open({str(ran)!r}, 'w').close()")}, path),
    ),
    "inside an allowed package": (
        "torch.utils.collect_env.run",
        lambda path, ran, _: torch.save({"model": Bomb(torch.utils.collect_env.run, f"touch {ran}")}, path),
    ),
    "inside a model": ("posix.system", nested),
    "before torch 1.6": (
        "posix.system",
        lambda path, ran, _: torch.save({"model": system(ran)}, path, _use_new_zipfile_serialization=False),
    ),
    "no torch": ("posix.system", lambda path, ran, _: path.write_bytes(pickle.dumps(system(ran), 0))),
    "a zip": ("posix.system", lambda path, ran, _: zipped(path, pickle.dumps(system(ran), 2))),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_checkpoint_that_would_run_code_is_refused_by_name_and_runs_nothing(kind, tmp_path, ran, checkpoint):
    name, write = BOMBS[kind]
    path = tmp_path / "bad.pt"
    write(path, ran, checkpoint)
    what = f"model={path} ... not allowed in a checkpoint ({name}) ... any code"
    with pytest.raises(InputError, match=like(f"{what} ... trust=true ... give a .pt checkpoint")):
        load(path)
    assert not ran.exists()
    with trusted(True), suppress(InputError):  # the bomb is real: trusted, it goes off
        load(path)
    assert ran.exists()


@pytest.mark.parametrize("data", [pickle.dumps({"model": 1}, 4), b"text", b""])
def test_a_zip_without_a_readable_pickle_is_no_checkpoint(data, tmp_path):
    zipped(tmp_path / "bad.pt", data)
    with pytest.raises(InputError, match=like("bad.pt is not a torch checkpoint ... a .pt")):
        load(tmp_path / "bad.pt")


@pytest.mark.command
def test_an_activation_that_is_code_is_not_evaluated(tmp_path, ran, checkpoint, dataset, monkeypatch, capsys):
    content = torch.load(checkpoint, weights_only=False)
    content["model"].yaml["activation"] = f"open({str(ran)!r}, 'w') and nn.SiLU()"
    torch.save(content, tmp_path / "bad.pt")
    monkeypatch.chdir(tmp_path)
    words = "model=bad.pt", f"data={dataset}", *QUICK
    code, out, err = command(monkeypatch, capsys, *words)
    assert code == 0, err
    remarks = json.loads((Path(out.splitlines()[-1]) / "results.json").read_text())["provenance"]["remarks"]
    assert says(remarks[0], "model=bad.pt ... yaml inside the checkpoint can't be built ... TypeError: unsupported")
    assert not ran.exists()


QUICK = "rounds=12", "threads=1", "rivals=none", "quant=none", "runtime=[onnxruntime]", "prune=0"


@pytest.fixture
def own(tmp_path, monkeypatch, checkpoint) -> Path:
    """A checkpoint with a block of the user's own, whose module other processes find as well."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "my_blocks.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path / "mine")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path / "mine"), os.environ.get("PYTHONPATH", ""))))
    import my_blocks

    content = torch.load(checkpoint, weights_only=False)
    content["model"].model[4] = my_blocks.Doubled(content["model"].model[4])
    torch.save(content, tmp_path / "own.pt")
    yield tmp_path / "own.pt"
    del sys.modules["my_blocks"]


@pytest.mark.command
def test_a_block_of_the_users_own_goes_through_a_whole_run_with_trust(own, dataset, monkeypatch, capsys):
    """Pruned, trained, exported, and timed in another process; the user's own variable doesn't decide."""
    monkeypatch.chdir(own.parent)
    monkeypatch.setenv("ULTRALYTICS_SAFE_LOAD", "true")
    words = f"model={own}", f"data={dataset}", *QUICK, "prune=0.2", "pruner=l2", "epochs=1", "batch=4"
    code, out, err = command(monkeypatch, capsys, *words, "trust=true")
    assert code == 0, err
    results = json.loads((Path(out.splitlines()[-1]) / "results.json").read_text())
    rows = {(row["variant"]["runtime"], row["name"]): row for row in results["results"]}
    assert rows.keys() == {(runtime, name) for runtime in ("torch", "onnxruntime") for name in ("original", "pruned")}
    assert all(row["latency"] for row in rows.values())
    assert rows["torch", "pruned"]["flops"] < 0.85 * rows["torch", "original"]["flops"]
    assert results["blocks"]["model.4"] == "Doubled"


@pytest.mark.command
@pytest.mark.parametrize("variable", ["true", "false"])
def test_trust_ends_with_its_run_and_the_environment_does_not_grant_it(variable, own, dataset, monkeypatch, capsys):
    monkeypatch.chdir(own.parent)
    monkeypatch.setenv("ULTRALYTICS_SAFE_LOAD", variable)
    words = f"model={own}", f"data={dataset}", *QUICK
    code, _, err = command(monkeypatch, capsys, *words)
    assert code == 1 and says(err, "(my_blocks.Doubled) ... any code ... trust=true")
    assert command(monkeypatch, capsys, *words, "trust=true")[0] == 0
    code, _, err = command(monkeypatch, capsys, *words)
    assert code == 1 and says(err, "(my_blocks.Doubled) ... any code ... trust=true")
    assert os.environ["ULTRALYTICS_SAFE_LOAD"] == variable


@pytest.mark.command
def test_each_job_of_a_sweep_says_for_itself_whether_to_trust(own, dataset, monkeypatch, capsys):
    monkeypatch.chdir(own.parent)
    words = f"model={own}", f"data={dataset}", *QUICK
    code, _, err = command(monkeypatch, capsys, "-m", *words, "trust=true,false")
    assert code == 1 and "(my_blocks.Doubled), since it could run any code" in err
    assert [path.parent.name for path in own.parent.glob("runs/sweep*/*/results.json")] == ["0"]


@pytest.mark.command
def test_processes_for_timing_trust_as_the_run_does(own):
    with trusted(True):
        assert run_in_new_process(load, own).model[4].__class__.__name__ == "Doubled"
    with trusted(False), pytest.raises(InputError, match=r"my_blocks\.Doubled"):
        run_in_new_process(load, own)


def test_a_trusted_checkpoint_whose_module_is_not_here_names_it(own, monkeypatch):
    monkeypatch.setattr(sys, "path", [place for place in sys.path if "mine" not in place])
    monkeypatch.delitem(sys.modules, "my_blocks")
    with trusted(True), pytest.raises(InputError, match=like("own.pt needs the module my_blocks ... PYTHONPATH")):
        load(own)
    monkeypatch.setitem(sys.modules, "my_blocks", None)


def copied(dataset: Path, folder: Path) -> Path:
    shutil.copytree(dataset.parent, folder, ignore=shutil.ignore_patterns("*.cache"))
    return folder / dataset.name


@pytest.mark.command
def test_a_label_cache_that_comes_with_a_data_set_is_neither_read_nor_written(
    tmp_path, ran, dataset, checkpoint, monkeypatch, capsys
):
    data = copied(dataset, tmp_path / "data")
    cache = data.parent / "labels" / "val.cache"
    with cache.open("wb") as file:
        np.save(file, np.array({"version": system(ran)}, dtype=object))
    before = cache.read_bytes()
    monkeypatch.chdir(tmp_path)
    code, _, err = command(monkeypatch, capsys, f"model={checkpoint}", f"data={data}", *QUICK)
    assert code == 0, err
    assert not ran.exists()
    assert cache.read_bytes() == before
    np.load(cache, allow_pickle=True)  # as ultralytics reads it
    assert ran.exists()


@pytest.mark.command
def test_a_label_cache_in_the_store_that_would_run_code_is_made_anew(
    tmp_path, ran, dataset, checkpoint, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    words = f"model={checkpoint}", f"data={copied(dataset, tmp_path / 'data')}", *QUICK
    assert command(monkeypatch, capsys, *words)[0] == 0
    caches = {cache: cache.read_bytes() for cache in (tmp_path / "runs" / "store").glob("*.labels")}
    assert len(caches) == 2  # of two splits
    for cache in caches:
        cache.write_bytes(pickle.dumps({"version": system(ran)}))
    assert command(monkeypatch, capsys, *words)[0] == 0
    assert not ran.exists()
    assert {cache: cache.read_bytes() for cache in caches} == caches


@pytest.mark.parametrize("download", ["open({!r}, 'w')", "bash -c touch${{IFS}}{}", "https://localhost:1/a.zip"])
def test_the_download_of_a_yaml_is_not_run(download, tmp_path, ran):
    yaml = tmp_path / "data.yaml"
    text = f"train: none\nval: none\nnames: [a]\ndownload: {json.dumps(download.format(str(ran)))}\n"
    yaml.write_text(text)
    with pytest.raises(InputError, match=like("data.yaml can't be used ... images not found")):
        resolve(str(yaml))
    assert not ran.exists()


@pytest.mark.parametrize("task", ["detect", "classify"])
def test_archives_and_addresses_are_not_unpacked(task, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.txt", "../../a.txt")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "a.txt", "../../a.txt")
    for given in (tmp_path / "a.zip", tmp_path / "a.tar", "https://localhost:1/a.zip"):
        with pytest.raises(InputError, match=like(f"data={given} is an archive or an address")):
            resolve(str(given), task)


@pytest.mark.command
def test_images_may_lie_elsewhere_and_nothing_is_written_there(tmp_path, dataset, checkpoint, monkeypatch, capsys):
    elsewhere = copied(dataset, tmp_path / "elsewhere").parent
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "linked").symlink_to(elsewhere)
    (tmp_path / "listed.txt").write_text("".join(f"{p}\n" for p in sorted((elsewhere / "images/val").iterdir())))
    yaml = tmp_path / "project" / "data.yaml"
    yaml.write_text("train: linked/images/train\nval: ../listed.txt\nnames: [dark, bright]\n")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def files() -> dict[str, bytes]:
        found = (p for p in tmp_path.rglob("*") if p.is_file() and tmp_path / "here" not in p.parents)
        return {p.relative_to(tmp_path).as_posix(): p.read_bytes() for p in found}

    before = files()
    words = f"model={checkpoint}", f"data={yaml}", *QUICK, "prune=0.2", "epochs=1", "batch=4"
    code, _, err = command(monkeypatch, capsys, *words)
    assert code == 0, err
    assert files() == before
    assert {p.name for p in (tmp_path / "here").iterdir()} == {"runs"}


def test_a_path_to_where_no_images_are_is_refused(tmp_path):
    (tmp_path / "data.yaml").write_text("train: ../../../../../../../etc\nval: /etc\nnames: [a]\n")
    with pytest.raises(InputError, match=like("data.yaml has no images ... train ... (/etc) ... check the path")):
        resolve(str(tmp_path / "data.yaml"))
