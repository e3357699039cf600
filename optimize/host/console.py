"""What a terminal can show."""

import sys
from io import TextIOWrapper


def print_any_letter() -> None:
    """From now on a letter that the console's code page lacks is printed as `?`; otherwise it would end the run."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
