"""What several sources found, merged into one ranked list. Pure.

Listings of one canonical symbol are one hit: all sources answer about US listings, so one ticker is
one share. The order, first difference decides: the ticker is what was typed; it begins with it; the
name is it, begins with it, has a word that does, contains it; more sources agree; it still trades; the
place in the sources' own lists; the shorter ticker; the alphabet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.search import Found

# Whose word counts where they differ: full names first, FIGIs from those that issue or carry them.
_NAMES = ("polygon", "alpaca", "finnhub", "openfigi")
_FIGIS = ("openfigi", "polygon")
_FIELDS = ("figi", "composite_figi", "share_class_figi")


@dataclass(frozen=True, slots=True)
class Hit:
    """One listing. ``sources`` are those that know it; ``disputed`` names FIGIs they disagree about."""

    symbol: Symbol
    name: str
    exchange: str
    kind: str
    figi: str
    composite_figi: str
    share_class_figi: str
    active: bool
    sources: tuple[str, ...]
    disputed: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """The JSON form."""
        return asdict(self)


def merged(text: str, answers: Mapping[str, Sequence[Found]]) -> list[Hit]:
    """The hits of ``answers`` (by source) for what was typed, best first."""
    by_symbol: dict[Symbol, dict[str, Found]] = defaultdict(dict)
    places: dict[Symbol, int] = {}
    for source in sorted(answers):
        for place, found in enumerate(answers[source]):
            by_symbol[found.symbol].setdefault(source, found)
            places[found.symbol] = min(place, places.get(found.symbol, place))
    hits = [_hit(symbol, told) for symbol, told in by_symbol.items()]
    return sorted(hits, key=lambda hit: (*_match(hit, text), *_rest(hit, places[hit.symbol])))


def _match(hit: Hit, text: str) -> tuple[int, int]:
    """How well ticker and name match; lower is better."""
    typed, ticker = text.strip().upper().replace("/", "."), hit.symbol
    words, name = text.casefold().strip(), hit.name.casefold()
    by_ticker = 0 if ticker == typed else 1 if ticker.startswith(typed) else 2
    if name == words:
        return by_ticker, 0
    if name.startswith(words):
        return by_ticker, 1
    if any(word.startswith(words) for word in name.split()) or f" {words}" in name:
        return by_ticker, 2
    return by_ticker, 3 if words in name else 4


def _rest(hit: Hit, place: int) -> tuple[int, bool, int, int, str]:
    return -len(hit.sources), not hit.active, place, len(hit.symbol), hit.symbol


def _hit(symbol: Symbol, told: Mapping[str, Found]) -> Hit:
    disputed = tuple(
        field for field in _FIELDS if len({v for found in told.values() if (v := getattr(found, field))}) > 1
    )
    figi, composite, share_class = (_first(told, field, _FIGIS) for field in _FIELDS)
    return Hit(
        symbol=symbol,
        name=_first(told, "name", _NAMES),
        exchange=_first(told, "exchange", _NAMES),
        kind=_first(told, "kind", _NAMES),
        figi=figi,
        composite_figi=composite,
        share_class_figi=share_class,
        active=any(found.active for found in told.values()),
        sources=tuple(sorted(told)),
        disputed=disputed,
    )


def _first(told: Mapping[str, Found], field: str, order: Sequence[str]) -> str:
    for source in (*order, *sorted(told)):
        if source in told and (value := getattr(told[source], field)):
            return str(value)
    return ""
