"""The same trade told live and by the history is one trade: id, venue, side, instant, conditions agree."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdc_resources.domain.datasets import Dataset
from mdc_resources.providers.live import feed
from mdc_resources.providers.registry import provider
from tests.feeds.crypto.crypto_bench import decode
from tests.providers.asking import decode as decode_page
from tests.providers.asking import dialect_of, rows, want

DAY = dt.date(2024, 3, 4)
START = 1_709_510_400  # its midnight, UTC
COLUMNS = ("symbol", "ts_event", "price", "size", "side", "venue", "trade_id", "conditions")


def history(name: str, symbol: str, body: object, after: str = "") -> list[dict[str, Any]]:
    """What the provider's history decodes ``body`` to, in the columns that tell a trade."""
    request = want(name, symbol, dataset=Dataset.TRADES, start=DAY, end=DAY, calendar="24/7")
    sent = None
    if after:  # coinbase reads upwards from an id
        sent = provider(name).plan(request, dialect_of(name, "24/7"))
        sent = type(sent)(sent.url, params=(("limit", "1000"), ("after", after)))
    page = decode_page(request, body if isinstance(body, str) else json.dumps(body), sent=sent)
    assert page.rejected == ()
    return [_plain({name: row[name] for name in COLUMNS}) for row in rows(page, Dataset.TRADES)]


def live(name: str, frames: Sequence[object]) -> list[dict[str, Any]]:
    """What the feed decodes ``frames`` to, in the same columns."""
    sink = decode(
        name, [frame.encode() if isinstance(frame, str) else json.dumps(frame).encode() for frame in frames]
    )
    assert (sink.rejections, sink.holes) == ([], [])
    return [_plain({name: event.get(name) for name in COLUMNS}) for event in sink.events]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers by value: the history's have all the places of their column."""
    return {**row, "price": Decimal(row["price"]), "size": Decimal(row["size"])}


def clock(seconds: float, decimals: str) -> str:
    """An instant of the day as RFC 3339 with these decimals."""
    instant = dt.datetime.fromtimestamp(START + int(seconds), dt.UTC)
    return f"{instant:%Y-%m-%dT%H:%M:%S}{'.' if decimals else ''}{decimals}Z"


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 86_399),
    st.text("0123456789", max_size=9),
    st.sampled_from(["buy", "sell"]),
    st.integers(1, 2**40),
)
def test_coinbase_exchange(second: int, decimals: str, side: str, number: int) -> None:
    """Both tell the maker's side; decimals of a second are kept as many as there are."""
    cells = {
        "trade_id": number,
        "side": side,
        "size": "0.00100000",
        "price": "63113.90",
        "time": clock(second, decimals),
    }
    told = live("coinbase", [{"type": "match", **cells, "product_id": "BTC-USD", "sequence": 5}])
    assert told == history("coinbase", "COINBASE:BTC-USD", [cells], after=str(number + 1))
    assert told[0]["side"] != side


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 86_399),
    st.text("0123456789", max_size=9),
    st.sampled_from(["BUY", "SELL"]),
    st.integers(1, 2**40),
)
def test_coinbase_advanced(second: int, decimals: str, side: str, number: int) -> None:
    """The Exchange's history fills the holes of Advanced Trade: same ids, same side, same instant."""
    cells = {"size": "0.00100000", "price": "63113.90", "time": clock(second, decimals)}
    trade = {**cells, "trade_id": str(number), "product_id": "BTC-USD", "side": side}
    frame = {"channel": "market_trades", "sequence_num": 3, "events": [{"type": "update", "trades": [trade]}]}
    page = [{**cells, "trade_id": number, "side": side.lower()}]
    assert live("coinbase-advanced", [frame]) == history(
        "coinbase", "COINBASE:BTC-USD", page, after=str(number + 1)
    )


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 86_399),
    st.text("0123456789", min_size=6, max_size=6),
    st.sampled_from([("buy", "b"), ("sell", "s")]),
    st.sampled_from([("limit", "l"), ("market", "m")]),
    st.integers(1, 2**40),
)
def test_kraken(
    second: int, decimals: str, side: tuple[str, str], order: tuple[str, str], number: int
) -> None:
    """Sides and kinds of order are spelled differently and mean the same."""
    cells = f'"side":"{side[0]}","price":63113.90000,"qty":0.34507674,"ord_type":"{order[0]}"'
    told = f'{cells},"trade_id":{number},"timestamp":"{clock(second, decimals)}"'
    frame = f'{{"channel":"trade","type":"update","data":[{{"symbol":"BTC/USD",{told}}}]}}'
    row = f'["63113.90000","0.34507674",{START + second}.{decimals},"{side[1]}","{order[1]}","",{number}]'
    body = f'{{"error":[],"result":{{"XXBTZUSD":[{row}],"last":"{START}000000000"}}}}'
    assert live("kraken", [frame]) == history("kraken", "KRAKEN:BTC-USD", body)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 86_399),
    st.text("0123456789", min_size=1, max_size=9),
    st.sampled_from("bs"),
    st.sampled_from("lm"),
    st.sampled_from(["", "x"]),
)
def test_kraken_v1(second: int, decimals: str, side: str, order: str, misc: str) -> None:
    """All but the id, which version 1 does not tell: it declares no identity."""
    at = f"{START + second}.{decimals}"
    frame = [0, [["63113.90000", "0.34507674", at, side, order, misc]], "trade", "XBT/USD"]
    row = f'["63113.90000","0.34507674",{at},"{side}","{order}","{misc}",77]'
    body = f'{{"error":[],"result":{{"XXBTZUSD":[{row}],"last":"{START}000000000"}}}}'
    (told,), (stored,) = live("kraken-v1", [frame]), history("kraken", "KRAKEN:BTC-USD", body)
    assert told | {"trade_id": None} == stored | {"trade_id": None}
    assert (told["trade_id"], stored["trade_id"]) == (None, "77")
    assert feed("kraken-v1").spec.identities == ()


@pytest.mark.parametrize("scale", [1000, 1_000_000], ids=["milliseconds", "microseconds"])
@pytest.mark.parametrize("maker", [True, False])
def test_binance(maker: bool, scale: int) -> None:
    """Aggregates on both sides: the id is ``a``, in whatever unit time is told."""
    cells = {
        "a": 26129,
        "p": "63113.90000000",
        "q": "4.70443515",
        "f": 1,
        "l": 9,
        "T": (START + 7) * scale + 5,
        "m": maker,
    }
    frame = {
        "stream": "btcusdt@aggTrade",
        "data": {"e": "aggTrade", "E": 1, "s": "BTCUSDT", **cells, "M": True},
    }
    assert live("binance", [frame]) == history("binance", "BINANCE:BTC-USDT", [{**cells, "M": True}])


@pytest.mark.parametrize("name", ["binance", "coinbase", "coinbase-advanced", "kraken", "kraken-v1"])
def test_holes_are_refilled_by_the_same_market(name: str) -> None:
    """What a feed says can be refilled is offered by its provider's history in its own market."""
    spec = feed(name).spec
    assert spec.refillable == {Dataset.TRADES}
    for dataset in spec.refillable:
        assert provider(spec.provider).spec.offers[dataset].market == spec.market
    assert spec.venue == provider(spec.provider).spec.venue
