"""What a home's settings ask to be captured: one :class:`ShardPlan` per log.

Settings in, plans out, and every mistake a ConfigError before anything is connected. A reload
and a failover are the same thing, a new set of plans. Symbols are spread over shards by a hash of
their own (rendezvous), so that adding one moves no other.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pydantic import SecretStr

from mdc_resources.config import Home
from mdc_resources.config.sections import StreamSettings
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import BadCredentials, ConfigError, ProviderError, UsageError
from mdc_resources.domain.symbols import Symbol, parse_symbol, venue_of
from mdc_resources.domain.time import parse_duration
from mdc_resources.providers import live
from mdc_resources.providers.live import (
    LiveDialect,
    LiveFeed,
    LiveSpec,
    Subscription,
    spec_under,
    vendor_feed,
)
from mdc_resources.telemetry import register_secret
from mdc_streaming.hours import Hours, never_closes


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """What one log captures. ``probed``: a backup stands in, so nothing of it is wanted now."""

    name: str
    feed: str
    settings: StreamSettings
    dialect: LiveDialect
    wanted: frozenset[Subscription]
    hours: Hours
    probed: bool = False

    @property
    def spec(self) -> LiveSpec:
        """The declared facts of its feed."""
        return self.dialect.spec

    @property
    def silence(self) -> float:
        """Seconds a connection may say nothing."""
        return _seconds(self.settings.silence, self.spec.silence) or 30.0

    @property
    def lifetime(self) -> float | None:
        """Seconds after which the setting has a connection replaced; None: only the server's counts."""
        return _seconds(self.settings.lifetime, None)

    def alike(self, other: ShardPlan) -> bool:
        """True if connections of ``other`` need not be replaced: they would be made the same way."""
        ours, theirs = self.dialect, other.dialect
        same_place = (ours.ws_url, ours.rest_url, ours.feed) == (theirs.ws_url, theirs.rest_url, theirs.feed)
        kept = ours.levels.keys() & theirs.levels.keys()
        same_depth = all(ours.levels[symbol] == theirs.levels[symbol] for symbol in kept)
        return same_place and same_depth and self.silence == other.silence


@lru_cache(maxsize=64)
def feed_of(name: str) -> LiveFeed:
    """The installed feed called ``name``; raises ConfigError."""
    return live.feed(name)


def plans(
    home: Home, *, only: Sequence[str] = (), standing_in: Mapping[str, str] | None = None
) -> dict[str, ShardPlan]:
    """The shards of ``home`` by name. ``standing_in`` maps a primary that failed to its backup.

    Raises:
        ConfigError: a feed, symbol, dataset, backup or shard name that cannot be used.
    """
    standing_in = standing_in or {}
    sections = home.settings.stream
    found: dict[str, ShardPlan] = {}
    wanted: dict[str, set[Subscription]] = {}
    for name, settings in sections.items():
        if settings.enabled:
            check_backups(home, name)
            own = subscriptions(name, settings)
            wanted.setdefault(name, set()).update(() if name in standing_in else own)
            if name in standing_in:
                backup = standing_in[name]
                offered = feed_of(backup).spec.datasets
                wanted.setdefault(backup, set()).update(s for s in own if s.dataset in offered)
    for name, pairs in wanted.items():
        settings = sections[name]
        check_session(home, name, settings, pairs)
        dialect = dialect_of(home, name, settings, {s.symbol for s in pairs})
        closes = any(not never_closes(s) for s in pairs)
        hours = Hours.of(home, settings.hours if closes else "always")
        for at in range(settings.shards):
            mine = frozenset(s for s in pairs if shard_of(s.symbol, settings.shards) == at)
            found[f"{name}-{at}"] = ShardPlan(
                f"{name}-{at}", name, settings, dialect, mine, hours, name in standing_in
            )
    return _only(found, only, set(standing_in.values()))


def shard_of(symbol: str, shards: int) -> int:
    """The shard of ``symbol``: the one with the greatest hash of both, whatever other symbols there are."""

    def weight(at: int) -> bytes:
        return hashlib.blake2b(f"{at}/{symbol}".encode(), digest_size=8).digest()

    return max(range(shards), key=weight)


def subscriptions(name: str, settings: StreamSettings) -> frozenset[Subscription]:
    """Every (dataset, symbol) of ``[stream.<name>]``; raises ConfigError."""
    spec = feed_of(name).spec
    for dataset in settings.datasets:
        if Dataset(dataset) not in spec.datasets:
            raise ConfigError(
                f"{name} has no {dataset}",
                key=f"stream.{name}.datasets",
                hint=f"It has {', '.join(sorted(spec.datasets))}",
            )
    datasets = [Dataset(d) for d in settings.datasets] or sorted(spec.datasets)
    return frozenset(
        Subscription(dataset, _symbol(name, spec, text)) for text in settings.symbols for dataset in datasets
    )


def check_backups(home: Home, name: str) -> None:
    """Refuse a backup that is unknown, has no section of its own, or measures another market."""
    key = f"stream.{name}.backups"
    for backup in home.settings.stream[name].backups:
        if backup == name or backup not in home.settings.stream:
            hint = f"Add [stream.{backup}] with enabled = false"
            raise ConfigError(f"{ascii(backup)[:40]} cannot stand in for {name}", key=key, hint=hint)
        ours, theirs = (spec_under(home.settings, each).market for each in (name, backup))
        if ours != theirs:
            raise ConfigError(
                f"{backup} measures {theirs}, {name} measures {ours}: one cannot stand in for the other",
                key=key,
                hint="Name feeds of the same market",
            )


def check_session(home: Home, name: str, settings: StreamSettings, pairs: set[Subscription]) -> None:
    """Let the feed itself look at the symbols, and the credentials be there, before anything is sent."""
    credentials(home, feed_of(name).spec)
    dialect = dialect_of(home, name, settings, {s.symbol for s in pairs})
    try:
        feed_of(name).session(dialect, sorted(pairs))
    except ProviderError as error:
        raise ConfigError(error.message, key=f"stream.{name}.symbols", hint=error.hint) from None


def dialect_of(home: Home, name: str, settings: StreamSettings, symbols: set[Symbol]) -> LiveDialect:
    """What the feed may know: addresses, its vendor's own feed, book levels per symbol."""
    spec = spec_under(home.settings, name)
    provider = home.settings.providers.get(spec.provider)
    return LiveDialect(
        spec=spec,
        ws_url=settings.ws_url or (provider.ws_url if provider else None) or spec.ws_url,
        rest_url=settings.rest_url or (provider.base_url if provider else None) or "",
        feed=vendor_feed(home.settings, name),
        levels={symbol: settings.symbol_levels.get(symbol, settings.levels) for symbol in sorted(symbols)},
    )


def credentials(home: Home, spec: LiveSpec) -> dict[str, SecretStr]:
    """The feed's credentials by the names its spec gives them, registered for masking.

    Raises:
        BadCredentials: one is not set, or holds what no key holds.
    """
    provider = home.settings.providers.get(spec.provider)
    renamed = (provider.key_env, provider.secret_env) if provider else (None, None)
    found = {}
    for name, other in zip(spec.credentials, (*renamed, *[None] * len(spec.credentials)), strict=False):
        secret = home.secrets.get(other or name)
        value = secret.get_secret_value() if secret else ""
        if secret is None or not value or not value.isascii() or not value.isprintable():
            raise BadCredentials(
                f"{spec.name}: the credential {other or name} is not set, or not printable ASCII",
                provider=spec.provider,
                hint=f"Put it into .env (mode 600) or the environment, or a path into {other or name}_FILE",
            )
        register_secret(value)
        found[name] = secret
    return found


def _symbol(name: str, spec: LiveSpec, text: str) -> Symbol:
    try:
        symbol = parse_symbol(text)
    except UsageError as error:
        raise ConfigError(error.message, key=f"stream.{name}.symbols", hint=error.hint) from None
    venue = venue_of(symbol)
    if venue != spec.venue and "*" not in (venue, spec.venue):
        meant = f"{spec.venue}:{symbol.rpartition(':')[2]}" if spec.venue else symbol.rpartition(":")[2]
        raise ConfigError(
            f"{symbol} is not a symbol of {name}", key=f"stream.{name}.symbols", hint=f"Write it as {meant}"
        )
    return symbol


def _only(found: dict[str, ShardPlan], names: Sequence[str], backups: set[str]) -> dict[str, ShardPlan]:
    """Those of ``names``, and of feeds that stand in for one of them."""
    for name in names:
        if name not in found:
            known = ", ".join(found) or "none"
            raise ConfigError(f"there is no shard {ascii(name)[:40]}", hint=f"Known: {known}")
    return {name: plan for name, plan in found.items() if not names or name in names or plan.feed in backups}


def _seconds(text: str | None, otherwise: dt.timedelta | None) -> float | None:
    chosen = parse_duration(text) if text else otherwise
    return chosen.total_seconds() if chosen else None
