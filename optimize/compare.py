"""`python -m optimize.compare OLD NEW`: whether a new run is worse than an old one, for a test of a user's own CI."""

from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from optimize.errors import Differs, InputError, MeasurementError, during
from optimize.host.quiet import timing
from optimize.json_document import MEANING, OPTION, json_document
from optimize.keys import meaning
from optimize.measure import clock, slowdown
from optimize.measure.slowdown import Slowdown
from optimize.prepare import runtimes
from optimize.report import results
from optimize.reproduce import check_trust
from optimize.result import Report, Result
from optimize.runtime.session import Runtime
from optimize.sentences import one_sentence
from optimize.store.apply import digest
from optimize.terminal import terminal
from optimize.variant import Variant
from optimize.verdict.plain import called
from optimize.verdict.repeated import repeated
from optimize.verdict.verdict import chosen, decide
from optimize.verdict.worse import Change, changes, sentences
from optimize.yolo.checkpoint import trusted

HEAD = "figure", "old", "new", "change", "noise", ""


@dataclass(frozen=True)
class Given:
    """One side of the comparison: a report, and the folder that it lies in."""

    report: Report
    folder: Path


@dataclass(frozen=True)
class Compared:
    """A row of the old run, and what became of each of its figures; None where the new run lacks the row."""

    row: Result
    figures: list[Change] | None

    @property
    def worse(self) -> list[str]:
        """A sentence for everything that is worse."""
        name = called(self.row)
        return [f"{name}: it is missing."] if self.figures is None else list(sentences(name, self.figures))

    @property
    def unknown(self) -> list[str]:
        """A sentence for each figure that can't be compared."""
        figures = self.figures or []
        return [f"{called(self.row)}: {one.what}: {one.reason}." for one in figures if one.worse is None]


def main() -> None:
    """Compare two reports.

    Raises:
        InputError: one of both can't be used.
        MeasurementError: a file can't be opened or called.
        Differs: a figure is worse by more than its noise; exit code 4.
    """
    parser = ArgumentParser(
        "python -m optimize.compare",
        description="Compare what an old run would deploy with the same row of a new one: FLOPs, size and accuracy by "
        "the records; the time of both files now and in turns where both are here, else by their speed-ups over their "
        "originals. Exit code 4 where a figure is worse by more than its noise.",
    )
    parser.add_argument("old", type=Path, help="folder of a run, or a results.json that was kept as the bar")
    parser.add_argument("new", type=Path, help="folder of a run, or its results.json")
    parser.add_argument("--all", action="store_true", help="compare every row but rivals; takes 20 seconds a row")
    parser.add_argument("--trust", action="store_true", help=meaning("trust"))
    parser.add_argument(OPTION, action="store_true", help=MEANING)
    given = parser.parse_args()
    old, new = _read(given.old, given.trust), _read(given.new, given.trust)
    rows: list[Compared] = []
    with trusted(given.trust), json_document(given.json) as write:
        for before, after in pairs(old.report, new.report, given.all):
            rows.append(_compared(before, after, old, new))
            if not given.json:
                _show(rows[-1])
        for sentence in (sentence for row in rows for sentence in row.unknown):
            print(f"not compared: {sentence}")
        if given.json:
            write(_document(rows))
        if worse := [sentence for row in rows for sentence in row.worse]:
            raise Differs(f"worse: {' '.join(worse)}")
        print("not worse")


def _compared(before: Result, after: Result | None, old: Given, new: Given) -> Compared:
    if after is None:
        return Compared(before, None)
    return Compared(before, changes((before, old.report), (after, new.report), *_timed(before, after, old, new)))


def pairs(old: Report, new: Report, all_rows: bool) -> Iterator[tuple[Result, Result | None]]:
    """What the old run would deploy, or all its rows but rivals, each with the new run's row of the same name."""
    first = chosen(old) or decide(old).choice
    for one in repeated(old, new):
        if not one.old.rival if all_rows else one.old is first:
            yield one.old, one.new


def _read(given: Path, trust: bool) -> Given:
    file = given if given.is_file() else given / "results.json"
    report = results.read(file)
    if report.unfinished:
        raise InputError(f"{given} ended early ({report.unfinished}); give a run that ended.")
    check_trust(report, trust)
    return Given(report, file.parent)


def _timed(before: Result, after: Result, old: Given, new: Given) -> tuple[Slowdown | None, str]:
    """The times of both files now; or None, and why not."""
    known = {one.info.name: one for side in (old, new) for one in runtimes(side.report.provenance.config)}
    runtime = known.get(before.variant.runtime)
    if runtime is None:
        return None, f"neither run says how {before.runtime.title} opens a file"
    if reason := runtime.unavailable():
        return None, f"{runtime.info.title} can't be used here: {reason}"
    here = _here(before, old.folder), _here(after, new.folder)
    if here[0] is None or here[1] is None:
        which = "old" if here[0] is None else "new"
        return None, f"the {which} file is not here, or not as its run left it"
    return _slowdown(runtime, here[0], here[1], new.report), ""


def _slowdown(runtime: Runtime, before: Variant, after: Variant, report: Report) -> Slowdown:
    threads, seed = report.provenance.threads, report.provenance.config["seed"]
    try:
        with during(f"timing {before.name} of both runs"), timing():
            return slowdown.measure((runtime.open, before), (runtime.open, after), threads, seed)
    except clock.Stopped as error:
        which = "new" if error.index % 2 else "old"
        raise MeasurementError(f"the {which} {before.name} on {runtime.info.title} can't be timed: {error}") from error


def _here(row: Result, folder: Path) -> Variant | None:
    """The row's file where its run left it, below `folder` or where the record says; None where neither is the same."""
    variant = row.variant
    places = folder / "artefacts" / variant.runtime / f"{variant.name}{variant.ending}", variant.path
    found = (place for place in places if place.exists() and digest(place) == row.sha256)
    place = next(found, None)
    return None if place is None else replace(variant, path=place)


def _show(compared: Compared) -> None:
    if compared.figures is None:
        return
    table = Table(*HEAD, title=called(compared.row))
    for one in compared.figures:
        mark = {True: "worse", False: "", None: "not compared"}[one.worse]
        table.add_row(one.what, one.old, one.new, one.change, one.noise, mark)
    terminal().print(table)


def _document(rows: list[Compared]) -> dict[str, Any]:
    return {
        "rows": [_row(one) for one in rows],
        "worse": [sentence for one in rows for sentence in one.worse],
        "not_compared": [sentence for one in rows for sentence in one.unknown],
    }


def _row(compared: Compared) -> dict[str, Any]:
    variant = compared.row.variant
    figures = compared.figures
    return {
        "variant": variant.name,
        "runtime": variant.runtime,
        "precision": variant.precision,
        "figures": figures and [_figure(one) for one in figures],
    }


def _figure(one: Change) -> dict[str, Any]:
    old, new = one.numbers or (None, None)
    texts = {"change": one.change, "noise": one.noise, "worse": one.worse, "reason": one.reason}
    return {"figure": one.what, "old": old, "new": new, **texts}


if __name__ == "__main__":
    with one_sentence():
        main()
