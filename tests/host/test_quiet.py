"""On one host many runs may work at once, but who times is alone."""

import errno
import logging
import os
import re
import stat
import time
from collections.abc import Callable
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from helpers.messages import says
from optimize.host import quiet
from optimize.host.quiet import away, timing, working
from optimize.store.held import held

SPAWN = get_context("spawn")  # the processes share nothing but the folder


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(quiet, "FOLDER", tmp_path)
    return tmp_path


def begin(function: Callable, *arguments: object) -> BaseProcess:
    process = SPAWN.Process(target=_in, args=(quiet.FOLDER, function, arguments))
    process.start()
    return process


def _in(folder: Path, function: Callable, arguments: tuple) -> None:
    quiet.FOLDER = folder
    function(*arguments)


def ended(*processes: BaseProcess) -> None:
    for process in processes:
        process.join(30)
        assert process.exitcode == 0, "it waits for ever, or failed"


def note(log: Path, word: str) -> None:
    with log.open("a") as lines:
        lines.write(f"{word} {time.monotonic()}\n")


def during(kind: Callable, log: Path, seconds: float) -> None:
    with kind():
        note(log, f"+{kind.__name__}")
        time.sleep(seconds)
        note(log, f"-{kind.__name__}")


def words(log: Path) -> list[str]:
    return [line.rpartition(" ")[0] for line in log.read_text().splitlines()] if log.exists() else []


def until(log: Path, *wanted: str) -> None:
    end = time.monotonic() + 20
    while not all(words(log).count(word) >= wanted.count(word) for word in wanted):
        assert time.monotonic() < end, f"{log.read_text() if log.exists() else 'nothing'} without {wanted}"
        time.sleep(0.01)


@pytest.mark.command
def test_two_work_at_once(folder):
    log = folder / "log"
    ended(*[begin(during, working, log, 0.5) for _ in range(2)])
    assert words(log) == ["+working", "+working", "-working", "-working"]


@pytest.mark.command
def test_who_times_is_alone(folder):
    log = folder / "log"
    kinds = [timing, working, timing, working, working]
    ended(*[begin(during, kind, log, 0.2) for kind in kinds])
    inside: list[str] = []
    for word in words(log):
        (inside.append if word[0] == "+" else inside.remove)(word[1:])
        assert "timing" not in inside or inside == ["timing"]
    assert words(log).count("-timing") == 2 and words(log).count("-working") == 3


@pytest.mark.command
def test_who_waits_to_time_is_not_overtaken_by_new_work(folder):
    log = folder / "log"
    first = begin(during, working, log, 2.0)
    until(log, "+working")
    timer = begin(during, timing, log, 0.1)
    time.sleep(1)  # it waits now
    ended(first, timer, begin(during, working, log, 0.1))
    assert words(log) == ["+working", "-working", "+timing", "-timing", "+working", "-working"]


def _work_then_time(log: Path) -> None:
    with working():
        note(log, "+working")
        until(log, "+working", "+working")
        for _ in range(3):
            during(timing, log, 0.05)
            with working():
                note(log, "again")


@pytest.mark.command
def test_two_that_work_and_time_inside_it_do_not_wait_for_each_other_for_ever(folder):
    log = folder / "log"
    ended(*[begin(_work_then_time, log) for _ in range(2)])
    order = [word for word in words(log) if word.endswith("timing")]
    assert order == ["+timing", "-timing"] * 6


def _need_a_thing(log: Path, store: Path) -> None:
    with working():
        note(log, "working")
        until(log, "held", "wants to time")
        with held(store, "thing"):
            note(log, "got it")


def _hold_the_thing(log: Path, store: Path) -> None:
    with held(store, "thing"):
        note(log, "held")
        until(log, "working", "wants to time")
        time.sleep(0.5)
        with working():
            note(log, "worked")


def _time(log: Path) -> None:
    until(log, "held", "working")
    note(log, "wants to time")
    during(timing, log, 0.1)


@pytest.mark.command
def test_who_works_and_waits_for_what_another_makes_lets_others_time(folder):
    """Otherwise the first waits for the second, that for its turn behind the third, and the third for the first."""
    log = folder / "log"
    ended(begin(_need_a_thing, log, folder), begin(_hold_the_thing, log, folder), begin(_time, log))
    assert words(log)[-1] in ("got it", "-timing") and "worked" in words(log)


def _time_twice(log: Path) -> None:
    for times in (1, 2):
        until(log, *["go"] * times)
        note(log, "wants")
        during(timing, log, 0.1)


@pytest.mark.command
def test_work_that_is_away_lets_a_timing_in(folder):
    log = folder / "log"
    timer = begin(_time_twice, log)
    with working():
        note(log, "go")
        until(log, "wants")
        time.sleep(0.5)
        assert words(log) == ["go", "wants"]
        with away():
            until(log, "-timing")
        note(log, "go")
        until(log, "wants", "wants")
        time.sleep(0.5)
        assert words(log)[-1] == "wants", "the work goes on, so nobody times"
    ended(timer)
    assert words(log).count("-timing") == 2


@pytest.mark.command
@pytest.mark.parametrize("kind", [working, timing])
def test_the_locks_of_a_killed_process_vanish(kind, folder):
    log = folder / "log"
    killed = begin(during, kind, log, 60)
    until(log, f"+{kind.__name__}")
    killed.kill()
    ended(begin(during, timing, log, 0))
    assert words(log)[-1] == "-timing"


@pytest.mark.command
def test_waiting_is_told_once(folder, caplog):
    log = folder / "log"
    timer = begin(during, timing, log, 2.0)
    until(log, "+timing")
    caplog.set_level(logging.INFO)
    with working():
        assert words(log)[-1] == "-timing"
    ended(timer)
    (line,) = caplog.messages
    assert says(line, "waiting ... another run on this host ... timing")


@pytest.mark.command
def test_short_waits_and_none_are_not_told(folder, caplog):
    log = folder / "log"
    timer = begin(during, timing, log, 0.3)
    until(log, "+timing")
    caplog.set_level(logging.INFO)
    with working(), timing(), working():
        pass
    ended(timer)
    assert caplog.messages == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_any_user_may_open_the_files(folder):
    before = os.umask(0o077)
    try:
        with working():
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    finally:
        os.umask(before)
    gate, worker = sorted(modes)
    assert gate == "yolo-optimize.gate.lock" and re.fullmatch(r"yolo-optimize\.work\.[0-9a-f]{32}\.lock", worker)
    assert set(modes.values()) == {0o666}


@pytest.mark.command
def test_an_error_inside_leaves_nothing_locked(folder):
    for kind in (working, timing):
        with pytest.raises(ValueError), kind():
            raise ValueError
    with pytest.raises(ValueError), working(), timing():
        raise ValueError
    ended(begin(during, timing, folder / "log", 0))


@pytest.mark.command
def test_who_works_leaves_no_file_and_who_times_clears_away_those_of_killed_processes(folder):
    killed = begin(during, working, folder / "log", 60)
    until(folder / "log", "+working")
    killed.kill()
    killed.join()
    with working():
        assert len(list(folder.glob(quiet.WORKERS))) == 2
        with timing():
            assert list(folder.glob(quiet.WORKERS)) == []
        assert len(list(folder.glob(quiet.WORKERS))) == 1
    assert list(folder.glob(quiet.WORKERS)) == []


def _leave_a_child(log: Path) -> None:
    with working():
        get_context("fork").Process(target=time.sleep, args=(60,)).start()  # as a data loader on Linux does
        note(log, "forked")
        time.sleep(60)


@pytest.mark.command
@pytest.mark.skipif("fork" not in get_all_start_methods(), reason="this system forks no processes")
def test_children_that_outlive_a_killed_process_hold_no_lock_of_its(folder):
    log = folder / "log"
    killed = begin(_leave_a_child, log)
    until(log, "forked")
    (child,) = psutil.Process(killed.pid).children()
    killed.kill()
    try:
        ended(begin(during, timing, log, 0))
        assert child.is_running()
    finally:
        child.kill()


def test_where_nothing_can_be_locked_a_run_says_so_once_and_goes_on(folder, monkeypatch, caplog):
    quiet._warn.cache_clear()
    monkeypatch.setattr(quiet, "FOLDER", folder / "missing" / "folder")
    monkeypatch.setattr(FileLock, "acquire", _unable)
    with working(), timing(), away(), working():
        pass
    (said,) = caplog.messages
    assert says(said, "not implemented ... other runs on this host may disturb")


def _unable(*_, **__):
    raise OSError(errno.ENOSYS, "not implemented")
