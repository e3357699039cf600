"""Names of classes, layers, devices and files, and errors, are data: no HTML, no headings, no markup, no escapes."""

import html
import logging
import os
import re
import subprocess
import sys
from dataclasses import replace
from io import StringIO

import pytest
from markdown_it import MarkdownIt

from helpers import reports
from helpers.results_cases import MEASUREMENT, whole
from optimize import texts
from optimize.flops import show
from optimize.flops.table import Table
from optimize.input_size import square
from optimize.measure.graph_cost import GraphLayer
from optimize.report import draw, table
from optimize.result import Failure
from optimize.sentences import one_sentence
from optimize.sweep.summary import page
from optimize.sweep.summary import table as swept_table
from optimize.terminal import Lines, Terminal
from optimize.texts import markdown
from optimize.work import Done, LayerChange

HONEST = ["狗", "🐕‍🦺", 'person & "dog"', "[a]", "C:\\data\\x", "a_b", "mAP50-95(B)", "x < y", "100 %", "tom's"]
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "a\n\n# Heading",
    "# Heading",
    "a | b | c |",
    "[click](http://evil.example)",
    "![x](http://evil.example/x.png)",
    "[x]: http://evil.example",
    "\\[click](http://evil.example)",
    "\\\\[click](http://evil.example)",
    "\\<b>",
    "`<b>`",
    "```",
    "~~~",
    "> quote",
    "- item",
    "===",
    "&lt;b&gt;",
    "http://evil.example",
    "HTTPS://evil.example",
    "www.evil.example",
    "<http://evil.example>",
    "\x1b[31mred\x1b[0m",
    "\x1b]8;;http://evil.example\x07x",
    "\x9b31m",
    "\x07\x00\x08",
    "\u202eabc\u2066",
    "[red]x[/red]",
    "[link=http://evil.example]x[/link]",
    "[/]",
    ":skull:",
    "\ud800",
]


def tokens(text: str) -> list:
    found = MarkdownIt("commonmark").enable("table").parse(text)
    return [token for block in found for token in (block, *(block.children or ()))]


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_name_stays_as_it_is(name, capsys):
    shown = "".join(token.content for token in tokens(f"a {markdown(name)} b") if token.type == "text")
    assert shown == f"a {name} b"
    Terminal().print(name)
    assert capsys.readouterr().out == f"{name}\n"


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
@pytest.mark.parametrize("around", ["{}", "{}: 12 ms", "- {}", "- {}: x", "| a | {} |", "{} on {}, tried:"])
def test_a_hostile_name_is_text_in_markdown(name, around):
    head = "| x | y |\n| --- | --- |\n" if around[0] == "|" else ""
    line = around.replace("{}", markdown(name))
    assert len(line.splitlines()) == 1
    found = tokens(f"{head}{line}\n\n`code`")
    kinds = {token.type for token in found}
    assert not kinds & {"html_inline", "html_block", "heading_open", "link_open", "image", "fence", "hr", "code_block"}
    assert "blockquote_open" not in kinds
    assert sum(token.type == "td_open" for token in found) == 2 * bool(head)
    assert not re.search(r"(?i)https?://|www\.", line)
    assert found[-1].type == "code_inline" or any(token.content == "code" for token in found)


@pytest.mark.parametrize("text", ["a`b", "``", "`", "a\n# b", "<b>"])
def test_code_stays_code(text):
    (code,) = [token for token in tokens(texts.code(text)) if token.type == "code_inline"]
    assert code.content.strip() == texts.shown(text).strip()


def hostile_report(name: str):
    """The whole report with `name` wherever it takes one."""
    report = whole()
    rows = [
        replace(
            row,
            variant=replace(row.variant, tags=(*row.variant.tags[:-1], name, *row.variant.tags[-1:])),
            accuracy=replace(row.accuracy, classes={name: 0.5, "b": 0.4}, objects={name: 3}),
            quantization=row.quantization and replace(row.quantization, recipe=name),
        )
        if row is not report.results[0]
        else replace(row, accuracy=replace(row.accuracy, classes={name: 0.5, "b": 0.4}, objects={name: 3}))
        for row in report.results
    ]
    stage = reports.pruned(criterion=name, layers=(LayerChange(name, (8, 4), (9, 4), (9, 4), name),))
    host = replace(report.provenance.host, cpu=name, system=name)
    made = replace(report.provenance, host=host, data=name, remarks=(name,), versions={name: name}, command=name)
    return replace(
        report,
        results=tuple(rows),
        failures=(Failure(name, name, name),),
        stages=(stage, Done(name)),
        provenance=replace(made, config={name: name}),
        blocks=dict.fromkeys(report.blocks, name),
        measurements=(replace(MEASUREMENT, device=name, cpu=name, versions={name: name}),),
        device=replace(report.device, name=name),
        left_out=(replace(report.left_out[0], reasons={name: 1}, examples=(name,), objects={name: (1, 4)}),),
        unfinished=name,
    )


ALL = " ".join(name for name in HOSTILE if name != "\ud800")


@pytest.mark.command
@pytest.mark.parametrize("name", [ALL, *(name for name in HOSTILE if name[:2] in ("# ", "[x", "``", "a\n"))], ids=ascii)
def test_a_whole_report_of_hostile_names_is_text(name, tmp_path, capsys):
    honest = hostile_report("honest")
    draw(honest, tmp_path)
    expected = [token.type for token in tokens((tmp_path / "report.md").read_text())]
    markup = _tags((tmp_path / "report.html").read_text())
    draw(hostile_report(name), tmp_path)
    for kind in ("heading_open", "table_open", "tr_open", "td_open", "html_inline", "html_block", "link_open", "image"):
        found = [token.type for token in tokens((tmp_path / "report.md").read_text())]
        assert found.count(kind) == expected.count(kind), kind
    assert _tags((tmp_path / "report.html").read_text()) == markup
    table.show(hostile_report(name))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", capsys.readouterr().out)


def _tags(text: str) -> str:
    """Names of the tags of a page, in order, without what its scripts say."""
    body = re.sub(r"(?s)<script(?![^>]*json)[^>]*>.*?</script>", "<script></script>", text)
    return " ".join(tag for tag in re.findall(r"</?[a-z]+", body) if not tag.endswith("code"))  # what backticks become


def test_a_sweep_s_page_and_table_show_names_as_text(swept, tmp_path, capsys):
    sweep = swept({0: (f"prune={ALL.replace(chr(10), '')}", hostile_report(ALL)), 1: ("prune=0.1", ALL)}, 2)
    page.write(sweep)
    text = (tmp_path / "s" / "report.html").read_text()
    assert "<img src=x" not in text and "<script>alert" not in text
    assert html.escape("<img src=x onerror=alert(1)>", quote=False) in text
    assert not re.search("[\x00-\x08\x0b-\x1f\u2028\u202e]", text)
    swept_table.show(sweep)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", capsys.readouterr().out)


def test_layer_names_of_a_graph_reach_the_terminal_as_text(capsys):
    layers = tuple(GraphLayer(name, name, 10, 0, 1, 4, 4, 4) for name in HOSTILE if name != "\ud800")
    one = Table("[red]m\x1b[2J", square(64), layers, ("Op\x1b[2J",), None, None)
    show.show([one])
    show.show([one, one])
    out = capsys.readouterr().out
    assert "\x1b" not in out and "[red]m" in out and "[red]x[/red]" in out and ":skull:" in out


def test_errors_and_logs_are_one_line_without_escapes(capsys):
    with pytest.raises(SystemExit), one_sentence():
        raise ValueError("bad \x1b[31m\x07name")
    assert "\x1b" not in (error := capsys.readouterr().err) and error.count("\n") == 1
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines("%(message)s"))
    try:
        raise ValueError("\x1b[2J")
    except ValueError:
        trace = sys.exc_info()
    handler.handle(logging.LogRecord("a", logging.INFO, "a", 1, "%s [red]", ("x\n\x1b[31mforged",), trace))
    assert stream.getvalue().startswith("x \\x1b[31mforged [red]\nTraceback") and "\x1b" not in stream.getvalue()


@pytest.mark.command
@pytest.mark.parametrize("width", ["80"])
def test_the_command_s_log_has_no_escapes_on_the_terminal(tmp_path, width):
    code = (
        "import logging.config, yaml; from optimize.config import CONF;"
        "settings = yaml.safe_load((CONF / 'hydra/job_logging/optimize.yaml').read_text());"
        f"settings['handlers']['file']['filename'] = {str(tmp_path / 'log')!r};"
        "logging.config.dictConfig(settings); logging.getLogger('a').info('[red]a\\x1b[31mb\\nc :skull:')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"COLUMNS": width}
    )
    assert done.returncode == 0, done.stderr
    for text in (done.stderr, (tmp_path / "log").read_text()):
        assert "[red]a\\x1b[31mb c :skull:" in text and "\x1b" not in text
