"""How each int8 file was made, and what that cost."""

from optimize.report.pipes import table
from optimize.result import Report, Result

TOLD = {"calibration", "recipe", "seconds"}
HEAD = ("variant", "runtime", "recipe", "drop, points", "allowed", "layers back in float", "seconds")


def section(report: Report) -> list[str]:
    """Markdown lines: a row per int8 file, then what its calibration saw; none without int8."""
    made = [result for result in report.results if (result.quantization or {}).keys() >= TOLD]
    if not made:
        return []
    seen = made[0].quantization["calibration"]
    return [
        "## Int8",
        "",
        "The drop is against the float32 file that it was made from, in the same runtime.",
        "",
        *table(HEAD, [_row(result) for result in made]),
        "",
        f"Calibrated with {seen['images']} images of {seen['source']}, seed {seen['seed']}; how many show each "
        f"class: {', '.join(f'{name} {count}' for name, count in seen['images_by_class'].items())}.",
        "",
        *[line for result in made for line in (*_candidates(result), *_float_layers(result))],
    ]


def _row(result: Result) -> tuple[str, ...]:
    done = result.quantization
    floats = str(len(done["float_layers"])) if "float_layers" in done else "none needed"
    drop, allowed = f"{done['drop']:.2f}", f"{done['max_drop']:.2f}"
    return (*_name(result), done["recipe"], drop, allowed, floats, f"{done['seconds']:.0f}")


def _candidates(result: Result) -> list[str]:
    rows = [
        (found["recipe"], f"{found['drop']:.2f}", f"{found['faster']:.2f}x")
        for found in result.quantization.get("candidates", [])
    ]
    return _titled(result, "what was tried", ("recipe", "drop, points", "faster than float32"), rows)


def _float_layers(result: Result) -> list[str]:
    rows = [
        (found["layer"], f"{found['drop']:.2f}", f"{found['slower']:+.1%}")
        for found in result.quantization.get("float_layers", [])
    ]
    return _titled(result, "layers back in float, in order", ("layer", "drop left, points", "time"), rows)


def _titled(result: Result, title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [f"{' on '.join(_name(result))}, {title}:", "", *table(head, rows), ""] if rows else []


def _name(result: Result) -> tuple[str, str]:
    return result.variant.name, result.variant.runtime
