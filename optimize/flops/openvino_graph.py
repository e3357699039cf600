"""Makes the table of an OpenVINO model, without torch."""

from pathlib import Path
from typing import Any

from optimize.errors import InputError, RuntimeUnavailable, described
from optimize.flops.input_size import check
from optimize.flops.named import layers_by_module
from optimize.flops.table import Table
from optimize.host.tried import try_in_process
from optimize.input_size import Size
from optimize.runtime.openvino import cost as openvino_cost

# OpenVINO evaluates shapes while it reads, and a small graph can demand any amount of time and memory for that.
READ = "import sys, openvino; openvino.Core().read_model(sys.argv[1])"
SECONDS, MEMORY = 60, 4 * 10**9
LARGEST = 2**26  # bytes of an .xml, which holds no weights; the largest detectors have 2 MB


def table(path: Path, imgsz: Size | None) -> Table:
    """See `count`; `path` is an .xml or the folder that holds it."""
    try:
        import openvino as ov
    except ImportError as error:
        raise RuntimeUnavailable(
            f"model={path} needs openvino, which is not installed; pip install openvino."
        ) from error
    files = sorted(path.glob("*.xml")) if path.is_dir() else [path]
    if len(files) != 1:
        raise InputError(f"model={path} holds {len(files)} .xml files; give a folder with one, or the .xml itself.")
    if not files[0].is_file() or files[0].stat().st_size > LARGEST:
        raise InputError(f"model={path} is no file, or larger than {LARGEST} bytes; give the .xml of a model.")
    weights = files[0].with_suffix(".bin")
    if weights.exists() and not weights.is_file():
        raise InputError(f"model={path} has a {weights.name} that is no file; give a folder with both.")
    if why := try_in_process(
        READ, str(files[0]), SECONDS, MEMORY + 4 * (weights.stat().st_size if weights.exists() else 0)
    ):
        raise InputError(f"model={path} can't be read by OpenVINO, since {why}; export it again.")
    try:
        network = ov.Core().read_model(files[0])
    except (RuntimeError, UnicodeDecodeError) as error:  # its message may hold bytes of the file
        raise InputError(f"model={path} is not an OpenVINO model ({described(error)}); give one that is.") from error
    size = check(str(path), [_shape(port) for port in network.inputs], imgsz)
    try:
        layers = layers_by_module(path, openvino_cost.layers(network))
    except (RuntimeError, UnicodeDecodeError) as error:  # an operator that isn't counted has a malformed shape or type
        raise InputError(f"model={path} can't be counted ({described(error)}); export it again.") from error
    return Table(str(path), size, layers, openvino_cost.uncounted(network), None, None)


def _shape(port: Any) -> tuple[int | str, ...]:
    return tuple(int(str(dim)) if dim.is_static else str(dim) for dim in port.get_partial_shape())
