"""Trades that may not be stored: quarantined with their reason, and left to the next provider."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.domain.coverage import PartitionState
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.sandbox.ticks import trades_of
from tests.homes import KEYS, Served, make_home
from tests.ingest.ticking import DAY, PAGE, cursors, fetch, only_line, page, query, spools, verified

PRESENT, QUARANTINED = PartitionState.PRESENT, PartitionState.QUARANTINED


def say(served: Served, *trades: object) -> None:
    """Let Alpaca answer with ``trades`` of THIN, whatever is asked."""
    body = json.dumps({"trades": {"THIN": trades}, "next_page_token": None})
    served.fault("alpaca", "status", times=100, params={"status": 200, "body": body})


def trade(number: int = 1, **more: Any) -> dict[str, Any]:
    """A trade of the day."""
    return {
        "t": f"{DAY}T15:00:00.5Z",
        "x": "Q",
        "p": 17.5,
        "s": 10,
        "c": ["@"],
        "i": number,
        "z": "C",
        **more,
    }


@pytest.fixture
def two(tmp_path: Path, vendor: SandboxServer) -> Served:
    """A home that may ask Alpaca, then Polygon, about one market."""
    environ = {**KEYS, "POLYGON_API_KEY": "key-of-the-test"}
    home = make_home(tmp_path / "two", vendor.url, providers=("alpaca", "polygon"), environ=environ)
    found = Served(home, vendor)
    found.calm()
    return found


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        pytest.param({"p": 0}, "price is not above zero", id="no price"),
        pytest.param({"s": -1}, "size is negative", id="negative size"),
        pytest.param({"p": "17.5"}, "price", id="text"),
        pytest.param({"t": "yesterday"}, "t:", id="no instant"),
    ],
)
def test_a_bad_row_quarantines_its_session(served: Served, wrong: dict[str, Any], reason: str) -> None:
    """Nothing of it is stored; the row is kept as received; a mended answer is taken later."""
    say(served, trade(1), trade(2, **wrong))
    line = only_line(fetch(served.home, "THIN"))
    assert (line.state, line.row_count) == (QUARANTINED, 0)
    assert reason in line.reason
    kept = query(served.home, "SELECT dataset, source, reason, raw FROM quarantine")
    assert [(dataset, source) for dataset, source, _, _ in kept] == [("trades", "sandbox:alpaca/sip")]
    assert reason in kept[0][2]
    assert query(served.home, "SELECT count(*) FROM trades") == [(0,)]
    assert spools(served.home) == []
    served.calm()
    outcome = fetch(served.home, "THIN")
    assert only_line(outcome).state is PRESENT
    assert outcome.requests_sent == 1, "it was asked again, not read from the archive"
    assert verified(served.home)


def test_two_trades_with_one_identity_are_refused(served: Served) -> None:
    """Which of them is right cannot be told."""
    say(served, trade(1), trade(1, p=17.6))
    assert only_line(fetch(served.home, "THIN")).state is QUARANTINED


def test_a_repeated_trade_is_stored_once(served: Served) -> None:
    """Told twice in the same words it is one."""
    say(served, trade(1), trade(1), trade(2))
    assert only_line(fetch(served.home, "THIN")).row_count == 2


def test_the_next_provider_of_the_market_is_asked(two: Served) -> None:
    """What the first cut short the second tells in full, from its own first page; nothing is mixed."""
    two.fault("alpaca", "html200", match=page(3), times=100)
    outcome = fetch(two.home)
    line = only_line(outcome)
    assert (line.state, line.source) == (PRESENT, "sandbox:polygon")
    assert outcome.failovers == 1
    assert line.row_count == len(trades_of(two.server.sandbox.market, "MSFT", DAY))
    assert query(two.home, "SELECT source, count(*) FROM trades GROUP BY 1") == [
        (line.source, line.row_count)
    ]
    assert (cursors(two.home), spools(two.home)) == ([], [])
    assert verified(two.home)


def test_a_quarantined_session_comes_from_the_next(two: Served) -> None:
    """The bad row is kept, the session is whole."""
    say(two, trade(1, p=0))
    line = only_line(fetch(two.home, "THIN"))
    assert (line.state, line.source) == (PRESENT, "sandbox:polygon")
    assert len(query(two.home, "SELECT * FROM quarantine")) == 1


def test_the_longest_of_two_broken_answers_is_kept(two: Served) -> None:
    """Partial, from one source."""
    two.fault("alpaca", "html200", match=page(3), times=100)
    two.fault("polygon", "status", times=100, params={"status": 403, "body": '{"status":"NOT_AUTHORIZED"}'})
    line = only_line(fetch(two.home))
    assert (line.state, line.row_count) == (PartitionState.PARTIAL, 2 * PAGE)
    assert line.source == "sandbox:alpaca/sip"


def test_a_refused_page_does_not_cost_the_others(served: Served) -> None:
    """A block page where the paging would go on is no word about the cursor: it is kept for later."""
    served.fault("alpaca", "html200", match=page(4), times=100)
    fetch(served.home)
    assert len(cursors(served.home)) == 3
    again = fetch(served.home)
    assert only_line(again).row_count == 3 * PAGE
    assert len(cursors(served.home)) == 3
    assert again.requests_sent <= 2
