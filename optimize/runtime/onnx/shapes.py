"""Bounds how large the shapes of an ONNX graph get: onnx's shape inference computes their numbers without a bound."""

from collections.abc import Iterable
from math import prod

import onnx

from optimize.errors import InputError

# Numbers in all shapes together, without those that the file holds; the largest detectors have 100,000.
MOST = 2**20
TO_SHAPE = {"Reshape": 1, "Expand": 1, "ConstantOfShape": 0}  # which input is the shape
# Operators whose output has at most as many numbers as their largest input.
FOLLOWED = {"Add", "Cast", "Div", "Identity", "Max", "Min", "Mul", "Reshape", "Slice", "Squeeze", "Sub", "Unsqueeze"}
USUAL = 8  # dimensions of a tensor whose rank is unknown


def check(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Check that shapes stay small, since shapes that double at every step would take all memory.

    Args:
        graph: the graph.
        nodes: its nodes in topological order.

    Raises:
        InputError: the shapes get too large.
    """
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in graph.input}
    ranks |= {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    numbers = {tensor.name: prod(tensor.dims) for tensor in graph.initializer if len(tensor.dims) <= 1}
    most = MOST + sum(numbers.values())
    for node in nodes:
        rank, count = _grown(node, [ranks.get(name, 0) for name in node.input], [numbers.get(n, 0) for n in node.input])
        most -= rank + count
        if most < 0:
            raise InputError(
                f"the shapes of the graph grow without bound at {node.name or node.op_type}; export the model again."
            )
        ranks |= dict.fromkeys(node.output, rank)
        numbers |= dict.fromkeys(node.output, count)


def _grown(node: onnx.NodeProto, ranks: list[int], numbers: list[int]) -> tuple[int, int]:
    """Upper bounds of a node's output: its dimensions, and how many numbers it has where onnx computes them."""
    rank, kind = max(ranks, default=USUAL), node.op_type
    listed = sum(len(attribute.ints) + prod(attribute.t.dims) for attribute in node.attribute)
    if kind == "Shape":
        return 1, ranks[0] if ranks else 0
    if kind == "Constant":
        return max(len(attribute.t.dims) for attribute in node.attribute) if node.attribute else 0, listed
    if kind in TO_SHAPE and len(numbers) > TO_SHAPE[kind]:
        return numbers[TO_SHAPE[kind]] or USUAL, numbers[0] if kind == "Reshape" else 0
    if kind == "Concat":
        return rank, sum(numbers) if all(numbers) else 0
    if kind == "Gather" and len(ranks) == 2:
        return sum(ranks), (numbers[1] or 1) if numbers[0] else 0
    if kind in ("Unsqueeze", "GatherND", "OneHot"):
        return sum(ranks[:2]) + sum(numbers[1:]) + listed, numbers[0] if numbers and kind == "Unsqueeze" else 0
    return rank, max(numbers, default=0) if kind in FOLLOWED else 0
