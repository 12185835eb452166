"""Binance Spot, live: aggregate trades, best bid and offer, and books; no key.

Streams     ``aggTrade`` (trades: the history tells aggregates too, so ids agree), ``bookTicker`` (quotes,
            without a time of their own), ``depth@100ms`` (books). Combined frames ``{stream, data}`` and
            bare ones are read alike, futures' fields (``pu``, ``T``) where they are there.
Trades      ``m`` true means that the taker sold. Ids count up by one per pair: a jump is a hole.
Books       deltas name the first and last update they stand for; a snapshot over HTTP says from which one on
            they count (https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams).
Timestamps  milliseconds, or microseconds where asked for: told apart by size.
Limits      five messages a second to the server, 1,024 streams a connection, which it closes after 24 hours;
            ``serverShutdown`` comes before a restart.
Checked     2026-11-21, against recorded feeds and the vendor's documents, not live.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import msgspec

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.binance.live_names import cut, named
from mdc_resources.providers.binance.live_session import BinanceSession
from mdc_resources.providers.binance.trades import side_of
from mdc_resources.providers.decoding.live_ids import Ids
from mdc_resources.providers.decoding.live_text import (
    UNREADABLE,
    Count,
    Names,
    check_levels,
    level,
    shown,
)
from mdc_resources.providers.live import Address, LiveDialect, LiveSpec, Sink, Subscription

SPEC = LiveSpec(
    name="binance",
    title="Binance Spot",
    provider="binance",
    source="binance/live",
    market="binance",
    ws_url="wss://stream.binance.com:9443/stream",
    datasets=frozenset({Dataset.TRADES, Dataset.QUOTES, Dataset.DEPTH}),
    venue="BINANCE",
    max_symbols=200,
    lifetime=dt.timedelta(hours=24),
    silence=dt.timedelta(minutes=1),
    refillable=frozenset({Dataset.TRADES}),
    checked_on=dt.date(2026, 11, 21),
)
_MILLIS = (10**11, 10**14)  # 1973 to 5138
_MICROS = (10**14, 9 * 10**15)
# Streams that nobody asks for here, but that a configured address may bring along.
_OTHERS = frozenset({"trade", "kline", "24hrTicker", "24hrMiniTicker", "markPriceUpdate", "forceOrder"})
_NOTHING = msgspec.Raw()


class Frame(msgspec.Struct, gc=False):
    """What tells frames apart: a combined one has ``stream`` and ``data``, most bare ones have ``e``."""

    stream: str | None = None
    data: msgspec.Raw = _NOTHING
    e: str | None = None
    id: int | None = None
    error: msgspec.Raw = _NOTHING


class AggTrade(msgspec.Struct, gc=False):
    """Fills of one taker order at one price."""

    s: str
    a: Count
    p: str
    q: str
    T: int
    m: bool


class BookTicker(msgspec.Struct, gc=False):
    """Best bid and offer; only futures tell a time."""

    s: str
    u: Count
    b: str
    B: str
    a: str
    A: str
    T: int | None = None


class DepthUpdate(msgspec.Struct, gc=False):
    """Absolute sizes, the updates ``U`` to ``u``; futures name the one before (``pu``)."""

    s: str
    E: int
    U: Count
    u: Count
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]
    pu: Count | None = None


class DepthSnapshot(msgspec.Struct, gc=False):
    """The answer of ``/api/v3/depth``; only futures tell a time."""

    last_update: Count = msgspec.field(name="lastUpdateId")
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    E: int | None = None


_FRAME: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)
_TRADE: msgspec.json.Decoder[AggTrade] = msgspec.json.Decoder(AggTrade)
_TICKER: msgspec.json.Decoder[BookTicker] = msgspec.json.Decoder(BookTicker)
_UPDATE: msgspec.json.Decoder[DepthUpdate] = msgspec.json.Decoder(DepthUpdate)
_DEPTH: msgspec.json.Decoder[DepthSnapshot] = msgspec.json.Decoder(DepthSnapshot)


class BinanceDecoder:
    """Decodes the frames of one connection."""

    def __init__(self, dialect: LiveDialect) -> None:
        known = named(dialect.levels)
        self._names = Names(lambda pair: known.get(pair) or cut(pair))
        self._ids = Ids()

    def decode(self, frame: bytes, sink: Sink) -> None:
        """One frame holds one event."""
        try:
            found = _FRAME.decode(frame)
            event: bytes | msgspec.Raw = found.data if found.data else frame
            kind = found.e
            if found.stream is not None:
                kind = found.stream.partition("@")[2]
            elif kind is None and (found.id is not None or found.error):
                return
            if kind == "aggTrade":
                self._trade(_TRADE.decode(event), sink)
            elif kind is None or kind == "bookTicker":
                self._quote(_TICKER.decode(event), sink)
            elif kind.startswith("depth"):
                self._update(_UPDATE.decode(event), sink)
            elif b"serverShutdown" not in frame and kind.partition("_")[0] not in _OTHERS:
                raise ValueError(f"a frame of an unknown kind, {kind[:40]!a}")
        except UNREADABLE as error:
            sink.rejected(str(error), shown(frame))

    def fetched(self, symbol: Symbol, body: bytes, sink: Sink) -> None:
        """The book of ``/api/v3/depth``; an error document is rejected."""
        try:
            book = _DEPTH.decode(body)
            check_levels(book.bids, book.asks)
            when = None if book.E is None else _nanos(book.E)
            sink.book_snapshot(symbol, when, book.bids, book.asks, sequence=book.last_update)
        except UNREADABLE as error:
            sink.rejected(str(error), shown(body), symbol)

    def state(self) -> dict[str, int]:
        """The newest trade id per symbol."""
        return self._ids.state()

    def restore(self, state: Mapping[str, int]) -> None:
        """Go on where :meth:`state` was taken."""
        self._ids.restore(state)

    def _trade(self, trade: AggTrade, sink: Sink) -> None:
        symbol = self._names.known(trade.s)
        when = _nanos(trade.T)
        price, size = level(trade.p, trade.q)
        self._ids.follow(symbol, trade.a, sink)
        sink.trade(symbol, when, price, size, side=side_of(trade.m), trade_id=str(trade.a))

    def _quote(self, ticker: BookTicker, sink: Sink) -> None:
        sink.quote(
            self._names.known(ticker.s),
            None if ticker.T is None else _nanos(ticker.T),
            level(ticker.b, ticker.B),
            level(ticker.a, ticker.A),
            sequence=ticker.u,
        )

    def _update(self, update: DepthUpdate, sink: Sink) -> None:
        symbol = self._names.known(update.s)
        when = _nanos(update.E)
        check_levels(update.b, update.a)
        sink.book_delta(symbol, when, update.b, update.a, first=update.U, last=update.u, previous=update.pu)


class BinanceFeed:
    """The dialect of the market data streams."""

    spec = SPEC

    def address(self, dialect: LiveDialect) -> Address:
        """One place for all streams; which ones is said once the connection is open."""
        return Address(dialect.ws_url)

    def session(self, dialect: LiveDialect, wanted: Sequence[Subscription]) -> BinanceSession:
        """A handshake for ``wanted``; raises UnknownSymbol."""
        return BinanceSession(dialect, wanted)

    def decoder(self, dialect: LiveDialect) -> BinanceDecoder:
        """The decoder of a new connection."""
        return BinanceDecoder(dialect)


def _nanos(stamp: int) -> int:
    """Milliseconds or microseconds since 1970 as nanoseconds; ValueError for anything else."""
    if _MILLIS[0] <= stamp < _MILLIS[1] and stamp * 10**6 < 2**63:
        return stamp * 10**6
    if _MICROS[0] <= stamp < _MICROS[1]:
        return stamp * 1000
    raise ValueError(f"{str(stamp)[:40]} is neither milliseconds nor microseconds of our time")


FEED = BinanceFeed()
