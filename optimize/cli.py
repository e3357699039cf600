"""The command line: one Hydra config -> one Plan -> results -> report."""

import errno
import logging
import os
import re
import shutil
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from optimize.config import CONF
from optimize.errors import InputError, OptimizeError

log = logging.getLogger(__name__)

DISK = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up", errno.EROFS: "the folder is read-only"}


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(config: DictConfig) -> None:
    """One run: check everything, do the work, write the report, and print its folder last."""
    # Imported here, since torch and ultralytics take seconds that --help and a wrong key need not wait for.
    from optimize.pipeline import run
    from optimize.plan import prepare
    from optimize.report import write

    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        plan = prepare(config)
    except OptimizeError:
        shutil.rmtree(folder)  # nothing was done, so nothing stays
        raise
    write(run(plan, folder), plan, config, folder)
    print(folder)


def main() -> None:
    """The console script: whatever the user can mend is one sentence and exit code 1."""
    debug = "HYDRA_FULL_ERROR" in os.environ
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then lets errors through to us instead of printing its own
    try:
        job()
    except (OptimizeError, HydraException, OmegaConfBaseException, OSError) as error:
        sentence = _sentence(error)
        if debug or sentence is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped: what was finished is kept; the same command goes on from there.", file=sys.stderr)
        sys.exit(130)


def _sentence(error: Exception) -> str | None:
    """What to tell the user, or None where the error is ours and its traceback is needed."""
    if isinstance(error, OptimizeError):
        return str(error)
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        known = "permission was denied" if isinstance(error, PermissionError) else DISK.get(error.errno)
        return known and f"{known}{where}; free room or run in another folder: what was finished is kept."
    text = str(error)
    if choice := re.search(r"Could not find '([^']+)/([^']+)'\s+Available options in '[^']+':\s+(.*?)\s*(?:Config search|$)", text, re.S):
        group, given, options = choice.groups()
        return f"{group}={given} is not allowed; give one of {', '.join(options.split())}."
    if key := re.search(r"Could not override '([^']+)'", text):
        return f"{key[1]} is not a key; `python -m optimize --help` lists all keys."
    return f"{' '.join(text.split())}; `python -m optimize --help` shows what is allowed."
