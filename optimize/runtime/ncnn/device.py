"""Open an ncnn model on the CPU, in float32 unless it is int8: ncnn by itself would use fp16 on ARM.

This file is copied into bundles: it imports only the standard library, numpy and, inside functions, the runtime.
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
    """The version of the runtime."""
    import ncnn

    return str(ncnn.__version__)


def load(folder: Path, threads: int) -> Any:
    """An `ncnn.Net`.

    Raises:
        RuntimeError: ncnn can't read the files.
    """
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
    """The tensors `names` that `net`, an `ncnn.Net`, computes for `images`, in ncnn's shapes without a batch.

    `images` is (1, 3, H, W) float32. With `light`, the mode of deployment, `names` must be outputs, since ncnn frees
    every other tensor after its last use.

    Raises:
        RuntimeError: ncnn fails; the tensor that it returns then would crash the reader.
    """
    import ncnn

    image = np.ascontiguousarray(images[0])  # ncnn reads this memory without a copy, so it must outlive the run
    with net.create_extractor() as extractor:
        extractor.set_light_mode(light)
        source = net.input_names()[0]
        check_code(extractor.input(source, ncnn.Mat(image)), f"take {source}")
        return {name: extract(extractor, name) for name in names}


def extract(extractor: Any, name: str) -> np.ndarray:
    code, tensor = extractor.extract(name)
    check_code(code, f"compute {name}")
    return np.array(tensor)


def check_code(code: int, task: str) -> None:
    if code:
        raise RuntimeError(f"ncnn {version()} failed to {task} (error {code}); its log above says why")


def runner(net: Any) -> Run:
    """Function from (1, 3, H, W) float32 in 0..1 to the list of outputs."""
    outputs = sorted(net.output_names())

    def run(images: np.ndarray) -> list[np.ndarray]:
        by_name = tensors(net, outputs, images, light=True)
        return [by_name[name][None] for name in outputs]

    return run


def open_model(path: Path, precision: str, threads: int) -> tuple[Run, Callable[[], None]]:
    """Open the model.

    Returns:
        A function from (1, 3, H, W) float32 in 0..1 to the outputs, and one that returns None, since ncnn doesn't
        report its arithmetic.
    """
    return runner(load(path, threads)), lambda: None
