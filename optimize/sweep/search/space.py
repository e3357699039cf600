"""What is searched: from Hydra's sweeps to Optuna's distributions, and back to values for the command line."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import CategoricalDistribution, FloatDistribution

from optimize.errors import InputError
from optimize.input_size import Size

Distribution = CategoricalDistribution | FloatDistribution
Space = dict[str, Distribution]


class Original(NamedTuple):
    """Input size of the original, and the stride in pixels, of which every other side is a multiple."""

    imgsz: Size
    stride: int


def space(sweeps: Sequence[Override]) -> Space:
    """By key: `interval(0.1,0.6)` is any number between, `range(0,0.6,0.1)` a number of that grid, `a,b` a choice.

    Raises:
        InputError: nothing can be drawn from one of them, or there is none.
    """
    if not sweeps:
        raise InputError("nothing is searched; give some key more than one value, e.g. prune=interval(0.1,0.6).")
    return {sweep.get_key_element(): _distribution(sweep) for sweep in sweeps}


def _distribution(sweep: Override) -> Distribution:
    given = sweep.value()
    if isinstance(given, IntervalSweep):
        if given.start is None or given.end is None or not given.start < given.end:
            raise InputError(f"{sweep.input_line} is empty; give the smaller number first.")
        return FloatDistribution(given.start, given.end)
    values = list(sweep.sweep_string_iterator())
    if not values:
        raise InputError(f"{sweep.input_line} is empty; give at least one value.")
    if not isinstance(given, RangeSweep) or len(values) == 1:
        return CategoricalDistribution(values)
    low, high = sorted((float(values[0]), float(values[-1])))
    return FloatDistribution(low, round(high, 10), step=abs(given.step))


def neat(params: dict[str, Any]) -> dict[str, Any]:
    """The same point with numbers as short as they are given to a job."""
    return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in params.items()}


def overrides(params: dict[str, Any], original: Original | None) -> dict[str, str]:
    """What a job is given for a point of the space.

    Args:
        params: the point.
        original: its size, since sizes of at most 1 are shares of it; None for the original itself.
    """
    given = {key: f"{value:g}" if isinstance(value, float) else value for key, value in params.items()}
    return given | ({"imgsz": _size(given["imgsz"], original)} if "imgsz" in given else {})


def _size(given: str, original: Original | None) -> str:
    try:
        share = 1.0 if given == "null" else float(given)  # null is the size that the checkpoint was trained at
    except ValueError:
        return given  # the job says what is wrong with it
    if share > 1:
        return f"{share:g}"
    if original is None:
        return "null"
    sides = [
        original.stride * max(1, round(share * side / original.stride))
        for side in (original.imgsz.height, original.imgsz.width)
    ]
    return str(sides[0]) if sides[0] == sides[1] else f"[{sides[0]},{sides[1]}]"
