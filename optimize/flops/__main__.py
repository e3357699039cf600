"""`python -m optimize.flops model=yolo26n.pt imgsz=640`: counts what a model costs for one image, layer by layer."""

import os
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from dataclasses import dataclass, fields
from pathlib import Path
from textwrap import fill

from optimize.config import of_words, typed
from optimize.errors import InputError
from optimize.flops.counting import count_sizes
from optimize.flops.files import check, content, write
from optimize.flops.show import show
from optimize.flops.table import CONVENTION
from optimize.json_document import MEANING, OPTION, json_document
from optimize.keys import listed, meaning
from optimize.sentences import one_sentence

KEYS = {
    "model": f"{meaning('model')} Or a .yaml, an .onnx file (float or Q/DQ), an OpenVINO folder or .xml; or a list.",
    "imgsz": f"{meaning('imgsz')} An exported graph takes only its own size; a .yaml is counted at 640. Or a list.",
    "out": "A .json or .csv file to write; or a list.",
    "trust": meaning("trust"),
}
HELP = f"""Count what a model costs for one image, layer by layer; several models or sizes side by side.

  python -m optimize.flops model=yolo26n.pt imgsz=640
  python -m optimize.flops model=[yolov8n.pt,yolo11n.yaml] imgsz=[320,640] out=flops.csv
  python -m optimize.flops model=[yolov8n.pt,best.onnx,best_openvino_model]

{listed(KEYS.items(), 120)}

{fill(CONVENTION, 118)}
docs/flops.md says how it compares with other counters."""


@dataclass(frozen=True)
class Arguments:
    """The keys of `HELP`; a key that takes a list takes a single value as well."""

    model: tuple[str, ...]
    imgsz: tuple[int | tuple[int, ...] | None, ...] = ()
    out: tuple[str, ...] = ()
    trust: bool = False


def main(words: list[str], as_json: bool = False) -> None:
    """Count the models, print the tables, or all figures as JSON, and write the files.

    Raises:
        InputError: a key or a value is not allowed, or a model can't be counted.
    """
    arguments = parse(words)
    files = [check(Path(file)) for file in arguments.out]
    sizes = arguments.imgsz or (None,)
    with json_document(as_json) as write_document:
        tables = [table for model in arguments.model for table in count_sizes(model, sizes, arguments.trust)]
        if as_json:
            write_document(content(tables))
        else:
            show(tables)
        for file in files:
            write(tables, file)
            print(file)


def parse(words: list[str]) -> Arguments:
    """Parse `key=value` words."""
    values = of_words(words, [field.name for field in fields(Arguments)], ("model", "imgsz", "out"))
    if values.get("model") in (None, "", []):
        raise InputError("model is missing; give one, e.g. model=yolo26n.pt, or several, model=[a.pt,b.onnx].")
    return typed(Arguments, values, "")


if __name__ == "__main__":
    # Counting computes for a tenth of a second; on a busy machine threads would wait longer than that for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = ArgumentParser("python -m optimize.flops", description=HELP, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="key=value")
    parser.add_argument(OPTION, action="store_true", help=MEANING)
    with one_sentence():
        given = parser.parse_args()
        main(given.words, given.json)
