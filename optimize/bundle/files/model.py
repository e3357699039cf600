"""Shared by run.py and bench.py: reads and checks the bundle's settings, and opens its model with device.py."""

import json
import os
import re
import sys
from itertools import chain, count
from pathlib import Path, PureWindowsPath

import numpy as np

import device

HERE = Path(__file__).resolve().parent


def cores():
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def unused(path):
    """`path`, or if that exists the first free of measurement-2.json, measurement-3.json ..."""
    numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(2))
    return next(candidate for candidate in chain([path], numbered) if not os.path.lexists(candidate))


def shown(text):
    """`text` in one line, with the characters escaped that control a terminal."""
    return CONTROL.sub(lambda match: " " if match[0] in "\t\n\r" else ascii(match[0])[1:-1], text)


def read_bundle():
    """Read bundle.json and check it: the files that it names lie in this folder."""
    try:
        bundle = json.loads((HERE / "bundle.json").read_text(encoding="utf-8"))
        wrong = next((key for key, check in BUNDLE.items() if not check(bundle[key])), None)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        sys.exit(f"error: bundle.json can't be read ({type(error).__name__}); copy the bundle again.")
    if wrong:
        sys.exit(f"error: bundle.json has a wrong value for {wrong}; copy the bundle again.")
    bundle["names"] = [shown(name) for name in bundle["names"]]
    return bundle


def artefact(bundle):
    """The path of the model's file or folder."""
    path = HERE / bundle["artefact"]
    if not path.exists():
        sys.exit(f"error: {path.name} is not in {HERE}; copy the bundle again.")
    for place in [path, *path.rglob("*")]:
        if place.is_symlink() or not (place.is_file() or place.is_dir()):
            sys.exit(f"error: {shown(str(place))} is a link or no file; copy the bundle again.")
    return path


def is_name(value):
    """Whether `value` is one part of a path that stays in its folder: the name of a file, without separators or .."""
    if not is_text(value):
        return False
    path = PureWindowsPath(value)  # which knows / and \\ alike
    return len(path.parts) == 1 and not path.anchor and value not in (".", "..")


def is_text(value):
    return isinstance(value, str) and 0 < len(value) < 1000 and not CONTROL.search(value)


def is_share(value):
    return isinstance(value, int | float) and 0 <= value <= 1


def is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 100_000


# Characters that control a terminal or turn the writing around.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
BUNDLE = {  # the keys of bundle.json that are used, and a check of each value
    "run": lambda value: is_text(value) and "/" not in value,
    "variant": is_text,
    "runtime": lambda value: value == device.NAME,
    "made_with": is_text,
    "precision": is_text,
    "artefact": is_name,
    "sha256": lambda value: isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{64}", value)),
    "rows": lambda value: isinstance(value, dict),
    "input": lambda value: value in ("float32", "uint8"),
    "imgsz": lambda value: is_count(value["height"]) and is_count(value["width"]),
    "head": lambda value: value in ("one2many", "end2end", "rtdetr"),
    "letterbox": lambda value: value is None or (is_count(value["grey"] + 1) and value["grey"] < 256),
    "nms": lambda value: is_share(value["confidence"]) and is_share(value["iou"]) and is_count(value["max_detections"]),
    "names": lambda value: isinstance(value, list) and value and all(isinstance(name, str) for name in value),
}


def open_model(bundle, threads):
    """Open the model of `bundle`, which `read_bundle` returned, as `device.open_model` does."""
    path = artefact(bundle)
    try:
        run, arithmetic = device.open_model(path, bundle["precision"], threads)
    except ImportError as error:
        sys.exit(f"error: {error}; the first command of README.md installs what is needed.")
    except Exception as error:  # each runtime raises its own types
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        made = f"it was made with {bundle['made_with']}, and the first command of README.md installs the newest"
        sys.exit(f"error: {bundle['runtime']} {device.version()} can't load {path.name} ({why}); {made}.")

    def guarded(images):
        try:
            return run(images)
        except RuntimeError as error:
            sys.exit(f"error: {path.name} can't be run ({error}).")

    return guarded, arithmetic


def checked(outputs, bundle):
    """The only output of the model; exits if its shape is not that of the bundle's head, or it is not finite."""
    head, count = bundle["head"], len(bundle["names"])
    shapes = " and ".join(str(output.shape) for output in outputs)
    axis, wanted = (1, 4 + count) if head == "one2many" else (2, 6)
    fits = len(outputs) == 1 and outputs[0].ndim == 3 and outputs[0].shape[axis] == wanted
    if not fits:
        sys.exit(f"error: an output of shape {shapes} is none of a {head} head with {count} classes.")
    if not np.isfinite(outputs[0]).all():
        sys.exit(f"error: {bundle['artefact']} gives numbers that are not finite here, so nothing it says counts.")
    return outputs[0]


def empty_input(bundle):
    """An array for the network's input: RGB planes in 0..1, or pixels in BGR that the graph converts itself."""
    height, width = bundle["imgsz"]["height"], bundle["imgsz"]["width"]
    if bundle["input"] == "uint8":
        return np.empty((1, height, width, 3), np.uint8)
    return np.empty((1, 3, height, width), np.float32)


def versions(bundle):
    """The versions of numpy and the runtime."""
    return {"numpy": np.__version__, bundle["runtime"]: device.version()}
