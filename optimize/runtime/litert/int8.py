"""Static int8 for LiteRT by ai-edge-quantizer: activations with a zero point, weights per channel."""

import re
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from optimize.progress import bar
from optimize.runtime.litert.cost import COUNTED, constants
from optimize.runtime.litert.graph import Graph, Operator, append, metadata, read
from optimize.runtime.scope import walk
from optimize.runtime.session import Images

SIGNATURE, INPUT = "serving_default", "args_0"  # as litert-torch calls them
ACTIVATIONS = ("LOGISTIC", "MUL", "RELU", "RELU6", "LEAKY_RELU", "HARD_SWISH")


@dataclass(frozen=True)
class LitertRecipe:
    """One way to quantize a .tflite file to int8; the box decoding of the head stays in float.

    Attributes:
        name: name in the report.
        first: also quantize the convolution that reads the image.
        last: also quantize the convolutions whose outputs the box decoding reads.
        min_max: min-max calibration instead of moving-average calibration.
    """

    name: str
    first: bool = True
    last: bool = False
    min_max: bool = False


LITERT = (
    LitertRecipe("a8w8"),
    LitertRecipe("a8w8, extremes", min_max=True),
    LitertRecipe("a8w8, first layer float", first=False),
    LitertRecipe("a8w8, last layers too", last=True),
)


class LitertInt8:
    """A calibrated .tflite file, which writes int8 files with some layers left in float.

    Attributes:
        layers: names of the operators with weights that `recipe` makes int8, in the graph's order.
    """

    def __init__(self, source: Path, images: Images, recipe: LitertRecipe):
        self.source, self.images, self.graph = source, images, read(source)
        decode, last = _head(self.graph)
        self.last = [_name(operator) for operator in last]
        weighted = [op for op in self.graph.operators if op.kind in COUNTED and constants(self.graph, op)]
        self.floats = {_name(operator) for operator in (*decode, *([] if recipe.last else last))}
        self.floats |= set() if recipe.first else {_name(weighted[0])}
        self.layers = [_name(operator) for operator in weighted if _name(operator) not in self.floats]
        self.ranges = _ranges(source, images, recipe)

    def write(self, target: Path, floats: Sequence[str] = ()) -> None:
        """Write the int8 file; `floats` are layers that stay in float, with the activation that follows each."""
        from ai_edge_quantizer import quantizer, recipe

        names = {*self.floats, *(name for layer in floats for name in self._with_activation(layer))}
        quantization = quantizer.Quantizer(str(self.source))
        quantization.load_quantization_recipe(recipe.static_wi8_ai8())
        scopes = ("".join(f"{t.name};" for t in op.writes) for op in self.graph.operators if _name(op) in names)
        places = [(f"^{re.escape(scope)}$", recipe.TFLOperationName.ALL_SUPPORTED) for scope in scopes]
        places += [(".*", recipe.TFLOperationName.INPUT), (".*", recipe.TFLOperationName.OUTPUT)]
        for scope, operation in places:
            quantization.update_quantization_recipe(scope, operation, algorithm_key=recipe.AlgorithmName.NO_QUANTIZE)
        with redirect_stdout(sys.stderr):  # stdout belongs to the report
            quantization.quantize(self.ranges, enable_progress_bar=False, enable_progress_report=False).export_model(
                str(target), overwrite=True
            )
        append(target, metadata(self.source))

    def _with_activation(self, layer: str) -> list[str]:
        """A layer and the operators of its activation function, e.g. the LOGISTIC and MUL of a SiLU."""
        names = {layer}
        for operator in self.graph.operators:  # in the order of execution
            if operator.kind in ACTIVATIONS and {tensor.name for tensor in operator.reads} <= names:
                names.add(_name(operator))
        return sorted(names)

    def logits(self, path: Path) -> Callable[[np.ndarray], list[np.ndarray]]:
        """A function that runs the file `path` on an image and returns the inputs of the box decoding."""
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # only these keep the tensors between operators
        interpreter = Interpreter(
            str(path),
            num_threads=1,
            experimental_op_resolver_type=kernels,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
        (source,) = interpreter.get_input_details()
        tensors = {details["name"]: details for details in interpreter.get_tensor_details()}

        def run(image: np.ndarray) -> list[np.ndarray]:
            interpreter.set_tensor(source["index"], image)
            interpreter.invoke()
            return [_in_float(interpreter.get_tensor(tensors[name]["index"]), tensors[name]) for name in self.last]

        return run


def _in_float(numbers: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    scale, zero = details["quantization"]
    return numbers if numbers.dtype == np.float32 else (numbers.astype(np.float32) - zero) * scale


def _name(operator: Operator) -> str:
    return operator.writes[0].name


def _head(graph: Graph) -> tuple[list[Operator], list[Operator]]:
    """The operators of the box decoding, and those whose outputs it reads: the last with weights on each path."""
    producers = graph.producers

    def parents(operator: Operator) -> list[Operator]:
        return [producers[tensor.name] for tensor in operator.reads if tensor.name in producers]

    def weight(operator: Operator) -> np.ndarray | None:
        stored = constants(graph, operator) if operator.kind in COUNTED else []
        return stored[0].numbers if stored else None

    return walk(graph.operators, [producers[name] for name in graph.outputs], parents, weight, key=_name)


def _ranges(source: Path, images: Images, recipe: LitertRecipe) -> dict[str, dict[str, Any]]:
    """Calibrate on `images`: the statistics of every tensor, as ai-edge-quantizer takes them."""
    from ai_edge_quantizer import calibrator
    from ai_edge_quantizer.utils import qsv_utils

    update = qsv_utils.min_max_update if recipe.min_max else qsv_utils.moving_average_update
    mode = calibrator.CalibrationMode.CALIBRATION_PRESERVE_ALL_TENSORS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that it keeps every tensor of one image, which is intended
        interpreter = calibrator.CalibrationInterpreter(str(source), mode, update)
    runner = interpreter.get_signature_runner(SIGNATURE)

    def calibrate(image: np.ndarray) -> None:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # it draws a bar for every image
            runner(**{INPUT: image})

    with bar("calibrating", len(images)) as tick:
        for image in images:
            tick(calibrate)(image)
    return interpreter.get_calibration_results()
