"""Frames have the shape of recorded or documented ones: the same fields, of the same JSON types."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.sandbox.listening import RATE, subscribed

Frames = dict[str, list[Any]]


@pytest.fixture(scope="module")
def frames() -> Iterator[Callable[[str], list[Any]]]:
    """The frames of a second of each feed, heard once."""
    heard: Frames = {}
    with SandboxServer(market=Market.synthetic(seed=7), live_rate=RATE) as server:

        def of(feed: str) -> list[Any]:
            if feed not in heard:
                with subscribed(server, feed) as listener:
                    heard[feed] = listener.collect(1.2)
            return heard[feed]

        yield of


def shape(value: Any) -> Any:
    """``value`` with types in place of values; of an array of objects, the first."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value and isinstance(value[0], dict) else "array"
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def read(path: Path) -> Any:
    return json.loads(path.read_text(), parse_float=Decimal)


def lines(path: Path) -> list[Any]:
    return [json.loads(line, parse_float=Decimal) for line in path.read_text().splitlines() if line]


@pytest.mark.parametrize("letter", ["t", "q"])
def test_alpacas_documented_events(payloads: Path, frames: Callable[[str], list[Any]], letter: str) -> None:
    """Trades and quotes of the stream's documents."""
    documented = [
        one
        for line in lines(payloads / "alpaca" / "ws-docs" / "stock_stream_doc_examples.ndjson")
        for one in (line if isinstance(line, list) else [line])
        if one.get("T") == letter
    ]
    ours = [one for frame in frames("alpaca") for one in frame if one["T"] == letter]
    assert documented
    assert {str(sorted(shape(one).items())) for one in ours} == {str(sorted(shape(documented[0]).items()))}


def test_alpacas_documented_handshake(payloads: Path, frames: Callable[[str], list[Any]]) -> None:
    """Connected and authenticated are the very frames of the documents."""
    documented = lines(payloads / "alpaca" / "ws-docs" / "stock_stream_doc_examples.ndjson")
    assert frames("alpaca")[0] in documented
    assert frames("alpaca")[1] in documented


@pytest.mark.parametrize(("letter", "optional"), [("T", {"c", "trfi", "trft"}), ("Q", {"i"})])
def test_polygons_documented_events(
    payloads: Path, frames: Callable[[str], list[Any]], letter: str, optional: set[str]
) -> None:
    """The fields of the vendor's examples; conditions and what FINRA reports only where they are."""
    documented = [
        line["example"]
        for line in lines(payloads / "polygon" / "ws-docs" / "massive_ws_examples.ndjson")
        if isinstance(line, dict) and line.get("channel") == f"/stocks/{letter}"
    ]
    want = {name: kind for name, kind in shape(documented[0]).items() if name not in optional}
    for one in (one for frame in frames("polygon") for one in frame if one["ev"] == letter):
        assert {name: kind for name, kind in shape(one).items() if name not in optional} == want
        assert set(one) - set(want) <= optional


def test_polygons_documented_handshake(payloads: Path, frames: Callable[[str], list[Any]]) -> None:
    """Connected, authenticated, subscribed: word for word."""
    folder = payloads / "polygon" / "ws-docs"
    documented = [line for path in sorted(folder.iterdir()) for line in lines(path)]
    assert frames("polygon")[0] in documented
    assert frames("polygon")[1] in documented
    assert [frames("polygon")[2][0]] in documented


def test_quoted_frames_of_tiingo_and_finnhub(payloads: Path, frames: Callable[[str], list[Any]]) -> None:
    """Arrays of sixteen places with the same ones empty; batches with the same fields."""
    quoted = lines(payloads / "_quoted" / "ws_frames.ndjson")
    tiingo = [json.loads(line["frame"]) for line in quoted if line["provider"] == "tiingo"]
    for letter in "TQ":
        (told,) = [one["data"] for one in tiingo if one["messageType"] == "A" and one["data"][0] == letter]
        for frame in frames("tiingo"):
            if frame["messageType"] == "A" and frame["data"][0] == letter:
                assert [at is None for at in frame["data"][:11]] == [at is None for at in told[:11]]
                assert len(frame["data"]) == len(told)
                assert len(frame["data"][1]) == len(told[1])
    finnhub = [json.loads(line["frame"]) for line in quoted if line["provider"] == "finnhub"]
    fields = {frozenset(one) for frame in finnhub for one in frame.get("data", ())}
    for frame in frames("finnhub"):
        assert {frozenset(one) for one in frame["data"]} <= fields


@pytest.mark.parametrize(
    ("sample", "channel", "kind"),
    [
        ("ws_l2_data_snapshot.json", "l2_data", "snapshot"),
        ("ws_l2_data_update.json", "l2_data", "update"),
        ("ws_market_trades.json", "market_trades", "update"),
        ("ws_ticker.json", "ticker", "snapshot"),
    ],
)
def test_coinbase_advanceds_samples(
    payloads: Path, frames: Callable[[str], list[Any]], sample: str, channel: str, kind: str
) -> None:
    """Envelope, event and rows."""
    ours = [
        f for f in frames("coinbase-advanced") if f["channel"] == channel and f["events"][0]["type"] == kind
    ]
    assert shape(ours[0]) == shape(read(payloads / "coinbase" / "nautilus" / sample))


@pytest.mark.parametrize(
    ("sample", "channel", "kind"),
    [
        ("ws_book_snapshot.json", "book", "snapshot"),
        ("ws_ticker_snapshot.json", "ticker", "snapshot"),
        ("ws_trade_update.json", "trade", "update"),
    ],
)
def test_krakens_samples(
    payloads: Path, frames: Callable[[str], list[Any]], sample: str, channel: str, kind: str
) -> None:
    """Channel, type and rows of version 2."""
    ours = [f for f in frames("kraken") if f.get("channel") == channel and f["type"] == kind]
    assert shape(ours[0]) == shape(read(payloads / "kraken" / "nautilus" / sample))


def test_krakens_recorded_frames(payloads: Path, frames: Callable[[str], list[Any]]) -> None:
    """Version 1: trades, status and heartbeat as they were captured."""
    captured = []
    for line in (payloads / "kraken" / "cryptofeed" / "KRAKEN.ws.48.0").read_text().splitlines():
        stamp, _, text = line.partition(": ")
        if stamp.replace(".", "").isdecimal():
            captured.append(json.loads(text))
    trade = next(one for one in captured if isinstance(one, list) and one[2] == "trade")
    ours = next(one for one in frames("kraken-v1") if isinstance(one, list) and one[2] == "trade")
    assert [type(part) for part in ours] == [type(part) for part in trade]
    for mine, theirs in zip(ours[1][0], trade[1][0], strict=True):
        assert len(mine.partition(".")[2]) in (len(theirs.partition(".")[2]), 5)
    for event in ("systemStatus", "subscriptionStatus", "heartbeat"):
        told = [
            next(one for one in some if isinstance(one, dict) and one.get("event") == event)
            for some in (frames("kraken-v1"), captured)
        ]
        assert shape(told[0]) == shape(told[1])


@pytest.mark.parametrize("name", ["aggTrade", "depthUpdate", "bookTicker"])
def test_binances_recorded_frames(payloads: Path, name: str) -> None:
    """Combined streams as they were captured: fields, types and eight decimals."""
    captured = []
    for line in (payloads / "binance" / "cryptofeed" / "BINANCE_US.ws.1.0").read_text().splitlines():
        stamp, _, text = line.partition(": ")
        if stamp.replace(".", "").isdecimal():
            captured.append(json.loads(text))
    made = SandboxServer(market=Market.synthetic(seed=7), live_rate=RATE)
    with made as server, subscribed(server, "binance") as listener:
        listener.say({"method": "SUBSCRIBE", "params": ["btcusdt@aggTrade"], "id": 2})
        ours = [frame for frame in listener.collect(0.8) if "data" in frame]
    mine, theirs = (
        next(f for f in some if f["data"].get("e") == name or (name == "bookTicker" and "A" in f["data"]))
        for some in (ours, captured)
    )
    assert shape(mine) == shape(theirs)
    for one in (mine, theirs):
        for key in ("p", "q", "b", "a"):
            text = one["data"].get(key)
            assert not isinstance(text, str) or len(text.partition(".")[2]) == 8
