"""`python -m optimize.train model=pruned.pt data=new.yaml`: train a checkpoint on, with its widths kept."""

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

STORE = Path("runs/store")  # of the composed digits, and of label caches where it is there

OTHER_CLASSES = (
    "Its classes may be others than those of the checkpoint: the last layers are then made anew, and what fits is "
    "kept, as in `yolo train`."
)
KEYS = {
    "model": meaning("model"),
    "data": f"{meaning('data')} {OTHER_CLASSES}",
    "resume": "true goes on with the last.pt of a training that was stopped.",
    "trust": meaning("trust"),
}
HELP = f"""Train a checkpoint on, pruned or not, with the widths of its layers kept.

  python -m optimize.train model=pruned.pt data=new.yaml epochs=50
  python -m optimize.train model=runs/detect/train/weights/last.pt resume=true

{listed(KEYS.items(), 120)}

Every other key is one of `yolo train`, with the same meaning and default: epochs, imgsz, batch, device, lr0, patience,
project, name, ... It writes what `yolo train` writes, where `yolo train` writes it, and prints the paths of best.pt and
last.pt last. A folder that holds files already is refused.

From Python, with ultralytics' own API:

  from optimize.train import trainer
  YOLO("pruned.pt").train(trainer=trainer, data="new.yaml", epochs=50)

`yolo train` and YOLO("pruned.pt").train() themselves would build the network anew at full width; a pruned checkpoint
stops them."""


def trainer(overrides: dict[str, Any], _callbacks: dict[str, Any] | None = None) -> Any:
    """ultralytics' own trainer of a checkpoint's task, with its widths kept: `YOLO(path).train(trainer=trainer)`.

    Args:
        overrides: the arguments of the training, as ultralytics gives them.
        _callbacks: as ultralytics gives them.

    Raises:
        InputError: there is no checkpoint, it is fused, or it is pruned and the data needs other channels or keypoints.
    """
    from optimize.yolo import trainers  # here, so that ultralytics' settings are what they are without this package

    return trainers.trainer(overrides, _callbacks)


def main(words: list[str]) -> None:
    """Train, and print where the weights are.

    Raises:
        InputError: something given can't be used.
    """
    os.environ.setdefault("YOLO_VERBOSE", "true")  # its log and bars are what a training shows
    from optimize.yolo.checkpoint import trusted
    from optimize.yolo.label_cache import keep_in
    from optimize.yolo.train_on import spell_out_controls, train_on
    from optimize.yolo.usable import open_model

    spell_out_controls()
    given = parse(words)
    called, trust = str(given.pop("model")), given.pop("trust", False)
    if given.get("data") == "digits":
        from optimize.data.digits import compose

        check_store(STORE)
        begin_store(STORE)
        given["data"] = str(compose(STORE))
    keep_in(STORE if manifest.read(STORE) else None)
    try:
        with trusted(trust):
            model, _ = open_model(called)
            trained = train_on(model, given)
    except KeyboardInterrupt as stop:
        print(f"stopped: {stop}", file=sys.stderr)
        raise SystemExit(130) from None
    before, after = trained.parameters
    print(f"{before:,} parameters before, {after:,} after")
    print(*trained.weights, sep="\n")


def parse(words: list[str]) -> dict[str, Any]:
    """The arguments in `key=value` words, and in bare names of switches, each a value as `yolo train` reads it.

    Raises:
        InputError: a key is not known or has no value, or there is no model.
    """
    from optimize.yolo.train_on import KEYS, read_file, read_value

    known = KEYS | {"trust": False}
    given: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if key not in known:
            near = get_close_matches(key, known, 1)
            raise InputError(
                f"{key} is not a key; {f'did you mean {near[0]}?' if near else 'give those of `yolo train`.'}"
            )
        if not equals and not isinstance(known[key], bool):
            raise InputError(f"{key} has no value; give {key}=..., e.g. {key}={known[key]}.")
        given[key] = read_value(key, text) if equals else True
    if cfg := given.pop("cfg", None):
        given = read_file(cfg) | given
    if given.get("resume") == 1:
        given["resume"] = True
    if isinstance(given.get("resume"), str):
        given = given | {"model": given["resume"], "resume": True}
    if not given.get("model"):
        raise InputError("model= is missing; give a .pt checkpoint, e.g. model=pruned.pt.")
    return given


if __name__ == "__main__":
    if {"--help", "-h", "help"} & set(sys.argv[1:]) or not sys.argv[1:]:
        print(HELP)
    else:
        with one_sentence():
            main(sys.argv[1:])
