"""Prints the tables on the terminal."""

from rich.table import Table as Grid

from optimize.flops.table import CONVENTION, Table
from optimize.measure.by_block import block, place
from optimize.measure.graph_cost import GraphLayer, total
from optimize.terminal import terminal

FIGURES = ("MFLOPs", "MMACs", "parameters", "weights kB", "activations kB", "FLOPs/byte")


def show(tables: list[Table]) -> None:
    """Print the layers of one model, or several models side by side, and what the figures mean."""
    console = terminal()
    console.print(_layers(tables[0]) if len(tables) == 1 else _models(tables))
    if len(tables) > 1:
        console.print(_blocks(tables))
    for note in (*_summaries(tables), CONVENTION, *_notes(tables)):
        console.print(note, soft_wrap=True)


def _layers(table: Table) -> Grid:
    int8 = table.total.int_ops > 0
    grid = _grid(table.name, ("layer", "kind", *FIGURES, *(["int8"] if int8 else [])), texts=2)
    for layer in table.layers:
        grid.add_row(layer.name, layer.kind, *_figures(layer), *([_int8(layer)] if int8 else []))
    grid.add_section()
    grid.add_row("all", "", *_figures(table.total), *([_int8(table.total)] if int8 else []))
    return grid


def _models(tables: list[Table]) -> Grid:
    names = ("model", "input", "GFLOPs", "GMACs", "parameters", "weights MB", "activations MB", "FLOPs/byte", "int8")
    grid = _grid("Side by side", names, texts=2)
    for table in tables:
        grid.add_row(
            table.model, f"{table.imgsz.height}x{table.imgsz.width}", *_figures(table.total, 1e3), _int8(table.total)
        )
    return grid


def _blocks(tables: list[Table]) -> Grid:
    """MFLOPs of every top-level module; layers outside of them are `the rest`."""
    by_block = [_by_block(table) for table in tables]
    grid = _grid("MFLOPs by block", ("block", *(table.name for table in tables)), texts=1)
    for name in sorted({name for blocks in by_block for name in blocks}, key=place):
        grid.add_row(name or "the rest", *(_mega(blocks[name].flops) if name in blocks else "-" for blocks in by_block))
    return grid


def _by_block(table: Table) -> dict[str, GraphLayer]:
    blocks: dict[str, list[GraphLayer]] = {}
    for layer in table.layers:
        blocks.setdefault(block(layer.name), []).append(layer)
    return {name: total(name, "", layers) for name, layers in blocks.items()}


def _grid(title: str, names: tuple[str, ...], texts: int) -> Grid:
    grid = Grid(title=title, title_justify="left", title_style="bold")
    for i, name in enumerate(names):
        grid.add_column(name, justify="left" if i < texts else "right", no_wrap=i >= texts, overflow="fold")
    return grid


def _figures(layer: GraphLayer, unit: float = 1) -> tuple[str, ...]:
    """The cells of `FIGURES`: operations in millions and bytes in thousands, both divided by `unit`."""
    sizes = (layer.weight_bytes, layer.activation_bytes)
    return (
        f"{layer.flops / 1e6 / unit:,.3f}",
        f"{layer.macs / 1e6 / unit:,.3f}",
        f"{layer.parameters:,}",
        *(f"{count / 1e3 / unit:,.1f}" for count in sizes),
        "-" if layer.intensity is None else f"{layer.intensity:.1f}",
    )


def _mega(flops: int) -> str:
    return f"{flops / 1e6:,.3f}"


def _int8(layer: GraphLayer) -> str:
    return f"{layer.int_ops / layer.flops:.0%}" if layer.flops else "-"


def _summaries(tables: list[Table]) -> list[str]:
    """Model summaries in ultralytics' words; exported graphs have none."""
    lines = []
    for table in tables:
        if table.trained and table.fused:
            whole, fused = table.trained, table.fused
            lines += [
                f"{table.name} summary: {whole.layers:,} layers, {whole.parameters:,} parameters, "
                f"{whole.gradients:,} gradients",
                f"{table.name} summary (fused): {fused.layers:,} layers, {fused.parameters:,} parameters, "
                f"{fused.gradients:,} gradients, {table.total.flops / 1e9:.1f} GFLOPs",
            ]
    return lines


def _notes(tables: list[Table]) -> list[str]:
    notes = [
        "Activations are the inputs and outputs of convolutions and linear layers; all other operators can be fused "
        "with these. FLOPs/byte is FLOPs over the bytes of weights and activations."
    ]
    if any(table.total.int_ops for table in tables):
        notes.append(
            "int8 is the share of the operations that are int8 in the file; the runtime decides what it runs in int8."
        )
    uncounted = sorted({name for table in tables for name in table.uncounted})
    return [*notes, f"Not counted: {', '.join(uncounted) or 'nothing'}."]
