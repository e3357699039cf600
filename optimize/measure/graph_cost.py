"""Operations, parameters and bytes of an exported graph, counted on the file itself."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Self

from optimize.errors import MeasurementError

# the type of every operator that multiplies and adds contains one of these words
MULTIPLY_ADD = ("conv", "matmul", "gemm", "einsum", "attention", "gru", "lstm", "rnn")

LARGEST = 2**40  # numbers of a tensor; a file can name a larger shape, but no machine can hold it


@dataclass(frozen=True)
class GraphLayer:
    """One operator that multiplies and adds, for one image.

    Attributes:
        name: the operator's name in the file.
        kind: the operator's type, e.g. `Conv`.
        float_ops, int_ops, parameters: as in `GraphCost`.
        weight_bytes: bytes as stored; weights that several operators share count for the first.
        read_bytes, written_bytes: its input and output activations, in the types that the file declares; 0 for
            products of two activations, see `cost.Layer`.
    """

    name: str
    kind: str
    float_ops: int
    int_ops: int
    parameters: int
    weight_bytes: int
    read_bytes: int
    written_bytes: int

    @property
    def flops(self) -> int:
        """Operations for one image, 2 per multiply-add, on floats or integers."""
        return self.float_ops + self.int_ops

    @property
    def macs(self) -> int:
        return self.flops // 2

    @property
    def activation_bytes(self) -> int:
        return self.read_bytes + self.written_bytes

    @property
    def intensity(self) -> float | None:
        """FLOPs per byte of weights and activations; None where it moves no bytes."""
        moved = self.weight_bytes + self.activation_bytes
        return self.flops / moved if moved else None


def total(name: str, kind: str, layers: Iterable[GraphLayer]) -> GraphLayer:
    """The sums over `layers`, as one layer."""
    layers = tuple(layers)
    counted = [field.name for field in fields(GraphLayer) if field.name not in ("name", "kind")]
    sums = {count: sum(getattr(layer, count) for layer in layers) for count in counted}
    return GraphLayer(name, kind, **sums)


@dataclass(frozen=True)
class GraphCost:
    """Operations for one image of the operators that multiply and add: convolutions, linear layers, matrix products.

    Attributes:
        float_ops: operations on floats, 2 per multiply-add.
        int_ops: operations whose two factors are both quantized, 2 per multiply-add.
        parameters: weights and biases of these operators.
        weight_bytes: the same in bytes, as stored.
        uncounted: types of the other operators in the graph, sorted; by the convention they count 0.
    """

    float_ops: int
    int_ops: int
    parameters: int
    weight_bytes: int
    uncounted: tuple[str, ...]

    @classmethod
    def of(cls, layers: tuple[GraphLayer, ...], uncounted: tuple[str, ...]) -> Self:
        sums = total("", "", layers)
        return cls(sums.float_ops, sums.int_ops, sums.parameters, sums.weight_bytes, uncounted)

    @property
    def ops(self) -> int:
        return self.float_ops + self.int_ops


def check(uncounted: Iterable[str]) -> None:
    """Check that none of the operator types that a count leaves out multiplies and adds.

    Raises:
        MeasurementError: one does, so a total would be too small.
    """
    lower = {name: name.lower() for name in uncounted}
    missed = sorted(n for n in lower if any(word in lower[n] for word in MULTIPLY_ADD) and "convert" not in lower[n])
    if missed:
        raise MeasurementError(
            f"{', '.join(missed)} has no FLOPs formula, so no total can be given; "
            "give the float or the Q/DQ file of this model."
        )
