"""Makes the table of a model from the name or path that the user gives."""

from collections.abc import Sequence
from pathlib import Path

from optimize.errors import InputError
from optimize.flops.table import Table
from optimize.input_size import size

ALLOWED = "a .pt checkpoint, the .yaml of a model, an .onnx file, an OpenVINO folder or .xml, or `digits`"


def count(model: str | Path, imgsz: int | tuple[int, ...] | None = None, trust: bool = False) -> Table:
    """Count a model for one image.

    Args:
        model: a .pt checkpoint or its name in ultralytics, the .yaml of a model, an .onnx file, float or with Q/DQ
            nodes, an OpenVINO folder or .xml, or `digits`, which is shipped. Graphs need neither torch nor ultralytics.
        imgsz: side of the input in pixels, or its height and width; None for the size that a graph has, that a
            checkpoint was trained at, and 640 for a yaml.
        trust: load a checkpoint that holds more than classes of ultralytics and torch, which can run any code.

    Raises:
        InputError: the model does not exist, doesn't take one image, or doesn't take an image of `imgsz`.
        MeasurementError: an operator that multiplies and adds has no formula, or its shape is unknown.
    """
    return count_sizes(model, (imgsz,), trust)[0]


def count_sizes(model: str | Path, sizes: Sequence[int | tuple[int, ...] | None], trust: bool = False) -> list[Table]:
    """As `count`, at several sizes; the model is loaded once."""
    inputs = [None if given is None else size(given) for given in sizes]
    path = Path(model)
    suffix = ".xml" if path.is_dir() else path.suffix.lower()
    if suffix in (".pt", ".yaml", ".yml") or str(model) == "digits":
        from optimize.flops import modules  # imports torch and ultralytics, which takes seconds and graphs don't need

        return modules.tables(str(model), inputs, trust)
    if suffix not in (".onnx", ".xml"):
        raise InputError(f"model={model} is not allowed; give {ALLOWED}.")
    if not path.exists():
        raise InputError(f"model={model} does not exist; give {ALLOWED}.")
    from optimize.flops import onnx_graph, openvino_graph

    return [(onnx_graph if suffix == ".onnx" else openvino_graph).table(path, imgsz) for imgsz in inputs]
