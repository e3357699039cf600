"""Open an ncnn model on the CPU, in float32 where it is not int8: ncnn would take fp16 on ARM by itself.

Copied into bundles: only the standard library, numpy and the runtime are imported here, the runtime where it is used.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[np.ndarray], list[np.ndarray]]
NAME = "ncnn"
SHARES = False  # boxes are in pixels
PARAM, BIN = "model.ncnn.param", "model.ncnn.bin"  # as ultralytics calls them


def version() -> str:
    """Of the runtime."""
    import ncnn

    return str(ncnn.__version__)


def load(folder: Path, threads: int) -> Any:
    """An `ncnn.Net`; RuntimeError where ncnn can't read the files."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_packed = net.opt.use_bf16_storage = False
    if net.load_param(str(folder / PARAM)) or net.load_model(str(folder / BIN)):
        raise RuntimeError(f"ncnn {version()} can't load {folder.name}; its log above says why")
    return net


def tensors(net: Any, names: Iterable[str], images: np.ndarray, *, light: bool = False) -> dict[str, np.ndarray]:
    """What `net` computes for `images`, (1, 3, H, W) float32, at each of `names`, in ncnn's shapes without a batch.

    With `light`, as it is deployed, `names` must be outputs: ncnn frees all else as soon as it has been read.
    `net` is an `ncnn.Net`. RuntimeError where ncnn fails; what it hands back then crashes whoever reads it.
    """
    import ncnn

    image = np.ascontiguousarray(images[0])  # ncnn reads this memory itself, so it must outlive the run
    with net.create_extractor() as extractor:
        extractor.set_light_mode(light)
        source = net.input_names()[0]
        succeeded(extractor.input(source, ncnn.Mat(image)), f"take {source}")
        return {name: extracted(extractor, name) for name in names}


def extracted(extractor: Any, name: str) -> np.ndarray:
    code, tensor = extractor.extract(name)
    succeeded(code, f"compute {name}")
    return np.array(tensor)


def succeeded(code: int, what: str) -> None:
    if code:
        raise RuntimeError(f"ncnn {version()} failed to {what} (error {code}); its log above says why")


def runner(net: Any) -> Run:
    """(1, 3, H, W) float32 in 0..1 -> the outputs, a list of arrays."""
    outputs = sorted(net.output_names())

    def run(images: np.ndarray) -> list[np.ndarray]:
        found = tensors(net, outputs, images, light=True)
        return [found[name][None] for name in outputs]

    return run


def open_model(path: Path, precision: str, threads: int) -> tuple[Run, Callable[[], None]]:
    """The model as a function from (1, 3, H, W) float32 in 0..1 to its outputs; ncnn doesn't tell its arithmetic."""
    return runner(load(path, threads)), lambda: None
