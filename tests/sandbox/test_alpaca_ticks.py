"""Alpaca's trades and quotes as the sandbox sends them: fields, paging, units, refusals."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from mdc_resources.sandbox.answers import Answer, Page, Query
from mdc_resources.sandbox.dialects.alpaca import Alpaca
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.ticks import quotes_of, trades_of
from tests.providers.recording import PAYLOADS

MARKET = Market.synthetic(7, now=dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC))
DIALECT = Alpaca(MARKET)
DAY = dt.date(2024, 6, 3)
WINDOW = {"start": "2024-06-01T00:00:00Z", "end": "2024-06-03T23:59:59.999999999Z"}


def answer(kind: str, **params: str) -> Answer:
    """What the dialect answers."""
    given = {"symbols": "THIN", "limit": "10000", **WINDOW, **params}
    headers = {"apca-api-key-id": "key", "apca-api-secret-key": "secret"}
    found = DIALECT.respond(Query(f"/v2/stocks/{kind}", given, headers))
    return found.answer() if isinstance(found, Page) else found


def ask(kind: str, **params: str) -> dict[str, Any]:
    """A good answer's document."""
    got = answer(kind, **params)
    assert got.status == 200, got.body
    document: dict[str, Any] = json.loads(got.body)
    return document


def test_all_pages_are_the_session() -> None:
    """Short pages by token come to what one page says, in order, without a gap or a repeat."""
    whole = ask("trades")["trades"]["THIN"]
    assert [row["i"] for row in whole] == trades_of(MARKET, "THIN", DAY).ids.tolist()
    pages, token = [], ""
    while True:
        document = ask("trades", limit="7", **({"page_token": token} if token else {}))
        pages.append(document["trades"].get("THIN", []))
        token = document["next_page_token"]
        if token is None:
            break
    assert [row for page in pages for row in page] == whole
    assert {len(page) for page in pages[:-1]} == {7}


def test_symbols_follow_each_other() -> None:
    """A page may end one symbol and begin the next; an unknown one is silently absent."""
    first = ask("trades", symbols="THIN,ZZTOP,AAPL", limit="10000", end="2024-06-03T13:31:00Z")
    assert list(first["trades"]) == ["AAPL", "THIN"][: len(first["trades"])]
    assert "ZZTOP" not in first["trades"]
    assert ask("quotes", symbols="ZZTOP")["quotes"] == {}


def test_instants_are_exact_and_bounds_inclusive() -> None:
    """Nine digits, trailing zeros cut; the second asked for is there to its last nanosecond."""
    trades = trades_of(MARKET, "MSFT", DAY)
    rows = ask("trades", symbols="MSFT", limit="50")["trades"]["MSFT"]
    for row, at in zip(rows, trades.times[:50].tolist(), strict=True):
        assert row["t"].endswith("Z")
        assert not row["t"][:-1].endswith("0") or "." not in row["t"]
        seconds, _, fraction = row["t"][:-1].partition(".")
        instant = dt.datetime.fromisoformat(seconds + "+00:00")
        assert int(instant.timestamp()) * 10**9 + int(fraction.ljust(9, "0")) == at


@pytest.mark.parametrize(
    ("day", "unit"), [(DAY, 100), (dt.date(2025, 11, 3), 1)], ids=["round lots", "shares"]
)
def test_quote_sizes_change_their_unit(day: dt.date, unit: int) -> None:
    """Round lots up to October 2025, shares from 3 November on."""
    bounds = {"start": f"{day}T00:00:00Z", "end": f"{day}T23:00:00Z"}
    rows = ask("quotes", symbols="MSFT", limit="100", **bounds)["quotes"]["MSFT"]
    quotes = quotes_of(MARKET, "MSFT", day)
    assert [row["bs"] * unit for row in rows] == quotes.bid_sizes[:100].tolist()
    assert [round(row["ap"] * 100) for row in rows] == quotes.asks[:100].tolist()


def test_a_few_trades_are_canceled() -> None:
    """They say so in ``u``; the others have no such field."""
    updates = [row.get("u") for row in ask("trades", symbols="MSFT")["trades"]["MSFT"]]
    assert set(updates) == {None, "canceled"}
    assert updates.count("canceled") < len(updates) / 1000


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"limit": "10001"}, "limit"),
        ({"page_token": "nonsense"}, "page token"),
        ({"symbols": ""}, "symbols"),
        ({"symbols": "a b"}, "invalid symbol"),
        ({"start": "yesterday"}, "start"),
        ({"end": "2024-01-01T00:00:00Z"}, "end"),
        ({"sort": "desc"}, "ascending"),
    ],
)
def test_what_is_asked_wrongly_is_a_400(params: dict[str, str], message: str) -> None:
    """With the vendor's kind of message."""
    got = answer("trades", **params)
    assert got.status == 400
    assert message in json.loads(got.body)["message"]


@pytest.mark.parametrize(
    ("kind", "recording"),
    [("trades", "rest_test__TestGetTrades__1.json"), ("quotes", "rest_test__TestGetQuotes__2.json")],
)
def test_fields_are_those_that_were_recorded(kind: str, recording: str) -> None:
    """Names and JSON types, row and document."""
    path = PAYLOADS / "alpaca" / "alpaca-trade-api-go" / recording
    if not path.exists():
        pytest.skip("the recorded payloads are not here")
    real = json.loads(path.read_bytes())
    (real_rows,) = real[kind].values()
    ours = ask(kind, symbols="MSFT", limit="5")
    assert real.keys() == ours.keys()
    for row in ours[kind]["MSFT"]:
        assert row.keys() == real_rows[0].keys()
        for name, value in real_rows[0].items():
            same = isinstance(row[name], type(value))
            assert same or {type(row[name]), type(value)} == {int, float}, name


def test_keys_are_needed() -> None:
    """As for bars."""
    found = DIALECT.respond(Query("/v2/stocks/trades", {"symbols": "AAPL"}, {}))
    assert isinstance(found, Answer)
    assert found.status == 401


@pytest.mark.parametrize("kind", ["trades", "quotes"])
def test_faults_of_pages_reach_ticks(kind: str) -> None:
    """Another label, an unknown field, a token that does not end."""
    headers = {"apca-api-key-id": "key", "apca-api-secret-key": "secret"}
    query = Query(f"/v2/stocks/{kind}", {"symbols": "THIN", "limit": "5", **WINDOW}, headers)
    page = DIALECT.respond(query)
    assert isinstance(page, Page)
    named = json.loads(page.but(label="OTHR", extra=True).answer().body)
    assert list(named[kind]) == ["OTHR"]
    assert all(row["zz"] == 1 for row in named[kind]["OTHR"])
    token = json.loads(page.but(loop=True).answer().body)["next_page_token"]
    again = Query(query.path, {**query.params, "page_token": token}, headers)
    looped = DIALECT.respond(again)
    assert isinstance(looped, Page)
    assert json.loads(looped.but(loop=True).answer().body)["next_page_token"] == token
