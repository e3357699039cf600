"""`bundle=true`: writes a folder to copy to a device, with the best model and scripts that run and measure it."""

import json
import logging
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from optimize.bundle.uint8 import write_for_camera
from optimize.errors import InputError, VariantFailed
from optimize.frame import boxes, image, letterbox
from optimize.frame.settings import settings
from optimize.measure import clock, sustained
from optimize.result import Report, Result
from optimize.runtime.session import Runtime
from optimize.settings import FLOAT32, UINT8
from optimize.store.apply import digest
from optimize.store.manifest import placing, remove
from optimize.texts import mapped, markdown, shown
from optimize.verdict.plain import called
from optimize.verdict.verdict import chosen, decide, headline
from optimize.yolo.tasks import BY_NAME, TASKS

log = logging.getLogger(__name__)

FILES = Path(__file__).parent / "files"
SCRIPTS = (
    *(FILES / name for name in ("run.py", "frames.py", "writing.py", "bench.py", "model.py")),
    *(Path(str(module.__file__)) for module in (image, letterbox, boxes, clock, sustained)),
)  # beside the runtime's own device.py


def check(given: str, task: str, runtimes: Sequence[Runtime], takes: str = FLOAT32) -> None:
    """Whether a model of `task` that is exported to `runtimes` can be bundled, with a graph that takes `takes`.

    Raises:
        InputError: it can't; `given` is how the user named the model.
    """
    if BY_NAME[task].bundle_head is None:
        allowed = " and ".join(known.name for known in TASKS if known.bundle_head)
        raise InputError(
            f"bundle=true is for {allowed} models, {given} is a {task} model; leave bundle=true out, and "
            "take the files from the run's artefacts/."
        )
    if not any(runtime.device_file for runtime in runtimes):
        raise InputError(
            "bundle=true needs a runtime whose files can be copied to a device, e.g. runtime=[onnxruntime]; none of "
            f"runtime=[{','.join(runtime.info.name for runtime in runtimes)}] is one; name one."
        )
    if takes == UINT8 and not any(runtime.uint8_inputs for runtime in runtimes):
        raise InputError(
            f"bundle_input={UINT8} is for onnxruntime and openvino; none of "
            f"runtime=[{','.join(runtime.info.name for runtime in runtimes)}] is one; name one, or leave it out."
        )


def make(
    report: Report, runtimes: Sequence[Runtime], folder: Path, run: str | None = None, takes: str = FLOAT32
) -> Path:
    """Write `folder`/bundle, whole or not at all.

    Args:
        report: of the run.
        runtimes: that it exported to.
        folder: of the run.
        run: name of that folder after the run has ended; by default its current name.
        takes: what the bundle's graph takes, FLOAT32 or UINT8.

    Raises:
        VariantFailed: no exported variant can be bundled, or its graph can't take `takes`.
        InputError: the bundle in `folder` has a file that was changed since an earlier call wrote it.
    """
    able = [runtime for runtime in runtimes if takes == FLOAT32 or runtime.uint8_inputs]
    device_files = {runtime.info.name: runtime.device_file for runtime in able if runtime.device_file}
    row = pick_row(report, device_files)
    runtime = next(runtime for runtime in runtimes if runtime.info.name == row.variant.runtime)
    artefact = row.variant.path
    log.info("bundle: %s", called(row))
    about = describe_bundle(row, report, runtime, run or folder.name)
    with placing(folder) as temporary:
        partial = temporary / "bundle"
        partial.mkdir()
        for script in SCRIPTS:
            shutil.copyfile(script, partial / script.name)
        shutil.copyfile(device_files[row.variant.runtime], partial / "device.py")
        if takes == UINT8:
            write_for_camera(row.variant, runtime, partial / artefact.name)
        else:
            (shutil.copytree if artefact.is_dir() else shutil.copy2)(artefact, partial / artefact.name)
        written = digest(partial / artefact.name)
        about |= {"input": takes, "sha256": written, "rows": {written: row.sha256}}
        (partial / "bundle.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        (partial / "labels.txt").write_text("".join(f"{shown(name)}\n" for name in about["names"]), encoding="utf-8")
        told = about | {"package": runtime.info.package, "verdict": _verdict(row, report)}
        readme = (FILES / "README.md").read_text(encoding="utf-8").format(**mapped(told, markdown))
        (partial / "README.md").write_text(readme, encoding="utf-8")
        remove(folder, ["bundle"])
    return folder / "bundle"


def pick_row(report: Report, runtimes: Collection[str]) -> Result:
    """The row to bundle: the verdict's choice, or the best exported row if that can't be bundled, e.g. a checkpoint.

    Without optimized variants it is the best row of the original in `runtimes`, those that can be bundled.
    """
    best = chosen(report)
    if best and best.variant.runtime in runtimes:
        return best
    exported = [row for row in report.results if row.variant.runtime in runtimes and not row.rival]
    made = [row for row in exported if row.variant.name != "original"]
    choice = decide(report, made or exported).choice
    if choice is None:
        raise VariantFailed("there is no bundle, since no exported variant could be made; report.md says why.")
    return choice


def describe_bundle(row: Result, report: Report, runtime: Runtime, run: str) -> dict[str, Any]:
    """The content of bundle.json, without what depends on the file in the bundle."""
    variant = row.variant
    inside, package = runtime.metadata(variant.path), runtime.info.package
    version = report.provenance.versions.get(package, "")  # it may have been installed by a package of another name
    task = BY_NAME[report.provenance.task]
    if task.bundle_head is None:
        raise VariantFailed(f"there is no bundle, since none decodes the outputs of a {task.name} model.")
    return {
        "schema": 1,
        "run": shown(run),
        "began": report.provenance.began,
        "task": task.name,
        "variant": variant.name,
        "runtime": variant.runtime,
        "made_with": f"{package} {version}".strip(),
        "precision": variant.precision,
        "artefact": variant.path.name,
        **settings(variant.imgsz, task.bundle_head(inside), task.letterbox, inside["names"]),
    }


def _verdict(row: Result, report: Report) -> str:
    """Sentences for the README: the row's measurements on this host, the limits it misses, and the run's verdict."""
    alone = decide(report, [row])
    missed = [miss.reason for _, misses in alone.failing for miss in misses]
    time = f", {row.latency.median_ms:.2f} ms on {report.provenance.host.name}" if row.latency else ""
    sentences = [f"Measured by the run that made it: {row.accuracy.metric} {row.accuracy.score:.4f}{time}."]
    sentences += [f"It misses the limits: {', '.join(missed)}."] if missed else []
    return " ".join([*sentences, f"The verdict of that run over all variants: {headline(report)}"])
