"""What ``mdc providers list`` tells of each provider: where it stands, what it offers, what is left.

The JSON form is complete. The table shows the fullest window only and fits into 100 columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdc_resources.domain.datasets import Dataset
from mdc_resources.ingest.rotation import Facts, Standing

if TYPE_CHECKING:
    from mdc_resources.config import Home
    from mdc_resources.ingest.candidates import FactsReader
    from mdc_resources.providers.spec import Provider
    from mdc_resources.state import Breaker

COLUMNS = ("provider", "state", "rank", "budget", "ms 50/95/99", "offers")
SHORT = {
    Dataset.BARS_1D: "1d",
    Dataset.BARS_1M: "1m",
    Dataset.CORPORATE_ACTIONS: "act",
    Dataset.INSTRUMENTS: "ins",
    Dataset.TRADES: "trd",
    Dataset.QUOTES: "qte",
}
LEGEND = "1d, 1m bars; act corporate actions; ins instruments; trd trades; qte quotes"


@dataclass(frozen=True, slots=True)
class Row:
    """One provider. ``missing`` are variables of credentials that are needed and not set."""

    fields: Mapping[str, object]
    standing: Standing
    missing: tuple[str, ...]
    facts: Facts
    datasets: tuple[Dataset, ...]
    open_seconds: float

    @property
    def place(self) -> tuple[bool, object, object]:
        """Where it stands in the list: enabled ones first, by rank."""
        return (not self.fields["enabled"], self.fields["rank"], self.fields["provider"])

    def cells(self) -> tuple[object, ...]:
        """The row of the table."""
        state = str(self.standing)
        if self.standing is Standing.OPEN:
            state += f" {self.open_seconds:.0f} s"
        return (
            self.fields["provider"],
            state,
            self.fields["rank"],
            _fullest(self.facts.used),
            _milliseconds(self.facts),
            " ".join(SHORT.get(dataset, dataset) for dataset in self.datasets),
        )


def rows(home: Home) -> list[Row]:
    """A row per installed provider, in the order of asking; reads the state, asks nobody."""
    from mdc_resources.ingest.candidates import facts_reader
    from mdc_resources.providers.registry import load_providers
    from mdc_resources.state import State

    with State.open(home) as state, facts_reader(home, state) as reader:
        found = [_row(home, name, provider, reader) for name, provider in load_providers().items()]
    return sorted(found, key=lambda row: row.place)


def _row(home: Home, name: str, provider: Provider, reader: FactsReader) -> Row:
    from mdc_resources.cli.config_checks import shown_variable
    from mdc_resources.cli.failures import masked
    from mdc_resources.config import ProviderSettings
    from mdc_resources.ingest.candidates import credential_names

    spec, settings = provider.spec, home.settings.providers.get(name)
    known = settings or ProviderSettings()
    enabled = settings is not None and settings.enabled
    variables = {
        shown_variable(variable): home.secrets.get(variable) is not None
        for variable in credential_names(provider, known)
    }
    missing = tuple(variable for variable, there in variables.items() if not there)
    facts = reader.facts(name, known.limits or spec.limits)
    standing = facts.standing
    if not enabled or missing:
        standing = Standing.NO_CREDENTIALS if enabled else Standing.DISABLED
    breakers = reader.of(name)
    datasets = tuple(dataset for dataset in Dataset if dataset in spec.offers)
    fields: dict[str, object] = {
        "provider": name,
        "title": spec.title,
        "state": str(standing),
        "enabled": enabled,
        "rank": spec.rank if known.rank is None else known.rank,
        "cost": spec.cost_per_request,
        "base_url": masked(known.base_url or spec.base_url),
        "datasets": {str(dataset): spec.offers[dataset].market for dataset in datasets},
        "venue": spec.venue,
        "credentials": variables,
        "budget": {window: list(pair) for window, pair in facts.used.items()},
        "budget_left": {window: max(0, limit - used) for window, (used, limit) in facts.used.items()},
        "latency_ms": {"p50": facts.health.p50, "p95": facts.health.p95, "p99": facts.health.p99},
        "recent": {"requests": facts.health.requests, "failures": facts.health.failures},
        "breakers": [_breaker(breaker, reader.at) for breaker in breakers],
        "failures": sum(breaker.failures for breaker in breakers),
    }
    open_seconds = max((b.open_until - reader.at for b in breakers), default=0.0)
    return Row(fields, standing, missing, facts, datasets, max(0.0, open_seconds))


def _breaker(breaker: Breaker, at: float) -> dict[str, object]:
    from mdc_resources.cli.failures import masked

    state = "closed" if not breaker.open_until else "open" if at < breaker.open_until else "half-open"
    return {
        "dataset": str(breaker.dataset),
        "state": state,
        "failures": breaker.failures,
        "open_seconds": round(max(0.0, breaker.open_until - at), 1),
        "reason": masked(breaker.reason),
    }


def _fullest(used: Mapping[str, tuple[int, int]]) -> str:
    """``12/50 an hour``, of the window with the least left."""
    if not used:
        return ""
    # Of equals the longest: a day's allowance is what people plan with.
    window, (taken, limit) = max(reversed(list(used.items())), key=lambda item: item[1][0] / item[1][1])
    return f"{taken}/{limit} {'an' if window == 'hour' else 'a'} {window}"


def _milliseconds(facts: Facts) -> str:
    times: Sequence[float | None] = (facts.health.p50, facts.health.p95, facts.health.p99)
    return "/".join(f"{time:.0f}" for time in times if time is not None)
