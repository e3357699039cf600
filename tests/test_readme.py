"""README and docs are true: the file tree, every link, every path that they name, and every key of results.json."""

import ast
import re
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from helpers import ROOT
from optimize.report.results import DERIVED, SCHEMA
from optimize.result import Report

README = ROOT / "README.md"
PAGES = [ROOT / name for name in ("README.md", "AGENTS.md", "CONTRIBUTING.md", "SECURITY.md")] + sorted(
    page for page in ROOT.glob("docs/**/*.md") if "_build" not in page.parts
)
BESIDE = ("conf", "hydra_plugins", "tests", "docs", "docker", "benchmarks")  # folders of the tree beside optimize/
FOLDERS = "|".join(("optimize", *BESIDE))
NAMED = re.compile(rf"\b(?:{FOLDERS})/[\w./-]*\.(?:py|yaml|md|png|Dockerfile)\b")


def test_the_file_tree_is_true_and_complete():
    block = next(
        block for block in README.read_text(encoding="utf-8").split("\n\n") if block.startswith("    optimize/")
    )
    shown = {(len(line) - len(line.lstrip()), line.split()[0]) for line in block.splitlines()}
    there = {(6, name): words for name, words in _inside(ROOT / "optimize").items()}
    there |= {(4, f"{name}/"): "" for name in ("optimize", *BESIDE)}
    missing = [f"{' ' * indent}{name:23}{there[indent, name]}" for indent, name in sorted(there.keys() - shown)]
    gone = [name for _, name in sorted(shown - there.keys())]
    assert not missing, "add to the tree in README.md, in words of your own:\n" + "\n".join(missing)
    assert not gone, f"remove from the tree in README.md, or correct: {', '.join(gone)}"


def _inside(folder: Path) -> dict[str, str]:
    """Names of the modules and folders in `folder`, each with the first line of its docstring."""
    found = {path.name: _first_line(path) for path in folder.glob("*.py") if not path.name.startswith("__")}
    for path in folder.iterdir():  # what git leaves of a folder that moved holds caches only
        if path.is_dir() and path.name != "__pycache__" and any(_files(path)):
            found[f"{path.name}/"] = _first_line(path / "__init__.py")
    return found


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def _first_line(module: Path) -> str:
    words = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) if module.exists() else None
    return (words or "").partition("\n")[0]


def test_the_first_screen_says_what_it_does_and_shows_a_run():
    first = README.read_text(encoding="utf-8").partition("\n## ")[0]
    assert len(first.splitlines()) <= 50
    commands = re.findall(r"^    python -m optimize ", first, re.MULTILINE)
    assert len(commands) == 3 and "pip install" in first and "![" in first


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_and_path_leads_to_something(page):
    text = page.read_text(encoding="utf-8")
    broken = [link for link in _links(text) if not _leads(page, link)]
    broken += [name for name in NAMED.findall(text) if Path(name).stem != "x" and not (ROOT / name).exists()]
    assert not broken, f"{page.name} names what is not there: {', '.join(broken)}"


def test_every_page_is_reached_from_the_readme():
    reached, waiting = set(), [README]
    while waiting:
        page = waiting.pop()
        if page.suffix == ".md" and page.exists() and page not in reached:
            links = _links(page.read_text(encoding="utf-8"))
            waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links]
        reached.add(page)
    site = ROOT / "docs" / "conf.py", ROOT / "docs" / "index.md"  # what makes the site, and its own front page
    there = [path for path in _files(ROOT / "docs") if "_build" not in path.parts and path not in site]
    unlinked = sorted(path.name for path in there if path not in reached)
    assert not unlinked, f"link from README.md, or from a page that it links: {', '.join(unlinked)}"


def _links(text: str) -> list[str]:
    """Targets of the links and images in markdown that lead to files or headings of ours."""
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith(("https://", "http://"))]


def _leads(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in _anchors(target.read_text(encoding="utf-8")))


def _anchors(text: str) -> set[str]:
    """What GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_key_of_results_json_is_described():
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert f"Schema {SCHEMA}." in page
    sections = {part.partition("\n")[0]: part for part in page.split("\n## ")}
    whole = TypeAdapter(Report).json_schema(mode="serialization")
    records = {name: list(record.get("properties", {})) for name, record in whole["$defs"].items()}
    records["Report"] = [*whole["properties"], "schema", "verdict", "alarms"]
    records["Result"] += [*DERIVED, "name", "missed"]
    missing = [
        f"{name}: {key}" for name, keys in records.items() for key in keys if f"`{key}`" not in sections.get(name, "")
    ]
    assert not missing, f"describe in docs/results.md, under the heading of its record: {', '.join(missing)}"
