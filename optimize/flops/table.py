"""The costs of a model at one input size, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimize.input_size import Size
from optimize.measure.graph_cost import GraphLayer, total

if TYPE_CHECKING:  # the table of a graph needs neither torch nor ultralytics
    from optimize.yolo.size import Size as ModelSize

CONVENTION = (
    "FLOPs are floating-point operations for one image, 2 per multiply-add (MACs are half), of convolutions, linear "
    "layers and matrix products, on the fused graph of the head that is deployed. FLOPS, the speed of a machine, is "
    "something else."
)


@dataclass(frozen=True)
class Table:
    """What a model costs for one image.

    Attributes:
        model: the model as the user gave it.
        imgsz: size of the input.
        layers: all layers that multiply and add or hold parameters, in the order of the network; named by their modules
            where the file says so.
        uncounted: the names of the other operators, which cost nothing by the convention.
        trained, fused: the model's size as ultralytics prints it, before and after `fuse()`; None for exported graphs.
    """

    model: str
    imgsz: Size
    layers: tuple[GraphLayer, ...]
    uncounted: tuple[str, ...]
    trained: ModelSize | None
    fused: ModelSize | None

    @property
    def total(self) -> GraphLayer:
        return total(self.model, "", self.layers)

    @property
    def name(self) -> str:
        """E.g. `yolo26n.pt 640x640`."""
        return f"{self.model} {self.imgsz.height}x{self.imgsz.width}"
