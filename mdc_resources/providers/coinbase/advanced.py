"""Coinbase Advanced Trade, live: the Exchange's market in other documents; market data needs no key.

Channels    ``market_trades`` (trades, collected over 250 ms), ``ticker`` (quotes), ``level2`` (books; its
            frames say ``l2_data``), and ``heartbeats``, without which a quiet connection is closed.
Envelope    ``{channel, timestamp, sequence_num, events: [...]}``. ``sequence_num`` counts the frames of the
            connection: a jump is a hole of everything subscribed to, and no book holds beyond it.
Trades      ``side`` is the *maker's*: turned round here. A ``snapshot`` is what was traded before
            subscribing: it says where ids stand, and is no trade of the stream. Ids are the Exchange's, so
            its history fills the holes.
Books       a snapshot, then absolute sizes; ``bid`` or ``offer``.
Checked     2026-11-21, against the vendor's documents, not live.
            https://docs.cdp.coinbase.com/advanced-trade/docs/ws-channels
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.coinbase import live, product_of
from mdc_resources.providers.coinbase.live_advanced import (
    BOOK,
    DECODER,
    FAILURE,
    LOOSE,
    LOOSE_TRADES,
    NUMBERED,
    L2Data,
    Level2,
    MarketTrades,
    Subscribed,
    TickerFrame,
    Trade,
    Trades,
    id_of,
    is_failure,
    readable,
)
from mdc_resources.providers.coinbase.live_session import CoinbaseSession, Listed, message
from mdc_resources.providers.decoding.live_ids import Ids
from mdc_resources.providers.decoding.live_text import (
    UNREADABLE,
    Level,
    Names,
    level,
    nanos_of_clock,
    shown,
)
from mdc_resources.providers.live import Address, Gone, LiveDialect, Sink, Subscription

SPEC = replace(
    live.SPEC,
    name="coinbase-advanced",
    title="Coinbase Advanced Trade",
    source="coinbase/advanced-live",
    ws_url="wss://advanced-trade-ws.coinbase.com",
)
_ASKED = {Dataset.TRADES: "market_trades", Dataset.QUOTES: "ticker", Dataset.DEPTH: "level2"}
_CHANNELS = {name: dataset for dataset, name in _ASKED.items()} | {"l2_data": Dataset.DEPTH}
_PER_MESSAGE = 100
_TAKER = {"SELL": "buy", "BUY": "sell"}  # of the maker's side
_SEQUENCE, _SUBSCRIBED = "sequence_num", "subscribed/"


class AdvancedDecoder:
    """Decodes the frames of one connection."""

    def __init__(self) -> None:
        self._names = Names(lambda product: f"COINBASE:{product}")
        self._ids = Ids()
        self._reached: int | None = None
        self._subscribed: set[Subscription] = set()

    def decode(self, frame: bytes, sink: Sink) -> None:
        """One frame holds the events of one channel."""
        try:
            found = DECODER.decode(frame)
        except UNREADABLE as error:
            self._loosely(frame, str(error), sink)
            return
        self._count(found.sequence_num, sink)
        if isinstance(found, L2Data):
            for book in found.events:
                _each(self._book, book, sink, frame)
        elif isinstance(found, MarketTrades):
            for trades in found.events:
                self._trades(trades, sink, frame)
        elif isinstance(found, TickerFrame):
            _each(self._tickers, found, sink, frame)
        elif isinstance(found, Subscribed):
            _each(self._list, found, sink, frame)

    def fetched(self, symbol: Symbol, body: bytes, sink: Sink) -> None:
        """Nothing is fetched: books come with their subscription."""
        sink.rejected("coinbase sends its books itself", shown(body), symbol)

    def state(self) -> dict[str, int]:
        """The frames counted, what is subscribed to, and the newest trade id per symbol."""
        counted = {} if self._reached is None else {_SEQUENCE: self._reached}
        held = {f"{_SUBSCRIBED}{dataset}/{symbol}": 1 for dataset, symbol in sorted(self._subscribed)}
        return counted | held | self._ids.state()

    def restore(self, state: Mapping[str, int]) -> None:
        """Go on where :meth:`state` was taken."""
        self._reached = state.get(_SEQUENCE)
        self._ids.restore(state)
        for key in state:
            if key.startswith(_SUBSCRIBED):
                dataset, _, symbol = key.removeprefix(_SUBSCRIBED).partition("/")
                self._subscribed.add(Subscription(Dataset(dataset), Symbol(symbol)))

    def _count(self, sequence: int, sink: Sink) -> None:
        reached, self._reached = self._reached, sequence
        if reached is not None and sequence != reached + 1:
            for subscription in sorted(self._subscribed):
                sink.hole(subscription, Gone.SEQUENCE, f"after frame {reached} came {sequence}")

    def _loosely(self, frame: bytes, reason: str, sink: Sink) -> None:
        """Part by part, where the frame as a whole cannot be read; an error has no number."""
        try:
            self._count(NUMBERED.decode(frame).sequence_num, sink)
            found = LOOSE.decode(frame)
        except UNREADABLE:
            if not is_failure(frame):
                sink.rejected(reason, shown(frame))
            return
        for raw in found.events:
            try:
                if found.channel == "l2_data":
                    self._book(BOOK.decode(raw), sink)
                else:
                    self._trades(readable(LOOSE_TRADES.decode(raw), sink), sink, bytes(raw))
            except UNREADABLE as error:
                sink.rejected(str(error), shown(bytes(raw)))

    def _list(self, answer: Subscribed, _: Sink) -> None:
        for listing in answer.events:
            self._subscribed = {
                Subscription(dataset, self._names.known(product))
                for channel, products in listing.subscriptions.items()
                if (dataset := _CHANNELS.get(channel)) is not None
                for product in products or ()
            }

    def _trades(self, event: Trades, sink: Sink, frame: bytes) -> None:
        # Snapshots come newest first, and so may updates: ids say what came after what.
        in_order = sorted(event.trades, key=lambda trade: (len(trade.trade_id), trade.trade_id))
        if event.type == "snapshot":
            _each(self._past, in_order, sink, frame)
            return
        for trade in in_order:
            _each(self._trade, trade, sink, frame)

    def _trade(self, trade: Trade, sink: Sink) -> None:
        symbol, trade_id = self._names.known(trade.product_id), id_of(trade)
        when = nanos_of_clock(trade.time)
        price, size = level(trade.price, trade.size)
        self._ids.follow(symbol, trade_id, sink)
        sink.trade(symbol, when, price, size, side=_TAKER[trade.side], trade_id=trade.trade_id)

    def _past(self, trades: list[Trade], sink: Sink) -> None:
        """What was traded before the subscription."""
        self._ids.past([(self._names.known(trade.product_id), id_of(trade)) for trade in trades], sink)

    def _tickers(self, frame: TickerFrame, sink: Sink) -> None:
        when = None if frame.timestamp is None else nanos_of_clock(frame.timestamp)
        for event in frame.events:
            for tick in event.tickers:
                if tick.best_bid_quantity is None or tick.best_ask_quantity is None:
                    continue
                sink.quote(
                    self._names.known(tick.product_id),
                    when,
                    live.side_of_quote(tick.best_bid, tick.best_bid_quantity),
                    live.side_of_quote(tick.best_ask, tick.best_ask_quantity),
                    sequence=frame.sequence_num,
                )

    def _book(self, book: Level2, sink: Sink) -> None:
        symbol = self._names.known(book.product_id)
        bids: list[Level] = []
        asks: list[Level] = []
        when = None
        for change in book.updates:
            side = bids if change.side == "bid" else asks
            side.append(level(change.price_level, change.new_quantity))
            when = change.event_time
        instant = None if when is None else nanos_of_clock(when)
        if book.type == "snapshot":
            sink.book_snapshot(symbol, instant, bids, asks)
        else:
            sink.book_delta(symbol, instant, bids, asks)


def _each(take: Callable[[Any, Sink], None], part: Any, sink: Sink, raw: bytes) -> None:
    """A wrong part is rejected alone."""
    try:
        take(part, sink)
    except UNREADABLE as error:
        sink.rejected(str(error), shown(raw))


class AdvancedFeed:
    """The dialect of Advanced Trade."""

    spec = SPEC

    def address(self, dialect: LiveDialect) -> Address:
        """The feed's one place."""
        return Address(dialect.ws_url)

    def session(
        self,
        dialect: LiveDialect,  # noqa: ARG002 - books cannot be asked for in depths
        wanted: Sequence[Subscription],
    ) -> CoinbaseSession:
        """A handshake for ``wanted``; raises UnknownSymbol."""
        return CoinbaseSession(
            wanted,
            channels=_CHANNELS,
            write=_write,
            read=_read,
            batch=_batched,
            greeting=(message(type="subscribe", channel="heartbeats"),),
        )

    def decoder(self, dialect: LiveDialect) -> AdvancedDecoder:  # noqa: ARG002 - the same for every one
        """The decoder of a new connection."""
        return AdvancedDecoder()


def _batched(wanted: Sequence[Subscription]) -> Iterable[Sequence[Subscription]]:
    """One channel per message."""
    for dataset in _ASKED:
        of_channel = [one for one in wanted if one.dataset is dataset]
        yield from (of_channel[at : at + _PER_MESSAGE] for at in range(0, len(of_channel), _PER_MESSAGE))


def _write(verb: str, wanted: Sequence[Subscription]) -> tuple[bytes, ...]:
    products = [product_of(symbol) for _, symbol in wanted]
    return (message(type=verb, channel=_ASKED[wanted[0].dataset], product_ids=products),)


def _read(frame: bytes) -> Listed:
    if is_failure(frame):
        return Listed(error=FAILURE.decode(frame).message or "an error without a reason")
    answer = DECODER.decode(frame)
    if not isinstance(answer, Subscribed):
        return Listed()
    channels: dict[str, Sequence[str]] = {}
    for listing in answer.events:
        channels |= {name: products or () for name, products in listing.subscriptions.items()}
    return Listed(channels)


FEED = AdvancedFeed()
