"""The site of docs/: it builds without a warning, works from a folder, and shows every function."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import optimize
from helpers import ROOT
from helpers.browsing import browsed

LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src"}


class Loaded(HTMLParser):
    """What a page makes a browser load."""

    def __init__(self, page: Path):
        super().__init__()
        self.addresses: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        address = dict(attrs).get(LOADS.get(tag, ""))
        if address:
            self.addresses.append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    words = "-q", "-W", "--keep-going", "-b", "html", "-d", folder / "doctrees", ROOT / "docs", folder / "html"
    built = subprocess.run([sys.executable, "-m", "sphinx", *words], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr  # a dead link or a page that no list names is a warning
    return folder / "html"


@pytest.mark.command
def test_no_page_loads_anything_from_a_network(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 40
    foreign = {address for page in pages for address in Loaded(page).addresses if re.match(r"(https?:)?//", address)}
    assert not foreign


@pytest.mark.command
def test_every_function_and_error_is_in_the_reference(site):
    page = (site / "functions.html").read_text(encoding="utf-8")
    named = {f"optimize.{name}" for name in optimize.__all__} | {"optimize.errors.InputError"}
    assert named <= set(re.findall(r'id="([\w.]+)"', page))


@pytest.mark.command
@browsed
@pytest.mark.parametrize("width", [1280, 390])
def test_search_and_tabs_work_from_a_folder(site, browser, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{(site / 'search.html').as_uri()}?q=calibration")
    page.wait_for_selector(".search li a")
    assert "quantization.html" in page.content()
    page.goto((site / "tutorial" / "digits.html").as_uri())
    python = page.get_by_text("print(run.table())")
    assert not python.is_visible()
    page.get_by_text("Python", exact=True).first.click()
    assert python.is_visible()  # tabs of one kind change together
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert all(url.startswith(("file:", "data:")) for url in asked)
    page.close()
