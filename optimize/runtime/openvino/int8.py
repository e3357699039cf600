"""Static int8 for OpenVINO by NNCF's post-training quantization."""

import logging
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nncf
import numpy as np

from optimize.int8_cpu import AMX, KINDS
from optimize.runtime.openvino import save
from optimize.runtime.openvino.cost import COUNTED, quantized, stored_constant
from optimize.runtime.openvino.device import read
from optimize.runtime.scope import openvino_constant, openvino_decode, openvino_first, openvino_last, openvino_products
from optimize.runtime.session import Images


@dataclass(frozen=True)
class OpenvinoRecipe:
    """One way to quantize an OpenVINO model to int8; the box decoding of the head stays in float.

    Attributes:
        name: name in the report.
        preset: `mixed` for asymmetric activations, `performance` for symmetric ones; weights are symmetric in both.
        first: also quantize the convolution that reads the image.
        last: also quantize the convolutions whose outputs the box decoding reads; their kernels return float.
        attention: also quantize the products of two activations.
        corrected: correct biases for the shift that rounding causes, by NNCF's fast estimate.
        guarded: weights of 7 bits in the first layer that is int8, against overflow (`nncf.OverflowFix`).
        concatenations, residuals: also quantize the concatenations, and the additions of a residual.
    """

    name: str
    preset: str = "mixed"
    first: bool = True
    last: bool = True
    attention: bool = True
    corrected: bool = False
    guarded: bool = False
    concatenations: bool = True
    residuals: bool = True


# Figures in docs/quantization.md. Without VNNI, only the layer that reads the image overflows, and it is float. NNCF's
# guard would then take a bit from the layer behind it (14.2 instead of 18.6 dB reach the box decoding of yolov8n on
# deeppcb), and its bias correction adds noise. `mixed`, the last, is what NNCF makes by itself.
OPENVINO = (
    OpenvinoRecipe("mixed, ends float, 8 bits", first=False, last=False),
    OpenvinoRecipe("performance, ends float, 8 bits", preset="performance", first=False, last=False),
    OpenvinoRecipe("mixed, 8 bits"),
    OpenvinoRecipe("performance, 8 bits", preset="performance"),
    OpenvinoRecipe("mixed, last layers float, 8 bits", last=False),
    OpenvinoRecipe("mixed, ends and concatenations float, 8 bits", first=False, last=False, concatenations=False),
    OpenvinoRecipe("mixed, ends and residuals float, 8 bits", first=False, last=False, residuals=False),
    OpenvinoRecipe("mixed, ends and attention float, 8 bits", first=False, last=False, attention=False),
    OpenvinoRecipe("mixed", corrected=True, guarded=True),
)
# On each kind of CPU the default, and the one to try where that loses too much: the same layers with other ranges. On
# AMX symmetric activations are 1.1 to 1.3x as fast, elsewhere as fast.
OPENVINO_FIRST = dict.fromkeys(KINDS, ("mixed, ends float, 8 bits", "performance, ends float, 8 bits")) | {
    AMX: ("performance, ends float, 8 bits", "mixed, ends float, 8 bits")
}


class OpenvinoInt8:
    """A calibrated OpenVINO model, which writes int8 folders with some layers left in float.

    Attributes:
        layers: names of the operators with weights that are int8, in the graph's order.
    """

    def __init__(self, source: Path, images: Images, recipe: OpenvinoRecipe):
        self.source, self.network, self.images = source, read(source), images
        self.last = openvino_last(self.network)
        floats = {
            *openvino_decode(self.network),
            *([] if recipe.first else openvino_first(self.network)),
            *([] if recipe.last else self.last),
            *([] if recipe.attention else openvino_products(self.network)),
            *([] if recipe.concatenations else _named(self.network, "Concat")),
            *([] if recipe.residuals else _residuals(self.network)),
        }
        nncf.set_log_level(logging.WARNING)
        with redirect_stdout(sys.stderr):  # its progress bars; stdout belongs to the report
            self.quantized = nncf.quantize(
                self.network,
                nncf.Dataset(images),
                preset=nncf.QuantizationPreset(recipe.preset),
                subset_size=len(images),
                fast_bias_correction=True,
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    overflow_fix=nncf.OverflowFix.FIRST_LAYER if recipe.guarded else nncf.OverflowFix.DISABLE,
                    disable_bias_correction=not recipe.corrected,
                ),
                ignored_scope=nncf.IgnoredScope(names=sorted(floats)),
            )
        self.layers = [op.get_friendly_name() for op in self.quantized.get_ordered_ops() if _is_int8(op)]

    def write(self, target: Path, floats: Sequence[str] = ()) -> None:
        """Write the int8 folder; `floats` are layers that stay in float."""
        network = self.quantized.clone()
        originals = {op.get_friendly_name(): op for op in self.network.get_ops()}
        for op in network.get_ops():
            if op.get_friendly_name() in floats:
                _revert(op, originals)
        save(network, target)
        shutil.copy(self.source / "metadata.yaml", target)

    def logits(self, path: Path) -> Callable[[np.ndarray], list[np.ndarray]]:
        """A function that runs the folder `path` on an image and returns the inputs of the box decoding."""
        import openvino as ov

        network = read(path)
        names = {op.get_friendly_name(): op for op in network.get_ops()}
        outputs = [names[name].output(0) for name in self.last]
        compiled = ov.Core().compile_model(
            ov.Model(outputs, network.get_parameters()), "CPU", {"INFERENCE_PRECISION_HINT": ov.Type.f32}
        )
        return lambda image: list(compiled(image).values())


def _named(network: Any, kind: str) -> list[str]:
    return [op.get_friendly_name() for op in network.get_ops() if op.get_type_name() == kind]


def _residuals(network: Any) -> list[str]:
    """Additions of two activations."""
    return [
        op.get_friendly_name()
        for op in network.get_ops()
        if op.get_type_name() == "Add"
        and all(openvino_constant(op.input_value(i).get_node()) is None for i in range(2))
    ]


def _is_int8(op: Any) -> bool:
    return op.get_type_name() in COUNTED and quantized(op) and stored_constant(op.input_value(1).get_node()) is not None


def _revert(op: Any, originals: dict[str, Any]) -> None:
    """Restore an operator's float input, weights and bias; NNCF has corrected the bias for the shift by int8.

    `op` is an `openvino.Node`; `originals` are the float network's nodes by name.
    """
    from openvino import opset13

    original = originals[op.get_friendly_name()]
    fake = op.input_value(0).get_node()
    if fake.get_type_name() == "FakeQuantize":
        op.input(0).replace_source_output(fake.input_value(0))
    weights = openvino_constant(original.input_value(1).get_node())
    if weights is None:
        raise RuntimeError(f"the float model stores no weights for {op.get_friendly_name()}, which is int8")
    constant = opset13.constant(weights.reshape(op.get_input_shape(1)))
    op.input(1).replace_source_output(constant.output(0))
    for target in op.output(0).get_target_inputs():
        add = target.get_node()
        if add.get_type_name() == "Add" and add.get_friendly_name() in originals:
            before = originals[add.get_friendly_name()]
            for i in range(2):
                bias = openvino_constant(before.input_value(i).get_node())
                if bias is not None:
                    add.input(i).replace_source_output(opset13.constant(bias).output(0))
