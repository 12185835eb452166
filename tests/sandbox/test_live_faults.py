"""Faults of live connections: each does what it is called, at its time; withheld ids are on record."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus, ProtocolError

from mdc_resources.sandbox.live.kinds import LIVE_KINDS
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.sandbox.listening import HELLOS, Listener, eventually, listening, subscribed, trade_ids

FASTER = 50.0
TRADES = "trades matches"


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxServer]:
    """One server for all faults."""
    with SandboxServer(market=Market.synthetic(seed=7), live_rate=FASTER) as server:
        yield server


@pytest.fixture
def live(running: SandboxServer) -> Iterator[SandboxServer]:
    """The server without faults and with empty accounts."""
    running.clear_faults()
    running.sandbox.ledger.clear()
    yield running
    running.clear_faults()


def until_it_ends(listener: Listener) -> tuple[list[Any], ConnectionClosed]:
    """The frames up to the end of the connection, and how it ended."""
    frames: list[Any] = []
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            frames.append(listener.hear())
        except ConnectionClosed as ended:
            return frames, ended
    raise TimeoutError(len(frames))


def account(
    live: SandboxServer, feed: str = "coinbase", symbol: str = "BTC-USD", kind: str = "trades"
) -> Any:
    """What the server tells of one dataset of a symbol."""
    told = httpx.get(f"{live.url}/_sandbox/live").json()
    return told["feeds"][feed][symbol][kind]


def test_a_hole_is_exactly_what_was_withheld(live: SandboxServer) -> None:
    """Three trades after the tenth are missing, by id those on record; the book goes on."""
    live.add_fault("coinbase", "ws_hole", match=TRADES, params={"messages": 3, "after": 10})
    with subscribed(live, "coinbase") as listener:
        frames = listener.collect(1.0)
    ids = trade_ids("coinbase", frames)
    missing = sorted(set(range(ids[0], ids[-1])) - set(ids))
    told = account(live)
    assert missing == told["withheld_ids"] == [ids[0] + 10, ids[0] + 11, ids[0] + 12]
    assert (told["withheld"], told["first_id"]) == (3, ids[0])
    assert account(live, kind="depth")["withheld"] == 0


def test_a_hole_of_numbered_messages(live: SandboxServer) -> None:
    """Coinbase Advanced counts each message, so that any one that is withheld shows."""
    live.add_fault("coinbase-advanced", "ws_hole", match="quotes", params={"messages": 2, "after": 5})
    with subscribed(live, "coinbase-advanced") as listener:
        numbers = [frame["sequence_num"] for frame in listener.collect(1.0)]
    assert len(set(range(numbers[-1])) - set(numbers)) == 2


def test_a_hole_in_binances_book(live: SandboxServer) -> None:
    """The update numbers of a withheld bundle are missing between two others."""
    live.add_fault("binance", "ws_hole", match="depth", params={"after": 3})
    with subscribed(live, "binance") as listener:
        frames = listener.collect(1.2)
    spans = [(f["data"]["U"], f["data"]["u"]) for f in frames if "depth" in f.get("stream", "")]
    jumps = [at for at, span in enumerate(spans[1:], 1) if span[0] != spans[at - 1][1] + 1]
    assert jumps == [3]
    assert account(live, "binance", "btcusdt", "depth")["withheld_ids"] == [spans[3][0] - 1]


def test_silence(live: SandboxServer) -> None:
    """The socket stays open and nothing comes, no heartbeats; then it goes on, what was in it is lost."""
    live.add_fault("coinbase", "ws_silence", match=TRADES, params={"seconds": 0.7, "after": 5})
    with subscribed(live, "coinbase") as listener:
        gaps, ids, last = [], [], time.monotonic()
        while len(ids) < 30:
            frame = listener.hear()
            ids += trade_ids("coinbase", [frame])
            gaps.append(time.monotonic() - last)
            last = time.monotonic()
    assert 0.6 < max(gaps) < 1.5
    missing = set(range(ids[0], ids[-1])) - set(ids)
    assert missing
    assert missing == set(account(live)["withheld_ids"])


def test_a_disconnect_is_a_reset(live: SandboxServer) -> None:
    """No closing handshake: the peer is gone; the next connection is fine."""
    live.add_fault("kraken", "ws_disconnect", match="trades", params={"after": 5})
    with subscribed(live, "kraken") as listener:
        frames, ended = until_it_ends(listener)
    assert isinstance(ended, ConnectionClosedError)
    assert ended.rcvd is None
    assert len(trade_ids("kraken", frames)) == 5
    told = eventually(live.sandbox.ledger.connections, lambda visits: visits[-1]["end"] != "")
    assert (told[-1]["end"], told[-1]["faults"]) == ("reset", ["ws_disconnect"])
    with subscribed(live, "kraken") as listener:
        assert trade_ids("kraken", listener.collect(0.5))


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1012, 4000])
def test_a_clean_close(live: SandboxServer, code: int) -> None:
    """With its code and its words."""
    live.add_fault("polygon", "ws_close", params={"code": code, "reason": "so it goes", "after": 3})
    with subscribed(live, "polygon") as listener:
        _, ended = until_it_ends(listener)
    assert ended.rcvd is not None
    assert (ended.rcvd.code, ended.rcvd.reason) == (code, "so it goes")


def test_duplicates(live: SandboxServer) -> None:
    """The same message again, as often as asked."""
    live.add_fault("alpaca", "ws_duplicate", match="trades", times=2, params={"copies": 2})
    with subscribed(live, "alpaca") as listener:
        ids = trade_ids("alpaca", listener.collect(0.8))
    assert ids[:6] == [ids[0]] * 3 + [ids[0] + 1] * 3
    assert len(set(ids)) == len(ids) - 4


def test_reordering(live: SandboxServer) -> None:
    """One message comes after the next of its stream; nothing is lost."""
    live.add_fault("binance", "ws_reorder", match="trades trade", params={"after": 4})
    with subscribed(live, "binance") as listener:
        ids = trade_ids("binance", listener.collect(0.8))
    assert [one - ids[0] for one in ids[:8]] == [0, 1, 2, 3, 5, 4, 6, 7]
    assert account(live, "binance", "btcusdt")["withheld"] == 0


@pytest.mark.parametrize("feed", ["kraken", "kraken-v1"])
def test_a_wrong_checksum(live: SandboxServer, feed: str) -> None:
    """The checksum of one update is wrong, that of the others is the book's."""
    live.add_fault(feed, "ws_checksum", match="depth", params={"after": 3})
    with subscribed(live, feed) as listener:
        frames = listener.collect(1.0)
    assert verified(feed, frames).count(False) == 1


def test_checksums_are_right_without_a_fault(live: SandboxServer) -> None:
    """Hundreds of updates in both versions, each checked by a book of the test's own."""
    for feed in ("kraken", "kraken-v1"):
        with subscribed(live, feed) as listener:
            found = verified(feed, listener.collect(2.0))
        assert len(found) > 30
        assert all(found)


def test_slowness_delays_and_keeps_order(live: SandboxServer) -> None:
    """Everything from the message on comes later, late by its own time, and nothing is lost."""
    live.add_fault("finnhub", "ws_slow", params={"seconds": 0.8, "after": 5})
    with subscribed(live, "finnhub") as listener:
        late = []
        while len(late) < 60:
            frame = listener.hear()
            late += [time.time() - one["t"] / 1000 for one in frame.get("data", ())]
    assert late[0] < 0.5
    assert 0.6 < max(late) < 2
    assert account(live, "finnhub", "AAPL")["withheld"] == 0


def test_an_oversize_frame(live: SandboxServer) -> None:
    """The message is padded to its size: a client that takes a megabyte at most gives up."""
    live.add_fault("coinbase", "ws_oversize", match=TRADES, params={"bytes": 3_000_000})
    with subscribed(live, "coinbase") as listener:
        found = listener.until(lambda frame: frame["type"] == "match" and len(listener.texts[-1]) > 2_999_999)
        assert found["trade_id"]
        listener.until(lambda frame: frame["type"] == "match")
    live.add_fault("coinbase", "ws_oversize", match=TRADES, params={"bytes": 3_000_000})
    limited = subscribed(live, "coinbase", max_size=1 << 20)
    with limited as listener, pytest.raises(ConnectionClosedError) as ended:
        listener.collect(5)
    assert ended.value.sent is not None
    assert ended.value.sent.code == 1009


@pytest.mark.parametrize(("shape", "fails"), [("utf8", True), ("binary", False), ("truncated", False)])
def test_garbage(live: SandboxServer, shape: str, fails: bool) -> None:
    """Invalid UTF-8 in a text frame, a binary frame, half a document; the true message follows."""
    live.add_fault("tiingo", "ws_garbage", match="trades", params={"shape": shape})
    with subscribed(live, "tiingo") as listener:
        if fails:
            with pytest.raises((ConnectionClosed, ProtocolError, UnicodeDecodeError)):
                listener.collect(5)
            return
        texts = [listener.socket.recv(5) for _ in range(40)]
    assert [_is_document(text) for text in texts].count(False) == 1


def test_a_burst_is_in_history_too(live: SandboxServer) -> None:
    """Ten times the trades for a second, ids without a gap, and the same from REST."""
    live.add_fault("coinbase", "ws_burst", match=TRADES, params={"factor": 10, "seconds": 1})
    with subscribed(live, "coinbase") as listener:
        ids = trade_ids("coinbase", listener.collect(2.5))
    assert len(ids) > 10 * FASTER
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    told = httpx.get(
        f"{live.url}/coinbase/products/BTC-USD/trades", params={"after": ids[-1] + 1, "limit": len(ids)}
    )
    assert [trade["trade_id"] for trade in reversed(told.json())] == ids[-1000:]


def test_a_refused_subscription(live: SandboxServer) -> None:
    """In the vendor's words, as often as asked, then granted."""
    live.add_fault("kraken", "ws_refuse", match="book BTC/USD")
    with subscribed(live, "kraken") as listener:
        refused = listener.until(lambda frame: frame.get("success") is False)
        assert refused["symbol"] == "BTC/USD"
        listener.say(HELLOS["kraken"][2])
        listener.until(lambda frame: frame.get("channel") == "book")


@pytest.mark.parametrize(
    ("feed", "refused"),
    [
        ("alpaca", lambda frame: frame[0].get("code") == 402),
        ("polygon", lambda frame: frame[0]["status"] == "auth_failed"),
        ("tiingo", lambda frame: frame["response"]["code"] == 401),
    ],
)
def test_refused_keys(live: SandboxServer, feed: str, refused: Callable[[Any], bool]) -> None:
    """A good key is called wrong, once."""
    live.add_fault(feed, "ws_auth")
    with subscribed(live, feed) as listener:
        assert listener.until(refused)
    with subscribed(live, feed) as listener:
        assert trade_ids(feed, listener.collect(0.5))


@pytest.mark.parametrize(("kind", "status"), [("ws_auth", 401), ("ws_handshake", 503)])
def test_refused_handshakes(live: SandboxServer, kind: str, status: int) -> None:
    """No WebSocket at all, but a status of HTTP, noted in the log."""
    live.add_fault("finnhub", kind)
    with pytest.raises(InvalidStatus) as refused, subscribed(live, "finnhub"):
        pass
    assert refused.value.response.status_code == status
    assert live.sandbox.ledger.connections()[-1]["status"] == status
    with subscribed(live, "finnhub") as listener:
        assert trade_ids("finnhub", listener.collect(0.5))


def test_faults_wait_for_their_time(live: SandboxServer) -> None:
    """``after_seconds`` counts from when the fault was set."""
    live.add_fault("coinbase", "ws_close", params={"after_seconds": 0.6})
    began = time.monotonic()
    with subscribed(live, "coinbase") as listener:
        until_it_ends(listener)
    assert 0.6 <= time.monotonic() - began < 3


def test_every_and_probability_work_as_over_http(live: SandboxServer) -> None:
    """Every tenth trade withheld."""
    live.add_fault("coinbase", "ws_hole", match=TRADES, every=10)
    with subscribed(live, "coinbase") as listener:
        ids = trade_ids("coinbase", listener.collect(1.0))
    missing = set(range(ids[0], ids[-1])) - set(ids)
    assert missing == {ids[0] + at for at in range(9, ids[-1] - ids[0], 10)}


def test_http_does_not_meet_them(live: SandboxServer) -> None:
    """Nor do live connections meet those of HTTP."""
    live.add_fault("*", "ws_close", times=9)
    live.add_fault("*", "status", times=9)
    assert httpx.get(f"{live.url}/coinbase/products/BTC-USD").status_code == 429
    live.clear_faults()
    live.add_fault("coinbase", "status", times=9)
    with subscribed(live, "coinbase") as listener:
        assert trade_ids("coinbase", listener.collect(0.5))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param({"provider": "stooq", "kind": "ws_hole"}, "kraken-v1", id="not a feed"),
        pytest.param({"provider": "kraken-v1", "kind": "status"}, "not a provider", id="not a provider"),
        pytest.param({"provider": "coinbase", "kind": "ws_checksum"}, "kraken", id="no checksums"),
        pytest.param({"provider": "binance", "kind": "ws_auth"}, "alpaca", id="no keys"),
        pytest.param({"kind": "ws_close", "params": {"code": 1006}}, "may send", id="code"),
        pytest.param({"kind": "ws_garbage", "params": {"shape": "x"}}, "utf8, binary", id="shape"),
        pytest.param({"kind": "ws_handshake", "params": {"status": 200}}, "400 to 599", id="status"),
        pytest.param({"kind": "ws_burst", "params": {"factor": 1}}, "change nothing", id="factor"),
        pytest.param({"kind": "ws_refuse", "params": {"after": 1}}, "no parameter", id="upfront"),
        pytest.param({"kind": "meteor"}, "ws_silence", id="kind lists the known"),
    ],
)
def test_what_makes_no_sense_is_refused(live: SandboxServer, body: dict[str, Any], words: str) -> None:
    """400 that says what is known."""
    answer = httpx.post(f"{live.url}/_sandbox/faults", json=body)
    assert answer.status_code == 400
    assert words in answer.text


def test_every_live_kind_is_tested_here() -> None:
    """A kind without a test does not exist."""
    text = Path(__file__).read_text(encoding="utf-8")
    assert [kind for kind in LIVE_KINDS if f'"{kind}"' not in text] == []


def test_a_client_that_does_not_read_is_closed(live: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too far behind: closed with 1008 instead of growing without end."""
    monkeypatch.setattr("mdc_resources.sandbox.live.outlet.MOST_BUFFERED", 1_000)
    live.add_fault("coinbase", "ws_slow", params={"seconds": 30.0})
    with listening(live, "coinbase") as listener:
        listener.say(*HELLOS["coinbase"])
        _, ended = until_it_ends(listener)
    assert ended.rcvd is not None
    assert ended.rcvd.code == 1008


def _is_document(text: str | bytes) -> bool:
    if isinstance(text, bytes):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def verified(feed: str, frames: list[Any]) -> list[bool]:
    """Per book update whether its checksum is that of the book, which is kept here as the vendor says."""
    sides: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
    found = []
    for bids, asks, told, whole in _books(feed, frames):
        for name, levels in (("bids", bids), ("asks", asks)):
            book = {} if whole else sides[name]
            book.update(levels)
            best = sorted((p for p in book if float(book[p])), key=float, reverse=name == "bids")[:10]
            sides[name] = {price: book[price] for price in best}
        levels = [level for side in ("asks", "bids") for level in sides[side].items()]
        text = "".join(part.replace(".", "").lstrip("0") for level in levels for part in level)
        if told is not None:
            found.append(zlib.crc32(text.encode()) == int(told))
    return found


def _books(feed: str, frames: list[Any]) -> Iterator[tuple[dict[str, str], dict[str, str], Any, bool]]:
    for frame in frames:
        if feed == "kraken" and frame.get("channel") == "book":
            one = frame["data"][0]
            bids, asks = (
                {str(level["price"]): str(level["qty"]) for level in one[side]} for side in ("bids", "asks")
            )
            yield bids, asks, one["checksum"], frame["type"] == "snapshot"
        elif feed == "kraken-v1" and isinstance(frame, list) and frame[-2].startswith("book"):
            joined = {key: value for part in frame[1:-2] for key, value in part.items()}
            whole = "as" in joined
            names = ("bs", "as") if whole else ("b", "a")
            bids, asks = ({level[0]: level[1] for level in joined.get(name, ())} for name in names)
            yield bids, asks, joined.get("c"), whole
