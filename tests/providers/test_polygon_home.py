"""Polygon and Tiingo under a real home: their answers in a real lake, alone and together."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from mdc_resources.domain.coverage import PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.ingest import Outcome
from mdc_resources.providers.registry import provider_names
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.sandbox.ticks import quotes_of, trades_of
from tests.homes import Served, make_home
from tests.ingest.ticking import DAY, fetch, query, verified

KEYS = {"POLYGON_API_KEY": "key-of-the-test", "TIINGO_API_TOKEN": "token-of-the-test"}
PRESENT, EMPTY, MISSING = PartitionState.PRESENT, PartitionState.EMPTY, PartitionState.MISSING
SPRING = (dt.date(2024, 5, 1), dt.date(2024, 6, 14))  # a dividend of NVDA on 9 May, a split on 10 June
HALTED = (dt.date(2024, 3, 11), dt.date(2024, 3, 15))  # HALT does not trade on the 13th and 14th


@pytest.fixture(scope="module")
def vendor() -> Iterator[SandboxServer]:
    """The vendors, for this module."""
    with SandboxServer(market=Market.synthetic(seed=7)) as server:
        yield server


def _home(root: Path, vendor: SandboxServer, *names: str) -> Served:
    """A home that asks ``names`` and nobody else."""
    others = set(provider_names()) - {*names, "files"}
    off = "".join(f"[providers.{name}]\nenabled = false\n" for name in sorted(others))
    found = Served(make_home(root / "home", vendor.url, providers=names, extra=off, environ=KEYS), vendor)
    found.calm()
    return found


def _states(outcome: Outcome) -> Counter[PartitionState]:
    return Counter(line.state for line in outcome.states.values())


def test_a_session_of_trades_comes_from_polygon_whole(tmp_path: Path, vendor: SandboxServer) -> None:
    """Several pages, every nanosecond, cent and share of the market's, under FINRA's two numbers too."""
    served = _home(tmp_path, vendor, "polygon")
    outcome = fetch(served.home)
    assert _states(outcome) == {PRESENT: 1}
    assert outcome.requests_sent > 1
    real = trades_of(vendor.sandbox.market, "MSFT", DAY)
    stored = query(served.home, "SELECT ts_event, price, size, trade_id, source FROM trades ORDER BY ordinal")
    assert [row[0] for row in stored] == real.times.tolist()
    assert [int(row[1] * 100) for row in stored] == real.prices.tolist()
    assert [int(row[2]) for row in stored] == real.sizes.tolist()
    assert [int(row[3]) for row in stored] == real.ids.tolist()
    assert {row[4] for row in stored} == {"sandbox:polygon"}
    kinds = dict(query(served.home, "SELECT correction, count(*) FROM trades WHERE NOT valid GROUP BY 1"))
    assert kinds == {"canceled": sum(number % 5003 == 8 for number in real.ids.tolist())}
    assert verified(served.home)


def test_a_session_of_quotes_is_stored_in_shares(tmp_path: Path, vendor: SandboxServer) -> None:
    """The wire had round lots in 2024."""
    served = _home(tmp_path, vendor, "polygon")
    assert _states(fetch(served.home, "THIN", Dataset.QUOTES)) == {PRESENT: 1}
    real = quotes_of(vendor.sandbox.market, "THIN", DAY)
    stored = query(served.home, "SELECT bid_size, ask_size FROM quotes ORDER BY ordinal")
    assert stored == [
        (Decimal(bid), Decimal(ask))
        for bid, ask in zip(real.bid_sizes.tolist(), real.ask_sizes.tolist(), strict=True)
    ]


def test_polygons_minutes_and_trades_agree(tmp_path: Path, vendor: SandboxServer) -> None:
    """Sums over the ticks of a minute are its bar, extended hours left out."""
    served = _home(tmp_path, vendor, "polygon")
    fetch(served.home, "THIN")
    fetch(served.home, "THIN", Dataset.BARS_1M)
    told = query(served.home, "SELECT sum(size), count(*) FROM trades")
    assert told == query(served.home, "SELECT sum(volume), sum(trade_count) FROM bars_1m")


def test_polygons_empty_lists_prove_nothing(tmp_path: Path, vendor: SandboxServer) -> None:
    """What happened is stored, the rest waits for a second source."""
    served = _home(tmp_path, vendor, "polygon")
    outcome = fetch(served.home, "NVDA", Dataset.CORPORATE_ACTIONS, start=SPRING[0], end=SPRING[1])
    assert _states(outcome) == {PRESENT: 2, MISSING: 30}
    told = query(served.home, "SELECT session, kind, amount, ratio_to FROM corporate_actions ORDER BY 1")
    assert told == [
        (dt.date(2024, 5, 9), "dividend", Decimal("0.04"), None),
        (dt.date(2024, 6, 10), "split", None, 10),
    ]


def test_without_its_dividends_no_session_is_settled_as_empty(tmp_path: Path, vendor: SandboxServer) -> None:
    """The second list fails: the first one alone says nothing about days without splits."""
    served = _home(tmp_path, vendor, "polygon")
    served.fault("polygon", "status", probability=1, match="dividends", params={"status": 403})
    outcome = fetch(served.home, "NVDA", Dataset.CORPORATE_ACTIONS, start=SPRING[0], end=SPRING[1])
    assert EMPTY not in _states(outcome)
    assert query(served.home, "SELECT count(*) FROM coverage WHERE state = 'empty'") == [(0,)]


def test_tiingos_days_bring_their_facts(tmp_path: Path, vendor: SandboxServer) -> None:
    """One request: raw bars, the split and the dividend, and the proof that nothing else happened."""
    served = _home(tmp_path, vendor, "tiingo")
    outcome = fetch(served.home, "NVDA", Dataset.BARS_1D, start=SPRING[0], end=SPRING[1])
    assert (_states(outcome), outcome.requests_sent) == ({PRESENT: 32}, 1)
    told = dict(
        query(
            served.home, "SELECT state, count(*) FROM coverage WHERE dataset = 'corporate_actions' GROUP BY 1"
        )
    )
    assert told == {"present": 2, "empty": 30}
    raw, split = (
        query(served.home, f"SELECT close FROM {view} ORDER BY session LIMIT 1")[0][0]
        for view in ("bars_1d_raw", "bars_1d")
    )
    assert raw == split * 10


def test_tiingos_silence_about_a_halted_day_settles_nothing(tmp_path: Path, vendor: SandboxServer) -> None:
    """Neither the bars nor the facts of it; polygon's silence about the bars is the second source."""
    alone = _home(tmp_path / "alone", vendor, "tiingo")
    outcome = fetch(alone.home, "HALT", Dataset.BARS_1D, start=HALTED[0], end=HALTED[1])
    assert _states(outcome) == {PRESENT: 3, MISSING: 2}
    facts = query(alone.home, "SELECT count(*) FROM coverage WHERE dataset = 'corporate_actions'")
    assert facts == [(3,)]
    both = _home(tmp_path / "both", vendor, "polygon", "tiingo")
    outcome = fetch(both.home, "HALT", Dataset.BARS_1D, start=HALTED[0], end=HALTED[1])
    assert _states(outcome) == {PRESENT: 3, EMPTY: 2}


def test_iex_minutes_do_not_stand_in_for_the_tape(tmp_path: Path, vendor: SandboxServer) -> None:
    """Polygon refuses the minutes: Tiingo, which has IEX's, is not asked in its place."""
    served = _home(tmp_path, vendor, "polygon", "tiingo")
    served.fault("polygon", "status", probability=1, match="minute", params={"status": 403})
    outcome = fetch(served.home, "THIN", Dataset.BARS_1M)
    assert _states(outcome) == {MISSING: 1}
    assert query(served.home, "SELECT count(*) FROM bars_1m") == [(0,)]
