"""What goes into one shard's log, and who is shown it afterwards.

The receiving side of a shard: frames and marks in their order, the marks a new segment begins with,
and the monitors, which see a frame only once it is in the log's buffer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import msgspec

from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import Fetch, Subscription
from mdc_resources.wal import Kind, marks
from mdc_resources.wal.marks import AnyMark, Pair
from mdc_streaming.connection import Connection
from mdc_streaming.log import GroupCommit
from mdc_streaming.monitoring import Hub
from mdc_streaming.plan import ShardPlan
from mdc_streaming.recorder import pairs_of
from mdc_streaming.snapshots import Snapshots

NOBODY = 0  # the connection of a mark that is about the shard


class Recording:
    """Writes for the connections of a shard. ``plan`` is replaced when it changes."""

    def __init__(self, plan: ShardPlan, hub: Hub, connections: Callable[[], Iterable[Connection]]) -> None:
        self.plan = plan
        self.wanted: frozenset[Subscription] = frozenset()
        self.frames_total = 0
        self.bytes_total = 0
        self.snapshots = Snapshots(plan.feed, self._fetched)
        self._hub = hub
        self._connections = connections
        self._open: set[int] = set()
        self._log: GroupCommit | None = None

    def begin(self, log: GroupCommit) -> None:
        """From now on everything goes to ``log``."""
        self._log = log

    def frames(self, connection: int, recv_ns: int, frames: list[bytes]) -> None:
        """Append what one read brought."""
        self.frames_total += len(frames)
        self.bytes_total += sum(map(len, frames))
        self._append(Kind.FRAMES, recv_ns, connection, frames)

    def mark(self, connection: int, mark: AnyMark) -> None:
        """Append a mark."""
        self._append(Kind.MARK, time.time_ns(), connection, (marks.encode(mark),))

    def want(self, wanted: frozenset[Subscription]) -> None:
        """From now on ``wanted`` is what has holes where it is not received."""
        self.wanted = wanted
        self.mark(NOBODY, marks.Wanted(pairs_of(wanted)))

    def opened(self, connection: Connection) -> None:
        """A connection is open."""
        self._open.add(connection.number)
        if not connection.probe:
            key = (self.plan.name, connection.number)
            self._hub.opened(key, self.plan.name, self.plan.feed, connection.plan.dialect)

    def closed(self, connection: Connection) -> None:
        """A connection is over."""
        self._open.discard(connection.number)
        self.snapshots.forget(connection.number)
        self._hub.closed((self.plan.name, connection.number))

    def watch(self, connection: int, recv_ns: int, frames: list[bytes]) -> None:
        """Show logged frames to the monitors."""
        self._hub.frames((self.plan.name, connection), recv_ns, frames)

    def fetch(self, connection: int, wanted: Fetch) -> None:
        """Fetch a book snapshot over HTTP."""
        self.snapshots.want(connection, wanted)

    def head(self) -> None:
        """The first marks of a new segment: what is wanted, and which connections go on."""
        self.want(self.wanted)
        for connection in self._connections():
            if connection.number in self._open:
                confirmed: tuple[Pair, ...] = pairs_of(connection.asked.confirmed)
                self.mark(
                    connection.number,
                    marks.Carried(self.plan.feed, confirmed, connection.heard_ns, connection.probe),
                )

    def _fetched(self, connection: int, symbol: Symbol, url: str, body: bytes) -> None:
        recv_ns = time.time_ns()
        about = msgspec.json.encode({"symbol": symbol, "url": url})
        self._append(Kind.FETCHED, recv_ns, connection, (about, body))
        self._hub.fetched((self.plan.name, connection), recv_ns, symbol, body)

    def _append(
        self, kind: Kind, recv_ns: int, connection: int, frames: list[bytes] | tuple[bytes, ...]
    ) -> None:
        assert self._log is not None, "nothing is received before the log is open"
        self._log.append(kind, recv_ns, connection, frames)
