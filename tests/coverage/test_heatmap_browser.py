"""The page in a real browser, offline: cells in their places, tooltips, nothing asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdc_resources.coverage.heatmap import write_page
from mdc_resources.domain.symbols import Symbol
from tests.coverage.test_picture_page import picture, row

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed (apt-get install chromium)")
    api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (pip install 'mdc[dev]')"
    )
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield opened
        opened.close()


@pytest.fixture
def file(tmp_path) -> Path:
    """A page of two symbols over two years."""
    holed = row("AAPL", "2023-01-03", "2024-06-28", missing="2024-01-03 2024-01-04", quarantined="2024-01-08")
    whole = row("MSFT", "2023-01-03", "2024-06-28")
    return write_page(picture(holed, whole, untouched=(Symbol("KO"),)), tmp_path / "coverage.html")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_offline_and_shows_its_cells(browser, file, scheme, tmp_path):
    """No request but the file itself, no message on the console, cells 9 by 9 pixels with tooltips."""
    page = browser.new_page(viewport={"width": 1400, "height": 900}, color_scheme=scheme)
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.context.set_offline(True)
    page.goto(file.as_uri())
    shots = Path(os.environ.get("TEST_SCREENSHOTS", tmp_path))
    page.screenshot(path=shots / f"coverage-{scheme}.png", full_page=True)
    assert asked == [file.as_uri()]
    assert said == []

    cell = page.locator('#AAPL b[title^="2024-01-03"]')
    assert cell.get_attribute("title") == "2024-01-03 missing"
    box = cell.bounding_box()
    assert (box["width"], box["height"]) == (9, 9)
    cell.hover()
    assert page.evaluate("e => getComputedStyle(e).outlineStyle", cell.element_handle()) == "solid"

    monday = page.locator('#AAPL b[title^="2024-01-08"]').bounding_box()
    tuesday = page.locator('#AAPL b[title^="2024-01-09"]').bounding_box()
    next_monday = page.locator('#AAPL b[title^="2024-01-15"]').bounding_box()
    assert (tuesday["x"], tuesday["y"]) == (monday["x"], monday["y"] + 11)
    assert (next_monday["x"], next_monday["y"]) == (monday["x"] + 11, monday["y"])
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


@pytest.mark.slow
def test_light_and_dark_are_different_pages(browser, file):
    """By the preference of whoever looks."""
    grounds = set()
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(file.as_uri())
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.close()
    assert len(grounds) == 2


@pytest.mark.slow
def test_a_narrow_screen_scrolls_strips_and_not_the_page(browser, file):
    """A telephone."""
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()
