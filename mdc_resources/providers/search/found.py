"""What a source of symbols declares, and what it finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mdc_resources.config import Limits
from mdc_resources.domain.errors import PayloadError, ProviderError, UsageError
from mdc_resources.domain.requests import HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol, parse_symbol
from mdc_resources.providers.decoding.bodies import load_exact, snippet
from mdc_resources.symbology import is_figi

LONGEST = 200  # characters of a name; more is no name


@dataclass(frozen=True, slots=True)
class Found:
    """One listing as one source tells it; empty where it does not tell.

    ``figi`` is of the listing on its exchange, ``composite_figi`` of the share in its country (all
    exchanges), ``share_class_figi`` of the share worldwide.
    """

    symbol: Symbol
    source: str
    name: str = ""
    exchange: str = ""
    kind: str = ""
    figi: str = ""
    composite_figi: str = ""
    share_class_figi: str = ""
    active: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """One vendor's symbol search.

    ``plan(base_url, text, limit)`` makes the one request; ``decode(response, text, limit)`` reads its
    answer (PayloadError if it is none); ``classify`` names its errors. ``auth`` pairs headers with
    credentials; with ``key_optional`` it is asked without one, too, under ``limits``, which grow to
    ``limits_with_key``.
    """

    name: str
    base_url: str
    limits: Limits
    plan: Callable[[str, str, int], HttpRequest]
    decode: Callable[[HttpResponse, str, int], list[Found]]
    classify: Callable[[HttpResponse], ProviderError | None]
    auth: tuple[tuple[str, str], ...] = ()
    key_optional: bool = False
    limits_with_key: Limits | None = None


def canonical(text: object) -> Symbol | None:
    """A vendor's ticker as a symbol (``BRK/B`` is ``BRK.B``); None where it has none of ours."""
    if not isinstance(text, str):
        return None
    try:
        return parse_symbol(text.strip().replace("/", "."))
    except UsageError:
        return None


def text_of(row: dict[str, Any], key: str) -> str:
    """The text at ``key``, one printable line; empty for anything else."""
    value = row.get(key)
    if not isinstance(value, str) or isinstance(value, bytes):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())[:LONGEST]


def figi_in(row: dict[str, Any], key: str) -> str:
    """The FIGI at ``key``; empty where its check digit is wrong."""
    value = text_of(row, key)
    return value if is_figi(value) else ""


def rows_of(response: HttpResponse, *keys: str, provider: str) -> list[dict[str, Any]]:
    """The list of objects at ``keys`` of the body (the body itself without keys); PayloadError if none.

    Items that are no objects are left out.
    """
    document = load_exact(response.body, provider=provider)
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    if not isinstance(document, list):
        raise PayloadError(
            f"{provider} sent no list of symbols but {snippet(response.body)}", provider=provider
        )
    return [row for row in document if isinstance(row, dict)]
