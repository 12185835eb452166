"""In which order holes are filled, and how many go into one run. Pure: no clock, no ledger.

A block is a run of sessions that the same symbols lack: one request where a vendor takes several
symbols. Blocks come newest first, then those of the most used symbols. What holds one of the newest
few sessions is urgent and is kept apart from the old, which may wait behind a person's request.

Chunks keep that order. A block that fits into a chunk is never cut; a larger one is cut between
symbols, and a run of sessions only where it alone is too long for a chunk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mdc_resources.domain.intervals import Intervals, Run
from mdc_resources.domain.symbols import Symbol

# A trading week: what people look at first, and what an end-of-day run may have left open.
NEWEST_SESSIONS = 5


@dataclass(frozen=True, slots=True)
class Block:
    """The sessions ``start``..``end`` (half-open ordinals) that all ``symbols`` lack, most used first."""

    start: int
    end: int
    symbols: tuple[Symbol, ...]

    def __len__(self) -> int:
        """Partitions."""
        return (self.end - self.start) * len(self.symbols)


Chunk = tuple[Block, ...]


def blocks_of(holes: Mapping[Symbol, Intervals], uses: Mapping[Symbol, int], *, longest: int) -> list[Block]:
    """``holes`` as blocks in the order of filling; runs of more than ``longest`` sessions are cut."""
    groups: dict[Run, list[Symbol]] = defaultdict(list)
    for symbol in sorted(holes, key=lambda symbol: (-uses.get(symbol, 0), symbol)):
        for start, end in holes[symbol].runs:
            for stop in range(end, start, -longest):
                groups[max(start, stop - longest), stop].append(symbol)
    found = [Block(start, end, tuple(symbols)) for (start, end), symbols in groups.items()]
    return sorted(found, key=lambda b: (-b.end, -uses.get(b.symbols[0], 0), b.start, b.symbols))


def chunks_of(blocks: Iterable[Block], *, room: int) -> Iterator[Chunk]:
    """``blocks``, in order, in chunks of at most ``room`` partitions; no block's run exceeds ``room``."""
    chunk: list[Block] = []
    left = room
    for block in blocks:
        for piece in _pieces(block, room):
            if len(piece) > left:
                yield tuple(chunk)
                chunk, left = [], room
            chunk.append(piece)
            left -= len(piece)
    if chunk:
        yield tuple(chunk)


def by_age(blocks: Iterable[Block], *, newest: int) -> tuple[list[Block], list[Block]]:
    """(urgent, old): urgent blocks hold one of the last :data:`NEWEST_SESSIONS` up to ordinal ``newest``."""
    sides: tuple[list[Block], list[Block]] = ([], [])
    for block in blocks:
        sides[block.end - 1 <= newest - NEWEST_SESSIONS].append(block)
    return sides


def _pieces(block: Block, room: int) -> Iterator[Block]:
    """``block`` cut between symbols into pieces of at most ``room``; itself if it fits."""
    at_once = room // (block.end - block.start)
    for at in range(0, len(block.symbols), at_once):
        yield Block(block.start, block.end, block.symbols[at : at + at_once])
