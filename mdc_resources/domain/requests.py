"""What travels between the planner, the providers and the transport. No I/O, no secrets.

``FetchRequest`` is what is wanted, in the archive's words; ``HttpRequest`` is how one provider
asks for it; ``HttpResponse`` is what came back; ``Attempt`` is one line of the ``fetches`` ledger.
Credentials are named (``auth``), never carried: only the transport reads their values.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """One provider is asked for ``symbols`` over the sessions ``start``..``end``, both inclusive.

    ``asof`` is the date of the fetch: adjusted prices mean something only with the splits known
    that day. ``attempt`` is the claim's fencing token. ``window`` narrows events to a part of their
    session, nanoseconds UTC, half-open; such an answer says nothing about the rest of it, and is never
    stored as if it were the whole.
    """

    provider: str
    dataset: Dataset
    symbols: tuple[Symbol, ...]
    start: dt.date
    end: dt.date
    calendar: str
    asof: dt.date
    attempt: int = 0
    window: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request without its secrets.

    ``auth`` pairs a header with the *name* of the credential that fills it, after a scheme where
    the vendor wants one (``Authorization: Bearer``). ``query_auth`` does the same for vendors that
    accept a key only in the URL; such values are masked everywhere. A ``body`` is sent as it is.
    """

    url: str
    params: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    auth: tuple[tuple[str, str], ...] = ()
    query_auth: tuple[tuple[str, str], ...] = ()
    method: str = "GET"
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A complete answer: header names in lower case, the body decoded of its content-encoding."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    received_at: dt.datetime

    @property
    def content_type(self) -> str:
        """Media type without parameters, lower case; empty if absent."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request as sent: a line of the ``fetches`` ledger. ``error`` is empty on success."""

    fetch_id: str
    provider: str
    dataset: Dataset
    symbols: tuple[Symbol, ...]
    start: dt.date
    end: dt.date
    url: str
    started_at: dt.datetime
    duration_ms: float
    status: int | None = None
    error: str = ""
    body_bytes: int = 0
    sha256: str = ""
    record_id: str = ""
