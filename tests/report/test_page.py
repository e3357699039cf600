"""report.html in a real browser: it needs no network, draws every chart, sorts its tables, and can be read anywhere."""

import json
import re
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageColor
from playwright.sync_api import expect

from helpers import reports
from helpers.browsing import browsed
from optimize.report import chart_image, classes, page, results, scenes
from optimize.report.charts import blocks, front, look, roofline
from optimize.verdict import pareto

pytestmark = pytest.mark.command

HOSTILE = "</script><script>alert(1)</script>"
HALO, MITER = 3.5, 8  # pixels that Chromium adds to a box for the stroke: of paper around a name, of a mark
CHARTS = ("flops", "latency", "block-flops", "block-time", "block-saved", "roofline")
# The least contrast of any text with what lies under it, https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio.
CONTRAST = """(elements, property) => {
    const channels = (text) => {
        const context = Object.assign(document.createElement("canvas"), {width: 1, height: 1}).getContext("2d");
        context.fillStyle = text;
        context.fillRect(0, 0, 1, 1);
        return [...context.getImageData(0, 0, 1, 1).data];
    };
    const light = (text) => channels(text).slice(0, 3).map((c) => c / 255)
        .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    return Math.min(...elements.map((element) => {
        let under = element;
        while (channels(getComputedStyle(under).backgroundColor)[3] < 255) under = under.parentElement;
        const both = [getComputedStyle(element)[property], getComputedStyle(under).backgroundColor].map(light);
        return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    }));
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A run's folder with the made-up report and its image."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "images").mkdir()
    Image.new("RGB", (96, 64), "grey").save(folder / "images" / "0.jpg")
    page.write(reports.report(), folder / "report.html")
    return folder


@browsed
@pytest.mark.parametrize("width", [1280, 390])
def test_every_chart_is_drawn_inside_the_window(opened, folder, width):
    tab = opened(folder / "report.html", width)
    for name in CHARTS:
        assert tab.locator(f"#{name} svg .mark-symbol.role-mark path, #{name} svg .mark-rect path").count() > 0, name
        box = tab.locator(f"#{name} svg").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width, name
    assert tab.locator("#flops svg .mark-symbol.role-mark path").count() == 2 * 15  # a row is filled and has a rim
    assert tab.evaluate("document.documentElement.scrollWidth") == width


@browsed
def test_charts_follow_the_window_when_a_phone_is_turned(opened, folder):
    tab = opened(folder / "report.html", 800)
    tab.set_viewport_size({"width": 390, "height": 800})
    expect(tab.locator("#latency svg")).to_have_attribute("width", re.compile("^3[0-9][0-9]"))
    assert tab.evaluate("document.documentElement.scrollWidth") == 390


@browsed
@pytest.mark.parametrize("width", [1280, 390])
def test_names_in_a_chart_cover_neither_each_other_nor_a_mark(opened, folder, width):
    tab = opened(folder / "report.html", width)
    for chart in ("flops", "latency"):
        texts = tab.locator(f"#{chart} .mark-text.role-mark text")
        names = [shrunk(text.bounding_box(), HALO) for text in texts.all()]
        drawn = tab.locator(f"#{chart} .mark-symbol.role-mark path")
        marks = [shrunk(mark.bounding_box(), MITER) for mark in drawn.all()]
        assert len(names) >= 4 and "pruned+int8" in texts.all_text_contents()
        for i, name in enumerate(names):
            assert not any(overlap(name, other) for other in (*names[:i], *names[i + 1 :], *marks))


def shrunk(box: dict, edge: float) -> dict:
    x, y, width, height = (box[key] for key in ("x", "y", "width", "height"))
    return {"x": x + edge, "y": y + edge, "width": width - 2 * edge, "height": height - 2 * edge}


def overlap(a: dict, b: dict) -> bool:
    """Whether two boxes share more than a pixel's edge."""
    wide = min(a["x"] + a["width"], b["x"] + b["width"]) - max(a["x"], b["x"])
    high = min(a["y"] + a["height"], b["y"] + b["height"]) - max(a["y"], b["y"])
    return wide > 1 and high > 1


@browsed
def test_the_page_under_5_mb_holds_one_copy_of_the_library_and_of_each_image(folder):
    text = (folder / "report.html").read_text()
    assert len(text.encode()) < 5e6
    assert text.count("window.vegaEmbed=") == 1
    assert text.count("data:image/jpeg;base64,") == 1


@browsed
def test_a_click_sorts_numbers_as_numbers_and_another_one_back(opened, folder):
    tab = opened(folder / "report.html")
    head = tab.locator("#variants th", has=tab.get_by_role("button", name="median ms", exact=True))
    index = head.evaluate("head => head.cellIndex")

    def column():
        return [float(text) for text in tab.locator(f"#variants tbody td:nth-child({index + 1})").all_inner_texts()]

    before = column()
    assert before != sorted(before) and max(before) >= 10 > min(before)  # as text, 10 comes before 9
    head.get_by_role("button").click()
    assert column() == sorted(before) and head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").press("Enter")
    assert column() == sorted(before, reverse=True) and head.get_attribute("aria-sort") == "descending"


@browsed
@pytest.mark.parametrize("clicks", [1, 2])
def test_what_was_not_measured_stays_at_the_end(opened, folder, clicks):
    tab = opened(folder / "report.html")
    for _ in range(clicks):
        tab.get_by_role("button", name="in int8", exact=True).click()
    cells = tab.locator("#variants tbody td:nth-child(6)").all_inner_texts()
    assert cells == ["100%"] * 6 + ["-"] * 9


@browsed
def test_filters_leave_the_rows_of_one_runtime_and_variant(opened, folder):
    tab = opened(folder / "report.html")
    tab.locator("[data-filter=runtime]").select_option("openvino")
    assert tab.locator("#variants tbody tr:visible").count() == 6
    tab.locator("[data-filter=variant]").select_option("pruned")
    assert tab.locator("#variants tbody tr:visible").all_inner_texts()[0].split()[:2] == ["pruned", "openvino"]
    assert tab.locator("#variants tbody tr:visible").count() == 1


@browsed
def test_a_choice_changes_all_charts_of_its_section(opened, folder):
    tab = opened(folder / "report.html")
    tab.locator("[data-signal=pair]").select_option("int8 → pruned+int8 on onnxruntime")
    # 80 % of the operations, and 80 % of 90 % of the milliseconds, of the original and of the pruned model
    for name, before, after in (("flops", "0.8", "0.56"), ("time", "4.32", "3.1536")):
        bars = tab.locator(f'#block-{name} path[aria-label*="1 C2f"]')
        for bar, value in ((bars.nth(0), before), (bars.nth(1), after)):
            expect(bar).to_have_attribute("aria-label", re.compile(rf": {re.escape(value)};"))


@browsed
@pytest.mark.parametrize("width", [1280, 390])
def test_accuracy_is_drawn_over_the_time_of_the_graph_or_of_a_whole_frame(opened, folder, width):
    tab = opened(folder / "report.html", width)
    graph, whole = tab.locator("#latency"), tab.locator("#frame")
    expect(graph).to_be_visible()
    expect(whole).to_be_hidden()
    tab.locator("[data-swap]").select_option("a whole frame")
    expect(whole.locator("svg")).to_be_visible()
    expect(graph).to_be_hidden()
    assert whole.locator("svg .mark-symbol.role-mark path").count() == 2 * 15
    box = whole.locator("svg").bounding_box()
    assert box["width"] > 250 and box["x"] >= 0 and box["x"] + box["width"] <= width
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    tab.locator("[data-swap]").select_option("the graph")
    expect(graph).to_be_visible()


@browsed
def test_a_click_on_the_legend_fades_the_others(opened, folder):
    tab = opened(folder / "report.html")
    faded = tab.locator('#flops .mark-symbol.role-mark path[opacity="0.07"]')
    expect(faded).to_have_count(0)
    tab.locator("#flops .role-legend-label text", has_text=re.compile("^pruned$")).click()
    expect(faded).to_have_count(2 * 10)  # all but the five rows of the pruned model
    names = tab.locator("#flops .mark-text.role-mark text:not([opacity='0.07'])").all_text_contents()
    assert set(names) == {"pruned", "pruned+int8"}


@browsed
def test_a_mark_under_the_pointer_says_its_figures(opened, folder):
    tab = opened(folder / "report.html")
    tab.locator('#latency path[aria-label*="variant: pruned+int8"]').last.hover()
    cells = tab.locator("#vg-tooltip-element td").all_inner_texts()
    shown = dict(zip(cells[::2], cells[1::2], strict=True))
    assert (shown["variant"], shown["runtime"], shown["mAP50-95"]) == ("pruned+int8", "openvino", "0.5860")
    assert shown["milliseconds"] == "3.50 [3.40-3.64]"


@browsed
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_themes(opened, folder, scheme):
    tab = opened(folder / "report.html", color_scheme=scheme)
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 24, 29)"}[scheme]
    for selector in ("h1", "p.lead", "nav a", "#variants td", "#variants th button", "#classes .heat", "dt", "select"):
        assert tab.locator(selector).evaluate_all(CONTRAST, "color") >= 4.5, selector
    assert tab.locator(".chart svg text").evaluate_all(CONTRAST, "fill") >= 4.5


@browsed
def test_print_is_light_and_shows_the_whole_table(opened, folder):
    tab = opened(folder / "report.html", color_scheme="dark")
    tab.emulate_media(media="print", color_scheme="dark")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.locator("h1").evaluate_all(CONTRAST, "color") >= 4.5
    assert not tab.locator("nav").is_visible()
    assert tab.locator("#variants .box").evaluate("box => getComputedStyle(box).overflow") == "visible"
    assert tab.locator("[data-signal=pair]").is_visible()  # what is compared is printed with the bars


def test_a_choice_says_what_was_saved_in_all():
    report = reports.report()
    pair = next(pair for pair in blocks.pairs(report) if pair.name == "original → pruned on openvino")
    assert blocks.summary(report, pair) == "original → pruned on openvino: -30 % FLOPs, -27 % time"


@browsed
def test_boxes_lie_where_the_record_says_and_labels_can_be_switched_off(opened, folder):
    tab = opened(folder / "report.html")
    scenes_ = tab.locator(".scene figure svg")
    assert scenes_.nth(0).locator(".found polygon.line").count() == 2
    assert scenes_.nth(1).locator(".found polygon.line").count() == 1
    points = scenes_.nth(1).locator(".found polygon.line").get_attribute("points")
    assert points == "10.0,10.0 30.0,10.0 30.0,40.0 10.0,40.0"
    assert scenes_.nth(1).locator(".found text").text_content() == "dark 0.85"
    truth = scenes_.nth(0).locator(".truth")
    assert truth.is_visible()
    tab.get_by_label("labels of the data set").uncheck()
    assert not truth.is_visible()


@browsed
def test_a_hostile_name_is_text_wherever_it_stands(opened, tmp_path):
    report = reports.report()
    shown = replace(report.disagreement.worst[0], name=HOSTILE)
    boxes = tuple(replace(box, label=HOSTILE) for box in shown.before)
    hostile = replace(
        report,
        results=tuple(
            replace(
                result,
                variant=replace(result.variant, tags=result.variant.tags and (*result.variant.tags, HOSTILE)),
                accuracy=replace(result.accuracy, classes={HOSTILE: 0.5 - 0.01 * i}, objects={HOSTILE: 3}),
            )
            for i, result in enumerate(report.results)
        ),
        blocks={"model.0": HOSTILE, "model.1": "C2f", "model.2": "Detect"},
        disagreement=replace(report.disagreement, worst=(replace(shown, before=boxes),)),
    )
    (tmp_path / "images").mkdir()
    Image.new("RGB", (96, 64)).save(tmp_path / "images" / "0.jpg")
    page.write(hostile, tmp_path / "report.html")
    tab = opened(tmp_path / "report.html")
    assert tab.locator("#classes tbody th").text_content() == HOSTILE
    assert tab.locator("script").count() == 3
    assert tab.locator(".scene .found title").first.text_content() == f"{HOSTILE} 0.90"


@browsed
def test_what_was_not_measured_is_left_out(opened, tmp_path):
    report = reports.report(machine=None, disagreement=None)
    bare = tuple(
        replace(result, latency=None, frame=None, start_up=None, profile=None, rival=False) for result in report.results
    )
    bare = tuple(replace(r, accuracy=replace(r.accuracy, classes={}, objects={}, folds=())) for r in bare)
    page.write(replace(report, results=bare), tmp_path / "report.html")
    tab = opened(tmp_path / "report.html")
    assert [chart.get_attribute("id") for chart in tab.locator(".chart").all()] == ["flops", "block-flops"]
    assert tab.locator("section").evaluate_all("all => all.map(one => one.id)") == [
        *("variants", "trade", "blocks", "layers", "method")
    ]


@browsed
def test_a_box_that_only_one_model_finds_is_filled(opened, folder):
    """Both find the dark object; the optimized model misses the bright one."""
    tab = opened(folder / "report.html")
    lines = tab.locator(".scene .found .line")
    filled = "all => all.filter(one => getComputedStyle(one).fill != 'none').map(one => one.textContent)"
    assert lines.count() == 3 and lines.evaluate_all(filled) == ["bright 0.80"]


def test_what_has_no_box_is_named_under_the_image(folder):
    shown = reports.report().disagreement.worst[0]
    classes_ = {side: tuple(replace(box, corners=()) for box in getattr(shown, side)) for side in ("before", "after")}
    changed = replace(reports.report().disagreement, worst=(replace(shown, truth=(), **classes_),))
    page.write(reports.report(disagreement=changed), folder / "classify.html")
    captions = re.findall("<figcaption>(.*?)</figcaption>", (folder / "classify.html").read_text())
    assert captions == ["original on torch: dark 0.90, bright 0.80", "pruned+int8 on openvino: dark 0.85"]


def test_a_missing_image_is_named(tmp_path):
    page.write(reports.report(), tmp_path / "report.html")
    assert "or would make the page too large: 0.png." in (tmp_path / "report.html").read_text()


def test_images_that_would_make_the_page_too_large_are_named(folder, monkeypatch):
    monkeypatch.setattr(scenes, "MOST", 10)
    drawn, missing = scenes.scenes(reports.report(), folder)
    assert (drawn, missing) == ([], ["0.png"])


def test_the_front_is_what_nothing_beats():
    points = [(3.0, 0.5), (1.0, 0.2), (2.0, 0.5), (2.0, 0.4), (4.0, 0.6), (2.0, 0.5)]
    assert pareto.front(points) == [1, 2, 4]


def test_what_each_block_saved_adds_up_to_the_whole():
    report = reports.report()
    pair = next(pair for pair in blocks.pairs(report) if pair.name == "original → pruned on openvino")
    rows = blocks.rows(report, pair)
    assert [row["block"] for row in rows] == ["0 Conv", "1 C2f", "2 Detect", "other"]
    assert [row["gflops"] for row in rows] == [
        pytest.approx(each) for each in ([0.1, 0.07], [0.8, 0.56], [0.1, 0.07], [0, 0])
    ]
    saved_flops, saved_time = (sum(row["saved"][i] for row in rows) for i in (0, 1))
    before, after = (result.latency.median_ms for result in (pair.before, pair.after))
    assert saved_flops == pytest.approx(30)
    assert saved_time == pytest.approx(100 * (1 - after / before))


def test_a_block_that_has_no_kind_is_kept():
    report = reports.report(blocks={"model.0": "Conv"})
    assert [row["block"] for row in blocks.rows(report, blocks.pairs(report)[0])] == ["0 Conv", "1", "2", "other"]


def test_a_layer_under_the_roof_is_drawn_from_its_own_figures():
    row = next(row for row in roofline.drawn(reports.report()) if row.name == "original on openvino")
    layer = row.result.profile.layers[1]
    point = row.points[0]
    assert point["intensity"] == layer.ops / layer.bytes
    assert point["reached"] == pytest.approx(layer.ops / (layer.milliseconds / 1e3) / 1e9)


def test_classes_come_worst_first_and_a_rival_is_no_loss():
    report = reports.report()
    original, *others = report.results
    lost = replace(others[0], accuracy=replace(others[0].accuracy, classes={"dark": 0.65, "bright": 0.45}))
    columns, rows = classes.table(replace(report, results=(original, lost, others[1])))
    assert [(column.variant, column.rival) for column in columns] == [("pruned", False), ("64px", True)]
    assert [(row.name, row.objects) for row in rows] == [("bright", 4), ("dark", 4)]
    assert rows[0].worst == pytest.approx(-10) and rows[1].worst == 0
    assert rows[1].changes == (0, pytest.approx(-5))


def test_an_image_without_a_page_has_the_light_colours():
    chart = front.against_flops(front.points(reports.report()))
    assert "var(--series1)" in json.dumps(chart)
    still = look.still(chart)
    assert "var(" not in still and look.PALETTE["series1"][0] in still


def test_the_image_shows_both_charts(tmp_path):
    chart_image.write(reports.report(), tmp_path / "report.png")
    with Image.open(tmp_path / "report.png") as drawn:
        assert drawn.width > 2 * drawn.height
        for half in (0, drawn.width // 2):
            colours = drawn.crop((half, 0, half + drawn.width // 2, drawn.height)).getcolors(1 << 24)
            found = {colour for _, colour in colours}
            assert {ImageColor.getrgb(look.PALETTE[f"series{i}"][0]) for i in range(3)} <= found


def test_a_report_is_drawn_again_from_its_results(monkeypatch, capsys, tmp_path):
    results.write(reports.report(), tmp_path / "results.json")
    monkeypatch.setattr("sys.argv", ["optimize.report", str(tmp_path)])
    runpy.run_module("optimize.report", run_name="__main__")
    assert {path.name for path in tmp_path.iterdir()} == {
        *("results.json", "report.html", "report.md", "report.png", ".optimize.json")
    }
    assert capsys.readouterr().out == f"{tmp_path / 'report.html'}\n"


def test_results_of_another_version_are_refused_in_one_sentence(monkeypatch, capsys, tmp_path):
    (tmp_path / "results.json").write_text('{"schema": 2}')
    monkeypatch.setattr("sys.argv", ["optimize.report", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("optimize.report", run_name="__main__")
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'results.json'} has schema 2, this version reads")
