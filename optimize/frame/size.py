"""The size of the frames that are timed, as the command line names it."""

from optimize.errors import InputError

LARGEST = 8192  # pixels of a side


def frame_size(text: str | None) -> tuple[int, int] | None:
    """Width and height of `frame=1920x1080`; None for None, the images as they are.

    Raises:
        InputError: it is no such size.
    """
    if text is None:
        return None
    width, _, height = text.partition("x")
    if not all(
        side.isdecimal() and side.isascii() and len(side) < 6 and 0 < int(side) <= LARGEST for side in (width, height)
    ):
        raise InputError(
            f"frame={text} is not allowed; give width x height in pixels, each 1 to {LARGEST}, e.g. frame=1920x1080, "
            "or null for the images as they are."
        )
    return int(width), int(height)
