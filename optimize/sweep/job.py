"""One job of a sweep, as its folder tells: whoever works on it writes job.json, and everybody else reads it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from optimize.errors import InputError
from optimize.host.files import write_text
from optimize.inside import content

FILE = "job.json"
RESULTS = "results.json"
RUNNING: Final = "running"
BUILT: Final = "built"
FAILED: Final = "failed"
MOST = 2**24  # bytes of job.json

Seconds = Annotated[float, Field(ge=0, le=253_000_000_000)]  # since 1970, up to the year 9987

State = Literal["running", "built", "failed"]


@dataclass(frozen=True)
class Job:
    """What is known of one job, also while it runs.

    Attributes:
        number: its place in the sweep, from 0, and the name of its folder.
        overrides: everything that was set for it, e.g. `("prune=0.3", "quant=int8")`.
        state: `running`, `built` (made and validated, results.json is there) or `failed`.
        host: the machine that works or worked on it.
        began, ended: in seconds since 1970; None while it runs.
        sentence: why it failed.
        score: the best accuracy of what it asked for, 0 to 1, by `Result.choice_accuracy`; None where it is not known.
    """

    number: int
    overrides: tuple[str, ...]
    state: State
    host: str
    began: Seconds
    ended: Seconds | None = None
    sentence: str | None = None
    score: float | None = None


JOB = TypeAdapter(Job)


def write(job: Job, folder: Path) -> None:
    """Whole or not at all, since others read it meanwhile."""
    write_text(folder / FILE, json.dumps(asdict(job), indent=2))


def read(folder: Path) -> Job | None:
    """The job whose folder this is; None where none has begun there.

    Raises:
        InputError: what lies there is no job.json of ours.
    """
    file = folder / FILE
    if not file.exists():
        return None
    try:
        return JOB.validate_json(content(file, MOST) or b"")
    except ValidationError as error:
        raise InputError(f"{file} is no {FILE} of ours; delete that folder, and the job is done again.") from error
