"""`python -m optimize.store [--clear]`: lists what the store holds, and deletes what no run uses."""

from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.table import Table

from optimize.errors import InputError
from optimize.sentences import one_sentence
from optimize.store.contents import Thing, clear, contents, folders, size
from optimize.terminal import terminal

LATEST = 253_000_000_000  # seconds since 1970: the year 9987; file times can be larger than datetime takes


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
    arguments = parser.parse_args()
    if arguments.clear:
        _clear(arguments.store, arguments.runs, arguments.forget_old)
    else:
        _show(arguments.store, arguments.runs)


def _show(store: Path, runs: Sequence[Path]) -> None:
    things = contents(store, runs)
    noting, old = folders(store, runs)
    table = Table(title=str(store), title_justify="left", title_style="bold")
    for name in ("what", "count", "MB", "MB used by runs", "MB unused", "oldest use"):
        table.add_column(name, justify="left" if name == "what" else "right", no_wrap=True)
    for row in _rows(things):
        table.add_row(*row)
    table.add_section()
    table.add_row("all", *_figures(things))
    terminal().print(table)
    unused = _total([thing for thing in things if not thing.needed])
    print(f"Not used by any of the runs ({len(noting)}) that say what they use: {_mb(unused)} MB; --clear deletes it.")
    if old:
        print(f"{_silent(old)}.")


def _clear(store: Path, runs: Sequence[Path], forget_old: bool) -> None:
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
    print(
        f"Deleted {_mb(_total(deleted))} MB in {len(deleted) - locks} files and folders, and {locks} locks; "
        f"{store} holds {_mb(size(store))} MB now."
    )


def _silent(old: Sequence[Path]) -> str:
    others = f" (like {len(old) - 1} more)" if len(old) > 1 else ""
    return f"{old[0]}{others} doesn't say what it uses, since an older version made it"


def _rows(things: Sequence[Thing]) -> list[tuple[str, ...]]:
    """One row per kind, the largest kind first."""
    kinds: dict[str, list[Thing]] = defaultdict(list)
    for thing in things:
        kinds[thing.kind].append(thing)
    return [(kind, *_figures(kinds[kind])) for kind in sorted(kinds, key=lambda kind: (-_total(kinds[kind]), kind))]


def _figures(things: Sequence[Thing]) -> tuple[str, ...]:
    """Count, MB (millions of bytes) in all, used and unused, and the date of the oldest use."""
    count, used = len({(thing.kind, thing.name) for thing in things}), [thing for thing in things if thing.needed]
    oldest = f"{datetime.fromtimestamp(min(min(t.used for t in things), LATEST)):%Y-%m-%d %H:%M}" if things else "-"
    return str(count), _mb(_total(things)), _mb(_total(used)), _mb(_total(things) - _total(used)), oldest


def _total(things: Sequence[Thing]) -> int:
    return sum(thing.size for thing in things)


def _mb(count: int) -> str:
    return f"{count / 1e6:.1f}"


if __name__ == "__main__":
    with one_sentence():
        main()
