"""The examples of docs/extending work as they stand on the page, from outside the package."""

import json
import re
from pathlib import Path

import pytest

from helpers import ROOT
from helpers.commands import command

PAGES = sorted((ROOT / "docs" / "extending").glob("*.md"))


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / "extending" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_an_example_is_short_and_has_a_checklist(page):
    text = page.read_text(encoding="utf-8")
    assert "## The protocol" in text and "## A working example" in text and "\n- [ ] " in text
    assert all(len(block.splitlines()) <= 40 for block in blocks(page.name, "python"))


def test_the_criterion_of_the_page_prunes(tmp_path, monkeypatch, capsys, dataset, checkpoint):
    (source,), (yaml,) = blocks("criterion.md", "python"), blocks("criterion.md", "yaml")
    (tmp_path / "my_criteria").mkdir()
    (tmp_path / "my_criteria" / "fpgm.py").write_text(source, encoding="utf-8")
    (tmp_path / "conf" / "pruner").mkdir(parents=True)
    (tmp_path / "conf" / "pruner" / "fpgm.yaml").write_text(yaml, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    given = f"model={checkpoint}", f"data={dataset}", "prune=0.3", "epochs=0", "rounds=12", "threads=1"
    mine = (
        "pruner=fpgm",
        "runtime=[]",
        "quant=none",
        "rivals=none",
        f"hydra.searchpath=[{(tmp_path / 'conf').as_uri()}]",
    )
    code, out, err = command(monkeypatch, capsys, *given, *mine, "trust=true")
    assert code == 0, err
    results = json.loads((Path(out.splitlines()[-1]) / "results.json").read_text(encoding="utf-8"))
    stage = results["stages"][0]
    assert stage["criterion"] == "FPGM(p=2)"
    assert stage["reached"] == pytest.approx(0.3, abs=0.02)
    code, _, err = command(monkeypatch, capsys, *given, *mine, "trust=true", "pruner.criterion.p=3")
    assert code == 1 and "pruner.criterion.p=3 is not allowed; give 1 or 2." in err
    code, _, err = command(monkeypatch, capsys, *given, *mine)
    assert code == 1 and "criterion._target_=my_criteria.fpgm.FPGM" in err and "trust=true" in err
