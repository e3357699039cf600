"""The keys of the command line that belong to no group, checked."""

from dataclasses import dataclass
from pathlib import Path

from optimize.errors import InputError


@dataclass(frozen=True)
class Settings:
    """`model`, `data`, `imgsz`, `device`, `batch`, `seed` and `epochs` mean what they mean in ultralytics' own CLI.

    Attributes:
        model: a .pt checkpoint, a name that ultralytics knows, or `digits`, which is shipped.
        data: a data.yaml, a name that ultralytics knows, or `digits`, which is composed at first use.
        imgsz: side of the square input in pixels, a multiple of the model's stride; None for the size that the
            checkpoint was trained at.
        prune: share of the original's FLOPs to remove, 0 <= prune < 1.
        epochs: epochs of fine-tuning after pruning; 0 re-estimates BatchNorm only.
        batch: images per training step.
        device: where to train, as in ultralytics: `cpu`, `0`, `0,1`, `mps` ...; None for the first GPU, else the CPU.
        seed: of everything that is drawn at random.
        threads: CPU threads of every runtime; None for all cores.
        rounds: rounds of the latency benchmark, at least 12.
        rivals: checkpoints to measure beside the original at a smaller input; None for no rival at all.
        device_profile: a device whose bounds the report states beside what is measured here; None for none.
        bundle: write a folder to copy to a device, with the model to take and what runs and measures it there.
        trust: load checkpoints that hold more than classes of ultralytics and torch, which can run any code.
        store: folder of everything made so far, shared by all runs.
        tracking: where results are written besides: `mlflow`, or `none`.
        overwrite: a finished run or sweep in the folder that was given is replaced, once the new one has ended.
    """

    model: str
    data: str
    imgsz: int | None
    prune: float
    epochs: int
    batch: int
    device: str | None
    seed: int
    threads: int | None
    rounds: int
    rivals: tuple[str, ...] | None
    store: Path
    trust: bool = False
    tracking: str = "none"
    device_profile: str | None = None
    bundle: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        _require(0 <= self.prune < 1, f"prune={self.prune}", "0 <= prune < 1, the share of FLOPs to remove, e.g. 0.3")
        _require(self.epochs >= 0, f"epochs={self.epochs}", "0 or more")
        _require(self.batch >= 1, f"batch={self.batch}", "1 or more")
        _require(self.rounds >= 12, f"rounds={self.rounds}", "12 or more, since fewer give no trustworthy median")
        _require(
            self.threads is None or self.threads >= 1, f"threads={self.threads}", "1 or more, or null for all cores"
        )
        _require(self.tracking in ("none", "mlflow"), f"tracking={self.tracking}", "none or mlflow")
        pixels = "pixels, a multiple of the model's stride, e.g. 640, or null for the size it was trained at"
        _require(self.imgsz is None or self.imgsz >= 1, f"imgsz={self.imgsz}", pixels)


def _require(holds: bool, given: str, allowed: str) -> None:
    if not holds:
        raise InputError(f"{given} is not allowed; give {allowed}.")
