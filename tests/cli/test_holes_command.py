"""``mdc holes``: what is missing, what repaired it, and repairing it now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mdc_resources.cli import holes
from mdc_resources.cli.context import Invocation
from mdc_resources.cli.health import capture
from mdc_resources.domain.errors import MdcError
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.cli.running import Result
from tests.landing.refilling import Torn, facts, tear

SYMBOL = "KRAKEN:BTC-USD"


@pytest.fixture(scope="module")
def vendor() -> Iterator[SandboxServer]:
    """One sandbox for the module."""
    with SandboxServer(market=Market.synthetic(seed=7)) as running:
        yield running


@pytest.fixture
def torn(tmp_path: Path, vendor: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Torn:
    """A partition with two holes."""
    monkeypatch.setenv("POLYGON_API_KEY", "x")
    return tear(tmp_path, vendor, [(100, 160), (300, 320)])


def mdc(torn: Torn, *words: str) -> Result:
    """Run ``mdc holes ...`` on the home."""
    ran = CliRunner().invoke(holes.app, list(words), obj=Invocation(torn.home.config_file))
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return Result(ran.exit_code, ran.stdout, ran.stderr)


def test_open_holes_are_listed_and_a_finding(torn: Torn) -> None:
    """From when to when, how long, and why; exit code 1."""
    ran = mdc(torn)
    assert ran.code == 1
    assert ran.out.count(SYMBOL) == 2
    assert "2024-06-03T16:01:40Z" in ran.out
    assert "60.0 s" in ran.out
    assert "disconnect" in ran.out


@pytest.mark.parametrize(("symbol", "count"), [(SYMBOL, 2), ("KRAKEN:ETH-USD", 0)])
def test_a_symbol_narrows_the_list(torn: Torn, symbol: str, count: int) -> None:
    """A word that is no command is a symbol."""
    ran = mdc(torn, symbol, "--json")
    assert len(ran.json["holes"]) == count
    assert ran.code == (1 if count else 0)


def test_the_json_has_every_field(torn: Torn) -> None:
    """Instants are ISO 8601, UTC."""
    first, second = mdc(torn, "--json").json["holes"]
    assert first["start"] < second["start"]
    assert first == {
        "dataset": "trades",
        "symbol": SYMBOL,
        "session": "2024-06-03",
        "start": "2024-06-03T16:01:40Z",
        "end": "2024-06-03T16:02:40Z",
        "seconds": 60.0,
        "reason": "disconnect",
        "state": "open",
        "repaired_by": "",
        "hole_id": "hole-0",
    }


def test_a_dry_run_says_how_many_and_sends_nothing(torn: Torn) -> None:
    """Both are due."""
    ran = mdc(torn, "repair", "--dry-run")
    assert ran.out.startswith("2 holes in 1 partitions")
    assert torn.requests() == 0
    assert len(mdc(torn, "repair", "--dry-run", "--json").json["holes"]) == 2


def test_repairing_makes_it_whole_and_says_from_where(torn: Torn) -> None:
    """The list is empty afterwards, and --all names who repaired what."""
    ran = mdc(torn, "repair")
    assert ran.code == 0
    assert "rows from sandbox:kraken" in ran.out
    assert "2 holes repaired" in ran.out
    assert facts(torn.rows()) == facts(torn.whole)
    after = mdc(torn)
    assert (after.code, after.out.strip()) == (0, "no holes")
    told = mdc(torn, "--all")
    assert told.code == 0
    assert told.out.count("sandbox:kraken") == 2


def test_the_json_of_a_repair_counts_rows_and_requests(torn: Torn) -> None:
    """Each hole with its rows."""
    told = mdc(torn, "repair", "--json").json
    assert [hole["state"] for hole in told["repaired"]] == ["repaired", "repaired"]
    assert told["rows"] == sum(hole["rows"] for hole in told["repaired"]) > 0
    assert (told["failed"], told["given_up"], told["waiting"]) == ([], 0, 0)
    assert told["requests"] >= 1


def test_what_cannot_be_had_stays_open_with_its_reason(torn: Torn) -> None:
    """Exit code 1, and the vendor's words."""
    torn.fault("html200", provider="kraken", times=99)
    ran = mdc(torn, "repair")
    assert ran.code == 1
    assert "stays open: kraken" in ran.err
    assert mdc(torn, "repair", "--json").json["failed"][0]["why"].startswith("kraken")
    torn.calm()


def test_a_word_that_is_no_symbol_is_refused(torn: Torn) -> None:
    """It never reaches SQL."""
    with pytest.raises(MdcError, match="symbol"):
        mdc(torn, "x'; DROP")


def test_the_doctor_tells_of_capture(torn: Torn) -> None:
    """Nothing where nothing is captured; else the sidecar, what waits, and open holes."""
    assert list(capture.feeds(torn.home)) == []
    torn.home.segments_dir.mkdir()
    told = {finding.check: finding for finding in capture.feeds(torn.home)}
    assert told["landing"].message == "0 sealed segments wait to be landed"
    assert told["holes"].message.startswith("2 holes")
    assert "sidecar" not in told


def test_the_doctor_misses_a_sidecar_that_should_run(torn: Torn) -> None:
    """A warning that names the feeds and how to start it."""
    from tests.landing.refilling import with_settings

    extra = {"MDC__STREAM__KRAKEN__SYMBOLS": f'["{SYMBOL}"]', "MDC__SIDECAR__PORT": "1"}
    home = with_settings(torn.home, **extra)
    told = {finding.check: finding for finding in capture.feeds(home)}
    assert told["sidecar"].level == "warning"
    assert "kraken" in told["sidecar"].message
    assert "mdc up" in told["sidecar"].hint
