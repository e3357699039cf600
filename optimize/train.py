"""`python -m optimize.train model=pruned.pt data=new.yaml`: train a checkpoint further and keep its layers' widths."""

import os
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from optimize.errors import InputError
from optimize.keys import listed, meaning
from optimize.sentences import one_sentence
from optimize.store import manifest
from optimize.store.contents import begin_store, check_store

STORE = Path("runs/store")  # holds the composed digits, and label caches if it exists

OTHER_CLASSES = (
    "Its classes may differ from those of the checkpoint: the last layers then start anew, and all that fits is kept, "
    "as in `yolo train`."
)
KEYS = {
    "model": meaning("model"),
    "data": f"{meaning('data')} {OTHER_CLASSES}",
    "resume": "true continues a stopped training from its last.pt.",
    "trust": meaning("trust"),
}
HELP = f"""Train a checkpoint further, pruned or not, and keep the widths of its layers.

  python -m optimize.train model=pruned.pt data=new.yaml epochs=50
  python -m optimize.train model=runs/detect/train/weights/last.pt resume=true

{listed(KEYS.items(), 120)}

Every other key is one of `yolo train`, with the same meaning and default: epochs, imgsz, batch, device, lr0, patience,
project, name, ... The command writes the same files to the same place as `yolo train`, and prints the paths of best.pt
and last.pt at the end. It refuses a folder that already holds files.

From Python, with ultralytics' own API:

  from optimize.train import trainer
  YOLO("pruned.pt").train(trainer=trainer, data="new.yaml", epochs=50)

`yolo train` and YOLO("pruned.pt").train() would rebuild the network at full width, so a pruned checkpoint stops
them."""


def trainer(overrides: dict[str, Any], _callbacks: dict[str, Any] | None = None) -> Any:
    """ultralytics' trainer for the checkpoint's task, which keeps its widths: `YOLO(path).train(trainer=trainer)`.

    Args:
        overrides: the arguments of the training, as ultralytics gives them.
        _callbacks: as ultralytics gives them.

    Raises:
        InputError: the checkpoint is missing or fused, or it is pruned and the data needs other channels or keypoints.
    """
    from optimize.yolo import trainers  # imported here, so that `import optimize.train` leaves ultralytics as it is

    return trainers.trainer(overrides, _callbacks)


def main(words: list[str]) -> None:
    """Train, and print the paths of the weights.

    Raises:
        InputError: an argument can't be used.
    """
    os.environ.setdefault("YOLO_VERBOSE", "true")  # a training shows ultralytics' log and bars
    from optimize.yolo.cache_folder import keep_in
    from optimize.yolo.checkpoint import trusted
    from optimize.yolo.train_on import spell_out_controls, train_on
    from optimize.yolo.usable import open_model

    spell_out_controls()
    arguments = parse(words)
    checkpoint, trust = str(arguments.pop("model")), arguments.pop("trust", False)
    if arguments.get("data") == "digits":
        from optimize.data.digits import compose

        check_store(STORE)
        begin_store(STORE)
        arguments["data"] = str(compose(STORE))
    keep_in(STORE if manifest.read(STORE) else None)
    try:
        with trusted(trust):
            model, _ = open_model(checkpoint)
            trained = train_on(model, arguments)
    except KeyboardInterrupt as stop:
        print(f"stopped: {stop}", file=sys.stderr)
        raise SystemExit(130) from None
    before, after = trained.parameters
    print(f"{before:,} parameters before, {after:,} after")
    print(*trained.weights, sep="\n")


def parse(words: list[str]) -> dict[str, Any]:
    """Parse `key=value` words, and bare names of switches, into values as `yolo train` reads them.

    Raises:
        InputError: a key is unknown or has no value, or the model is missing.
    """
    from optimize.yolo.train_on import KEYS, read_file, read_value

    defaults = KEYS | {"trust": False}
    arguments: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if key not in defaults:
            similar = get_close_matches(key, defaults, 1)
            raise InputError(
                f"{key} is not a key; {f'did you mean {similar[0]}?' if similar else 'give those of `yolo train`.'}"
            )
        if not equals and not isinstance(defaults[key], bool):
            raise InputError(f"{key} has no value; give {key}=..., e.g. {key}={defaults[key]}.")
        arguments[key] = read_value(key, text) if equals else True
    if cfg := arguments.pop("cfg", None):
        arguments = read_file(cfg) | arguments
    if arguments.get("resume") == 1:
        arguments["resume"] = True
    if isinstance(arguments.get("resume"), str):
        arguments = arguments | {"model": arguments["resume"], "resume": True}
    if not arguments.get("model"):
        raise InputError("model= is missing; give a .pt checkpoint, e.g. model=pruned.pt.")
    return arguments


if __name__ == "__main__":
    if {"--help", "-h", "help"} & set(sys.argv[1:]) or not sys.argv[1:]:
        print(HELP)
    else:
        with one_sentence():
            main(sys.argv[1:])
