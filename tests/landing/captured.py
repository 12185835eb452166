"""Logs for the landing's tests: a real writer, the marks that the service writes, frames of real shapes."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from mdc_resources.config import Home
from mdc_resources.config.sections import SidecarSettings
from mdc_resources.lake import Lake
from mdc_resources.landing.land import Landed, land
from mdc_resources.wal import Kind, LogWriter, SealedSegment, marks, sealed_segments
from tests.homes import make_home

SECOND = 10**9
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
# 2026-03-10 12:00:00 UTC, a Tuesday
NOON = int(dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC).timestamp()) * SECOND
BTC, ETH = "COINBASE:BTC-USD", "COINBASE:ETH-USD"
CRYPTO = '[universes.crypto]\ncalendar = "24/7"\nasset_class = "crypto"\nstart = 2015-01-01\n'
TRADES, DEPTH, QUOTES = ("trades", BTC), ("depth", BTC), ("quotes", BTC)
SETTINGS = SidecarSettings(reserve_mb=0, segment_mb=1)


def crypto_home(root: Path, *, extra: str = "", sandbox: bool = False) -> Home:
    """A home with a universe for coins, and books of three levels."""
    stream = "[stream.coinbase]\nlevels = 3\n[stream.binance]\nlevels = 3\n"
    return make_home(root, "http://127.0.0.1:1", providers=(), sandbox=sandbox, extra=CRYPTO + stream + extra)


class Log:
    """One shard's log, written as the service writes it: each segment's head says what is open."""

    def __init__(self, home: Home, shard: str = "coinbase-0") -> None:
        self._home = home
        self.shard = shard
        self.feed = shard.rpartition("-")[0]
        self._writer = LogWriter.open(home.wal_dir, home.segments_dir, shard, self.feed, 1, SETTINGS)
        self._wanted: tuple[marks.Pair, ...] = ()
        self._open: dict[int, tuple[set[marks.Pair], int, bool]] = {}
        self._empty = True

    def mark(self, at: int, mark: marks.AnyMark, connection: int = 0) -> None:
        """Write one mark."""
        self._writer.append(Kind.MARK, at, connection, (marks.encode(mark),))
        if isinstance(mark, marks.Wanted):
            self._wanted = mark.pairs
        elif isinstance(mark, marks.Started | marks.Stopped):
            self._open.clear()
        elif isinstance(mark, marks.Opened):
            self._open[connection] = (set(), at, mark.probe)
        elif isinstance(mark, marks.Confirmed):
            self._open[connection][0].update(mark.pairs)
        elif isinstance(mark, marks.Ended):
            self._open[connection][0].difference_update(mark.pairs)
        elif isinstance(mark, marks.Closed):
            self._open.pop(connection, None)

    def start(self, at: int, *pairs: marks.Pair, last_ns: int = 0) -> None:
        """A new process that wants ``pairs``."""
        self.mark(at, marks.Started(1, "test", last_ns))
        self.mark(at, marks.Wanted(pairs))

    def open(self, at: int, connection: int, *pairs: marks.Pair, probe: bool = False, feed: str = "") -> None:
        """A connection opens, and ``pairs`` are confirmed at once."""
        self.mark(at, marks.Opened(feed or self.feed, "wss://test", probe), connection)
        if pairs:
            self.mark(at, marks.Confirmed(pairs), connection)

    def close(self, at: int, connection: int, last_ns: int | None = None) -> None:
        """A connection is over; it last said something at ``last_ns``."""
        heard = self._open.get(connection, (set(), at, False))[1]
        self.mark(at, marks.Closed(heard if last_ns is None else last_ns, "gone"), connection)

    def frames(self, at: int, connection: int, *frames: bytes) -> None:
        """Received frames of one read."""
        self._writer.append(Kind.FRAMES, at, connection, frames)
        if connection in self._open:
            pairs, _, probe = self._open[connection]
            self._open[connection] = (pairs, at, probe)

    def fetched(self, at: int, connection: int, symbol: str, body: bytes) -> None:
        """A book snapshot over HTTP."""
        named = json.dumps({"symbol": symbol, "url": "http://test"}).encode()
        self._writer.append(Kind.FETCHED, at, connection, (named, body))

    def cut(self, at: int) -> None:
        """End the segment and begin the next, with the marks of its head."""
        self._writer.commit()
        self._writer.roll()
        self._writer.seal_finished()
        self.mark(at, marks.Wanted(self._wanted))
        for connection, (pairs, last, probe) in self._open.items():
            self._writer.append(
                Kind.MARK,
                at,
                connection,
                (marks.encode(marks.Carried(self.feed, tuple(sorted(pairs)), last, probe)),),
            )

    def end(self) -> list[SealedSegment]:
        """Seal what was written; all segments of the shard."""
        self._writer.commit()
        self._writer.close()
        return segments(self._home, self.shard)


def segments(home: Home, shard: str = "coinbase-0") -> list[SealedSegment]:
    """The sealed segments of ``shard``."""
    return [each for each in sealed_segments(home.segments_dir) if each.shard == shard]


@contextlib.contextmanager
def opened(home: Home) -> Iterator[Lake]:
    """The home's lake."""
    with contextlib.closing(Lake.open(home.lake_dir)) as lake:
        yield lake


def query(home: Home, sql: str) -> list[tuple[object, ...]]:
    """Rows of a reader's query."""
    with opened(home) as lake, contextlib.closing(lake.connect()) as reader:
        return reader.execute(sql).fetchall()


def land_all(home: Home, given: Iterable[SealedSegment] | None = None) -> Landed:
    """Land, as a run called ``run``."""
    return land(home, None if given is None else list(given), run_id="run")


def iso(at: int) -> str:
    """An instant as Coinbase writes it."""
    seconds, rest = divmod(at, SECOND)
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def match(at: int, number: int, price: str = "100.5", size: str = "0.25", product: str = "BTC-USD") -> bytes:
    """A trade of Coinbase Exchange."""
    return json.dumps(
        {
            "type": "match",
            "trade_id": number,
            "maker_order_id": "m",
            "taker_order_id": "t",
            "side": "sell",
            "size": size,
            "price": price,
            "product_id": product,
            "sequence": number * 10,
            "time": iso(at),
        }
    ).encode()


def snapshot(
    bids: Iterable[tuple[str, str]], asks: Iterable[tuple[str, str]], product: str = "BTC-USD"
) -> bytes:
    """A whole book of Coinbase Exchange."""
    body = {"type": "snapshot", "product_id": product, "bids": list(bids), "asks": list(asks)}
    return json.dumps(body).encode()


def update(at: int, *changes: tuple[str, str, str], product: str = "BTC-USD") -> bytes:
    """Changes of a book: (buy or sell, price, size)."""
    body = {"type": "l2update", "product_id": product, "time": iso(at), "changes": [list(c) for c in changes]}
    return json.dumps(body).encode()


def ticker(at: int, number: int, bid: str, ask: str, product: str = "BTC-USD") -> bytes:
    """Best bid and offer of Coinbase Exchange."""
    body = {
        "type": "ticker",
        "sequence": number,
        "product_id": product,
        "price": bid,
        "best_bid": bid,
        "best_bid_size": "1",
        "best_ask": ask,
        "best_ask_size": "2",
        "side": "buy",
        "time": iso(at),
        "trade_id": number,
        "last_size": "1",
    }
    return json.dumps(body).encode()
