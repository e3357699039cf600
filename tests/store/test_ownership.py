"""Nothing that we did not make is ever deleted or overwritten, whatever folder is given."""

import shutil
import sys
from pathlib import Path

import pytest

from helpers import reports
from helpers.messages import like
from helpers.ownership import finished, put, snapshot
from optimize import import_measurement, output, profile_device
from optimize.data.digits import compose
from optimize.errors import InputError
from optimize.flops import files as flops_files
from optimize.report import draw, write
from optimize.run import _acquire_lock
from optimize.sentences import one_sentence
from optimize.store import __main__ as store_command
from optimize.store import contents, manifest
from optimize.store.manifest import RUN, STORE, SWEEP, placing

# -- the manifest --


def test_only_what_is_as_we_wrote_it_is_replaced(tmp_path):
    put(tmp_path, "report.md", "old")
    put(tmp_path, "report.md", "new")
    assert (tmp_path / "report.md").read_text() == "new"
    (tmp_path / "report.md").write_text("mine")
    (tmp_path / "results.json").write_text("mine too")
    before = snapshot(tmp_path)
    for name in ("report.md", "results.json"):
        with pytest.raises(InputError, match=like(f"{name} is not as this program wrote it ... move it")):
            put(tmp_path, name, "newer")
    assert snapshot(tmp_path) == before


def test_files_are_placed_together_or_not_at_all(tmp_path):
    (tmp_path / "b").write_text("mine")
    with pytest.raises(InputError), placing(tmp_path) as partial:
        (partial / "a").write_text("ours")
        (partial / "b").write_text("ours")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_link_is_never_written_through_nor_taken_for_ours(tmp_path):
    outside = tmp_path / "thesis.txt"
    outside.write_text("x")
    folder = tmp_path / "run"
    manifest.begin(folder, RUN)
    put(folder, "report.md", "x")
    (folder / "report.md").unlink()
    (folder / "report.md").symlink_to(outside)
    with pytest.raises(InputError):
        put(folder, "report.md", "new")
    with pytest.raises(InputError):
        manifest.remove(folder, ["report.md"])
    assert outside.read_text() == "x"


def test_what_is_removed_is_ours_and_foreign_files_beside_it_keep_their_folder(tmp_path):
    put(tmp_path, "artefacts/torch/a.pt", "a")
    put(tmp_path, "artefacts/onnx/b.onnx", "b")
    (tmp_path / "mine").mkdir()
    manifest.remove(tmp_path, ["artefacts"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [manifest.NAME, "mine"]
    put(tmp_path, "artefacts/torch/a.pt", "a")
    for foreign in ("artefacts/mine", "artefacts/mine/thesis.txt"):  # an empty folder is somebody's, too
        (tmp_path / foreign).mkdir() if foreign.endswith("mine") else (tmp_path / foreign).write_text("x")
        before = snapshot(tmp_path)
        with pytest.raises(InputError, match=f"{foreign} is not as this program wrote it"):
            manifest.remove(tmp_path, ["artefacts"])
        assert snapshot(tmp_path) == before


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff", b'{"kind": 1}', b'{"kind": "run", "files": {"a": 1}}'])
def test_a_damaged_manifest_proves_nothing(damage, tmp_path):
    put(tmp_path, "report.md", "x")
    (tmp_path / manifest.NAME).write_bytes(damage)
    assert manifest.read(tmp_path) is None
    with pytest.raises(InputError):
        put(tmp_path, "report.md", "y")
    with pytest.raises(InputError, match=r"holds \.optimize\.json"):
        output.claim(tmp_path, RUN, overwrite=True)


@pytest.mark.parametrize("end", [manifest.finish, manifest.rest])
@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_bytes(b"{")])
def test_a_manifest_that_is_lost_during_the_work_is_said_and_not_made_anew(damage, end, tmp_path):
    manifest.begin(tmp_path, RUN)
    damage(tmp_path / manifest.NAME)
    before = snapshot(tmp_path)
    with pytest.raises(InputError, match=r"\.optimize\.json was deleted or changed during the work"):
        end(tmp_path)
    assert snapshot(tmp_path) == before


# -- where a run may write --


@pytest.mark.parametrize("kind", [RUN, SWEEP])
def test_a_folder_is_new_or_empty_or_holds_no_name_of_ours(kind, tmp_path):
    assert output.claim(tmp_path / "new", kind, overwrite=False) == tmp_path / "new"
    assert not (tmp_path / "new").exists()
    assert output.claim(tmp_path, kind, overwrite=False) == tmp_path
    (tmp_path / "thesis.txt").write_text("x")
    assert output.claim(tmp_path, kind, overwrite=False) == tmp_path
    for name in (*output.NAMES[kind], *(["0"] if kind == SWEEP else [])):
        (tmp_path / name).mkdir()
        with pytest.raises(InputError) as error:
            output.claim(tmp_path, kind, overwrite=True)
        assert f"{output.KEYS[kind]}={tmp_path} holds {name}, " in str(error.value)
        (tmp_path / name).rmdir()
    (tmp_path / "thesis.txt").unlink()
    with pytest.raises(InputError, match=like("is a file ... give a folder")):
        (tmp_path / "file").touch()
        output.claim(tmp_path / "file", kind, overwrite=True)


@pytest.mark.parametrize(("there", "asked"), [(RUN, SWEEP), (SWEEP, RUN), (STORE, RUN), (STORE, SWEEP)])
def test_a_folder_of_another_kind_is_refused(there, asked, tmp_path):
    manifest.begin(tmp_path, there)
    with pytest.raises(InputError, match=like(f"holds a {there} ... another folder for a {asked}")):
        output.claim(tmp_path, asked, overwrite=True)


def test_a_finished_run_is_replaced_only_when_told_and_only_whole(tmp_path):
    old = finished(tmp_path / "b")
    before = snapshot(old)
    with pytest.raises(InputError, match=like("b holds a finished run ... another folder ... overwrite=true")):
        output.claim(old, RUN, overwrite=False)
    new = output.claim(old, RUN, overwrite=True)
    assert new == tmp_path / "b.new" and not new.exists()
    output.start(new)
    put(new, "report.md", "newer")
    assert snapshot(old) == before
    manifest.finish(new)
    output.publish(new, old)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert sorted(path.name for path in old.iterdir()) == [manifest.NAME, "report.md"]
    assert (old / "report.md").read_text() == "newer"


def test_a_folder_of_the_users_beside_a_run_is_never_taken(tmp_path):
    old = finished(tmp_path / "b")
    (tmp_path / "b.new").mkdir()
    assert output.claim(old, RUN, overwrite=True) == tmp_path / "b.new2"
    finished(tmp_path / "b.new2")  # as a successor that could not take its place
    stopped = tmp_path / "b.new3"
    manifest.begin(stopped, RUN)
    assert output.claim(old, RUN, overwrite=True) == stopped
    (stopped / "notes.txt").write_text("mine")
    assert output.claim(old, RUN, overwrite=True) == tmp_path / "b.new4"


@pytest.mark.parametrize(("kind", "name"), [(RUN, "2"), (RUN, "mine"), (SWEEP, "5")])
def test_what_lies_inside_a_finished_run_is_no_job_of_it(kind, name, tmp_path):
    finished(tmp_path / "b" / name, kind)
    old = tmp_path / "b"
    manifest.begin(old, RUN)
    manifest.finish(old)
    with pytest.raises(InputError, match=f"holds {name}/"):
        output.claim(old, RUN, overwrite=True)


def test_a_run_that_could_not_take_its_place_leaves_both(tmp_path, monkeypatch):
    old, new = finished(tmp_path / "b"), finished(tmp_path / "b.new")
    before, moves = snapshot(tmp_path), []

    def move(source, target):
        moves.append(source)
        if len(moves) == 2:
            raise PermissionError(13, "open", str(source))
        source.rename(target)

    monkeypatch.setattr(output, "move", move)
    with pytest.raises(PermissionError):
        output.publish(new, old)
    assert snapshot(tmp_path) == before
    monkeypatch.undo()
    shutil.rmtree(old)
    output.publish(new, old)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_run_that_ended_while_another_was_checked_is_not_touched(tmp_path):
    folder = tmp_path / "b"
    manifest.begin(folder, RUN)
    assert output.claim(folder, RUN, overwrite=False) == folder
    finished(folder)
    before = snapshot(folder / "artefacts")
    for overwrite, why in ((False, "holds a finished run"), (True, "was changed by another process")):
        with pytest.raises(InputError, match=why):
            _acquire_lock(folder, folder, overwrite)
        assert snapshot(folder / "artefacts") == before
        assert manifest.read(folder).finished


@pytest.mark.parametrize("change", ["edited", "added", None])
def test_what_was_changed_in_the_store_is_not_cleared(change, tmp_path):
    (tmp_path / "runs").mkdir()
    data = compose(tmp_path / "store", 2, 1)
    if change == "edited":
        next(data.parent.glob("labels/train/*.txt")).write_text("0 0.5 0.5 1 1")
    if change == "added":
        (data.parent / "notes.txt").write_text("mine")
    contents.begin_store(tmp_path / "store")
    contents.clear(tmp_path / "store", [tmp_path / "runs"])
    assert data.exists() == bool(change)


@pytest.mark.parametrize("change", ["edited", "added", "linked"])
def test_a_finished_run_with_a_file_of_the_users_is_not_replaced(change, tmp_path):
    old = finished(tmp_path / "b")
    name = {"edited": "report.md", "added": "notes.txt", "linked": "artefacts/link"}[change]
    if change == "linked":
        (old / name).symlink_to(tmp_path)
    else:
        (old / name).write_text("mine")
    with pytest.raises(InputError, match=f"holds {name}, "):
        output.claim(old, RUN, overwrite=True)


def test_a_run_that_is_changed_while_its_successor_is_made_is_kept_beside_it(tmp_path):
    old = finished(tmp_path / "b")
    new = finished(tmp_path / "b.new")
    (old / "notes.txt").write_text("mine")
    before = snapshot(tmp_path)
    with pytest.raises(InputError, match=like("b/notes.txt was changed ... b.new")):
        output.publish(new, old)
    assert snapshot(tmp_path) == before


def test_an_unfinished_run_goes_on_in_its_folder_without_what_it_had_left(tmp_path):
    manifest.begin(tmp_path, RUN)
    put(tmp_path, "artefacts/torch/pruned.pt", "of the first try")
    (tmp_path / "optimize.log").write_text("killed")
    assert output.claim(tmp_path, RUN, overwrite=False) == tmp_path
    output.start(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [manifest.NAME, "optimize.log"]
    put(tmp_path, "artefacts/torch/pruned.pt", "weights")
    (tmp_path / "artefacts" / "torch" / "pruned.pt").write_text("trained on by the user")
    with pytest.raises(InputError, match=r"holds artefacts/torch/pruned\.pt, "):
        output.claim(tmp_path, RUN, overwrite=True)


def test_what_is_drawn_again_replaces_no_report_that_was_edited(tmp_path, monkeypatch, capsys):
    for name in ("page", "chart_image"):  # altair takes seconds, and which file it is makes no difference
        monkeypatch.setattr(f"optimize.report.{name}.write", lambda report, path, *_: path.write_text("drawn"))
    write(reports.report(disagreement=None), tmp_path)
    first = (tmp_path / "report.md").read_text()
    draw(reports.report(disagreement=None), tmp_path)
    (tmp_path / "report.md").write_text(first + "my remarks")
    before = snapshot(tmp_path)
    with pytest.raises(InputError, match=r"report\.md is not as"):
        draw(reports.report(disagreement=None), tmp_path)
    monkeypatch.setattr("optimize.import_measurement.added", lambda report, new: report)
    monkeypatch.setattr("optimize.bundle.measurement.read", lambda path: None)
    monkeypatch.setattr(sys, "argv", ["import_measurement", str(tmp_path), "measurement.json"])
    with pytest.raises(SystemExit):
        import_measurement.main()
    assert "report.md is not as" in capsys.readouterr().err
    assert snapshot(tmp_path) == before


# -- the store and single files --


def test_a_store_is_new_empty_ours_or_holds_no_name_of_ours(tmp_path):
    contents.check_store(tmp_path / "new")
    contents.check_store(tmp_path)
    (tmp_path / "thesis.txt").write_text("x")
    contents.check_store(tmp_path)
    (tmp_path / "0123456789abcdef").mkdir()
    with pytest.raises(InputError, match=like("holds 0123456789abcdef, ... give another")):
        contents.check_store(tmp_path)
    (tmp_path / "0123456789abcdef" / "variant.json").write_text("{}")  # as an older version left it
    contents.check_store(tmp_path)
    with pytest.raises(InputError, match=like("is a file ... give a folder")):
        contents.check_store(tmp_path / "thesis.txt")
    with pytest.raises(InputError, match=like("holds a run ... another folder")):
        contents.check_store(finished(tmp_path / "run"))


def test_a_folder_that_is_no_store_is_never_cleared(tmp_path, monkeypatch, capsys):
    (tmp_path / "runs").mkdir()
    (tmp_path / "mine" / "0123456789abcdef").mkdir(parents=True)
    (tmp_path / "mine" / "0123456789abcdef" / "thesis.txt").write_text("x")
    before = snapshot(tmp_path)
    monkeypatch.setattr(sys, "argv", ["store", "--clear", "--forget-old", "--store", str(tmp_path / "mine")])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit), one_sentence():
        store_command.main()
    assert "is not a store" in capsys.readouterr().err
    assert snapshot(tmp_path) == before


def test_a_single_file_is_always_new(tmp_path, monkeypatch):
    for name in ("flops.csv", "flops.json", "here.yaml"):
        (tmp_path / name).write_text("mine")
    before = snapshot(tmp_path)
    for name in ("flops.csv", "flops.json"):
        with pytest.raises(InputError, match=like(f"{name} exists ... give another name")):
            flops_files.check(tmp_path / name)
    monkeypatch.setattr(sys, "argv", ["profile_device", str(tmp_path / "here.yaml")])
    with pytest.raises(InputError, match=like("here.yaml exists ... give another name")):
        profile_device.main()
    assert snapshot(tmp_path) == before
