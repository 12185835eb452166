"""The feeds of a home as landing sees them: spec, dialect, source and depth of books."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from mdc_resources.config import Home
from mdc_resources.config.sections import StreamSettings
from mdc_resources.domain.symbols import Symbol, parse_symbol
from mdc_resources.providers.live import (
    LiveDecoder,
    LiveDialect,
    LiveFeed,
    LiveSpec,
    feed,
    spec_under,
    vendor_feed,
)


@dataclass(frozen=True)
class Feed:
    """One feed under the home's settings; ``source`` is what its rows carry."""

    live: LiveFeed
    spec: LiveSpec
    settings: StreamSettings
    source: str
    vendor_feed: str

    @cached_property
    def dialect(self) -> LiveDialect:
        """What the feed may know."""
        provided = self.settings
        return LiveDialect(
            self.spec,
            provided.ws_url or self.spec.ws_url,
            rest_url=provided.rest_url or "",
            feed=self.vendor_feed,
            levels=self._levels,
        )

    @cached_property
    def _levels(self) -> dict[Symbol, int]:
        """Depth by symbol; some feeds also learn from it how a vendor's names are to be read."""
        named = dict.fromkeys(self.settings.symbols, self.settings.levels) | self.settings.symbol_levels
        return {parse_symbol(name): depth for name, depth in named.items()}

    @cached_property
    def identity(self) -> tuple[str, ...]:
        """The columns that tell two trades apart; none where the feed has no identities."""
        return self.spec.identities

    def decoder(self) -> LiveDecoder:
        """A new decoder of one connection."""
        return self.live.decoder(self.dialect)

    def levels(self, symbol: str) -> int:
        """How deep books of ``symbol`` are kept."""
        return self._levels.get(Symbol(symbol), self.settings.levels)


class Feeds:
    """The feeds of ``home`` by name. ``prefix`` is put before every source."""

    def __init__(self, home: Home, prefix: str) -> None:
        self._home = home
        self._prefix = prefix
        self._known: dict[str, Feed] = {}

    def __getitem__(self, name: str) -> Feed:
        """The feed called ``name``; raises ConfigError naming those there are."""
        found = self._known.get(name)
        if found is None:
            live = feed(name)
            settings = self._home.settings.stream.get(name, StreamSettings())
            spec = spec_under(self._home.settings, name)
            found = self._known[name] = Feed(
                live, spec, settings, self._prefix + spec.source, vendor_feed(self._home.settings, name)
            )
        return found

    def known(self) -> list[Feed]:
        """Those that were asked for so far."""
        return list(self._known.values())
