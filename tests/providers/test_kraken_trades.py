"""Kraken's trades: exact nanoseconds from seconds with decimals, the cursor, the side of the taker."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import PayloadError
from mdc_resources.domain.requests import HttpRequest
from mdc_resources.providers.decoding.bodies import NumberText
from mdc_resources.providers.decoding.json_rows import JsonRows
from mdc_resources.providers.kraken import PROVIDER
from mdc_resources.providers.kraken.trades import nanos_of
from mdc_resources.providers.spec import Page
from mdc_resources.schema.arrow import TRADES
from tests.providers.asking import decode, dialect_of, is_canonical, plain, refusal, rows, want

MONDAY = dt.date(2024, 3, 4)
START = 1_709_510_400
DAY = 86_400
REQUEST = want("kraken", "KRAKEN:BTC-USD", dataset=Dataset.TRADES, start=MONDAY, end=MONDAY, calendar="24/7")
DIALECT = dialect_of("kraken", "24/7")


def trade(at: str = f"{START}.8277369", **changes: str) -> str:
    """A row in the documented shape, as JSON text: its digits matter."""
    cells = {
        "p": '"63113.90000"',
        "v": '"0.34507674"',
        "t": at,
        "s": '"b"',
        "o": '"m"',
        "m": '""',
        "id": "61044952",
    }
    return f"[{','.join((cells | changes).values())}]"


def body(*found: str, last: str = f'"{START}827736900"', key: str = "XXBTZUSD") -> str:
    """A document of rows."""
    return f'{{"error":[],"result":{{"{key}":[{",".join(found)}],"last":{last}}}}}'


def read(text: str, sent: HttpRequest | None = None) -> Page:
    """Decode ``text`` as the answer to the first page, or to ``sent``."""
    return decode(REQUEST, text, sent=sent)


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [
        ("1709510400.8277369", 1_709_510_400_827_736_900),
        ("1709510400.123456789", 1_709_510_400_123_456_789),
        ("1709510400.000000001", 1_709_510_400_000_000_001),
        ("1709510400.5", 1_709_510_400_500_000_000),
        ("1709510400", 1_709_510_400_000_000_000),
        ("1709510400.9999999", 1_709_510_400_999_999_900),
        ("1709510400.1234567890000", 1_709_510_400_123_456_789),
    ],
)
def test_seconds_become_exact_nanoseconds(seconds: str, nanos: int) -> None:
    """From the digits: a double holds but sixteen of these nineteen."""
    (row,) = rows(read(body(trade(seconds))), Dataset.TRADES)
    assert row["ts_event"] == nanos


@given(st.integers(min_value=0, max_value=9_000_000_000 * 10**9 - 1))
def test_every_nanosecond_survives(nanos: int) -> None:
    """Written with nine decimals and read back, none is lost."""
    text = NumberText(f"{nanos // 10**9}.{nanos % 10**9:09d}")
    assert nanos_of(JsonRows([["1", "1", text]])).tolist() == [nanos]


@pytest.mark.parametrize(
    "seconds",
    ['"1709510400.5"', "null", "-1709510400", "1.7e9", "NaN", "1709510400.1234567891", "99999999999", "true"],
)
def test_a_time_that_is_none_costs_its_row_and_the_session(seconds: str) -> None:
    """It may belong to any session that was asked for."""
    page = read(body(trade(seconds), trade()))
    assert len(rows(page, Dataset.TRADES)) == 1
    assert len(page.rejected) == 1
    assert page.incomplete == (("KRAKEN:BTC-USD", MONDAY),)


def test_a_trade_is_read_exactly() -> None:
    """Price and size from their text, the id as text, the kind of order as condition."""
    page = read(body(trade(id="9007199254740993", m='"x"')))
    (row,) = rows(page, Dataset.TRADES)
    assert is_canonical(page.tables[Dataset.TRADES], TRADES)
    assert (plain(row["price"]), plain(row["size"])) == ("63113.9", "0.34507674")
    assert (row["trade_id"], row["conditions"], row["source"]) == ("9007199254740993", "m,x", "kraken")


@pytest.mark.parametrize(("said", "side"), [('"b"', "buy"), ('"s"', "sell")])
def test_the_side_is_the_taker_s(said: str, side: str) -> None:
    """b bought, s sold."""
    assert [row["side"] for row in rows(read(body(trade(s=said))), Dataset.TRADES)] == [side]


@pytest.mark.parametrize("said", ['"B"', "null", "1", '""', "[]", "{}"])
def test_another_side_costs_its_row(said: str) -> None:
    """It is never guessed."""
    page = read(body(trade(s=said), trade()))
    assert len(rows(page, Dataset.TRADES)) == 1
    assert "neither b nor s" in page.rejected[0].reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"p": "63113.9"}, "price"),
        ({"p": '"NaN"'}, "price"),
        ({"v": "null"}, "size is missing"),
        ({"v": '"1e99"'}, "size"),
    ],
)
def test_a_bad_number_costs_its_row(change: dict[str, str], reason: str) -> None:
    """With the name of its column and its partition."""
    page = read(body(trade(**change), trade()))
    assert len(rows(page, Dataset.TRADES)) == 1
    assert page.rejected[0].reason.startswith(reason)
    assert page.rejected[0].session == MONDAY


def test_rows_of_old_answers_have_no_id() -> None:
    """Six cells: two equal trades are then two trades."""
    old = f'["1.0","2.0",{START}.5,"b","l",""]'
    found = rows(read(body(old, old)), Dataset.TRADES)
    assert [(row["trade_id"], row["conditions"]) for row in found] == [(None, "l"), (None, "l")]


def test_the_same_trade_twice_is_once_and_a_contradiction_is_none() -> None:
    """By its id."""
    assert len(rows(read(body(trade(), trade())), Dataset.TRADES)) == 1
    page = read(body(trade(), trade(v='"7.0"')))
    assert (rows(page, Dataset.TRADES), len(page.rejected)) == ([], 2)


def test_a_day_is_from_midnight_to_midnight() -> None:
    """Its last nanosecond belongs to it, the next one does not."""
    found = body(
        trade(f"{START - 1}.999999999", id="1"), trade(f"{START}", id="2"),
        trade(f"{START + DAY - 1}.999999999", id="3"), trade(f"{START + DAY}", id="4"),
    )  # fmt: skip
    page = read(found)
    assert [row["trade_id"] for row in rows(page, Dataset.TRADES)] == ["2", "3"]
    assert page.dropped == 2


def test_the_first_page_begins_a_nanosecond_early() -> None:
    """``since`` is exclusive."""
    wire = PROVIDER.plan(REQUEST, DIALECT)
    assert wire.url.endswith("/0/public/Trades")
    assert dict(wire.params) == {"pair": "XBTUSD", "since": f"{START - 1}999999999", "count": "1000"}


def test_pages_go_on_at_last() -> None:
    """To the nanosecond; also behind a short page."""
    following = read(body(trade())).next
    assert following is not None
    assert dict(following.params)["since"] == f"{START}827736900"


def test_a_trade_of_the_next_day_ends_it() -> None:
    """So does a page without any, whatever its cursor."""
    assert read(body(trade(), trade(f"{START + DAY}", id="2"), last=f'"{START + DAY}000000000"')).next is None
    assert read(body()).next is None


@pytest.mark.parametrize("last", [f'"{START - 1}999999999"', '"0"'])
def test_a_cursor_that_stands_still_is_a_loop(last: str) -> None:
    """The page it names is the one that was asked for, or an earlier one."""
    error = refusal(REQUEST, body(trade(), last=last))
    assert isinstance(error, PayloadError)
    assert "loop" in error.message


@pytest.mark.parametrize("last", ["null", '"soon"', "{}", '"-1"', f'"{"9" * 20}"', "1.5"])
def test_a_cursor_that_is_none_is_refused(last: str) -> None:
    """Without it nothing tells whether there is more."""
    assert isinstance(refusal(REQUEST, body(trade(), last=last)), PayloadError)


def test_another_pair_s_trades_are_refused() -> None:
    """They would pass for this one's."""
    assert isinstance(refusal(REQUEST, body(trade(), key="XETHZUSD")), PayloadError)


@pytest.mark.parametrize("row", [[], {}, None, "x", 7, [1, 2]])
def test_a_page_of_which_nothing_can_be_read_is_refused(row: Any) -> None:
    """It is no page."""
    assert isinstance(refusal(REQUEST, body(json.dumps(row))), PayloadError)
