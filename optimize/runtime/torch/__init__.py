"""PyTorch in eager mode: the fused float32 checkpoint, as stock ultralytics runs a .pt on this CPU."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np
import torch

from optimize.int8_cpu import Int8Cpu
from optimize.runtime.session import Images, Session
from optimize.runtime_info import RuntimeInfo
from optimize.variant import Variant
from optimize.yolo.checkpoint import load, usual_size
from optimize.yolo.export import metadata, traceable


@dataclass(frozen=True)
class Torch:
    """The baseline, which every other runtime is compared with. It runs the checkpoint itself in float32."""

    info: ClassVar = RuntimeInfo("torch", title="PyTorch", mark="circle", processor="cpu", package="torch")
    device_file: ClassVar[Path | None] = None
    uint8_inputs: ClassVar[tuple[()]] = ()
    batching: ClassVar[None] = None
    profiler: ClassVar[None] = None  # eager torch is not deployed, and its profiler reports operators, not modules

    def unavailable(self) -> str | None:
        return None

    def export(self, variant: Variant, folder: Path) -> Variant:
        """Nothing to do: the checkpoint is what runs."""
        return variant

    def build(self, variant: Variant, folder: Path) -> Variant:
        return variant

    def open(self, variant: Variant, threads: int) -> Session:
        """Load the checkpoint; torch's threads are set for the whole process, so the last opened session decides."""
        torch.set_num_threads(threads)
        # ultralytics' AutoBackend runs .pt files on the CPU in channels_last as well; it is the faster layout
        module = traceable(load(variant.path)).to(memory_format=torch.channels_last)

        @torch.inference_mode()
        def run(images: np.ndarray) -> list[np.ndarray]:
            outputs = module(torch.from_numpy(images))
            return [out.numpy() for out in (outputs if isinstance(outputs, tuple) else (outputs,))]

        return Session(run, _arithmetic(module), int8_ops=0)

    def count(self, variant: Variant) -> None:
        """Return None: a checkpoint holds no graph."""

    def metadata(self, path: Path) -> dict[str, Any]:
        """What an export of the checkpoint at the size that it was trained at would hold."""
        module = traceable(load(path))
        return metadata(module, usual_size(module))

    def writer(self, precision: str) -> str:
        return "the checkpoint runs in float32"

    def int8_recipes(self, cpu: Int8Cpu) -> tuple[()]:
        return ()

    def quantizer(self, source: Path, images: Images, recipe: Any) -> NoReturn:
        raise NotImplementedError("torch has no recipes for int8")


def _arithmetic(module: torch.nn.Module) -> str:
    names = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
    return "+".join(sorted({names[parameter.dtype] for parameter in module.parameters()}))
