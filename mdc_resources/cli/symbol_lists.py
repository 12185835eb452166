"""Changing membership from lists: the command line's words and CSV files, one report row each.

A CSV needs a column ``symbol``; an ``active`` column of ``false`` removes. Tickers such as TRUE,
NA or 007 are text here and stay it. A file is read whole, at most 2 MB and 20,000 rows. A name that
has ended (``listings.toml``) joins all the same, its sessions are its own; its row says what it is now.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mdc_resources.cli import selection
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import Symbol, parse_symbol

if TYPE_CHECKING:
    from mdc_resources.config import Home
    from mdc_resources.domain.listings import Listing
    from mdc_resources.state import Member, State

ADDED, REMOVED, KEPT, BAD, REPEATED, SKIPPED = "added", "removed", "kept", "bad", "repeated", "not imported"
RENAMED = "renamed"  # added, under a name that has ended
MAX_BYTES = 2_000_000
MAX_ROWS = 20_000
_TRUE, _FALSE = {"", "true", "1", "yes"}, {"false", "0", "no"}


@dataclass(frozen=True, slots=True)
class Row:
    """What happens to one symbol. ``number`` is its position in the list, or its line in the file."""

    number: int
    symbol: str
    status: str = ""
    note: str = ""

    def as_dict(self) -> dict[str, object]:
        """The JSON form."""
        return {"row": self.number, "symbol": self.symbol, "status": self.status, "note": self.note}


@dataclass(frozen=True, slots=True)
class Line:
    """One data line of a CSV file."""

    number: int
    symbol: str
    active: str


def join(home: Home, universe: str, symbols: Sequence[Symbol], *, dry_run: bool) -> list[Row]:
    """Let ``symbols`` join ``universe``; UsageError if one cannot, and then none does."""
    from mdc_resources.state import State

    settings = selection.universe_settings(home, universe)
    with State.open(home) as state:
        before = {member.symbol: member for member in state.members(active_only=False)}
        if dry_run:
            _check_room(state, home, universe, symbols)
        else:
            state.add_members(universe, symbols, shards=settings.shards)
    return [_joined(number, symbol, before.get(symbol)) for number, symbol in enumerate(symbols, start=1)]


def leave(home: Home, universe: str, symbols: Sequence[Symbol], *, dry_run: bool) -> list[Row]:
    """Turn ``symbols`` of ``universe`` inactive; UsageError if one is not in it."""
    from mdc_resources.state import State

    selection.universe_settings(home, universe)
    with State.open(home) as state:
        active = {member.symbol: member.active for member in state.members(universe, active_only=False)}
        strangers = [symbol for symbol in symbols if symbol not in active]
        if strangers:
            raise UsageError(
                f"{', '.join(strangers[:5])} not in universe {universe!r}",
                hint=f"mdc symbols list --universe {universe}",
            )
        if not dry_run:
            state.remove_members(universe, symbols)
    return [
        Row(
            number,
            symbol,
            REMOVED if active[symbol] else KEPT,
            "its data stay" if active[symbol] else "was removed before",
        )
        for number, symbol in enumerate(symbols, start=1)
    ]


def read_csv(path: Path) -> list[Line]:
    """The data lines of a CSV file (``-`` is stdin).

    Raises:
        UsageError: unreadable, not UTF-8, too large, no rows, or no column ``symbol``.
    """
    try:
        raw = sys.stdin.buffer.read(MAX_BYTES + 1) if str(path) == "-" else _read(path)
        text = raw.decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        names = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
        if "symbol" not in names:
            raise UsageError(
                f"{path} has no column 'symbol'", hint="Its first line must name the columns: symbol"
            )
        lines = [
            Line(reader.line_num, row[names["symbol"]] or "", row.get(names.get("active", ""), "") or "")
            for row in reader
        ]
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is not a CSV file in UTF-8: {error}") from None
    if not lines or len(lines) > MAX_ROWS:
        raise UsageError(
            f"{path} has {len(lines)} data rows", hint=f"1 to {MAX_ROWS} can be imported at once"
        )
    return lines


def import_rows(
    home: Home, universe: str, lines: Sequence[Line], *, skip_bad: bool, dry_run: bool
) -> list[Row]:
    """Apply ``lines`` to ``universe`` and report on each; nothing is applied if a row is bad."""
    selection.universe_settings(home, universe)
    rows, adding, removing = _sorted_out(home, universe, lines)
    if any(row.status == BAD for row in rows) and not skip_bad:
        return [
            row if row.status == BAD else replace(row, status=SKIPPED, note="another row is bad")
            for row in rows
        ]
    if adding:
        join(home, universe, adding, dry_run=dry_run)
    if removing:
        leave(home, universe, removing, dry_run=dry_run)
    return rows


def to_csv(members: Sequence[Member]) -> str:
    """``members`` in seating order; importing it into an empty home gives the same seats."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("symbol", "active"))
    writer.writerows((member.symbol, "true" if member.active else "false") for member in members)
    return out.getvalue()


def _sorted_out(
    home: Home, universe: str, lines: Sequence[Line]
) -> tuple[list[Row], list[Symbol], list[Symbol]]:
    """A report row per line, and which symbols are to be seated and which of those turned inactive."""
    from mdc_resources.state import State
    from mdc_resources.symbology import read_listings

    with State.open(home) as state:
        before = {member.symbol: member for member in state.members(active_only=False)}
    listings = read_listings(home.root)
    rows: list[Row] = []
    adding: dict[Symbol, None] = {}
    removing: dict[Symbol, None] = {}
    for line in lines:
        try:
            symbol = parse_symbol(line.symbol.strip())
            active = _is_active(line.active)
        except UsageError as error:
            rows.append(Row(line.number, line.symbol[:40], BAD, str(error)))
            continue
        known = before.get(symbol)
        if symbol in adding or symbol in removing:
            rows.append(Row(line.number, symbol, REPEATED, "given above"))
        elif known and known.universe != universe:
            rows.append(Row(line.number, symbol, BAD, f"already in universe {known.universe!r}"))
        elif active or known is None:
            adding[symbol] = None
            row = _with_successor(_joined(line.number, symbol, known), listings.get(symbol))
            rows.append(row if active else replace(row, status=REMOVED, note="added as removed"))
            if not active:
                removing[symbol] = None
        else:
            removing[symbol] = None
            rows.append(Row(line.number, symbol, REMOVED if known.active else KEPT, ""))
    return rows, list(adding), list(removing)


def _joined(number: int, symbol: Symbol, known: Member | None) -> Row:
    if known is None:
        return Row(number, symbol, ADDED, "")
    return Row(
        number, symbol, KEPT if known.active else ADDED, "" if known.active else "was removed, follows again"
    )


def _with_successor(row: Row, listing: Listing | None) -> Row:
    """``row`` with what the symbol is called now, where it was renamed."""
    if listing is None or listing.successor is None:
        return row
    until = f" after {listing.last}" if listing.last else ""
    status = RENAMED if row.status == ADDED else row.status
    return replace(row, status=status, note=f"{listing.successor}{until}; add that too")


def _is_active(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise UsageError(f"active = {word[:20]!a} is neither true nor false")
    return word in _TRUE


def _check_room(state: State, home: Home, universe: str, symbols: Sequence[Symbol]) -> None:
    """What ``State.add_members`` would refuse, without adding."""
    from mdc_resources.state import SHARD_SIZE

    members = {member.symbol: member for member in state.members(active_only=False)}
    for symbol in symbols:
        if symbol in members and members[symbol].universe != universe:
            raise UsageError(f"{symbol} is already in universe {members[symbol].universe!r}")
    taken = sum(member.universe == universe for member in members.values())
    new = sum(symbol not in members for symbol in symbols)
    room = home.settings.universes[universe].shards * SHARD_SIZE - taken
    if new > room:
        raise UsageError(
            f"universe {universe!r} has room for {room} more symbols, {new} were given",
            hint=f"mdc universe grow {universe}",
        )


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise UsageError(f"{path} is larger than {MAX_BYTES // 1_000_000} MB", hint="Split it")
    return raw
