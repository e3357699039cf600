"""From what the user calls a model to a checkpoint on disk."""

import os
from pathlib import Path

from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES, attempt_download_asset

from optimize.errors import InputError

DIGITS = Path(__file__).parents[1] / "weights" / "digits.pt"  # trained by benchmarks/train_digits.py


def find(model: str, key: str = "model") -> Path:
    """The checkpoint called `model`: `digits`, a path, or a name that ultralytics knows (downloaded if need be).

    `key` is where it was given on the command line, for the error's sentence.

    Raises:
        InputError: there is no such file, and it is no known name or can't be downloaded.
    """
    if model == "digits":
        return DIGITS
    path = Path(model)
    if os.path.exists(model):  # and not path.exists(), which takes nothing for the current folder
        return path
    if path.name != model or model not in GITHUB_ASSETS_NAMES:
        several = " (only with -m does a comma separate several)" if "," in model else ""
        home = " (your shell left the ~ as it is)" if model.startswith("~") else ""
        raise InputError(
            f"{key}={model} does not exist{several or home}; give the path of a trained .pt checkpoint, or `digits`."
        )
    try:
        downloaded = Path(attempt_download_asset(model))
    except Exception as error:  # ultralytics passes on whatever curl, urllib or the disk raise
        raise InputError(
            f"{key}={model} is not here and can't be downloaded ({error}); give the path of a checkpoint."
        ) from error
    if not downloaded.is_file():
        raise InputError(f"{key}={model} is not here and can't be downloaded; give the path of a checkpoint.")
    return downloaded
