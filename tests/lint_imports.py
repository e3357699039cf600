"""`python tests/lint_imports.py`, part of `make lint`: imports inside optimize/ go down only.

A room is a folder of optimize/, or a module that lies directly in it. It may import from itself and from rooms of lower
layers, not from its neighbours; imports inside functions count too, those for types only (TYPE_CHECKING) do not. The
order is written here and nowhere else: change it on purpose.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent / "optimize"
LAYERS = [  # from the ground up
    "errors texts conf_folder",
    "literal input_size identity limits precision runtime_info inside",
    "frame",
    "latency_work int8_cpu",
    "settings dataset variant measurement work",  # records; what paths may be
    "config terminal stage json_document",
    "host keys",
    "progress provenance sentences",
    "store",
    "measure output",
    "device",
    "result",
    "yolo",
    "data pruner",
    "runtime",
    "recover judge checks failures rivals",
    "quant shrink nms_free",
    "mix",
    "verdict compose",
    "report",
    "tracking bundle flops",
    "bound import_measurement latency_table profile_device train plan",
    "variants remarks deployments inputs",
    "prepare equal_time finalists batches",
    "pipeline forecast",
    "sweep",
    "run reproduce",
    "begin",
    "compare",
    "call",
    "api cli steps init",
    "__main__",
]
HEIGHT = {room: height for height, layer in enumerate(LAYERS) for room in layer.split()}


def wrong(room: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and words of every import in a module of `room` that does not go down."""
    for line, target in imported(tree):
        if target not in HEIGHT:
            yield line, f"{target}, which has no place in LAYERS"
        elif target != room and HEIGHT[target] >= HEIGHT[room]:
            yield line, f"{target}, which does not lie below {room}"


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and room of everything that a module imports of optimize/ when it runs."""
    if isinstance(tree, ast.If) and "TYPE_CHECKING" in ast.unparse(tree.test):
        return
    if isinstance(tree, ast.ImportFrom) and tree.module == "optimize":
        yield from ((tree.lineno, alias.name) for alias in tree.names)
    elif isinstance(tree, ast.ImportFrom) and str(tree.module).startswith("optimize."):
        yield tree.lineno, tree.module.split(".")[1]
    elif isinstance(tree, ast.Import):
        names = (alias.name.split(".") for alias in tree.names)
        yield from ((tree.lineno, name[1]) for name in names if name[0] == "optimize" and len(name) > 1)
    for child in ast.iter_child_nodes(tree):
        yield from imported(child)


def main() -> int:
    """Print every import that does not go down; how many there are."""
    found = 0
    for file in sorted(ROOT.rglob("*.py")):
        place = file.relative_to(ROOT)
        room = place.parts[0].removesuffix(".py")
        if place.parts[:2] == ("bundle", "files") or room == "__init__":  # copied to devices; what starts a command
            continue
        for line, words in wrong(room, ast.parse(file.read_text(encoding="utf-8"))):
            print(f"optimize/{place}:{line}: imports {words}")
            found += 1
    return found


if __name__ == "__main__":
    sys.exit(main() > 0)
