"""The lint of imports finds what does not go down, wherever it stands, and nothing in this package."""

import ast

import pytest

import lint_imports

WRONG = {
    "from optimize.pipeline import run": "pipeline, which does not lie below runtime",
    "from optimize.judge import Judge": "judge, which does not lie below runtime",
    "import optimize.quant.int8": "quant, which does not lie below runtime",
    "from optimize import report": "report, which does not lie below runtime",
    "def open():\n    from optimize.cli import main": "cli, which does not lie below runtime",
    "from optimize.new import x": "new, which has no place in LAYERS",
}
RIGHT = (
    "from optimize.runtime.session import Session",
    "from optimize.yolo.export import to_onnx",
    "import torch, optimization.runtime",
    "if TYPE_CHECKING:\n    from optimize.pipeline import run",
)


@pytest.mark.parametrize(("code", "what"), WRONG.items())
def test_what_does_not_go_down_is_found(code, what):
    assert [words for _, words in lint_imports.wrong("runtime", ast.parse(code))] == [what]


@pytest.mark.parametrize("code", RIGHT)
def test_what_goes_down_is_not(code):
    assert list(lint_imports.wrong("runtime", ast.parse(code))) == []


def test_this_package_has_none():
    assert lint_imports.main() == 0
    rooms = {
        file.stem for file in lint_imports.ROOT.iterdir() if file.suffix == ".py" or (file / "__init__.py").is_file()
    }
    assert lint_imports.HEIGHT.keys() == rooms - {"__init__"}, "a room that is gone has no place"
