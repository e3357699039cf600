"""`python -m helpers.quick WORDS`: `python -m optimize WORDS` that takes no time for its timings, as in conftest."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from helpers import direct
from optimize.cli import main

if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        direct.time_nothing(patch, Path(folder))
        main()
