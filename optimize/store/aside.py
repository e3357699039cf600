"""What lies in a store where our work should, and is not as we made it: damaged, changed by hand, or planted."""

import logging
import os
from itertools import count
from pathlib import Path

from optimize.inside import is_plain

log = logging.getLogger(__name__)

ASIDE = ".damaged"


def set_aside(place: Path) -> None:
    """It is made again, and is not ours to delete; a link is moved itself, and never followed."""
    places = (place.with_name(f"{place.name}-{number}{ASIDE}") for number in count(1))
    aside = next(free for free in places if not os.path.lexists(free))
    log.warning("%s is not as it was made, so it is set aside as %s and made again", place, aside.name)
    place.rename(aside)


def make_way(file: Path) -> None:
    """Set aside what lies in the place of `file`, where writing it would change something else, as through a link."""
    if os.path.lexists(file) and not (file.is_file() and is_plain(file, alone=True)):
        set_aside(file)
