"""Folders as runs leave them, and what lies in them."""

import json
from hashlib import sha256
from pathlib import Path

from optimize.store import manifest
from optimize.store.manifest import RUN, SWEEP, placing


def snapshot(root: Path) -> dict[str, tuple]:
    """Of everything below `root`: kind, time of change, and content."""
    return {
        path.relative_to(root).as_posix(): (
            path.is_symlink(),
            path.lstat().st_mtime_ns,
            sha256(path.read_bytes()).hexdigest() if path.is_file() else None,
        )
        for path in sorted(root.rglob("*"))
    }


def put(folder: Path, name: str, text: str) -> None:
    with placing(folder) as partial:
        (partial / name).parent.mkdir(parents=True, exist_ok=True)
        (partial / name).write_text(text)


def finished(folder: Path, kind: str = RUN) -> Path:
    """A folder of a run that has ended, with an artefact, a report and a log."""
    manifest.begin(folder, kind)
    put(folder, "artefacts/torch/pruned.pt", "weights")
    put(folder, "report.md", "# report")
    if kind == SWEEP:
        (folder / "sweep.json").write_text(
            json.dumps({"command": "a", "overrides": ["prune=0.9"], "total": 1, "began": 1.0, "cwd": str(folder)})
        )
    else:
        (folder / "optimize.log").write_text("done")
    manifest.finish(folder)
    return folder
