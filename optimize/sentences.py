"""Every mistake that a user can mend becomes one sentence."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from optimize.config import CONF
from optimize.errors import NO_ROOM, OptimizeError
from optimize.host.console import print_any_letter

HELP = "`python -m optimize --help`"


@contextmanager
def one_sentence() -> Iterator[None]:
    """Whatever the user can mend becomes one sentence on stderr; exit code 1, or 3 for a limit that was missed."""
    print_any_letter()
    try:
        yield
    except (OptimizeError, HydraException, OmegaConfBaseException, OSError, ValueError) as error:
        known = sentence(error)
        if known is None:
            raise
        print(f"error: {known}", file=sys.stderr)
        raise SystemExit(getattr(error, "exit_code", 1)) from error
    except KeyboardInterrupt:
        print("stopped: what was finished is kept, and the same command goes on from there.", file=sys.stderr)
        raise SystemExit(130) from None


def sentence(error: Exception) -> str | None:
    """What to tell the user, or None where the error is ours and its traceback is needed."""
    if isinstance(error, OptimizeError):
        return str(error)
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        where = f" ({error.filename})" if error.filename else ""
        known = "permission was denied" if isinstance(error, PermissionError) else NO_ROOM.get(error.errno)
        return known and f"{known}{where}; make room or run in another folder: what was finished is kept."
    text = str(error)
    if text.startswith("Config group override must be"):
        return f"a group takes one of its choices, and `none` turns it off, e.g. quant=none; {HELP} lists them."
    if plugin := re.search(r"(?:Unknown plugin class|Could not find) .*\b(joblib|ray|submitit)(?:_|')", text):
        extra = plugin[1].replace("submitit", "slurm")
        return f"hydra/launcher={extra} is not installed; `pip install 'yolo-optimize[{extra}]'` brings it."
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override} can't be read; give key=value, a list as [a,b], and any other value with signs or "
            f"""spaces in two kinds of quotes, e.g. "key='a (b)'"."""
        )
    if several := re.match(r"Ambiguous value for argument '(.*)'\n", text):
        return f"{several[1]} holds several values; add -m to run each of them, or give one."
    if folder := re.search(r"full_key: hydra\.(run|sweep|job_logging)\b", text):
        key = "hydra.sweep.dir" if folder[1] == "sweep" else "hydra.run.dir"
        reason = text.splitlines()[0]
        return f"{key} can't be read ({reason}): ${{...}} stands for a value there; give a folder without it."
    if key := re.search(r"Could not override '([^']+)'", text):
        return f"{key[1]} is not a key; {HELP} lists all keys."
    if choice := re.search(r"Could not (?:find|load) '(.+)/(.+)'", text):
        allowed = sorted(file.stem for file in (CONF / choice[1]).glob("*.yaml"))
        return f"{choice[1]}={choice[2]} is not allowed; give one of {', '.join(allowed)}."
    return f"{' '.join(text.split())}; {HELP} shows what is allowed."
