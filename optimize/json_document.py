"""`--json` of the commands that print a table: the same figures as one JSON document, alone on stdout."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import Any

OPTION = "--json"
MEANING = "print all figures as one JSON document on stdout instead of tables; docs/json.md describes its keys"
SCHEMA = 1  # of every document; it rises when a key changes its meaning or goes

Write = Callable[[dict[str, Any]], None]


@contextmanager
def json_document(asked: bool) -> Iterator[Write]:
    """Yield what writes the document to stdout.

    Where it is asked for, everything else that the block prints goes to stderr, also what libraries print.
    """
    stdout = sys.stdout

    def write(content: dict[str, Any]) -> None:
        print(json.dumps({"schema": SCHEMA, **content}, indent=1, allow_nan=False), file=stdout)

    with redirect_stdout(sys.stderr) if asked else nullcontext():
        yield write
