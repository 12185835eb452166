"""Printing: tables for people, JSON for programs, a progress bar on a terminal.

Data goes to stdout, everything else to stderr. A Decimal is printed with all its digits and no
trailing zeros; in JSON it is a string, since most JSON readers would turn a number into a float.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mdc_resources.ingest import Progress

_DASH = "-"


def note(text: str) -> None:
    """One line to a person, on stderr."""
    print(text, file=sys.stderr, flush=True)


def exact(number: Decimal) -> str:
    """All digits of ``number``, without an exponent and without trailing zeros."""
    if not number.is_finite():
        return str(number)
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def as_json(value: object) -> object:
    """``value`` in JSON's own types; raises TypeError on what has no form in it."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return exact(value)
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dict():
            return {str(k): as_json(v) for k, v in value.items()}
        case list() | tuple() | set() | frozenset():
            return [as_json(v) for v in value]
        case bytes() | bytearray():
            return bytes(value).hex()
        case _:
            return str(value)


def print_json(value: object) -> None:
    """``value`` as one JSON document on stdout."""
    print(json.dumps(as_json(value), indent=2, ensure_ascii=False))


def as_text(value: object) -> str:
    """``value`` for a table cell or a CSV field; an absent one is empty."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return exact(value)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    return json.dumps(as_json(value)) if isinstance(value, list | dict | tuple) else str(value)


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()
) -> None:
    """Aligned columns on stdout; those named in ``right`` are aligned at their right edge."""
    cells = [[printable(as_text(value)) or _DASH for value in row] for row in rows]
    widths = [max([len(name), *(len(row[at]) for row in cells)]) for at, name in enumerate(columns)]
    for row in [list(columns), ["-" * width for width in widths], *cells]:
        padded = (
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(columns, row, widths, strict=True)
        )
        print("  ".join(padded).rstrip())


def print_fields(fields: Sequence[tuple[str, object]]) -> None:
    """``name  value`` lines on stdout."""
    width = max((len(name) for name, _ in fields), default=0)
    for name, value in fields:
        print(f"{name.ljust(width)}  {printable(as_text(value)) or _DASH}")


def printable(text: str) -> str:
    """``text`` with control characters escaped: data must not steer a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def size(count: float) -> str:
    """Bytes for a person: ``3.4 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """Seconds for a person: ``42 s``, ``3 min``, ``5 h``, ``9 d``."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length or (unit == "min" and seconds >= 100):
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


@contextmanager
def progress_bar(title: str, *, quiet: bool = False) -> Iterator[Callable[[Progress], None]]:
    """A progress bar on stderr where that is a terminal; else nothing is drawn."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich import progress as rich_progress
    from rich.console import Console

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TextColumn("{task.fields[requests]} requests, {task.fields[failovers]} failovers"),
        rich_progress.TimeElapsedColumn(),
    )
    with rich_progress.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None, requests=0, failovers=0)

        def show(seen: Progress) -> None:
            bar.update(
                task, total=seen.total, completed=seen.done, requests=seen.requests, failovers=seen.failovers
            )

        yield show


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Within it only errors are logged: a progress bar owns the terminal."""
    from mdc_resources.telemetry.logs import setup_logging

    setup_logging(level="ERROR")
    yield
