"""Asking the sources of symbols, through the same transport as everything else.

Each source is asked once, all at the same time; one that fails is named and the others' answers are
used. Nothing is stored but the raw answers. A source without its key is left out, and in a sandbox
home every source that is not served locally is.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mdc_resources.config import Home, ProviderSettings
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ProviderError, SyntheticData, UsageError
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.ingest.asking import SYNTHETIC_HEADER
from mdc_resources.ingest.candidates import credential_names
from mdc_resources.ingest.hits import Hit, merged
from mdc_resources.providers.registry import provider, provider_names
from mdc_resources.providers.search import SOURCES, Found, Source, openfigi
from mdc_resources.state import State
from mdc_resources.transport.archive import RawArchive
from mdc_resources.transport.budget import Budgets
from mdc_resources.transport.http import HttpTransport

LONGEST = 100


@dataclass(frozen=True, slots=True)
class Searched:
    """``hits`` best first; ``asked`` sources, ``errors`` of those that failed, why others were left out."""

    hits: tuple[Hit, ...]
    asked: tuple[str, ...]
    errors: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Usable:
    """A source with the home's address and credentials applied."""

    source: Source
    base_url: str
    auth: tuple[tuple[str, str], ...]

    def wire(self, text: str, limit: int) -> HttpRequest:
        """Its request, with the credentials this home has."""
        return _with_auth(self.source.plan(self.base_url, text, limit), self.auth)


def search(home: Home, text: str, *, limit: int = 20, only: str | None = None) -> Searched:
    """Search every usable source (or ``only``) for a ticker or a part of a name.

    Raises:
        UsageError: the text cannot be searched, ``only`` is unknown or unusable, or nobody can be asked.
    """
    wanted = text.strip()
    if not wanted or len(wanted) > LONGEST or not wanted.isprintable():
        raise UsageError(f"{text[:40]!a} cannot be searched for", hint="Type a ticker or part of a name")
    usable, left_out = _usable(home, only)
    return asyncio.run(_search(home, wanted, limit, usable, left_out))


def identify(
    home: Home, symbols: Sequence[Symbol], *, report: Callable[[int], None] = lambda _: None
) -> list[openfigi.Mapped]:
    """The FIGIs of ``symbols``, in their order, from OpenFIGI in the fewest requests.

    ``report`` hears how many are done. Raises UsageError where it is not to be asked, ProviderError
    where it fails; what was answered before is lost, and asking again costs little.
    """
    usable, _ = _usable(home, openfigi.SOURCE.name)
    return asyncio.run(_identify(home, symbols, usable[0], report))


def _usable(home: Home, only: str | None) -> tuple[list[_Usable], dict[str, str]]:
    if only is not None and only not in SOURCES:
        raise UsageError(f"{only[:40]!a} has no symbol search", hint=f"Known: {', '.join(SOURCES)}")
    names = (only,) if only else home.settings.search.sources
    found: list[_Usable] = []
    left_out: dict[str, str] = {}
    for name in names:
        if name not in SOURCES:
            raise UsageError(f"search.sources names {name[:40]!a}", hint=f"Known: {', '.join(SOURCES)}")
        one = _one(home, SOURCES[name])
        if isinstance(one, str):
            left_out[name] = one
        else:
            found.append(one)
    if not found:
        told = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise UsageError("nobody can be asked about symbols", hint=told)
    return found, left_out


def _one(home: Home, source: Source) -> _Usable | str:
    """``source`` under the settings of ``home``, or why it cannot be asked."""
    settings = home.settings.providers.get(source.name)
    if settings is not None and not settings.enabled:
        return "disabled"
    base_url = home.settings.search.urls.get(source.name, "") or _base_url(source, settings)
    if home.settings.lake.sandbox and base_url == source.base_url:
        return "this home is a sandbox, and it is not served there"
    auth = _auth(source, settings)
    missing = [name for _, name in auth if home.secrets.get(name) is None]
    if missing and not source.key_optional:
        return f"no credentials, set {' and '.join(missing)}"
    return _Usable(source, base_url.rstrip("/"), () if missing else auth)


def _base_url(source: Source, settings: ProviderSettings | None) -> str:
    """Where a home sends its provider elsewhere (a proxy, a sandbox), the search goes there too."""
    elsewhere = settings.base_url if settings else None
    own = provider(source.name).spec.base_url if source.name in provider_names() else ""
    return elsewhere if elsewhere and elsewhere.rstrip("/") != own else source.base_url


def _auth(source: Source, settings: ProviderSettings | None) -> tuple[tuple[str, str], ...]:
    """Headers and credentials, the names as ``key_env`` and ``secret_env`` change them."""
    if source.name not in provider_names():
        return source.auth
    names = credential_names(provider(source.name), settings or ProviderSettings())
    return tuple((place, name) for (place, _), name in zip(source.auth, names, strict=True))


@asynccontextmanager
async def _transport(home: Home) -> AsyncIterator[HttpTransport]:
    archive = RawArchive.open(home.raw_dir, f"search-{uuid.uuid4()}")
    try:
        with State.open(home) as state, Budgets.open(home.state_dir) as budgets:
            async with HttpTransport(
                settings=home.settings.transport,
                state=state,
                budgets=budgets,
                archive=archive,
                secrets=home.secrets,
            ) as transport:
                yield transport
    finally:
        archive.close()


async def _search(
    home: Home, text: str, limit: int, usable: Sequence[_Usable], left_out: dict[str, str]
) -> Searched:
    answers: dict[str, list[Found]] = {}
    errors: dict[str, str] = {}

    async def ask(one: _Usable) -> None:
        def decode(response: HttpResponse) -> None:
            answers[one.source.name] = one.source.decode(response, text, limit)

        try:
            await _fetch(home, transport, one, one.wire(text, limit), decode)
        except ProviderError as error:
            errors[one.source.name] = str(error)

    async with _transport(home) as transport:
        await asyncio.gather(*(ask(one) for one in usable))
    hits = merged(text, answers)
    return Searched(tuple(hits[:limit]), tuple(one.source.name for one in usable), errors, left_out)


async def _identify(
    home: Home, symbols: Sequence[Symbol], one: _Usable, report: Callable[[int], None]
) -> list[openfigi.Mapped]:
    done: list[openfigi.Mapped] = []
    async with _transport(home) as transport:
        for batch in openfigi.batches(symbols, has_key=bool(one.auth)):
            result: list[openfigi.Mapped] = []

            def decode(
                response: HttpResponse,
                batch: Sequence[Symbol] = batch,
                result: list[openfigi.Mapped] = result,
            ) -> None:
                result[:] = openfigi.decode_mapping(response, batch)

            await _fetch(home, transport, one, openfigi.plan_mapping(one.base_url, batch, one.auth), decode)
            done += result
            report(len(done))
    return done


async def _fetch(
    home: Home,
    transport: HttpTransport,
    one: _Usable,
    wire: HttpRequest,
    decode: Callable[[HttpResponse], None],
) -> None:
    """One exchange, decoded within the transport's judgement: garbage is a failure of the vendor."""
    source = one.source

    def classify(response: HttpResponse) -> ProviderError | None:
        if SYNTHETIC_HEADER in response.headers and not home.settings.lake.sandbox:
            return SyntheticData(f"{source.name} is a sandbox, and this home is for real data")
        error = source.classify(response)
        if error is None and response.status == 200:
            decode(response)
        return error

    today = now().date()
    settings = home.settings.providers.get(source.name)
    limits = (settings.limits if settings else None) or source.limits
    if one.auth and source.limits_with_key:
        limits = source.limits_with_key
    await transport.fetch(
        FetchRequest(source.name, Dataset.INSTRUMENTS, (), today, today, "XNYS", today),
        wire,
        limits=limits,
        classify=classify,
        page=1,
        decoder_version=1,
        attempts=[],
    )


def _with_auth(wire: HttpRequest, auth: tuple[tuple[str, str], ...]) -> HttpRequest:
    return HttpRequest(wire.url, wire.params, wire.headers, auth, (), wire.method, wire.body)
