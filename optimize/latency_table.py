"""`python -m optimize.latency_table MODEL FOLDER`: networks to time on another device, for `pruner.table`.

The folder holds a table.py, which needs only numpy and the runtime there, and writes the table that `pruner.table`
reads.
"""

import json
import shutil
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import nn

from optimize.bundle.make import FILES
from optimize.checks import check_model
from optimize.errors import InputError
from optimize.host.cpu import int8_cpu
from optimize.host.files import move
from optimize.input_size import Size, size
from optimize.int8_cpu import KINDS, Int8Cpu
from optimize.measure import clock
from optimize.output import check_new
from optimize.progress import bar
from optimize.pruner.latency.make import NETWORKS, shapes
from optimize.pruner.latency.networks import architecture, deploy, draw, made, traced
from optimize.runtime.litert import LiteRT
from optimize.runtime.ncnn import Ncnn
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.runtime.session import Runtime
from optimize.sentences import one_sentence
from optimize.yolo.checkpoint import check_size, usual_size
from optimize.yolo.usable import open_model

RUNTIMES: dict[str, Runtime] = {r.info.name: r for r in (OnnxRuntime(), OpenVino(), Ncnn(), LiteRT())}


def main() -> None:
    """Write the folder.

    Raises:
        InputError: the model, the input, the runtime or the precision can't be used, or the folder exists.
    """
    parser = ArgumentParser("python -m optimize.latency_table", description=__doc__)
    parser.add_argument("model", help="a .pt checkpoint, or a model name of ultralytics")
    parser.add_argument("folder", type=Path, help="a new folder to write")
    parser.add_argument(
        "--imgsz", type=int, nargs="+", help="side of the input, or height and width; as trained by default"
    )
    parser.add_argument("--runtime", default="onnxruntime", choices=RUNTIMES)
    parser.add_argument("--precision", default="int8", help="fp32, int8, fp16 or bf16")
    here = int8_cpu().kind
    kinds = f"how the device computes in 8 bits, which decides how int8 is made; {here}, as this machine, by default"
    parser.add_argument("--cpu", default=here, choices=KINDS, help=kinds)
    given = parser.parse_args()
    check_new(str(given.folder), given.folder)
    if not given.folder.absolute().parent.is_dir():
        raise InputError(f"{given.folder} can't be written; give a new folder in one that exists.")
    runtime = RUNTIMES[given.runtime]
    cpu = Int8Cpu(given.cpu)
    check_runtime(runtime, given.precision, cpu)
    _, model = open_model(given.model)
    check_model(given.model, model)
    imgsz = (
        usual_size(model)
        if given.imgsz is None
        else size(given.imgsz[0] if len(given.imgsz) == 1 else tuple(given.imgsz))
    )
    check_size(given.model, model, imgsz)
    write(model, imgsz, runtime, given.precision, given.folder, cpu)
    print(f"copy {given.folder} to the device, and there: pip install numpy {runtime.info.package}; python table.py")


def check_runtime(runtime: Runtime, precision: str, cpu: Int8Cpu) -> None:
    """Whether networks can be made for `runtime` in `precision` here.

    Raises:
        InputError: they can't.
    """
    reason = runtime.unavailable()
    if reason is None and precision == "int8":
        reason = None if runtime.int8_recipes(cpu) else "it has no recipe for int8"
    elif reason is None and precision != "fp32":
        writer = runtime.writer(precision)
        reason = writer if isinstance(writer, str) else None
    if reason:
        raise InputError(f"--runtime {runtime.info.name} --precision {precision} can't be used: {reason}.")


def write(model: nn.Module, imgsz: Size, runtime: Runtime, precision: str, folder: Path, cpu: Int8Cpu) -> None:
    """Write networks with random widths and blocks, the original first, and what measures them, into a new folder.

    Those in int8 are made for `cpu`.
    """
    source = traced(model, imgsz)
    drawn = draw(source, NETWORKS, seed=0)
    with TemporaryDirectory(dir=folder.absolute().parent) as place, bar("networks", NETWORKS) as tick:
        partial, networks = Path(place, folder.name), []
        partial.mkdir()

        @tick
        def add(number: int) -> None:
            network = made(source, drawn[number], seed=number)
            path = deploy(network, runtime, precision, imgsz, Path(place, str(number)), cpu).path
            name = f"{number}{path.suffix}" if path.is_file() else f"{number}_{path.name}"
            path.rename(partial / name)
            networks.append({"file": name, "widths": source.widths(drawn[number])})

        for number in range(NETWORKS):
            add(number)
        about = {
            "schema": 2,
            "architecture": architecture(model),
            "imgsz": asdict(imgsz),
            "runtime": runtime.info.name,
            "precision": precision,
            "recipe": runtime.int8_recipes(cpu)[0].name if precision == "int8" else "",
            "layers": {name: asdict(shape) for name, shape in shapes(source).items()},
            "networks": networks,
        }
        (partial / "networks.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        for script in (FILES / "table.py", Path(clock.__file__)):
            shutil.copyfile(script, partial / script.name)
        shutil.copyfile(runtime.device_file or "", partial / "device.py")
        move(partial, folder)


if __name__ == "__main__":
    with one_sentence():
        main()
