"""Names that end, and days that are closed by override: what each vendor tells of them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.domain.errors import ConfigError
from mdc_resources.sandbox.dialects import alpaca_actions
from mdc_resources.sandbox.market import Market

D = dt.date
NOW = dt.datetime(2026, 11, 20, 22, tzinfo=dt.UTC)
DAYS = (D(2025, 11, 10), D(2025, 11, 21))


@pytest.fixture(scope="module")
def market() -> Market:
    """The market of November 2026."""
    return Market.synthetic(seed=7, now=NOW)


def told(market: Market, **params: str) -> Mapping[str, Any]:
    """Groups of one page of corporate actions."""
    answer = alpaca_actions.respond(market, {"start": "2025-01-01", "end": "2026-11-20", **params})
    return json.loads(answer.body)["corporate_actions"]


@pytest.mark.parametrize(
    ("symbol", "first", "last"),
    [
        ("GONE", D(2000, 1, 3), D(2025, 11, 14)),
        ("OLDN", D(2000, 1, 3), D(2025, 8, 15)),
        ("NEWN", D(2000, 1, 3), D(2026, 11, 20)),
    ],
)
def test_names_end_when_they_end(market: Market, symbol: str, first: dt.date, last: dt.date) -> None:
    """GONE stops, OLDN stops where NEWN goes on."""
    sessions = market.daily(symbol, D(1999, 1, 1), D(2026, 12, 31)).sessions
    assert (sessions[0], sessions[-1]) == (first, last)


def test_a_renamed_company_is_one_series(market: Market) -> None:
    """OLDN's bars are NEWN's of the same sessions."""
    span = (D(2025, 8, 1), D(2025, 8, 15))
    assert market.daily("OLDN", *span) == market.daily("NEWN", *span)


def test_a_removal_has_the_documented_shape(market: Market) -> None:
    """Id, symbol, CUSIP and a process date: the first session without it. Nothing else."""
    (removal,) = told(market, symbols="GONE", types="worthless_removal")["worthless_removals"]
    assert set(removal) == {"id", "symbol", "cusip", "process_date"}
    assert (removal["symbol"], removal["process_date"]) == ("GONE", "2025-11-17")


@pytest.mark.parametrize("symbols", ["OLDN", "NEWN", "OLDN,NEWN"])
def test_either_side_tells_of_a_rename_once(market: Market, symbols: str) -> None:
    """Whichever of the two is asked about."""
    (change,) = told(market, symbols=symbols)["name_changes"]
    assert (change["old_symbol"], change["new_symbol"]) == ("OLDN", "NEWN")
    assert change["process_date"] == "2025-08-18"
    assert set(change) == {"id", "old_symbol", "new_symbol", "old_cusip", "new_cusip", "process_date"}


@pytest.mark.parametrize(
    ("now", "known"), [("2025-11-14T22:00:00+00:00", 0), ("2025-11-17T15:00:00+00:00", 1)]
)
def test_an_end_is_told_when_it_has_come(now: str, known: int) -> None:
    """On the last session nobody knows yet."""
    then = Market.synthetic(seed=7, now=dt.datetime.fromisoformat(now))
    assert len(told(then, symbols="GONE").get("worthless_removals", ())) == known


@pytest.fixture
def closures(tmp_path: Path) -> Path:
    """A home that closes a Tuesday and ends a Thursday at noon."""
    path = tmp_path / "closures.toml"
    path.write_text('[XNYS]\nclosed = [2025-11-11]\nearly_close = { 2025-11-13 = "12:00" }\n')
    return path


def test_a_closure_takes_away_one_day_only(market: Market, closures: Path) -> None:
    """All other bars are what they were: nothing is restated."""
    shut = Market.synthetic(seed=7, now=NOW, closures=closures)
    for symbol in ("AAPL", "SPLT", "NEWN"):
        assert [bar for bar in market.daily(symbol, *DAYS) if bar.session != D(2025, 11, 11)] == list(
            shut.daily(symbol, *DAYS)
        )
    assert not len(shut.minutes("AAPL", D(2025, 11, 11), D(2025, 11, 11)))


def test_an_early_close_ends_the_day(market: Market, closures: Path) -> None:
    """150 minutes, which still add up to the day."""
    shut = Market.synthetic(seed=7, now=NOW, closures=closures.parent)
    day = (D(2025, 11, 13), D(2025, 11, 13))
    assert (len(market.minutes("AAPL", *day)), len(shut.minutes("AAPL", *day))) == (390, 150)
    assert sum(shut.minutes("AAPL", *day).volume) == shut.daily("AAPL", *day).volume[0]


def test_closures_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    """The market does not start without them."""
    (tmp_path / "closures.toml").write_text("[XNYS]\nshut = []\n")
    with pytest.raises(ConfigError, match="unknown key 'shut'"):
        Market.synthetic(closures=tmp_path)
