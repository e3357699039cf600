"""Static int8 for ncnn, whose wheel lacks the two programs that quantize (ncnn2table, ncnn2int8).

An int8 layer multiplies its input by a scale, rounds it to -127..127, and returns float32; its weights are stored in
int8 with a scale for each output channel (https://github.com/Tencent/ncnn/wiki/quantized-int8-inference).
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from optimize.progress import bar
from optimize.runtime.ncnn.net import DEPTHWISE, Layer, load, read, tensors, write
from optimize.runtime.scope import walk
from optimize.runtime.session import Images

WEIGHTED = ("Convolution", "ConvolutionDepthWise", "InnerProduct")  # the layers that ncnn can run in int8
LARGEST, LARGEST_IN_WINOGRAD = 127, 31


@dataclass(frozen=True)
class NcnnRecipe:
    """One way to quantize an ncnn model to int8; the box decoding of the head stays in float.

    Attributes:
        name: name in the report.
        narrow: 6-bit weights for 3x3 convolutions of stride 1: where the CPU has no dot product, ncnn computes these
            by Winograd's F(4, 3) in 16 bits, which 8-bit weights could overflow; ncnn's own tool does the same.
        depthwise: also quantize grouped convolutions.
        first: also quantize the convolution that reads the image.
        last: also quantize the convolutions whose outputs the box decoding reads.
        min_max: min-max calibration, over all images, instead of moving-average calibration, the mean over images.
    """

    name: str
    narrow: bool = True
    depthwise: bool = True
    first: bool = True
    last: bool = False
    min_max: bool = False


NCNN = (
    NcnnRecipe("s8s8"),
    NcnnRecipe("s8s8, extremes", min_max=True),
    NcnnRecipe("s8s8, 8 bits everywhere", narrow=False),
    NcnnRecipe("s8s8, depthwise float", depthwise=False),
    NcnnRecipe("s8s8, first layer float", first=False),
    NcnnRecipe("s8s8, last layers too", last=True),
)


class NcnnInt8:
    """A calibrated ncnn model, which writes int8 folders with some layers left in float.

    Attributes:
        layers: names of the layers with weights that `recipe` makes int8, in the graph's order.
    """

    def __init__(self, source: Path, images: Images, recipe: NcnnRecipe):
        self.source, self.images, self.network = source, images, read(source)
        decode, last = _head(self.network)
        self.last = [layer.writes[0] for layer in last]
        floats = {layer.writes for layer in (*decode, *([] if recipe.last else last))}
        inputs = {name for layer in self.network if layer.kind == "Input" for name in layer.writes}
        chosen = [
            layer
            for layer in self.network
            if layer.kind in WEIGHTED
            and layer.writes not in floats
            and (recipe.first or not inputs & set(layer.reads))
            and (recipe.depthwise or layer.kind not in DEPTHWISE)
        ]
        self.layers = [layer.name for layer in chosen]
        ranges = _ranges(source, images, [layer.reads[0] for layer in chosen], recipe)
        self.quantized = {layer.name: _quantized(layer, ranges[layer.reads[0]], recipe) for layer in chosen}

    def write(self, target: Path, floats: Sequence[str] = ()) -> None:
        """Write the int8 folder; `floats` are layers that stay in float."""
        quantized = {name: layer for name, layer in self.quantized.items() if name not in floats}
        write([quantized.get(layer.name, layer) for layer in self.network], target)
        shutil.copy(self.source / "metadata.yaml", target)

    def logits(self, path: Path) -> Callable[[np.ndarray], list[np.ndarray]]:
        """A function that runs the folder `path` on an image and returns the inputs of the box decoding."""
        net = load(path, 1)
        return lambda image: list(tensors(net, self.last, image).values())


def _head(network: list[Layer]) -> tuple[list[Layer], list[Layer]]:
    """The layers of the box decoding, and those whose outputs it reads: the last with weights on each path."""
    producers = {name: layer for layer in network for name in layer.writes}

    def parents(layer: Layer) -> list[Layer]:
        return [producers[name] for name in layer.reads]

    def weight(layer: Layer) -> np.ndarray | None:
        holders = [layer, *parents(layer)] if layer.kind == "MatMul" else [layer]
        return next((holder.arrays[0] for holder in holders if holder.arrays and layer.kind != "MemoryData"), None)

    used = {name for layer in network for name in layer.reads}
    outputs = [layer for layer in network if not used & set(layer.writes)]
    return walk(network, outputs, parents, weight, key=lambda layer: layer.writes[0])  # names may repeat


def _ranges(source: Path, images: Images, names: Sequence[str], recipe: NcnnRecipe) -> dict[str, np.floating]:
    """Calibrate on `images`: the largest absolute value of each of these tensors, by name."""
    net = load(source, 1)

    def largest(image: np.ndarray) -> list[np.floating]:
        return [np.abs(tensor).max() for tensor in tensors(net, names, image).values()]

    with bar("calibrating", len(images)) as tick:
        maxima = np.array([tick(largest)(image) for image in images])
    return dict(zip(names, maxima.max(0) if recipe.min_max else maxima.mean(0), strict=True))


def _quantized(layer: Layer, largest: np.floating, recipe: NcnnRecipe) -> Layer:
    groups = layer.number(7) if layer.kind in DEPTHWISE else layer.number(0)
    weights = layer.arrays[0].reshape(groups, -1)
    limit = LARGEST_IN_WINOGRAD if recipe.narrow and _by_winograd(layer) else LARGEST
    scales = limit / np.maximum(np.abs(weights).max(1), TINY)
    rounded = np.round(weights * scales[:, None]).astype(np.int8).ravel()
    return replace(
        layer,
        settings=layer.settings | {8: "1" if layer.kind in DEPTHWISE else "2"},
        arrays=(rounded, *layer.arrays[1:], scales, np.array([LARGEST / max(largest, TINY)], np.float32)),
    )


def _by_winograd(layer: Layer) -> bool:
    """Whether ncnn computes `layer` by Winograd's algorithm: a 3x3 convolution of stride and dilation 1.

    In ncnn's files dilation and stride default to 1, and the vertical values to the horizontal ones.
    """
    kernel, dilation, stride = (int(layer.settings.get(i, 1)) for i in (1, 2, 3))
    down = tuple(int(layer.settings.get(i + 10, width)) for i, width in ((1, kernel), (2, dilation), (3, stride)))
    return layer.kind == "Convolution" and (kernel, dilation, stride) == down == (3, 1, 1)


TINY = np.float32(1e-12)  # dead channels are all zero
