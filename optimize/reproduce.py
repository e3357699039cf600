"""`python -m optimize.reproduce RUN`: runs a finished run again, or only its timing, and says what differs."""

import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.table import Table

from optimize.errors import Differs, InputError, during
from optimize.json_document import MEANING, OPTION, json_document
from optimize.keys import meaning
from optimize.output import check_new
from optimize.provenance import host, versions
from optimize.report import results
from optimize.report.sections.section import DASH
from optimize.result import Report, Result
from optimize.sentences import one_sentence
from optimize.terminal import terminal
from optimize.verdict.repeated import Repeated, differences, repeated

HEAD = "variant", "runtime", "GFLOPs", "accuracy", "SHA-256", "faster, then", "faster, now", "ms, then", "ms, now"
ALONE = "python -m optimize"  # a command without words
TIMINGS = 3  # at most
KEPT = "store", "hydra.run.dir", "overwrite", "tracking"  # keys of the command that the repetition sets itself


def main() -> None:
    """Run again and compare.

    Raises:
        InputError: the run's folder or what it names can't be used, or a file that is to be timed was changed.
        Differs: a figure is not reproduced; exit code 4.
    """
    parser = ArgumentParser(
        "python -m optimize.reproduce",
        description="Check versions, hashes and data of a finished run, run it again from the beginning with a store "
        "of its own, and print its figures then and now. Give the command where the run was started.",
    )
    parser.add_argument("run", type=Path, help="folder of the run, e.g. runs/2026-11-22_12-00-00")
    parser.add_argument("--timing", action="store_true", help="only measure the latencies of its files again")
    parser.add_argument("--into", type=Path, help="new folder for the repetition; by default RUN_again")
    parser.add_argument("--trust", action="store_true", help=meaning("trust"))
    parser.add_argument(OPTION, action="store_true", help=MEANING)
    given = parser.parse_args()
    old = results.read(given.run / "results.json")
    check(old, given.trust)
    changed = list(changed_files(old))
    remarks = [*other_surroundings(old), *changed]
    with json_document(given.json) as write:
        for remark in remarks:
            print(remark)
        if given.timing:
            if changed:
                raise InputError(f"{changed[0]} Give a run whose files are as it left them.")
            rows = settled(old, time_again(old))
        else:
            into = given.into or given.run.with_name(f"{given.run.name}_again")
            check_new(f"--into {into}", into)
            rows = settled(old, run_again(old, into))
        found = differences(rows)
        if given.json:
            write({"remarks": remarks, "rows": [_row(one) for one in rows], "differences": found})
        else:
            _show(rows)
        if found:
            raise Differs(f"not reproduced: {' '.join(found)}")
        print("reproduced")


def check(old: Report, trust: bool) -> None:
    """Check that `old` is complete, and that its command can be given without harm: who sends a run chooses it.

    Raises:
        InputError: the run ended early; its command has words for Hydra, which can run code; or the run was made with
            `trust=true`, and this command is given without --trust.
    """
    if old.unfinished:
        raise InputError(f"the run ended early ({old.unfinished}), so there is nothing to repeat; give one that ended.")
    if foreign := [word for word in _words(old) if word.startswith("-") or _key(word).startswith("hydra")]:
        raise InputError(f"the run's command has words for Hydra ({' '.join(foreign)}); repeat it by hand.")
    check_trust(old, trust)


def check_trust(old: Report, trust: bool) -> None:
    """Check that the user trusts the makers of what `old` trusted.

    Raises:
        InputError: the run was made with `trust=true`, and this command is given without --trust.
    """
    if old.provenance.config.get("trust") and not trust:
        raise InputError(
            f"the run was made with trust=true, so its checkpoints can run any code (`{old.provenance.command}`); give "
            "--trust if you trust their makers."
        )


def _words(old: Report) -> list[str]:
    """The words of the run's command that are given again."""
    return [word for word in old.provenance.words if _key(word) not in KEPT]


def _key(word: str) -> str:
    """The key of an override, e.g. `prune` of `+prune=0.3`."""
    return word.partition("=")[0].lstrip("+~")


def other_surroundings(old: Report) -> Iterator[str]:
    """A sentence for each library and for the CPU that differs from those of the run."""
    now, made = versions(), old.provenance
    for library, version in made.versions.items():
        if now.get(library) != version:
            yield f"{library} was {version} and is {now.get(library) or 'not installed'}."
    here = host()
    if here.name != made.host.name:
        yield f"The run was measured on {made.host.name}, this is {here.name}: only ratios of times can agree."


def changed_files(old: Report) -> Iterator[str]:
    """A sentence for each artefact that is missing or was changed since the run."""
    from optimize.store.apply import digest

    for row in old.results:
        path = row.variant.path
        if not path.exists():
            yield f"{path} is missing."
        elif digest(path) != row.sha256:
            yield f"{path} was changed since the run."


def settled(old: Report, new: Report) -> list[Repeated]:
    """Each row of `old` beside the one of `new`, which are timed again as long as times differ, at most twice.

    A machine that others share has states that last for minutes, in which some files take longer than others. So a row
    is taken from the first timing in which it takes the time that it took, else from the last.
    """
    rows = repeated(old, new)
    for left in range(TIMINGS - 1, 0, -1):
        differing = sum(row.time_differs for row in rows)
        if not differing:
            break
        print(f"{differing} of {len(rows)} rows take another time; timing again, at most {left} times")
        again = repeated(old, time_again(new))
        rows = [now if before.time_differs else before for before, now in zip(rows, again, strict=True)]
    return rows


def time_again(old: Report) -> Report:
    """`old` with latencies that are measured now, on the same number of threads."""
    from optimize.sweep.timing import timed

    untimed = [replace(row, latency=None) for row in old.results]
    with during("timing again"):
        (new,) = timed([replace(old, results=tuple(untimed), noise=None, noise_spread=None)])
    return new


def run_again(old: Report, into: Path) -> Report:
    """The report of the same command, run from the beginning into `into` with an empty store.

    Raises:
        InputError: the command can't be run again, or ended early; what it printed says why.
    """
    if not old.provenance.words and old.provenance.command != ALONE:
        raise InputError(f"an earlier version made this run, so repeat it by hand: `{old.provenance.command}`.")
    with TemporaryDirectory() as store:
        command = [sys.executable, "-m", "optimize", *_words(old), f"store={store}", f"hydra.run.dir={into}"]
        subprocess.run(command, stdout=subprocess.DEVNULL)  # a failed row has exit code 1 and a report as well
    if not (into / "results.json").is_file():
        raise InputError(f"`{old.provenance.command}` could not be run again here; see above.")
    new = results.read(into / "results.json")
    if new.unfinished:
        raise InputError(f"the repetition in {into} ended early: {new.unfinished}.")
    return new


def _show(rows: list[Repeated]) -> None:
    table = Table(*HEAD)
    for one in rows:
        table.add_row(*_cells(one))
    terminal().print(table)


def _cells(one: Repeated) -> tuple[str, ...]:
    old, new = one.old, one.new
    before, after = old.latency, new.latency if new else None
    return (
        old.variant.name,
        old.variant.runtime,
        _both(f"{old.flops / 1e9:.3f}", f"{new.flops / 1e9:.3f}" if new else DASH),
        _both(f"{old.accuracy.score:.4f}", f"{new.accuracy.score:.4f}" if new else DASH),
        _both(old.sha256[:8], new.sha256[:8] if new else DASH),
        *(f"{t.speedup:.2f}x [{t.speedup_low:.2f}-{t.speedup_high:.2f}]" if t else DASH for t in (before, after)),
        *(f"{t.median_ms:.2f}" if t else DASH for t in (before, after)),
    )


def _row(one: Repeated) -> dict[str, Any]:
    variant = one.old.variant
    return {
        "variant": variant.name,
        "runtime": variant.runtime,
        "precision": variant.precision,
        "then": _figures(one.old),
        "now": _figures(one.new) if one.new else None,
        "differences": one.differences,
    }


def _figures(row: Result) -> dict[str, Any]:
    time = row.latency
    names = "speedup", "speedup_low", "speedup_high", "median_ms"
    times = {name: getattr(time, name) if time else None for name in names}
    return {"flops": row.flops, "accuracy": row.accuracy.score, "sha256": row.sha256, **times}


def _both(then: str, now: str) -> str:
    return then if then == now else f"{then} -> {now}"


if __name__ == "__main__":
    with one_sentence():
        main()
