"""The section on layers: what pruning removed from each, and why it removed nothing from some."""

from optimize.report.sections.section import DASH, Section, Table
from optimize.result import Report
from optimize.work import LayerChange, Pruned, Scanned

HEAD = ("layer", "width", "MFLOPs", "parameters", "FLOPs left", "why nothing was removed")


LEAD = (
    "Each layer before and after pruning. FLOPs are for one image in the deployed graph; layers with 0 FLOPs run in "
    "training only."
)


def section(report: Report) -> Section | None:
    """A row per layer, from before the first cut to after the last; None where nothing was cut."""
    cuts = [stage.layers for stage in report.stages if isinstance(stage, Pruned)]
    if not cuts:
        return None
    last = {layer.name: layer for layer in cuts[-1]}
    rows = tuple(_row(layer, last[layer.name]) for layer in cuts[0] if layer.name in last)
    table = Table(HEAD, rows, words=("layer", "why nothing was removed"))
    return Section("layers", "Layer by layer", " ".join([LEAD, *_scans(report)]), (table,), folded=True)


def _scans(report: Report) -> list[str]:
    return [
        f"Which layers to narrow was measured in {scan.seconds:.0f} s: the loss on {scan.images} training images in "
        f"{scan.trials} trials, each with one part of the network narrowed alone."
        for scan in report.stages
        if isinstance(scan, Scanned)
    ]


def _row(first: LayerChange, last: LayerChange) -> tuple[str, ...]:
    flops, left = first.flops[0], last.flops[1]
    return (
        first.name,
        _change(first.width[0], last.width[1], "d"),
        _change(flops / 1e6, left / 1e6, ".2f"),
        _change(first.parameters[0], last.parameters[1], ","),
        f"{left / flops:.0%}" if flops else DASH,
        last.dense if first.width[0] == last.width[1] else "",
    )


def _change(before: float, after: float, form: str) -> str:
    first, last = f"{before:{form}}", f"{after:{form}}"
    return first if first == last else f"{first} -> {last}"
