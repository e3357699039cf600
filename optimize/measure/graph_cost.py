"""What an exported graph costs, counted on the file itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GraphCost:
    """Operations for one image of the operators that multiply and add: convolutions, linear layers, matrix products.

    Attributes:
        float_ops: operations on floats, 2 per multiply-add.
        int_ops: operations whose two factors are both quantized, 2 per multiply-add.
        parameters: weights and biases of these operators.
        weight_bytes: the same in bytes, as stored.
        uncounted: types of the other operators in the graph, sorted; by the convention they count nothing.
    """

    float_ops: int
    int_ops: int
    parameters: int
    weight_bytes: int
    uncounted: tuple[str, ...]

    @property
    def ops(self) -> int:
        return self.float_ops + self.int_ops
