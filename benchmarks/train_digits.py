"""Train the checkpoint that is shipped as `optimize/weights/digits.pt`, from scratch, with ultralytics' own trainer.

    python benchmarks/train_digits.py

It learns from more scenes than the data set that users get (whose scenes are the first of them), and is judged on the
same validation scenes. Everything is seeded; another processor or another number of threads may round otherwise.
"""

import argparse
import os
from pathlib import Path

import torch
from ultralytics import YOLO

from optimize.data import digits
from optimize.yolo import checkpoint
from optimize.yolo.find import DIGITS

SCENES = 3000
SETTINGS = {
    "imgsz": digits.SIDE,
    "batch": 8,  # a small model from scratch needs many steps more than exact ones
    "nbs": 8,  # one optimizer step per batch: ultralytics otherwise gathers gradients up to 64 images
    "optimizer": "AdamW",
    "lr0": 0.0015,
    "cos_lr": True,
    "warmup_epochs": 0.5,
    "warmup_bias_lr": 0.0,
    "translate": 0.05,
    "mosaic": 0.0,  # it would cut and shrink digits; the scenes are varied already
    "scale": 0.2,
    "fliplr": 0.0,  # a mirrored digit is another glyph
    "pretrained": False,
    "amp": False,  # its check would download a model
    "plots": False,
    "seed": 0,
    "deterministic": True,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="yolo11n.yaml")
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--work", type=Path, default=Path("runs/train_digits"), help="data set and logs")
    parser.add_argument("--out", type=Path, default=DIGITS)
    args = parser.parse_args()
    work = args.work.resolve()
    data = digits.compose(work, train=args.scenes)
    model = YOLO(args.model)
    # ultralytics leaves one core idle when it trains on the CPU
    model.add_callback("on_train_start", lambda trainer: torch.set_num_threads(args.threads))
    model.train(data=data, epochs=args.epochs, project=work / "train", cache="ram", workers=0, **SETTINGS)
    ship(Path(model.trainer.best), args.model, args.out)
    scores = YOLO(args.out).val(data=data, imgsz=digits.SIDE, rect=False, batch=16, plots=False, project=work / "val")
    print(f"{args.out}: {args.out.stat().st_size} bytes, mAP50-95 {scores.box.map:.4f}, mAP50 {scores.box.map50:.4f}")


def ship(best: Path, model: str, out: Path) -> None:
    """Write the trained model in float16, without optimizer and without any path of this machine."""
    module = checkpoint.load(best)
    module.args = {"task": "detect", "model": model, "data": "digits", **SETTINGS}
    module.yaml["yaml_file"] = model
    module.pt_path = None
    out.parent.mkdir(exist_ok=True)
    checkpoint.save(module, out, half=True)


if __name__ == "__main__":
    main()
