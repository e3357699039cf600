"""Counts what a model costs for one image, layer by layer: `python -m optimize.flops`.

    from optimize.flops import count

    table = count("yolo26n.pt", imgsz=640)
    table.total.flops, table.total.parameters, [(layer.name, layer.flops) for layer in table.layers]

The convention is that of `optimize.measure.cost`: FLOPs are floating-point operations for one image, 2 per
multiply-add, of convolutions, linear layers and matrix products, on the fused graph of the head that is deployed.
"""

from optimize.flops.counting import count
from optimize.flops.table import Table

__all__ = ["Table", "count"]
