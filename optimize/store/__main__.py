"""`python -m optimize.store [--clear]`: lists what the store holds, and deletes what no run uses."""

from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from optimize.errors import InputError
from optimize.json_document import MEANING, OPTION, json_document
from optimize.sentences import one_sentence
from optimize.store.contents import Thing, clear, contents, folders, size
from optimize.terminal import terminal

LATEST = 253_000_000_000  # seconds since 1970: the year 9987; file times can be larger than datetime takes


@dataclass(frozen=True)
class Sum:
    """Of several things: how many, their bytes, those of them that runs use, and the oldest use; None without any."""

    count: int
    bytes: int
    bytes_used: int
    oldest_use: datetime | None

    @property
    def bytes_unused(self) -> int:
        return self.bytes - self.bytes_used

    @property
    def cells(self) -> tuple[str, ...]:
        """For the table, MB being millions of bytes."""
        sizes = (_mb(size) for size in (self.bytes, self.bytes_used, self.bytes_unused))
        return str(self.count), *sizes, f"{self.oldest_use:%Y-%m-%d %H:%M}" if self.oldest_use else "-"

    @property
    def content(self) -> dict[str, Any]:
        """For JSON."""
        oldest = self.oldest_use.astimezone().isoformat(timespec="seconds") if self.oldest_use else None
        return asdict(self) | {"bytes_unused": self.bytes_unused, "oldest_use": oldest}


def main() -> None:
    """List the store's content, or clear it.

    Raises:
        InputError: a folder is missing, or it is not known what the runs use.
    """
    parser = ArgumentParser(
        "python -m optimize.store",
        description="Show what the store holds and which part of it no run uses. "
        "A run uses what it made or found in the store until you delete the run's folder.",
    )
    add = parser.add_argument
    add("--clear", action="store_true", help="delete what no run uses, and unfinished work of killed runs")
    add("--store", type=Path, default=Path("runs/store"), help="folder of the store (default: %(default)s)")
    runs = "folders that hold all runs that use the store, at any depth (default: runs)"
    add("--runs", type=Path, nargs="+", default=[Path("runs")], help=runs)
    add("--forget-old", action="store_true", help="clear even though runs of older versions don't list what they use")
    add(OPTION, action="store_true", help=MEANING)
    given = parser.parse_args()
    if given.clear:
        _clear(given.store, given.runs, given.forget_old, given.json)
        return
    things = contents(given.store, given.runs)
    noting, old = folders(given.store, given.runs)
    if given.json:
        with json_document(True) as write:
            write(_document(given.store, things, noting, old))
    else:
        _show(given.store, things, noting, old)


def _document(store: Path, things: Sequence[Thing], noting: Sequence[Path], old: Sequence[Path]) -> dict[str, Any]:
    kinds = [{"kind": kind, **whole.content} for kind, whole in _kinds(things)]
    runs = {"runs": len(noting), "runs_without_list": [str(run) for run in old]}
    return {"store": str(store), "kinds": kinds, "all": _sum(things).content, **runs}


def _show(store: Path, things: Sequence[Thing], noting: Sequence[Path], old: Sequence[Path]) -> None:
    table = Table(title=str(store), title_justify="left", title_style="bold")
    for name in ("what", "count", "MB", "MB used by runs", "MB unused", "oldest use"):
        table.add_column(name, justify="left" if name == "what" else "right", no_wrap=True)
    for kind, whole in _kinds(things):
        table.add_row(kind, *whole.cells)
    table.add_section()
    table.add_row("all", *_sum(things).cells)
    terminal().print(table)
    unused = _mb(_sum(things).bytes_unused)
    print(f"Not used by any of the runs ({len(noting)}) that say what they use: {unused} MB; --clear deletes it.")
    if old:
        print(f"{_silent(old)}.")


def _clear(store: Path, runs: Sequence[Path], forget_old: bool, as_json: bool) -> None:
    contents(store, runs)  # raises where a folder is missing
    noting, old = folders(store, runs)
    if old and not forget_old:
        raise InputError(
            f"{_silent(old)}, so nothing was deleted; run the same command again and delete that folder, or add "
            "--forget-old."
        )
    if not old and not noting:
        below = ", ".join(map(str, runs))
        raise InputError(
            f"no run lies below {below}, so all of {store} would be deleted; give --runs, or delete it yourself."
        )
    deleted = clear(store, runs)
    locks = sum(thing.kind == "lock" for thing in deleted)
    freed, left = _total(deleted), size(store)
    if as_json:
        counts = {"files": len(deleted) - locks, "locks": locks, "bytes": freed}
        with json_document(True) as write:
            write({"store": str(store), "deleted": counts, "bytes_left": left})
        return
    print(
        f"Deleted {_mb(freed)} MB in {len(deleted) - locks} files and folders, and {locks} locks; "
        f"{store} holds {_mb(left)} MB now."
    )


def _silent(old: Sequence[Path]) -> str:
    others = f" (like {len(old) - 1} more)" if len(old) > 1 else ""
    return f"{old[0]}{others} doesn't say what it uses, since an older version made it"


def _kinds(things: Sequence[Thing]) -> list[tuple[str, Sum]]:
    """The sum of each kind, the largest kind first."""
    kinds: dict[str, list[Thing]] = defaultdict(list)
    for thing in things:
        kinds[thing.kind].append(thing)
    return sorted(((kind, _sum(kinds[kind])) for kind in kinds), key=lambda pair: (-pair[1].bytes, pair[0]))


def _sum(things: Sequence[Thing]) -> Sum:
    return Sum(
        count=len({(thing.kind, thing.name) for thing in things}),
        bytes=_total(things),
        bytes_used=_total([thing for thing in things if thing.needed]),
        oldest_use=datetime.fromtimestamp(min(min(thing.used for thing in things), LATEST)) if things else None,
    )


def _total(things: Sequence[Thing]) -> int:
    return sum(thing.size for thing in things)


def _mb(count: int) -> str:
    return f"{count / 1e6:.1f}"


if __name__ == "__main__":
    with one_sentence():
        main()
