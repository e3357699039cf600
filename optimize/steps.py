"""Single steps as functions on files: each works without a run, a store or a report.

A model is a path, a name of ultralytics, or `digits`, the small model that is shipped; only known classes of
checkpoints are loaded. No function needs `if __name__ == "__main__":` in the script that calls it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from optimize.compose import composed, words
from optimize.device.bound import Bound, bounds
from optimize.device.device import load as load_device
from optimize.errors import InputError
from optimize.flops import counting, modules
from optimize.flops.table import Table
from optimize.host import quiet
from optimize.host.cpu import int8_cpu
from optimize.host.files import move
from optimize.host.process import without_main
from optimize.host.resources import cores
from optimize.input_size import size
from optimize.inputs import Side, build_pruning, build_runtime, check_image, open_checkpoint, open_variant, runtime_of
from optimize.measure import latency
from optimize.measure.latency import Timing
from optimize.output import check_new
from optimize.prepare import settings_of
from optimize.pruner import scan
from optimize.pruner.blocks import blocks
from optimize.pruner.settings import LATENCY
from optimize.pruner.tracker import trace
from optimize.shrink import shrink
from optimize.store.apply import report_of
from optimize.variant import Variant
from optimize.work import Pruned
from optimize.yolo import coupling
from optimize.yolo.checkpoint import load


@dataclass(frozen=True)
class LayerSensitivity:
    """How much the loss rises when channels of one group of layers, which can only be narrowed together, are removed.

    Attributes:
        layers: names of the modules whose output channels these are.
        channels: how many there are.
        rises: rise of the loss per image by the number of channels that are kept, those of the highest scores.
    """

    layers: tuple[str, ...]
    channels: int
    rises: dict[int, float]


def count_flops(model: str | Path, imgsz: Side = None) -> Table:
    """Count what a model costs for one image, layer by layer, on the fused graph that is deployed.

    >>> table = count_flops("digits", imgsz=160)
    >>> table.total.flops, table.total.parameters
    (395254400, 2584102)

    Args:
        model: as above, or a .yaml of ultralytics, an .onnx file, an OpenVINO folder or .xml.
        imgsz: of the input; None for the size that a graph has, and 640 for a yaml.

    Returns:
        The table, with 2 FLOPs per multiply-add and sizes in bytes.

    Raises:
        InputError: the model can't be read, or doesn't take an image of `imgsz`.
        MeasurementError: an operator that multiplies and adds has no formula.
    """
    return counting.count(model, imgsz)


def bound_latency(model: str | Path, device: str | Path, imgsz: Side = None) -> tuple[Bound, ...]:
    """Compute the least time that a model takes for one image on a device that is not at hand; nothing is measured.

    >>> bounds = bound_latency("digits", "raspberry-pi-5", imgsz=160)
    >>> [bound.arithmetic for bound in bounds], bounds[0].winograd_ms < bounds[0].bound_ms
    (['fp32', 'fp16', 'int8'], True)

    Args:
        model: as above, or a .yaml of ultralytics.
        device: a name that `python -m optimize.bound --help` lists, or the path of a yaml of the device.
        imgsz: of the input; None for the size that the model was trained at, and 640 for a yaml.

    Returns:
        A bound in milliseconds for each arithmetic of each unit of the device. Only one that counts Winograd's
        algorithm, `winograd_ms`, rules a model out; both are None where a peak of the device is not known.

    Raises:
        InputError: an input can't be used.
        MeasurementError: an operator that multiplies and adds has no formula.
    """
    cost, _, _ = modules.counted(str(model), None if imgsz is None else size(imgsz))
    return bounds(cost, load_device(str(device)))


def prune(
    model: str | Path,
    share: float,
    file: str | Path,
    *,
    data: str | Path | None = None,
    imgsz: Side = None,
    pruner: str | None = None,
    **settings: Any,
) -> Pruned:
    """Write a checkpoint with a share of the FLOPs removed as whole channels; its accuracy is not recovered.

    `YOLO(file)` loads it; `python -m optimize.train` trains it with its widths kept.

    >>> pruned = prune("digits", 0.3, "pruned.pt", round_to=8)
    >>> before, after = pruned.flops
    >>> 0.69 < after / before < 0.71 and after == count_flops("pruned.pt").total.flops
    True

    Args:
        model: the checkpoint.
        share: of the FLOPs, 0 < share < 1, or of what the setting `target` names.
        file: the new .pt file.
        data: a data.yaml, on whose training images importance is measured.
        imgsz: of the input that FLOPs are counted at.
        pruner: `taylor`, `l2`, `lamp`, `bn` or `random`; by default `taylor` with data and `l2` without.
        settings: keys of `pruner` on the command line, e.g. `round_to=8`.

    Returns:
        FLOPs and parameters before and after, and every layer's width.

    Raises:
        InputError: an input can't be used, `file` exists, or the setting needs a whole run.
        TargetOutOfReach: the share can't be reached; the sentence states the largest that can.
    """
    path, side = open_checkpoint(model, imgsz)
    check_new(f"file={file}", Path(file))
    pruning = build_pruning(
        path, data, pruner, {"prune": share} | {f"pruner.{key}": value for key, value in settings.items()}
    )
    if pruning.target == LATENCY:
        raise InputError(f"pruner.target={LATENCY} needs the runtime of a whole run; call optimize.optimize.")
    if not pruning.share:
        raise InputError("share=0 removes nothing; give 0 < share < 1, e.g. 0.3.")
    with TemporaryDirectory() as folder, without_main():
        variant = Variant(path, "torch", "fp32", side)
        for number, stage in enumerate(shrink(pruning, [])):
            place = Path(folder, str(number))
            place.mkdir()
            variant = stage(variant, place)
        move(variant.path, Path(file))
        report = report_of(variant)
    assert isinstance(report, Pruned)
    return report


def sensitivity(
    model: str | Path,
    data: str | Path,
    *,
    imgsz: Side = None,
    images: int = 16,
    pruner: str = "taylor",
    seed: int = 0,
    device: str | None = None,
) -> tuple[LayerSensitivity, ...]:
    """Measure how much the loss rises when each group of layers alone is narrowed, as pruning by FLOPs does first.

    >>> from optimize.data.digits import compose
    >>> groups = sensitivity("digits", compose(Path("data"), 4, 2), imgsz=64, images=2, pruner="l2")
    >>> groups[0].layers, groups[0].channels, list(groups[0].rises)
    (('model.0.conv',), 16, [4, 12])

    Args:
        model: the checkpoint.
        data: a data.yaml with labels of the model's classes.
        imgsz: of the input.
        images: labelled training images on which the loss is measured, at least 1.
        pruner: what scores channels, as in `prune`.
        seed: of the choice of images.
        device: where it runs, as in ultralytics; None for the first GPU, else the CPU.

    Returns:
        Each group that can be narrowed, in the order of the network.

    Raises:
        InputError: an input can't be used.
        MeasurementError: the loss is not finite.
    """
    path, side = open_checkpoint(model, imgsz)
    keys = {"pruner.scope": "measured", "pruner.images": images, "seed": seed, "device": device}
    pruning = build_pruning(path, data, pruner, keys)
    module = load(path)
    coupled = trace(coupling.traceable(module), side, coupling.RULES, coupling.HALVING, coupling.predictions)
    with TemporaryDirectory() as folder, without_main():
        stage = shrink(pruning, [])[0]
        measured = scan.read(stage(Variant(path, "torch", "fp32", side), Path(folder))).blocks
    return tuple(
        LayerSensitivity(
            tuple(coupled.uses[part.use].layer for part in block.parts if coupled.uses[part.use].side == "out"),
            block.units,
            dict(zip(one.kept, one.rises, strict=True)),
        )
        for block, one in zip(blocks(coupled), measured, strict=True)
        if one.kept
    )


def quantize(
    model: str | Path,
    images: Sequence[np.ndarray],
    file: str | Path,
    *,
    runtime: str = "onnxruntime",
    imgsz: Side = None,
) -> Path:
    """Write a model with weights and activations in 8 bits, by the best recipe of a runtime for this CPU.

    No layer returns to float, whatever it costs: `optimize.optimize` measures the accuracy and decides.

    >>> noise = np.random.default_rng(0).random((4, 1, 3, 160, 160), dtype=np.float32)
    >>> path = quantize("digits", list(noise), "int8.onnx")
    >>> count_flops(path).total.int_ops > 0.9 * count_flops(path).total.flops
    True

    Args:
        model: a checkpoint, or a file that this package exported in float32 for `runtime`.
        images: for calibration: float32 arrays of the shape (1, 3, height, width), RGB, 0 to 1; 128 are usual.
        file: the new file, e.g. `int8.onnx`, or folder, `int8_openvino_model`.
        runtime: `onnxruntime`, `openvino`, `ncnn` or `litert`.
        imgsz: of a checkpoint's input.

    Raises:
        InputError: an input can't be used, or `file` exists.
        RuntimeUnavailable: the runtime is not installed.
    """
    check_new(f"file={file}", Path(file))
    reader = build_runtime(runtime)
    recipes = reader.int8_recipes(int8_cpu())
    if not recipes:
        raise InputError(f"runtime={runtime} has no int8; give onnxruntime, openvino, ncnn or litert.")
    if not len(images):
        raise InputError("images is empty; give at least one, 128 are usual.")
    with TemporaryDirectory() as folder, without_main():
        if runtime_of(model) == "torch":
            path, side = open_checkpoint(model, imgsz)
            source = reader.export(Variant(path, "torch", "fp32", side), Path(folder))
        else:
            source = open_variant(model, None)
        for image in images:
            check_image(image, source.imgsz)
        reader.quantizer(source.path, images, recipes[0]).write(Path(file))
    return Path(file)


def measure_latency(
    models: Sequence[str | Path], *, imgsz: Side = None, threads: int | None = None, rounds: int = 30, seed: int = 0
) -> Timing:
    """Time models, each alone in a process of its own, all visited in turns, so that their ratios hold.

    It waits for other runs and timings of this package on the machine; anything else should be quiet.

    >>> timing = measure_latency(["digits"], imgsz=64, threads=1, rounds=12)
    >>> timing.latencies[0].speedup, timing.latencies[0].arithmetic, timing.latencies[0].median_ms > 0
    (1.0, 'fp32', True)

    Args:
        models: checkpoints, and files that this package made: .onnx, .tflite, .engine, and folders that end with
            `_openvino_model` or `_ncnn_model`. A speedup is against the first of the same runtime.
        imgsz: of the checkpoints' input; other files have their own.
        threads: CPU threads; all cores by default.
        rounds: visits to each, at least 12.
        seed: of their order.

    Returns:
        The latencies in milliseconds of one call for one image, without letterbox and NMS, in the order of `models`,
        and the noise, which is how far one file that is timed twice differs from itself.

    Raises:
        InputError: an input can't be used.
        RuntimeUnavailable: the runtime of a file is not installed.
        MeasurementError: a file can't be opened or called; the sentence names it.
    """
    if not models:
        raise InputError("models is empty; give at least one file.")
    settings = settings_of(composed(words({"rounds": rounds, "threads": threads, "seed": seed})))
    variants = [open_variant(model, imgsz) for model in models]
    opens = [build_runtime(variant.runtime).open for variant in variants]
    with without_main(), quiet.timing():
        return latency.measure(list(zip(opens, variants, strict=True)), settings.threads or cores(), rounds, seed)
