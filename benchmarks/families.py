"""Every family and task, pruned to the same share of its FLOPs: what was reached, how fast, and whether it still works.

    python benchmarks/families.py

Random weights, which decide neither what can be cut nor whether the result is right. The equality error is that of the
pruned model against the dense one whose removed channels are zeroed, in float64; parity that of ONNX Runtime against
torch, in float32. Both are relative to the largest output.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import onnxruntime
import torch
from torch import nn

from optimize.input_size import square
from optimize.pruner.l2 import L2
from optimize.pruner.prune import prune
from optimize.pruner.settings import Pruning
from optimize.yolo import checkpoint
from optimize.yolo.export import to_onnx, traceable

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.masking import difference, masked, pruned, raw
from helpers.random_models import DETECT, TASKS, TRANSFORMERS, build

HEAD = ("model", "target", "reached", "seconds", "equality error", "stock reload", "ONNX parity")


def row(name: str, share: float, imgsz: int, folder: Path) -> tuple[str, ...]:
    """The table's cells of one model."""
    settings, size = Pruning(share, L2()), (imgsz, imgsz)
    case = pruned(name, imgsz, settings)
    error = difference(raw(case.pruned, size), raw(masked(case), size))
    model = build(name).float()
    began = perf_counter()
    report = prune(model, square(imgsz), settings)
    seconds = perf_counter() - began
    checkpoint.save(model, folder / "model.pt")
    return (
        *(name, f"{share:.0%}", f"{report.reached:.1%}", f"{seconds:.1f}", f"{error:.0e}"),
        *(reload(folder / "model.pt", "RTDETR" if "rtdetr" in name else "YOLO"), f"{parity(model, imgsz, folder):.0e}"),
    )


def reload(path: Path, loader: str) -> str:
    """Whether a Python without us loads the file and runs it."""
    script = (
        "import sys; sys.modules['optimize'] = None\n"
        f"import torch, ultralytics; ultralytics.{loader}(r'{path}').model.float()(torch.ones(1, 3, 64, 64))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=path.parent, capture_output=True)
    return "yes" if done.returncode == 0 else "no"


def parity(model: nn.Module, imgsz: int, folder: Path) -> float:
    """Largest difference of the exported graph from torch on noise, relative to the largest output.

    RT-DETR's queries are compared by their sorted scores, since equal scores come in any order.
    """
    to_onnx(model, square(imgsz), folder / "model.onnx")
    image = torch.rand(1, 3, imgsz, imgsz, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = traceable(model)(image)
    expected = [t.numpy() for t in (expected if isinstance(expected, (list, tuple)) else [expected])]
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    found = session.run(None, {"images": image.numpy()})
    if type(model).__name__.startswith("RTDETR"):
        expected, found = ([np.sort(t[0][..., 4:].max(-1), axis=None)] for t in (expected, found))
    return max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(expected, found, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--imgsz", type=int, default=160)
    args = parser.parse_args()
    torch.set_num_threads(1)  # small tensors
    for cells in (HEAD, ("---",) * len(HEAD)):
        print(f"| {' | '.join(cells)} |")
    for name in DETECT + TASKS + TRANSFORMERS:
        with TemporaryDirectory() as folder:
            print(f"| {' | '.join(row(name, args.share, args.imgsz, Path(folder)))} |", flush=True)


if __name__ == "__main__":
    main()
