"""Checks that an ONNX graph can be counted: it has no cycles, and is not far larger than its file."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

import onnx

from optimize.errors import InputError
from optimize.runtime.onnx import shapes as onnx_shapes

NODES = 100_000  # with all functions inlined; the largest detectors have 5,000
BYTES = 2**28  # with all functions inlined
INPUTS = {"Conv": 2, "ConvTranspose": 2, "Gemm": 2, "MatMul": 2}  # the least number of inputs
REMEDY = "export the model again"
Key = tuple[str, str]
Node = TypeVar("Node")


def check(model: onnx.ModelProto) -> None:
    """Check the model's local functions before they are inlined.

    Raises:
        InputError: they call each other in a cycle, or the graph gets too large when they are inlined.
    """
    functions = {(function.domain, function.name): function for function in model.functions}
    calls = {key: Counter(_calls(function.node, functions)) for key, function in functions.items()}
    sizes: dict[Key, tuple[int, int]] = {}
    for key in _sorted(calls, "functions"):
        sizes[key] = _size(functions[key].node, functions[key].ByteSize(), calls[key], sizes)
    count, size = _size(model.graph.node, 0, Counter(_calls(model.graph.node, functions)), sizes)
    if count > NODES or size > BYTES:
        raise InputError(f"the graph has {count} operators when its functions are inlined; {REMEDY} without functions.")


def check_flat(graph: onnx.GraphProto) -> None:
    """Check a graph without functions.

    Raises:
        InputError: the graph has a cycle, an operator lacks inputs or reads a tensor that does not exist, or shapes
            grow without bound.
    """
    external = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    external |= {tensor.values.name for tensor in graph.sparse_initializer}
    producers: dict[str, int] = {}
    for i, node in enumerate(graph.node):
        for name in filter(None, node.output):
            if name in producers or name in external:
                raise InputError(f"the graph defines the tensor {name} twice; {REMEDY}.")
            producers[name] = i
    for node in graph.node:
        inputs = list(node.input[: INPUTS.get(node.op_type, 0)])
        if not node.output or len(list(filter(None, inputs))) < INPUTS.get(node.op_type, 0):
            raise InputError(f"{_name(node)} ({node.op_type}) lacks an input or an output; {REMEDY}.")
        if missing := [name for name in node.input if name and name not in producers and name not in external]:
            raise InputError(f"{_name(node)} reads {missing[0]}, which no operator writes; {REMEDY}.")
    needs = {i: {producers[name] for name in node.input if name in producers} for i, node in enumerate(graph.node)}
    onnx_shapes.check(graph, [graph.node[i] for i in _sorted(needs, "operators")])


def _size(
    nodes: Iterable[onnx.NodeProto], own_bytes: int, calls: Mapping[Key, int], sizes: Mapping[Key, tuple[int, int]]
) -> tuple[int, int]:
    """Number of operators and bytes after inlining; an attribute of a call may be copied into many operators."""
    count = sum(1 for _ in _all(nodes)) + sum(times * sizes[key][0] for key, times in calls.items())
    passed = max((attribute.ByteSize() for node in nodes for attribute in node.attribute), default=0) if calls else 0
    return count, own_bytes + sum(times * (sizes[key][1] + passed * sizes[key][0]) for key, times in calls.items())


def _calls(nodes: Iterable[onnx.NodeProto], functions: Mapping[Key, onnx.FunctionProto]) -> Iterator[Key]:
    return ((node.domain, node.op_type) for node in _all(nodes) if (node.domain, node.op_type) in functions)


def _all(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """`nodes` and those in branches and loops below them; protobuf reads no deeper than 100 levels."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _all(graph.node)


def _sorted(needs: Mapping[Node, Iterable[Node]], what: str) -> list[Node]:
    try:
        return list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise InputError(f"the {what} of the graph form a cycle; {REMEDY}.") from error


def _name(node: onnx.NodeProto) -> str:
    return node.name or next(iter(node.output), "") or "an operator"
