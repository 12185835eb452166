"""What keeps a book true, per feed: update numbers, a checksum, or nothing but that it never crosses.

binance       a snapshot holds all updates up to its number; the first delta applied spans that number, and
              each one begins right after the one before (spot), or names it (futures).
              https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#how-to-manage-a-local-order-book-correctly
coinbase      no numbers; the connection's own sequence is the decoder's affair (Advanced Trade).
kraken        CRC-32 over the ten best asks and bids, each price and size without its point and leading
              zeros. The book is cut to the depth subscribed to: what falls out is never deleted by name.
              https://docs.kraken.com/exchange/guides/websockets/book-checksum-v2
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Broken(StrEnum):
    """Why a book is no longer true; the same words as in the ledger of holes."""

    SEQUENCE = "sequence"
    CHECKSUM = "checksum"
    CROSSED = "crossed"


@dataclass(frozen=True, slots=True)
class Rule:
    """How one feed's books are verified. ``depths`` are those it can be asked for, empty: always all."""

    name: str
    sequenced: bool = False
    depths: tuple[int, ...] = ()

    def depth(self, levels: int) -> int | None:
        """The smallest depth on offer that is not smaller than ``levels``; None where there is no choice."""
        return next((depth for depth in self.depths if depth >= levels), max(self.depths, default=None))


UNNUMBERED = Rule("unnumbered")
BINANCE = Rule("binance", sequenced=True)
KRAKEN = Rule("kraken", depths=(10, 25, 100, 500, 1000))
_RULES = {"binance": BINANCE, "kraken": KRAKEN, "kraken-v1": KRAKEN}


def book_rule(feed: str) -> Rule:
    """The rule of the feed called ``feed``; a feed without one can only be seen to cross."""
    return _RULES.get(feed, UNNUMBERED)


def kraken_checksum(asks: Iterable[tuple[str, str]], bids: Iterable[tuple[str, str]]) -> int:
    """CRC-32 of the ten best ``asks``, then ``bids``, best first, as (price, size) in the vendor's text."""
    cells = [cell.replace(".", "").lstrip("0") for side in (asks, bids) for level in side for cell in level]
    return zlib.crc32("".join(cells).encode())
