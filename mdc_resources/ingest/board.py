"""What is still open, and what has been said about it: the memory of one backfill.

A partition leaves the board once: present, empty (proven, or two sources agree), partial or
quarantined. What stays on it at the end is missing, with the reasons collected on the way.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from mdc_resources.domain.coverage import CoverageRow, PartitionKey
from mdc_resources.domain.errors import CircuitOpen, Disposition, ProviderError, QuotaExhausted, UnknownSymbol
from mdc_resources.ingest.asking import Answer
from mdc_resources.ingest.assessing import BadRow, Verdict

EMPTY_VOTES = 2


@dataclass(slots=True)
class Board:
    """Open partitions of the wanted dataset and the evidence about each."""

    open: set[PartitionKey]
    resolved: dict[PartitionKey, CoverageRow] = field(default_factory=dict)
    votes: dict[PartitionKey, set[str]] = field(default_factory=lambda: defaultdict(set))
    bad: dict[PartitionKey, list[tuple[str, BadRow]]] = field(default_factory=lambda: defaultdict(list))
    partial: dict[PartitionKey, tuple[Answer, Verdict]] = field(default_factory=dict)
    retryable: set[PartitionKey] = field(default_factory=set)
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)

    def resolve(self, rows: Iterable[CoverageRow]) -> None:
        """Take partitions off the board."""
        for row in rows:
            self.open.discard(row.key)
            self.resolved[row.key] = row
            self.retryable.discard(row.key)

    def vote_empty(self, keys: Iterable[PartitionKey], provider: str) -> set[PartitionKey]:
        """``provider`` saw nothing there; returns the partitions on which enough sources agree."""
        agreed = set()
        for key in keys:
            self.votes[key].add(provider)
            if len(self.votes[key]) >= EMPTY_VOTES:
                agreed.add(key)
        return agreed

    def failed(self, keys: Iterable[PartitionKey], error: ProviderError) -> None:
        """``error`` kept ``keys`` from being answered."""
        text = str(error).removeprefix(f"{error.provider}: ")
        self.errors[error.provider, f"{error.provider}: {text}"] += 1
        if may_pass(error):
            self.retryable.update(key for key in keys if key in self.open)

    def messages(self) -> tuple[tuple[str, str], ...]:
        """(provider, message) of distinct errors, most frequent first, with how often each was seen."""
        seen = self.errors.most_common()
        return tuple((name, text if n == 1 else f"{text} ({n} times)") for (name, text), n in seen)


def may_pass(error: ProviderError) -> bool:
    """True where the same question may get an answer later."""
    if isinstance(error, UnknownSymbol):
        return False
    return error.disposition is Disposition.RETRY or isinstance(error, (CircuitOpen, QuotaExhausted))
