"""Moves aside what lies in the place of a store's entry but is damaged, changed by hand, or written by someone else."""

import logging
import os
from itertools import count
from pathlib import Path

from optimize.inside import is_plain

log = logging.getLogger(__name__)

ASIDE = ".damaged"


def set_aside(place: Path) -> None:
    """Rename `place`, so that it can be made again; nothing is deleted, and a link is moved without following it."""
    names = (place.with_name(f"{place.name}-{number}{ASIDE}") for number in count(1))
    aside = next(name for name in names if not os.path.lexists(name))
    log.warning("%s was changed since it was made, so it is renamed to %s and made again", place, aside.name)
    place.rename(aside)


def make_way(file: Path) -> None:
    """Set aside what lies at the path of `file` if writing there would change another file, e.g. through a link."""
    if os.path.lexists(file) and not (file.is_file() and is_plain(file, alone=True)):
        set_aside(file)
