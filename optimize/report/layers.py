"""What pruning did to each layer, and why it left some as they were."""

from optimize.report.pipes import table

HEAD = ("layer", "width", "MFLOPs", "parameters", "FLOPs left", "why nothing was removed")


def section(stages: list[dict]) -> list[str]:
    """Markdown lines: a table with a row per layer, from before the first cut to after the last; none without a cut."""
    cuts = [stage["layers"] for stage in stages if "layers" in stage]
    if not cuts:
        return []
    last = {layer["name"]: layer for layer in cuts[-1]}
    rows = [_row(layer, last[layer["name"]]) for layer in cuts[0] if layer["name"] in last]
    return [
        "## Layer by layer",
        "",
        "Before and after pruning, of one image, in the deployed graph; layers with 0 FLOPs run in training only.",
        "",
        *table(HEAD, rows),
        "",
    ]


def _row(first: dict, last: dict) -> tuple[str, ...]:
    flops, left = first["flops"][0], last["flops"][1]
    return (
        first["name"],
        _change(first["width"][0], last["width"][1], "d"),
        _change(flops / 1e6, left / 1e6, ".2f"),
        _change(first["parameters"][0], last["parameters"][1], ","),
        f"{left / flops:.0%}" if flops else "-",
        last["dense"] if first["width"][0] == last["width"][1] else "",
    )


def _change(before: float, after: float, form: str) -> str:
    first, last = f"{before:{form}}", f"{after:{form}}"
    return first if first == last else f"{first} -> {last}"
