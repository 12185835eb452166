"""What a raw record knows about itself, as one line of ASCII JSON in its ``MDC-Note`` header.

Enough to decode the body again with nothing else at hand: the wish (``FetchRequest``), how it was
asked (``HttpRequest``, masked) and what the answer said besides its body. Never a secret.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.telemetry.masking import MASK, is_secret_name, mask_bytes, mask_text, mask_url

VERSION = 1
HEADER = "MDC-Note"


@dataclass(frozen=True, slots=True)
class Note:
    """The facts of one exchange beside its body. ``truncated`` bodies are never decoded."""

    fetch: FetchRequest
    wire: HttpRequest
    status: int
    headers: Mapping[str, str]
    received_at: dt.datetime
    page: int
    decoder_version: int
    fetch_id: str
    error: str = ""
    truncated: bool = False
    version: int = field(default=VERSION)

    def response(self, body: bytes) -> HttpResponse:
        """The answer as it was handed to the decoder."""
        return HttpResponse(self.status, self.headers, body, self.received_at)


def masked_request(wire: HttpRequest) -> HttpRequest:
    """``wire`` for the archive. ``auth`` and ``query_auth`` name credentials and stay."""
    return HttpRequest(
        url=mask_url(wire.url, secret_params=[name for name, _ in wire.query_auth]),
        params=masked_pairs(wire.params),
        headers=masked_pairs(wire.headers),
        auth=wire.auth,
        query_auth=wire.query_auth,
        method=wire.method,
        body=mask_bytes(wire.body),
    )


def masked_pairs(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Headers or parameters with secret values masked, by name and by value."""
    return tuple((name, MASK if is_secret_name(name) else mask_text(value)) for name, value in pairs)


def to_json(note: Note) -> str:
    """One line of ASCII."""
    fetch, wire = note.fetch, note.wire
    return plain_json(
        {
            "v": note.version,
            "provider": fetch.provider,
            "dataset": fetch.dataset,
            "symbols": fetch.symbols,
            "start": fetch.start,
            "end": fetch.end,
            "calendar": fetch.calendar,
            "asof": fetch.asof,
            "attempt": fetch.attempt,
            **({"window": fetch.window} if fetch.window else {}),
            "url": wire.url,
            "params": wire.params,
            "request_headers": wire.headers,
            "auth": wire.auth,
            "query_auth": wire.query_auth,
            "method": wire.method,
            # Latin-1 gives every byte one character and back; most requests have no body.
            **({"request_body": wire.body.decode("latin-1")} if wire.body else {}),
            "status": note.status,
            "headers": dict(note.headers),
            "received_at": note.received_at,
            "page": note.page,
            "decoder_version": note.decoder_version,
            "fetch_id": note.fetch_id,
            "error": note.error,
            "truncated": note.truncated,
        }
    )


def from_json(text: str) -> Note:
    """Invert :func:`to_json`; raises ValueError or KeyError on anything else."""
    found: dict[str, Any] = json.loads(text)
    fetch = FetchRequest(
        provider=found["provider"],
        dataset=Dataset(found["dataset"]),
        symbols=tuple(Symbol(symbol) for symbol in found["symbols"]),
        start=dt.date.fromisoformat(found["start"]),
        end=dt.date.fromisoformat(found["end"]),
        calendar=found["calendar"],
        asof=dt.date.fromisoformat(found["asof"]),
        attempt=found["attempt"],
        window=(window[0], window[1]) if (window := found.get("window")) else None,
    )
    wire = HttpRequest(
        url=found["url"],
        params=_pairs(found["params"]),
        headers=_pairs(found["request_headers"]),
        auth=_pairs(found["auth"]),
        query_auth=_pairs(found["query_auth"]),
        method=found["method"],
        body=found.get("request_body", "").encode("latin-1"),
    )
    return Note(
        fetch=fetch,
        wire=wire,
        status=found["status"],
        headers=found["headers"],
        received_at=dt.datetime.fromisoformat(found["received_at"]),
        page=found["page"],
        decoder_version=found["decoder_version"],
        fetch_id=found["fetch_id"],
        error=found["error"],
        truncated=found["truncated"],
        version=found["v"],
    )


def plain_json(value: Mapping[str, object]) -> str:
    """JSON of plain values, dates and instants in ISO form, sets and named tuples as arrays."""
    return json.dumps(value, default=_plain, separators=(",", ":"), ensure_ascii=True)


def _plain(value: object) -> object:
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no form in a note")


def _pairs(found: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in found)
