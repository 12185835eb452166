"""What a connection writes to: its shard's log, and whoever listens in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from mdc_resources.providers.live import Fetch, Subscription
from mdc_resources.wal.marks import AnyMark, Pair

if TYPE_CHECKING:
    from mdc_streaming.connection import Connection


class Recorder(Protocol):
    """Everything here is called in the loop, in the order of events, and returns at once."""

    def frames(self, connection: int, recv_ns: int, frames: list[bytes]) -> None:
        """Append what one read brought."""
        ...

    def mark(self, connection: int, mark: AnyMark) -> None:
        """Append a mark."""
        ...

    def opened(self, connection: Connection) -> None:
        """A connection is open."""
        ...

    def closed(self, connection: Connection) -> None:
        """A connection is over."""
        ...

    def watch(self, connection: int, recv_ns: int, frames: list[bytes]) -> None:
        """Show logged frames to the monitors."""
        ...

    def fetch(self, connection: int, wanted: Fetch) -> None:
        """Fetch a book snapshot over HTTP and log it."""
        ...


def pairs_of(subscriptions: Iterable[Subscription]) -> tuple[Pair, ...]:
    """As marks carry them, sorted."""
    return tuple((s.dataset.value, str(s.symbol)) for s in sorted(subscriptions))
