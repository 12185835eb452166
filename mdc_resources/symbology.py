"""``listings.toml`` of a home: when a symbol meant what it means, as a person says it.

    [META]
    first = 2022-06-09
    predecessor = "FB"

    [FB]
    last = 2022-06-08
    successor = "META"

Both dates are inclusive session dates. A symbol's table is all that counts for it: what the archive
learned elsewhere is laid aside. Unknown keys, dates that are none and ends before starts are refused.

``figis.csv`` beside it holds the FIGI of each symbol that was looked up. It is a file of its own: a
table in ``listings.toml`` would lay aside what is known of the symbol's listing.
"""

from __future__ import annotations

import csv
import datetime as dt
import difflib
import io
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from mdc_resources.domain.errors import ConfigError, UsageError
from mdc_resources.domain.listings import Listing
from mdc_resources.domain.symbols import Symbol, parse_symbol

LISTINGS_FILE = "listings.toml"
FIGIS_FILE = "figis.csv"
_KEYS = ("first", "last", "predecessor", "successor")
_HEADER = re.compile(r"""\s*\[\s*["']?([A-Z0-9._:-]+)["']?\s*\]""")
_FIGI = re.compile(r"[B-DF-HJ-NP-TV-Z]{2}G[0-9B-DF-HJ-NP-TV-Z]{8}[0-9]")
_FIGI_COLUMNS = ("symbol", "figi", "composite_figi", "share_class_figi", "name", "checked_on")
_HEAD = """\
# When a symbol meant what it means: first and last session under that name, both inclusive.
# `mdc symbols rename OLD NEW DATE` and `mdc symbols delist SYMBOL LAST` write here; so may you.
"""


def read_listings(home: Path) -> dict[Symbol, Listing]:
    """The listings that the home at ``home`` states; empty where it has no file.

    Raises:
        ConfigError: the file is not TOML, or a symbol, key or value in it cannot be used; it names
            the file, the dotted key and the nearest valid one.
    """
    path = home / LISTINGS_FILE
    if not path.exists():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    return parse_listings(text, path)


def parse_listings(text: str, path: Path) -> dict[Symbol, Listing]:
    """The listings that ``text`` states; ``path`` is for the messages. Raises ConfigError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    found: dict[Symbol, Listing] = {}
    for name, table in document.items():
        listing = _listing(path, name, table)
        if listing.symbol in found:
            raise ConfigError(f"{path}: {listing.symbol} is there twice", key=name)
        found[listing.symbol] = listing
    return found


def listings_text(listings: Iterable[Listing], text: str = "") -> str:
    """``text`` (of a file, or empty) changed so that it says ``listings`` about their symbols.

    Everything else stays as it was typed, comments included.
    """
    lines = (text or _HEAD).rstrip("\n").split("\n")
    for listing in listings:
        start = next((at for at, line in enumerate(lines) if _header(line) == listing.symbol), None)
        if start is None:
            lines += ["", f"[{_key(listing.symbol)}]", *_values(listing)]
            continue
        ends = (at for at in range(start + 1, len(lines)) if lines[at].lstrip().startswith("["))
        stop = next(ends, len(lines))
        kept = [line for line in lines[start + 1 : stop] if line.partition("=")[0].strip() not in _KEYS]
        lines[start + 1 : stop] = [*_values(listing), *kept]
    return "\n".join(lines) + "\n"


def lineage(known: Mapping[Symbol, Listing], symbol: Symbol) -> tuple[Listing, ...]:
    """The names the company behind ``symbol`` had, oldest first; just ``symbol`` where nothing is known.

    A rename that only one side tells is followed, too. Where names go in a circle it is cut.
    """
    before = {listing.successor: name for name, listing in known.items() if listing.successor}
    names = [symbol]
    while (former := _of(known, names[0]).predecessor or before.get(names[0])) and former not in names:
        names.insert(0, former)
    after = {listing.predecessor: name for name, listing in known.items() if listing.predecessor}
    while (later := _of(known, names[-1]).successor or after.get(names[-1])) and later not in names:
        names.append(later)
    return tuple(_of(known, name) for name in names)


def name_on(names: Sequence[Listing], date: dt.date) -> Symbol | None:
    """The one of ``names`` (of :func:`lineage`) that was in use on ``date``; None if none was.

    Where an end is known on one side only, the next name begins after it and the former ends before.
    """
    for at in range(len(names) - 1, -1, -1):
        listing = names[at]
        first, last = listing.first, listing.last
        if first is None and at > 0 and (ended := names[at - 1].last):
            first = ended + dt.timedelta(days=1)
        if last is None and at + 1 < len(names) and (begun := names[at + 1].first):
            last = begun - dt.timedelta(days=1)
        if Listing(listing.symbol, first, last).covers(date):
            return listing.symbol
    return None


@dataclass(frozen=True, slots=True)
class Figi:
    """The identifiers of one symbol: of its listing, of the share in its country, of the share worldwide."""

    symbol: Symbol
    figi: str
    composite_figi: str
    share_class_figi: str
    name: str
    checked_on: dt.date


def is_figi(text: str) -> bool:
    """True for twelve characters whose last is the check digit (OMG FIGI 1.2, section 6.1.4)."""
    if not _FIGI.fullmatch(text):
        return False
    values = [int(letter, 36) * (2 if place % 2 else 1) for place, letter in enumerate(text[:11])]
    return -sum(value // 10 + value % 10 for value in values) % 10 == int(text[11])


def read_figis(home: Path) -> dict[Symbol, Figi]:
    """The FIGIs that the home at ``home`` keeps; empty where it has no file.

    Raises:
        ConfigError: the file is no such CSV, or a line in it cannot be used; it names file and line.
    """
    path = home / FIGIS_FILE
    if not path.exists():
        return {}
    found: dict[Symbol, Figi] = {}
    try:
        reader = csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), strict=True)
        if tuple(next(reader, ())) != _FIGI_COLUMNS:
            raise ConfigError(f"{path} does not begin with {','.join(_FIGI_COLUMNS)}")
        for row in reader:
            figi = _figi(path, reader.line_num, row)
            found[figi.symbol] = figi
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} is not a CSV file in UTF-8: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    return found


def figis_text(figis: Mapping[Symbol, Figi]) -> str:
    """The file that says ``figis``, by symbol."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_FIGI_COLUMNS)
    writer.writerows(astuple(figis[symbol]) for symbol in sorted(figis))
    return out.getvalue()


def _figi(path: Path, line: int, row: list[str]) -> Figi:
    try:
        symbol, figi, composite, share_class, name, checked_on = row
        canonical = parse_symbol(symbol)
        date = dt.date.fromisoformat(checked_on)
    except (ValueError, UsageError):
        raise ConfigError(
            f"{path}, line {line}: {','.join(row)[:60]!a} cannot be used",
            hint="Delete the line and run mdc symbols identify SYMBOL",
        ) from None
    for value in (figi, composite, share_class):
        if value and not is_figi(value):
            raise ConfigError(
                f"{path}, line {line}: {value[:20]!a} is not a FIGI", hint="Its last digit checks the others"
            )
    return Figi(canonical, figi, composite, share_class, name, date)


def _of(known: Mapping[Symbol, Listing], symbol: Symbol) -> Listing:
    return known.get(symbol, Listing(symbol))


def _listing(path: Path, name: str, table: object) -> Listing:
    symbol = _symbol(path, name, name)
    if not isinstance(table, dict):
        raise ConfigError(
            f"{path}: {name[:40]!a} is no table",
            key=name,
            hint=f"Write [{symbol}] and below it last = 2022-06-08",
        )
    for key in table:
        if key not in _KEYS:
            raise ConfigError(
                f"{path}: unknown key {key[:40]!a} in [{name}]",
                key=f"{name}.{key}",
                hint=_nearest(name, key, table[key]),
            )
    first, last = (_date(path, name, key, table.get(key)) for key in ("first", "last"))
    other = {
        key: _symbol(path, f"{name}.{key}", table[key])
        for key in ("predecessor", "successor")
        if key in table
    }
    if first and last and first > last:
        raise ConfigError(
            f"{path}: [{name}] begins {first}, after its end {last}",
            key=f"{name}.first",
            hint="A ticker that was used twice: state the life that you follow",
        )
    if symbol in other.values():
        raise ConfigError(f"{path}: [{name}] names itself", key=name)
    return Listing(symbol, first, last, other.get("successor"), other.get("predecessor"), LISTINGS_FILE)


def _nearest(name: str, key: str, value: object) -> str:
    if isinstance(value, dict):
        return f'A dot needs quotes: ["{name}.{key}"]'
    near = difflib.get_close_matches(key, _KEYS, n=1, cutoff=0.4)
    return f"Did you mean {near[0]!r}?" if near else f"Known here: {', '.join(_KEYS)}"


def _date(path: Path, name: str, key: str, value: object) -> dt.date | None:
    if value is None:
        return None
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    raise ConfigError(
        f"{path}: {name}.{key} is {str(value)[:40]!a}, not a date",
        key=f"{name}.{key}",
        hint=f"Write it without quotes: {key} = 2022-06-08",
    )


def _symbol(path: Path, key: str, value: object) -> Symbol:
    if not isinstance(value, str):
        raise ConfigError(f"{path}: {key} is {str(value)[:40]!a}, not a symbol", key=key, hint='Write "META"')
    try:
        symbol = parse_symbol(value)
    except UsageError as error:
        raise ConfigError(f"{path}: {error.message}", key=key, hint=error.hint) from None
    if symbol != value:
        raise ConfigError(f"{path}: {value[:40]!a} is not canonical", key=key, hint=f"Write {symbol}")
    return symbol


def _values(listing: Listing) -> list[str]:
    dates = {"first": listing.first, "last": listing.last}
    names = {"predecessor": listing.predecessor, "successor": listing.successor}
    return [
        *(f"{key} = {day.isoformat()}" for key, day in dates.items() if day),
        *(f'{key} = "{symbol}"' for key, symbol in names.items() if symbol),
    ]


def _key(symbol: Symbol) -> str:
    """``symbol`` as a TOML key: dots and colons need quotes."""
    return symbol if symbol.replace("-", "").replace("_", "").isalnum() else f'"{symbol}"'


def _header(line: str) -> str:
    """The symbol whose table ``line`` opens; empty for any other line."""
    match = _HEADER.match(line)
    return match[1] if match else ""
