"""The keys of the command line that belong to no group, checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from optimize.errors import InputError
from optimize.frame.size import frame_size
from optimize.input_size import size

Tracking = Literal["none", "mlflow"]
Metric = Literal["ultralytics", "coco"]
Selection = Literal["auto", "val"]
BundleInput = Literal["float32", "uint8"]
FEWEST = 50  # of `val_images`
MOST = 1024  # of `batches` and `streams`
FLOAT32, UINT8 = "float32", "uint8"  # of `bundle_input`


@dataclass(frozen=True)
class Settings:
    """The keys of conf/config.yaml that belong to no group, explained there; `rivals=none` is None.

    `model`, `data`, `imgsz`, `device`, `batch`, `seed` and `epochs` mean what they mean in ultralytics' own CLI.
    """

    model: str
    data: str
    imgsz: int | tuple[int, ...] | None
    prune: float | None
    epochs: int
    batch: int
    device: str | None
    seed: int
    threads: int | None
    rounds: int
    rivals: tuple[str, ...] | None
    store: Path
    trust: bool = False
    tracking: Tracking = "none"
    metric: Metric = "ultralytics"
    device_profile: str | None = None
    bundle: bool = False
    card: bool = False
    overwrite: bool = False
    train_rivals: bool = False
    selection: Selection = "auto"
    val_images: int | None = None
    plan: bool = False
    frame: str | None = None
    bundle_input: BundleInput = "float32"
    nms: bool | None = None
    batches: tuple[int, ...] = ()
    streams: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        if self.imgsz is not None:
            size(self.imgsz)
        frame_size(self.frame)
        _require(
            self.prune is None or 0 <= self.prune < 1,
            f"prune={self.prune}",
            "0 <= prune < 1, the share of FLOPs to remove, e.g. 0.3, or null to choose it for limits.latency_ms",
        )
        _require(self.epochs >= 0, f"epochs={self.epochs}", "0 or more")
        _require(self.batch >= 1, f"batch={self.batch}", "1 or more")
        _require(self.rounds >= 12, f"rounds={self.rounds}", "12 or more, since fewer give no trustworthy median")
        _require(
            self.threads is None or self.threads >= 1, f"threads={self.threads}", "1 or more, or null for all cores"
        )
        _require(self.nms is not True, "nms=true", "false for the head that needs no NMS, or null")
        for name in ("batches", "streams"):
            counts = getattr(self, name)
            right = all(1 <= count <= MOST for count in counts) and len({*counts}) == len(counts)
            written = f"{name}=[{','.join(map(str, counts))}]"
            _require(right and (name == "batches" or bool(counts)), written, f"numbers of 1 to {MOST}, each once")
        by_key = {"tracking": Tracking, "metric": Metric, "selection": Selection, "bundle_input": BundleInput}
        for name, words in by_key.items():
            value, allowed = getattr(self, name), get_args(words)
            _require(value in allowed, f"{name}={value}", " or ".join(allowed))
        _require(
            self.val_images is None or self.val_images >= FEWEST,
            f"val_images={self.val_images}",
            f"{FEWEST} or more, since fewer say too little, or null for all",
        )


def _require(holds: bool, given: str, allowed: str) -> None:
    if not holds:
        raise InputError(f"{given} is not allowed; give {allowed}.")
