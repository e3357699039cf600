"""python benchmarks/kills.py [--kills 20]: a sweep that is killed at random moments, against one that is not.

Four jobs on random weights and made images train, prune, quantize and are timed. The sweep is started again and again
in one folder and killed (-9, with everything that it started) at a random moment; when one gets through, it is compared
with the unbroken sweep and the next begins with an empty store, until there were enough kills.
"""

import json
import random
import subprocess
import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from time import monotonic

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from helpers.commands import kill  # noqa: E402  found by the line before

SWEEP = "-m prune=0,0.3 quant=none,int8 epochs=3 batch=4 rounds=12 pruner=l2 runtime=[openvino] rivals=none"


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    moments, died, through = random.Random(given.seed), Counter(), 0
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        words, began = [*SWEEP.split(), *_inputs(folder)], monotonic()
        wanted = _finished(_start(folder, "unbroken", words), folder / "unbroken")
        needed = monotonic() - began
        print(f"unbroken: {len(wanted)} rows in {needed:.0f} s", flush=True)
        while died.total() < given.kills:
            for moment in _until_through(folder, words, moments, needed, given.kills - died.total()):
                died[moment] += 1
                print(f"killed: {moment}", flush=True)
            found = _finished(None, folder / "broken")
            other = {name: (row, wanted.get(name)) for name, row in found.items() if row != wanted.get(name)}
            assert not other and found.keys() == wanted.keys(), other
            through += 1
            print(f"got through: its {len(found)} rows equal those of the unbroken sweep", flush=True)
            rmtree(folder / "broken")
    print("\n| killed during | times |\n|---|---|")
    for moment, times in died.most_common():
        print(f"| {moment} | {times} |")
    print(f"\n{died.total()} kills; {through} sweeps got through, each with the numbers of the unbroken one")


def _until_through(folder: Path, words: list[str], moments: random.Random, most: float, kills: int) -> Iterator[str]:
    """Start the sweep until it ends by itself; tells at what each of at most `kills` kills struck it."""
    while True:
        sweep = _start(folder, "broken", words)
        try:
            assert sweep.wait(moments.uniform(1, most) if kills else None) in (0, 3), f"see {folder / 'broken'}"
            return
        except subprocess.TimeoutExpired:
            kill(sweep)
            sweep.wait()
            kills -= 1
            yield _moment(folder / "broken")


def _inputs(folder: Path) -> tuple[str, str]:
    import torch
    from ultralytics.nn.tasks import DetectionModel

    from helpers.tiny_tasks import write_dataset
    from optimize.yolo.checkpoint import save

    torch.manual_seed(0)
    model = DetectionModel("yolov8n.yaml", nc=2, verbose=False)
    model.names = {0: "class0", 1: "class1"}
    model.args = {"imgsz": 64, "task": "detect"}
    model.task = "detect"
    save(model, folder / "tiny.pt")
    return f"model={folder / 'tiny.pt'}", f"data={write_dataset(folder / 'data', 'detect')}"


def _start(folder: Path, name: str, words: list[str]) -> subprocess.Popen:
    where = folder / name
    where.mkdir(exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "optimize",
        *words,
        f"hydra.sweep.dir={where / 'sweep'}",
        f"store={where / 'store'}",
    ]
    with (where / "output.txt").open("a", encoding="utf-8") as output:
        return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, start_new_session=True)


def _moment(folder: Path) -> str:
    """What the sweep was doing, by the last line of the log that was written last."""
    logs = sorted(folder.glob("sweep/*/optimize.log"), key=lambda log: log.stat().st_mtime)
    jobs = [json.loads(path.read_text(encoding="utf-8"))["state"] for path in folder.glob("sweep/*/job.json")]
    if len(jobs) == 4 and "running" not in jobs:
        return "timing and reports"
    lines = logs[-1].read_text(encoding="utf-8").splitlines() if logs else []
    last = lines[-1].split("] ", 1)[-1] if lines else "the start"
    return "between two jobs" if " holds " in last else " ".join(last.split(":")[0].split()[:2])


def _finished(sweep: subprocess.Popen | None, folder: Path) -> dict[str, tuple]:
    """What each row of each job is, without its times."""
    assert sweep is None or sweep.wait() in (0, 3), (folder / "output.txt").read_text(encoding="utf-8")[-2000:]
    rows = {}
    for path in sorted(folder.glob("sweep/*/results.json")):
        for row in json.loads(path.read_text(encoding="utf-8"))["results"]:
            assert row["latency"], f"{path} has a row that was not timed"
            name = f"{path.parent.name}: {row['name']} on {row['variant']['runtime']}"
            rows[name] = row["sha256"], row["flops"], json.dumps(row["accuracy"]), row["size_bytes"]
    return rows


if __name__ == "__main__":
    main()
