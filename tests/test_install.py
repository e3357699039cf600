"""Install lines work from a checkout or a wheel, never by name: on an index a stranger could publish under it."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from helpers import ROOT
from optimize import __version__

FOLDERS = ("optimize", "hydra_plugins", "conf", "docs", "tests", "benchmarks", "docker", ".github")
TEXTS = {".py", ".md", ".yaml", ".yml", ".json", ".j2", ".txt", ".toml", ".sh", ".Dockerfile"}
OURS = r"yolo[-_.]optimize"
INSTALLER = re.compile(r"\b(?:pip3?|pipx|uv)\s[^`\n]*?\b(?:install|add|download|wheel|run)\b([^`\n]*)")
BY_NAME = re.compile(rf"(?<![\w./\\-]){OURS}(?!-[\d.]+-py3-none-any\.whl)|{OURS}\[", re.IGNORECASE)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def files() -> Iterator[Path]:
    yield from (path for path in ROOT.iterdir() if path.suffix in {".md", ".txt"} or path.name == "Makefile")
    for folder in FOLDERS:
        yield from (path for path in (ROOT / folder).rglob("*") if path.suffix in TEXTS)


def by_name(text: str) -> list[str]:
    """What installers are given where our name is among it, and not as a part of a path to a wheel."""
    return [line.strip() for line in INSTALLER.findall(text) if BY_NAME.search(line)]


def test_what_is_looked_for_is_seen():
    for line in ("pip install 'NAME[ncnn]'", "pip install -U NAME", "pipx install NAME", "uv tool install NAME[x]"):
        assert by_name(line.replace("NAME", "yolo-" + "optimize")), line
    for line in ("pip install '.[ncnn]'", "uv tool install dist/NAME-0.0.0-py3-none-any.whl", "pip install numpy"):
        assert not by_name(line.replace("NAME", "yolo_" + "optimize")), line


def test_nothing_is_installed_by_our_name():
    wrong = {}
    for path in files():
        text = path.read_text(encoding="utf-8")
        broken = re.findall(OURS + r"\[\w+", text)  # a line may be broken within the command
        if lines := [*by_name(text), *broken]:
            wrong[path.relative_to(ROOT).as_posix()] = lines
    assert not wrong, f"give '.[...]' or the path of a wheel instead: {wrong}"


def test_every_extra_that_is_named_exists_and_the_table_lists_all():
    extras = set(PROJECT["optional-dependencies"])
    for path in files():
        for names in re.findall(r"'(?:\.|[\w./-]+\.whl)\[([a-z,]+)\]'", path.read_text(encoding="utf-8")):
            assert set(names.split(",")) <= extras, path
    page = (ROOT / "docs" / "setup.md").read_text(encoding="utf-8")
    table = page.partition("| extra | for |")[2].partition("\n\n")[0]
    listed = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert listed == extras - {"dev"}


def test_extras_of_extras_are_our_own():
    groups = PROJECT["optional-dependencies"]
    for inner in re.findall(OURS + r"\[([\w,]+)\]", str(groups)):
        assert set(inner.split(",")) <= set(groups)


def test_every_wheel_is_of_this_version():
    wheels = {name for path in files() for name in re.findall(r"yolo_optimize-([\d.]+)-py3", path.read_text("utf-8"))}
    assert wheels - {"0.0.0"} == {__version__}


def test_torch_for_the_cpu_is_of_the_versions_of_the_constraints():
    page = (ROOT / "docs" / "setup.md").read_text(encoding="utf-8")
    (line,) = re.findall(
        r"^    pip install (torch\S+ torchvision\S+) --index-url https://download.pytorch.org/whl/cpu$",
        page,
        re.MULTILINE,
    )
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert set(line.split()) <= set(constraints)
