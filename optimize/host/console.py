"""What a terminal can show."""

import sys
from io import TextIOWrapper


def print_any_letter() -> None:
    """Print characters that the console's code page lacks as `?`; by default they would raise and end the run."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
