"""Recorded exchanges served instead of the synthetic market.

Built from a folder (:meth:`Replay.load`) or from an explicit mapping of routes to files
(:meth:`Replay.of`). Files are read where they lie, each time they are asked for: bytes of a body
are passed on as recorded. A request is matched by provider, symbol and interval, then by the
recording whose range overlaps the asked one most; without one the vendor's "unknown" is answered.

Understood: ``{"request": {"url"}, "response": {"status", "headers", "bodyJson" | "body"}}``, bare
chart answers of Yahoo, CSV files of Stooq named like ``tsm_us_d.csv``, bare bar pages of Alpaca.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from mdc_resources.domain.errors import UsageError
from mdc_resources.sandbox.answers import Answer, Query
from mdc_resources.sandbox.recordings import Recording, answer_of, follow, read_url, recognise

_MAX_FILE_BYTES = 8 << 20
_SUFFIXES = frozenset({".json", ".csv"})


@dataclass(frozen=True, slots=True)
class Route:
    """A route written by hand: matches a request with this path and (at least) these parameters."""

    provider: str
    path: str
    params: Mapping[str, str]
    file: Path

    def matches(self, provider: str, query: Query) -> bool:
        """True if ``query`` of ``provider`` goes here; a page token must match exactly."""
        if provider != self.provider or query.path.rstrip("/") != self.path.rstrip("/"):
            return False
        if self.params.get("page_token", "") != query.params.get("page_token", ""):
            return False
        return all(query.params.get(name, "").lower() == value.lower() for name, value in self.params.items())


class Replay:
    """Recorded answers by request. ``len`` is how many there are."""

    def __init__(self, *, recordings: Sequence[Recording] = (), routes: Sequence[Route] = ()) -> None:
        self._recordings = tuple(recordings)
        self._routes = tuple(sorted(routes, key=lambda route: -len(route.params)))

    @classmethod
    def of(cls, routes: Mapping[str, Path]) -> Replay:
        """``{"yahoo/v8/finance/chart/NVDA": file, "alpaca/v2/stocks/bars?symbols=GE": file}``.

        A route is the provider, the vendor's path and any parameters that must be as given; of
        several that match, the one with most parameters answers.
        """
        return cls(routes=[_route(text, file) for text, file in routes.items()])

    @classmethod
    def load(cls, folder: Path) -> Replay:
        """Every recording below ``folder``; raises UsageError where there is none."""
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder of recordings", hint="Give a directory to --replay")
        files = sorted(
            f for f in folder.rglob("*") if f.suffix in _SUFFIXES and f.stat().st_size <= _MAX_FILE_BYTES
        )
        found = [recording for file in files if (recording := recognise(file)) is not None]
        if not found:
            raise UsageError(
                f"no recording was found below {folder}",
                hint="Understood: request/response JSON, Yahoo charts, Stooq CSV, Alpaca bars",
            )
        return cls(recordings=_chained(found))

    def __len__(self) -> int:
        return len(self._recordings) + len(self._routes)

    def find(self, provider: str, query: Query) -> Answer | None:
        """The recorded answer to ``query``; None where nothing was recorded for it."""
        for route in self._routes:
            if route.matches(provider, query):
                return answer_of(route.file)
        if not self._recordings:
            return None
        try:
            wanted = read_url(provider, query.path, query.params)
        except ValueError:
            return None
        best: Recording | None = None
        most = -1.0
        for recording in self._recordings:
            overlap = recording.overlap(wanted)
            if overlap is not None and overlap > most:
                best, most = recording, overlap
        return answer_of(best.file) if best else None

    def symbols(self) -> dict[str, list[str]]:
        """Recorded symbols by provider, as the vendors spell them."""
        found: dict[str, set[str]] = {}
        for recording in self._recordings:
            found.setdefault(recording.wanted.provider, set()).update(recording.wanted.symbols)
        return {provider: sorted(names) for provider, names in sorted(found.items())}


def _route(text: str, file: Path) -> Route:
    url = urlsplit(text)
    provider, _, path = url.path.strip("/").partition("/")
    if not path:
        raise UsageError(f"{text[:60]!a} is not a route", hint="Write it like yahoo/v8/finance/chart/NVDA")
    return Route(provider, f"/{path}", dict(parse_qsl(url.query, keep_blank_values=True)), file)


def _chained(recordings: Sequence[Recording]) -> list[Recording]:
    """Pages put behind one another: a file that follows one with a page token, in the same folder.

    Bodies do not say which page they are; recorders number their files, so the next file of the
    same symbols is the next page.
    """
    found: list[Recording] = []
    for recording in recordings:
        before = found[-1] if found else None
        follows = (
            before is not None
            and before.next_token
            and not recording.wanted.page_token
            and before.file.parent == recording.file.parent
            and before.wanted.symbols & recording.wanted.symbols
            and before.wanted.end <= recording.wanted.start
        )
        found.append(follow(recording, before.next_token) if before and follows else recording)
    return found
