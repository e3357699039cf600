"""How much of a float model's signal a quantized one keeps, output by output."""

from collections.abc import Iterable

import numpy as np

from optimize.runtime.litert import LiteRT
from optimize.runtime.ncnn import Ncnn
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.variant import Variant


def signal_to_noise(
    variant: Variant, reference: Variant, images: Iterable[np.ndarray], task: str, classes: int
) -> dict[str, float]:
    """SQNR of each part of the outputs over `images` in dB: 10 log10 of signal variance over mean squared error."""
    run, truth = (_open(v) for v in (variant, reference))
    pairs = [(parts(task, classes, run(p)), parts(task, classes, truth(p))) for p in images]
    return {
        part: sqnr(*(np.stack([outputs[part] for outputs in side]) for side in zip(*pairs, strict=True)))
        for part in pairs[0][1]
    }


def sqnr(found: np.ndarray, expected: np.ndarray) -> float:
    return 10 * np.log10(np.var(expected) / np.mean((found - expected) ** 2))


def parts(task: str, classes: int, outputs: list[np.ndarray]) -> dict[str, np.ndarray]:
    """What must keep a precision of its own: numbers of different meaning, whose ranges differ.

    RT-DETR's queries come in another order where two scores are nearly equal, so only sorted scores are compared.
    """
    if task == "classify":
        return {"probabilities": outputs[0]}
    if task == "rtdetr":
        return {"scores": np.sort(outputs[0][..., 4])}
    rows, *rest = outputs
    found = {"boxes": rows[:, :4], "scores": rows[:, 4 : 4 + classes]}
    if rows.shape[1] > 4 + classes:
        found[{"segment": "coefficients", "pose": "keypoints", "obb": "angle"}[task]] = rows[:, 4 + classes :]
    return found | ({"prototypes": rest[0]} if rest else {})


def _open(variant: Variant):
    runtimes = {runtime.info.name: runtime for runtime in (OpenVino(), Ncnn(), LiteRT())}
    return runtimes.get(variant.runtime, OnnxRuntime()).open(variant, threads=1)
