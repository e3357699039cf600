"""ncnn on the CPU, for phones and small boards; its arithmetic is pinned, as in every other runtime."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from optimize.errors import OptimizeError
from optimize.int8_cpu import Int8Cpu
from optimize.measure.graph_cost import GraphCost
from optimize.runtime.ncnn import cost, device, kernels, net
from optimize.runtime.ncnn.device import BIN, PARAM
from optimize.runtime.session import Images, Quantizer, Session
from optimize.runtime_info import RuntimeInfo
from optimize.variant import Variant

if TYPE_CHECKING:
    from optimize.runtime.ncnn.int8 import NcnnRecipe


NOT_IN_THE_FILE = "whether it computes in fp16 is chosen on the device"


@dataclass(frozen=True)
class Ncnn:
    """Reads folders of a .param with its .bin; int8 is written into them, fp16 is chosen on the device."""

    info: ClassVar = RuntimeInfo("ncnn", title="ncnn", mark="triangle-down", processor="cpu", package="ncnn")
    device_file: ClassVar[Path | None] = Path(__file__).parent / "device.py"
    uint8_inputs: ClassVar[tuple[()]] = ()
    batching: ClassVar[None] = None
    profiler: ClassVar[None] = None  # the wheel is built without the option that times layers (NCNN_BENCHMARK)

    def unavailable(self) -> str | None:
        missing = [package for package in ("ncnn", "pnnx") if not find_spec(package)]
        verb = "is" if len(missing) == 1 else "are"
        return f"{', '.join(missing)} {verb} not installed (pip install '.[ncnn]')" if missing else None

    def export(self, variant: Variant, folder: Path) -> Variant:
        """Write `<stem>_ncnn_model/`, the folder name by which ultralytics knows the format.

        Raises:
            OptimizeError: pnnx, ncnn's converter, can't translate the model.
        """
        from ultralytics.utils import YAML

        from optimize.yolo.checkpoint import load
        from optimize.yolo.export import example_input, metadata, traceable, traced

        model = load(variant.path)
        module, example = traceable(model), example_input(model, variant.imgsz)
        target = folder / f"{variant.path.stem}_ncnn_model"
        target.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory() as scratch:  # pnnx leaves ten more files
            script = Path(scratch) / "model.pt"
            traced(module, example).save(script)
            _convert(script, tuple(example.shape), target)
        YAML.save(target / "metadata.yaml", metadata(module, variant.imgsz))
        return replace(variant, path=target, runtime=self.info.name)

    def build(self, variant: Variant, folder: Path) -> Variant:
        return variant

    def open(self, variant: Variant, threads: int) -> Session:
        network = net.load(variant.path, threads)
        call = device.runner(network)

        def run(images: np.ndarray) -> list[np.ndarray]:
            with net.one_sentence():
                return call(images)

        return Session(run, *kernels.infer_arithmetic(variant.path, network, variant.imgsz))

    def count(self, variant: Variant) -> GraphCost:
        return cost.count(variant.path, variant.imgsz)

    def metadata(self, path: Path) -> dict[str, Any]:
        from ultralytics.utils import YAML

        return YAML.load(path / "metadata.yaml")

    def writer(self, precision: str) -> str:
        return NOT_IN_THE_FILE if precision == "fp16" else "ncnn has no such files"

    def int8_recipes(self, cpu: Int8Cpu) -> "Sequence[NcnnRecipe]":
        from optimize.runtime.ncnn.int8 import NCNN

        return NCNN

    def quantizer(self, source: Path, images: Images, recipe: "NcnnRecipe") -> Quantizer:
        from optimize.runtime.ncnn.int8 import NcnnInt8

        return NcnnInt8(source, images, recipe)


def _convert(script: Path, shape: tuple[int, ...], target: Path) -> None:
    """Convert TorchScript to ncnn by pnnx; its output is captured, since stdout belongs to the report."""
    import pnnx

    size, target = ",".join(map(str, shape)), target.resolve()
    options = {"inputshape": f"[{size}]f32", "fp16": 0, "ncnnparam": target / PARAM, "ncnnbin": target / BIN}
    command = [pnnx.EXEC_PATH, script, *(f"{key}={value}" for key, value in options.items())]
    completed = subprocess.run(
        command, cwd=script.parent, capture_output=True, text=True, encoding="utf-8", errors="replace"
    )
    if completed.returncode or not (target / BIN).is_file():
        output = [line for line in (*completed.stdout.splitlines(), *completed.stderr.splitlines()) if line.strip()]
        raise OptimizeError(
            f"pnnx {pnnx.__version__} failed to translate the model to ncnn (exit code {completed.returncode}; its "
            f"last line: {output[-1].strip() if output else 'none'}); leave runtime=ncnn out for this model."
        )
    if missing := net.foreign(target):
        raise OptimizeError(
            f"pnnx {pnnx.__version__} can't translate {', '.join(missing)} to ncnn; "
            "leave runtime=ncnn out for this model."
        )
