"""Who may be asked, and in which order: within one market, preferring the series' own basis.

A provider without its credentials is left out and named, unless it was asked for by name. Failover
never crosses markets: the market of the best rank decides, so IEX volume never stands in for the
consolidated one. Within it the order is that of :mod:`.rotation`, where the state is known.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mdc_resources.calendars import Calendar
from mdc_resources.config import Home, Limits, ProviderSettings
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import BadCredentials, ConfigError, UsageError
from mdc_resources.ingest.rotation import Facts, Turn, health_of, in_turn
from mdc_resources.providers.registry import load_providers
from mdc_resources.providers.spec import ANY_VENUE, Dialect, Offer, Provider, offers_under
from mdc_resources.state import Breaker, Sample, State
from mdc_resources.transport.budget import Budgets


@dataclass(frozen=True, slots=True)
class Candidate:
    """A provider that may be asked for one dataset, with its settings applied."""

    provider: Provider
    settings: ProviderSettings
    offer: Offer
    rank: int

    @property
    def name(self) -> str:
        """The provider's name."""
        return self.provider.spec.name

    @property
    def limits(self) -> Limits:
        """Rate limits: the home's, else the spec's."""
        return self.settings.limits or self.provider.spec.limits

    def dialect(self, calendar: Calendar) -> Dialect:
        """The context its pure functions need."""
        return Dialect(self.provider.spec, self.settings, calendar)

    def missing_credentials(self, home: Home) -> list[str]:
        """Names of credentials that are needed and not set."""
        return [
            name for name in credential_names(self.provider, self.settings) if home.secrets.get(name) is None
        ]


def credential_names(provider: Provider, settings: ProviderSettings) -> list[str]:
    """The environment variables a provider's credentials come from, after overrides."""
    overrides = (settings.key_env, settings.secret_env)
    declared = provider.spec.credentials
    return [
        override or name
        for name, override in zip(declared, (*overrides, *[None] * len(declared)), strict=False)
    ]


def candidates(
    home: Home,
    dataset: Dataset,
    *,
    asset_class: str,
    venue: str | None = None,
    only: str | None = None,
    state: State | None = None,
    market: str = "",
) -> tuple[list[Candidate], list[str]]:
    """Candidates for ``dataset`` in the order of asking, and why others were left out.

    ``venue`` is that of the symbols (empty where they name none); None asks about any. With
    ``state``, budgets, breakers and recent health have a say in the order; without, it is by rank.
    ``market`` is the one to be measured; by default it is that of the best rank.

    Raises:
        ConfigError: ``only`` or a configured provider is unknown.
        UsageError: none is left, or ``only`` does not offer the dataset.
        BadCredentials: ``only`` lacks its credentials.
    """
    providers = load_providers()
    unknown = sorted(set(home.settings.providers) - set(providers))
    if unknown or (only and only not in providers):
        name = unknown[0] if unknown else only
        raise ConfigError(
            f"unknown provider {name!r}",
            key=f"providers.{name}",
            hint=f"Known: {', '.join(sorted(providers))}",
        )
    found: list[Candidate] = []
    left_out: list[str] = []
    for name, provider in providers.items():
        candidate = _candidate(provider, home.settings.providers.get(name), dataset)
        reason = _unusable(home, candidate, asset_class, venue) if candidate else "does not offer it"
        if candidate and not reason and market and candidate.offer.market != market:
            reason = f"measures {candidate.offer.market}, not {market}"
        if only == name and reason:
            _refuse(name, dataset, reason)
        if candidate and not reason and only in (None, name):
            found.append(candidate)
        elif candidate and only is None:
            left_out.append(f"{name}: {reason}")
    if not found:
        raise UsageError(
            f"no provider can be asked for {dataset}",
            hint="; ".join(left_out) or "Enable one that offers it in mdc.toml",
        )
    # Nearly every partition of corporate actions is empty: first those whose silence is proof.
    silent = dataset is Dataset.CORPORATE_ACTIONS
    found.sort(key=lambda c: (silent and not c.offer.empty_is_proof, c.rank, c.name))
    mine = [c for c in found if c.offer.market == found[0].offer.market]
    return (_rotated(home, state, dataset, mine) if state and len(mine) > 1 else mine), left_out


def in_order(found: list[Candidate], basis: str) -> list[Candidate]:
    """``found`` with those first that deliver ``basis``, the one a series already has."""
    return sorted(found, key=lambda c: bool(basis) and c.offer.basis != basis)


@contextlib.contextmanager
def facts_reader(home: Home, state: State) -> Iterator[FactsReader]:
    """What is known of providers at this moment, read once."""
    with Budgets.open(home.state_dir) as budgets:
        yield FactsReader(budgets, state.breakers(), state.answers(), time.time())


@dataclass(frozen=True, slots=True)
class FactsReader:
    """Budgets, breakers and recent answers as of ``at`` (POSIX seconds). See :func:`facts_reader`."""

    budgets: Budgets
    breakers: list[Breaker]
    answers: Mapping[str, Sequence[Sample]]
    at: float

    def facts(self, name: str, limits: Limits, dataset: Dataset | None = None) -> Facts:
        """The facts of provider ``name`` about ``dataset``, about any if None."""
        return Facts(
            self.budgets.used(name, limits),
            any(self.at < b.open_until for b in self.of(name) if dataset in (None, b.dataset)),
            health_of([(s.at, s.milliseconds, s.ok) for s in self.answers.get(name, ())], at=self.at),
        )

    def of(self, name: str) -> list[Breaker]:
        """The breakers of provider ``name`` that have something to tell."""
        return [breaker for breaker in self.breakers if breaker.provider == name]


def _rotated(home: Home, state: State, dataset: Dataset, found: list[Candidate]) -> list[Candidate]:
    silent = dataset is Dataset.CORPORATE_ACTIONS
    with facts_reader(home, state) as reader:
        turns = [
            Turn(
                candidate.name,
                candidate.rank,
                candidate.provider.spec.cost_per_request,
                not silent or candidate.offer.empty_is_proof,
                reader.facts(candidate.name, candidate.limits, dataset),
            )
            for candidate in found
        ]
    known = {candidate.name: candidate for candidate in found}
    return [known[turn.name] for turn in in_turn(turns)]


def _candidate(provider: Provider, settings: ProviderSettings | None, dataset: Dataset) -> Candidate | None:
    # A provider with no section of its own is not asked: enabling one is a decision.
    if settings is None or dataset not in provider.spec.offers:
        return None
    offer = offers_under(provider.spec, settings)[dataset]
    rank = provider.spec.rank if settings.rank is None else settings.rank
    return Candidate(provider, settings, offer, rank)


def _unusable(home: Home, candidate: Candidate, asset_class: str, venue: str | None) -> str:
    spec = candidate.provider.spec
    if not candidate.settings.enabled:
        return "disabled"
    if asset_class not in spec.asset_classes:
        return f"has no {asset_class} data"
    if venue is not None and spec.venue not in (venue, ANY_VENUE):
        return f"has no symbols of {venue}" if venue else f"has symbols like {spec.venue}:BTC-USD only"
    missing = candidate.missing_credentials(home)
    return f"no credentials, set {' and '.join(missing)}" if missing else ""


def _refuse(name: str, dataset: Dataset, reason: str) -> None:
    if reason.startswith("no credentials"):
        raise BadCredentials(
            f"{name} has {reason}", provider=name, hint="Put them into .env or the environment"
        )
    raise UsageError(
        f"{name} cannot be asked for {dataset}: {reason}", hint="mdc providers list shows what each offers"
    )
