"""The web UI in a real browser: a person picks a range of partitions, launches, and sees it succeed."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest

from mdc_assets.instance import open_instance
from mdc_resources.domain.datasets import Dataset
from mdc_resources.lake import Lake
from tests.dagster.conftest import BARS
from tests.dagster.serving import up, wait_for

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
SLOWLY = 60_000  # ms


@pytest.fixture
def page():
    """A page of Debian's Chromium."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed (apt-get install chromium)")
    api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (pip install 'mdc[dev]')"
    )
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        opened = browser.new_page(viewport={"width": 1400, "height": 1000})
        opened.set_default_timeout(SLOWLY)
        yield opened
        browser.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_range_of_partitions_is_launched_from_the_ui_and_succeeds(page, home, tmp_path, monkeypatch):
    """Two symbols, two weeks of bars: picked in the dialog, run by the daemon, shown as materialised."""
    # The gap sensor would carry on from what was begun, and its runs would be the newest ones shown.
    monkeypatch.setenv("MDC__SCHEDULE__GAPS", "false")
    shots = Path(os.environ.get("TEST_SCREENSHOTS", tmp_path))
    with up(home, tmp_path) as served, open_instance(home) as instance:
        wait_for(served.location_loads)
        page.goto(f"{served.url}/assets/bars_1d/us_00?view=partitions", wait_until="domcontentloaded")
        page.get_by_role("button", name="Materialize").first.click()
        dialog = page.get_by_role("dialog")
        dates = dialog.get_by_placeholder("ex: ")
        dates.fill("[2024-01-02...2024-01-12]")
        dates.press("Enter")
        dialog.get_by_role("button", name="All").nth(1).click()
        dialog.get_by_text("18 partitions", exact=True).wait_for()
        page.screenshot(path=shots / "dialog.png")
        dialog.get_by_role("button", name="Launch backfill").click()
        dialog.wait_for(state="hidden")

        page.goto(f"{served.url}/runs", wait_until="domcontentloaded")
        page.get_by_text("18 partitions").first.wait_for()
        page.screenshot(path=shots / "launched.png")
        # The only line of the list: runs within the backfill are folded into it.
        page.get_by_text("Success", exact=True).first.wait_for(timeout=4 * SLOWLY)
        page.screenshot(path=shots / "succeeded.png")

        page.goto(f"{served.url}/assets/bars_1d/us_00?view=events", wait_until="domcontentloaded")
        page.get_by_text("closes of 9 sessions").wait_for()
        page.screenshot(path=shots / "preview.png")
        assert len(instance.get_materialized_partitions(BARS)) == 18
    lake = Lake.open(home.lake_dir)
    try:
        covered = lake.coverage(Dataset.BARS_1D, start=dt.date(2024, 1, 2), end=dt.date(2024, 1, 12))
    finally:
        lake.close()
    assert covered.num_rows == 18
    assert set(covered["state"].to_pylist()) == {"present"}
