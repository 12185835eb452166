"""What a dialect answers with: rows of number texts, then bytes.

A row holds its numbers as the very texts the wire will carry, so that faults can alter them without
knowing the dialect and nothing is rounded on the way. ``Page`` is an answer before encoding (faults
on rows act here), ``Answer`` one ready to send (faults on bytes act there).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"


@dataclass(slots=True)
class Row:
    """One bar on the wire. ``null`` texts stand for what the vendor sends for "nothing"."""

    symbol: str
    session: dt.date
    start: int  # epoch seconds UTC
    open: str
    high: str
    low: str
    close: str
    volume: str
    trades: str = ""
    vwap: str = ""
    adjusted_close: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and body, ready to send."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """Rows and how to encode them.

    ``label`` renames the symbol in the body where a fault wants that; ``extra`` asks for one
    field more per row; ``loop`` for a page token that never ends (dialects with pages only).
    """

    rows: list[Row]
    encode: Callable[[Page], Answer]
    null: str
    label: str = ""
    extra: bool = False
    loop: bool = False

    def answer(self) -> Answer:
        """The page as bytes."""
        return self.encode(self)

    def but(self, **changes: object) -> Page:
        """The same page with fields replaced."""
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Query:
    """A request as a dialect sees it: path below the provider, parameters, lower-case headers, body."""

    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    method: str = "GET"
    body: bytes = b""

    @property
    def target(self) -> str:
        """Path and parameters, for matching and for the log."""
        query = "&".join(f"{name}={value}" for name, value in self.params.items())
        return f"{self.path}?{query}" if query else self.path


class Dialect(Protocol):
    """One vendor's HTTP interface over the market."""

    name: str
    paged: bool

    def respond(self, query: Query) -> Page | Answer:
        """The vendor's answer: rows, or a finished answer (errors, corporate actions)."""
        ...

    def failure(self, status: int) -> Answer:
        """The vendor's body for an error of ``status``."""
        ...

    def hidden_error(self) -> Answer:
        """An error that the vendor sends with status 200."""
        ...

    def missing(self, query: Query) -> Answer:
        """The vendor's answer to a symbol it does not know."""
        ...


def cents_text(cents: int) -> str:
    """``16151`` as ``161.51``, without trailing zeros, as Go and JavaScript print it."""
    whole, part = divmod(cents, 100)
    if part == 0:
        return str(whole)
    return f"{whole}.{part:02d}" if part % 10 else f"{whole}.{part // 10}"
