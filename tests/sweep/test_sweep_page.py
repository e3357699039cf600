"""The page of a sweep, on made-up reports: when it is written, what it says, and how it behaves in a browser."""

import json
import os
import re
import runpy
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from helpers import reports
from helpers.browsing import browsed
from helpers.sweeps import lines, made
from optimize.result import Failure
from optimize.store import manifest
from optimize.sweep.summary import page

HOSTILE = "</script><script>alert(1)</script>"


@pytest.mark.command
def test_who_reads_sees_the_old_files_or_the_new_ones(four, monkeypatch):
    page.write(four)
    before = (four.folder / "report.html").read_bytes()
    replaced = []
    monkeypatch.setattr(os, "replace", lambda source, target: replaced.append((source.read_bytes(), target)))
    page.write(four, ended=True)
    monkeypatch.undo()
    assert (four.folder / "report.html").read_bytes() == before
    assert [target.name for _, target in replaced] == [manifest.NAME, "report.html", "results.csv"]
    page.write(four, ended=True)
    assert (four.folder / "report.html").read_bytes() == replaced[1][0]  # it was whole before it was moved


def test_the_page_gives_the_commands(four):
    page.write(four, ended=True)
    text = (four.folder / "report.html").read_text()
    assert f"hydra.sweep.dir={four.folder}</code>" in text
    assert "python -m optimize prune=0.1 quant=int8 epochs=5</code>" in text


def test_a_summary_is_drawn_again_from_its_folder(four, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.argv", ["optimize.sweep", str(four.folder)])
    runpy.run_module("optimize.sweep", run_name="__main__")
    assert capsys.readouterr().out == f"{four.folder / 'report.html'}\n"
    assert len(lines(four)) == 20
    monkeypatch.setattr("sys.argv", ["optimize.sweep", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("optimize.sweep", run_name="__main__")
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path} holds no sweep.json; give the folder of a sweep")


def test_twelve_jobs_make_a_page_under_3_mb_that_says_each_row_once_for_each_chart(swept):
    jobs = {i: (f"prune={p / 100} quant=int8", made(p / 100, "int8", p / 1000)) for i, p in enumerate(range(5, 65, 5))}
    sweep = swept(jobs, total=12)
    page.write(sweep, ended=True)
    text = (sweep.folder / "report.html").read_text()
    assert len(text.encode()) < 3e6
    charts = json.loads(re.search(r'id="charts">(.*?)</script>', text, re.DOTALL)[1])
    assert list(charts) == ["flops0", "frame0", "latency0", "size0"]
    assert all(len(chart["datasets"]["rows"]) == 10 + 12 * 5 for chart in charts.values())
    assert all(json.dumps(chart).count('"pruned+int8 with prune=0.6"') <= 2 * 10 for chart in charts.values())


@pytest.mark.command
@browsed
@pytest.mark.parametrize("width", [1280, 390])
def test_every_chart_is_drawn_inside_the_window(opened, four, width):
    page.write(four, ended=True)
    tab = opened(four.folder / "report.html", width)
    for name in ("flops0", "latency0", "size0"):
        assert tab.locator(f"#{name} svg .mark-symbol.role-mark path").count() == 2 * 20
        box = tab.locator(f"#{name} svg").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
    assert tab.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.command
@browsed
def test_the_table_is_sorted_and_filtered_also_by_what_was_set(opened, four):
    page.write(four, ended=True)
    tab = opened(four.folder / "report.html")
    shown = tab.locator("#variants tbody tr:visible")
    expect(shown).to_have_count(20)
    tab.locator("label", has_text=re.compile("^prune")).locator("select").select_option("0.3")
    expect(shown).to_have_count(15)  # all rows of that job, also what it shares with others
    tab.locator("[data-filter=front]").select_option("latency")
    names = {text.split()[0] for text in shown.all_inner_texts()}
    assert "pruned+int8" in names and 0 < shown.count() < 15
    tab.locator("[data-filter=front]").select_option("")
    tab.get_by_role("button", name="median ms", exact=True).click()
    index = tab.locator("#variants th[aria-sort]").evaluate("head => head.cellIndex")
    times = [float(text) for text in tab.locator(f"#variants tbody td:nth-child({index + 1})").all_inner_texts()]
    assert times == sorted(times)


@pytest.mark.command
@browsed
def test_a_hostile_name_is_text_wherever_it_stands(opened, swept):
    report = made(0.1, "int8", failures=(Failure(HOSTILE, "openvino", HOSTILE),))
    rows = tuple(
        replace(row, variant=replace(row.variant, tags=row.variant.tags and (*row.variant.tags, HOSTILE)))
        for row in report.results
    )
    hostile = replace(report, results=rows, provenance=reports.provenance(data=HOSTILE, remarks=(HOSTILE,)))
    sweep = swept({0: (f"model={HOSTILE}", hostile), 1: ("model=b.pt", made(0.3, "none")), 2: ("x=1", HOSTILE)})
    page.write(replace(sweep, command=HOSTILE), ended=True)
    tab = opened(sweep.folder / "report.html")
    assert tab.locator("script").count() == 3
    assert tab.locator("pre code").first.text_content() == HOSTILE
    assert tab.locator("#jobs code").first.text_content() == f"model={HOSTILE}"
