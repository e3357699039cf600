"""What a message must say, whatever its wording: its parts in their order, which " ... " separates.

The parts are what another error's text would not have: the key, what was given, what is allowed, what to do.
"""

import re


def like(message: str) -> str:
    """`message` as a pattern, for `pytest.raises(match=)`."""
    return ".*".join(map(re.escape, message.split(" ... ")))


def says(text: str, message: str) -> bool:
    """Whether one line of `text` holds the parts."""
    return re.search(like(message), text) is not None


def is_error(text: str, message: str) -> bool:
    """Whether `text` is one line, which begins with "error: " and holds the parts."""
    return re.fullmatch(f"error: .*{like(message)}.*\n?", text) is not None
