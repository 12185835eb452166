"""Whatever a vendor sends ends as an event or a rejection, never as an exception, and in bounded time."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdc_resources.books import Book, book_rule
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import feed
from tests.feeds.crypto.crypto_bench import SYMBOLS, decode, dialect_of, wanted
from tests.feeds.recorder import Recorder
from tests.feeds.tapes import tape_of

NAMES = tuple(SYMBOLS)
SHAPES = {name: tuple(step.raw for step in tape_of(name).frames) for name in NAMES}
DEEP = 1_000_000
HOSTILE = {
    "deep lists": b"[" * DEEP,
    "deep objects": b'{"a":' * DEEP,
    "closed deep lists": b'{"type":"match","channel":"trade","data":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "not UTF-8": b'{"type":"match","channel":"\xff\xfe"}',
    "a lone surrogate": b'{"type":"match","product_id":"\\ud800","channel":"trade"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "an endless number": b'{"type":"match","trade_id":' + b"9" * 100_000 + b"}",
    "nothing": b"",
    "null bytes": b"\x00" * 100,
    "two documents": b"{}{}",
}
# One trade each; PRICE, TIME and NUMBER (an id, or what else counts) are replaced.
TRADES = {
    "coinbase": """{"type":"match","trade_id":NUMBER,"side":"buy","size":"1","price":PRICE,
        "product_id":"BTC-USD","time":TIME}""",
    "coinbase-advanced": """{"channel":"market_trades","sequence_num":NUMBER,"events":[{"type":"update",
        "trades":[{"size":"1","price":PRICE,"product_id":"BTC-USD","side":"BUY","trade_id":"1","time":TIME}]}]}""",
    "kraken": """{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":PRICE,
        "qty":1,"trade_id":NUMBER,"timestamp":TIME}]}""",
    "kraken-v1": """[0,[[PRICE,"1",TIME,"b","l",""]],"trade","XBT/USD"]""",
    "binance": """{"e":"aggTrade","s":"BTCUSDT","a":NUMBER,"p":PRICE,"q":"1","T":TIME,"m":true}""",
}
TIMES = {"kraken-v1": '"1709510400.1"', "binance": "1709510400000"}
BAD_NUMBERS = [
    "NaN",
    "Infinity",
    "1e400",
    "-1",
    "0x10",
    "1_000",
    "1,5",
    "",
    "1 2",
    "٣",
    "1" * 60,
    "1e999999999",
]


def trade(name: str, *, price: str = "1", number: str = "1", when: str = "") -> bytes:
    """A frame of one trade; Kraken's version 2 tells prices as JSON numbers."""
    at = when or TIMES.get(name, '"2024-03-04T00:00:00Z"')
    shown = price if name == "kraken" else json.dumps(price)
    frame = TRADES[name].replace("PRICE", shown)
    return frame.replace("TIME", at).replace("NUMBER", number).encode()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_frames_are_rejected_at_once(name: str, kind: str) -> None:
    """By the decoder with a reason; the session has nothing to say to them."""
    loaded = feed(name)
    decoder, sink = loaded.decoder(dialect_of(name)), Recorder()
    session = loaded.session(dialect_of(name), wanted(name))
    session.opened({})
    begun = time.perf_counter()
    decoder.decode(HOSTILE[kind], sink)
    decoder.fetched(Symbol(SYMBOLS[name]), HOSTILE[kind], sink)
    reply = session.control(HOSTILE[kind])
    assert time.perf_counter() - begun < 5
    assert sink.events == []
    assert len(sink.rejections) == 2
    assert all(len(raw) <= 2000 for _, raw, _ in sink.rejections)
    assert (reply.confirmed, reply.error, reply.leave) == ((), None, False)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_decimal_notation_is_no_price(name: str) -> None:
    """Each wrong number costs its own trade alone, and the one after it is read."""
    for number in BAD_NUMBERS:
        sink = decode(name, [trade(name, price=number)])
        assert (len(sink.events), len(sink.rejections)) == (0, 1), number
    for number in ("0.5", "63113.90", "1e-8", "123456789012345678.123456789"):
        (event,) = decode(name, [trade(name, price=number)]).events
        assert event["price"] == number


@pytest.mark.parametrize("name", NAMES)
def test_numbers_beyond_sixty_four_bits_are_rejected(name: str) -> None:
    """Ids and update numbers are stored in 64 bits: what does not fit never gets there."""
    book = b'[0,{"a":[["1","1","1709510400.1"]],"c":"%d"},"book-10","XBT/USD"]'
    for number, rejected in ((2**63, 1), (9, 0)):
        frame = book % number if name == "kraken-v1" else trade(name, number=str(number))
        sink = decode(name, [frame])
        assert (len(sink.events), len(sink.rejections)) == (1 - rejected, rejected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "when", ["today", "2024-13-01T00:00:00Z", "2024-03-04T00:00:00", "0001-01-01T00:00:00Z"]
)
def test_instants_that_cannot_be_are_rejected(name: str, when: str) -> None:
    """No zone, no such month, before 1970, after 2262: a trade without its time is none."""
    sink = decode(name, [trade(name, when=f'"{when}"')])
    assert (sink.events, len(sink.rejections)) == ([], 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_storm_of_new_names_does_not_grow_memory(name: str) -> None:
    """Names are remembered, but not without end."""
    decoder = feed(name).decoder(dialect_of(name))
    names = decoder._names  # type: ignore[attr-defined]
    for number in range(20_000):
        names[f"X{number}-USD"]
        names[f"X{number}/USD"]
    assert len(names) <= 4096


_CELLS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(BAD_NUMBERS)
)


@st.composite
def mutated(draw: st.DrawFn, name: str) -> bytes:
    """A true frame with some of its cells replaced, or its bytes cut and flipped."""
    frame = draw(st.sampled_from(SHAPES[name]))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(frame)))
        return frame[:at] + draw(st.binary(max_size=4)) + frame[at + draw(st.integers(0, 6)) :]

    def change(value: object, depth: int = 0) -> object:
        if draw(st.integers(0, 9)) == 0:
            return draw(_CELLS | st.lists(_CELLS, max_size=2))
        if isinstance(value, dict):
            return {key: change(cell, depth + 1) for key, cell in value.items()}
        return [change(cell, depth + 1) for cell in value] if isinstance(value, list) else value

    return json.dumps(change(json.loads(frame))).encode()


@pytest.mark.parametrize("name", NAMES)
def test_any_bytes_and_any_mutation_end_in_the_sink(name: str) -> None:
    """Decoder, session and book take them; state survives and can be restored."""

    @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(st.lists(mutated(name) | st.binary(max_size=40), min_size=1, max_size=4))
    def run(frames: list[bytes]) -> None:
        loaded = feed(name)
        decoder, sink = loaded.decoder(dialect_of(name)), Recorder()
        session = loaded.session(dialect_of(name), wanted(name))
        session.opened({})
        book = Book(10, book_rule(name))
        for frame in frames:
            decoder.decode(frame, sink)
            decoder.fetched(Symbol(SYMBOLS[name]), frame, sink)
            if session.is_control(frame):
                session.control(frame)
        json.dumps(decoder.state())
        loaded.decoder(dialect_of(name)).restore(decoder.state())
        for event in sink.events:
            bids, asks = ([tuple(level) for level in event.get(side, ())] for side in ("bids", "asks"))
            if event["kind"] == "snapshot":
                book.apply_snapshot(
                    bids, asks, sequence=event.get("sequence"), checksum=event.get("checksum")
                )
            elif event["kind"] == "delta":
                numbers = {key: event.get(key) for key in ("first", "last", "previous", "checksum")}
                book.apply_delta(bids, asks, **numbers)

    run()
