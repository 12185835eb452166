"""What is still open, and what has been said about it: the memory of one backfill.

A partition leaves the board once: present, empty (proven, or two sources agree), partial or
quarantined. What stays on it at the end is missing, with the reasons collected on the way. Votes of
earlier runs count: two providers need not be up at the same time to agree.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from mdc_resources.domain.coverage import CoverageRow, PartitionKey
from mdc_resources.domain.errors import CircuitOpen, Disposition, ProviderError, QuotaExhausted, UnknownSymbol
from mdc_resources.domain.requests import Attempt
from mdc_resources.ingest.asking import Answer
from mdc_resources.ingest.assessing import BadRow, Verdict
from mdc_resources.ingest.events import Finished

EMPTY_VOTES = 2


class Bearing(Enum):
    """What a provider's words tell about the partitions it was asked for."""

    ANSWER = "an answer, if not the wanted one"
    OUTAGE = "nothing: it could not answer, and may later"
    REFUSAL = "nothing: it answers nobody until a person acts"


@dataclass(frozen=True, slots=True)
class Said:
    """Why ``provider`` did not settle ``keys``."""

    provider: str
    keys: Collection[PartitionKey]
    reason: str
    bearing: Bearing


@dataclass(frozen=True, slots=True)
class Vote:
    """One provider's "nothing there", and the answer it came with."""

    provider: str
    answer: Answer


@dataclass(slots=True)
class Board:
    """Open partitions of the wanted dataset and the evidence about each.

    ``votes`` are of this run. ``recall`` gives the providers that saw nothing there in earlier ones; it
    is called once, with the first vote: most runs never need it.
    """

    open: set[PartitionKey]
    recall: Callable[[], Mapping[PartitionKey, frozenset[str]]] = dict
    recalled: Mapping[PartitionKey, frozenset[str]] | None = None
    resolved: dict[PartitionKey, CoverageRow] = field(default_factory=dict)
    votes: dict[PartitionKey, list[Vote]] = field(default_factory=lambda: defaultdict(list))
    bad: dict[PartitionKey, list[tuple[str, BadRow]]] = field(default_factory=lambda: defaultdict(list))
    partial: dict[PartitionKey, tuple[Answer, Verdict]] = field(default_factory=dict)
    cut: dict[PartitionKey, tuple[Answer, Finished]] = field(default_factory=dict)  # the same of streams
    retryable: set[PartitionKey] = field(default_factory=set)
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    said: list[Said] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)

    def resolve(self, rows: Iterable[CoverageRow]) -> None:
        """Take partitions off the board."""
        for row in rows:
            self.open.discard(row.key)
            self.resolved[row.key] = row
            self.retryable.discard(row.key)

    def vote_empty(self, keys: Collection[PartitionKey], answer: Answer) -> set[PartitionKey]:
        """The answer has nothing there; returns the partitions on which enough sources agree."""
        if not keys:
            return set()
        if self.recalled is None:
            self.recalled = self.recall()
        vote = Vote(answer.candidate.name, answer)
        agreed = set()
        for key in keys:
            self.votes[key].append(vote)
            known = {each.provider for each in self.votes[key]} | self.recalled.get(key, frozenset())
            if len(known) >= EMPTY_VOTES:
                agreed.add(key)
        alone = keys if not agreed else [key for key in keys if key not in agreed]
        self.tell(alone, vote.provider, "has nothing there")
        return agreed

    def tell(
        self,
        keys: Collection[PartitionKey],
        provider: str,
        reason: str,
        bearing: Bearing = Bearing.ANSWER,
    ) -> None:
        """Remember why ``provider`` did not settle ``keys``."""
        if keys:
            self.said.append(Said(provider, keys, reason, bearing))

    def failed(self, keys: Collection[PartitionKey], error: ProviderError) -> None:
        """``error`` kept ``keys`` from being answered."""
        text = str(error).removeprefix(f"{error.provider}: ")
        self.errors[error.provider, f"{error.provider}: {text}"] += 1
        self.tell(keys, error.provider, error.message, bearing_of(error))
        if may_pass(error):
            self.retryable.update(key for key in keys if key in self.open)

    def messages(self) -> tuple[tuple[str, str], ...]:
        """(provider, message) of distinct errors, most frequent first, with how often each was seen."""
        seen = self.errors.most_common()
        return tuple((name, text if n == 1 else f"{text} ({n} times)") for (name, text), n in seen)

    def reasons(
        self, keys: Collection[PartitionKey]
    ) -> tuple[Mapping[PartitionKey, Mapping[str, str]], set[PartitionKey]]:
        """What each provider last said about each of ``keys``, and those that had no fair attempt.

        An attempt is fair if a provider gave an answer about the partition and none that was asked
        was out of order: while one is, what the others lack may still come from it.
        """
        last: dict[PartitionKey, dict[str, Said]] = {key: {} for key in keys}
        for said in self.said:
            for key in said.keys:
                if key in last:
                    last[key][said.provider] = said
        unfair = set()
        for key, by_provider in last.items():
            bearings = {said.bearing for said in by_provider.values()}
            if Bearing.OUTAGE in bearings or Bearing.ANSWER not in bearings:
                unfair.add(key)
        return {k: {name: said.reason for name, said in by.items()} for k, by in last.items()}, unfair


def may_pass(error: ProviderError) -> bool:
    """True where the same question may get an answer later."""
    if isinstance(error, UnknownSymbol):
        return False
    return error.disposition is Disposition.RETRY or isinstance(error, (CircuitOpen, QuotaExhausted))


def bearing_of(error: ProviderError) -> Bearing:
    """What ``error`` tells about the partitions asked for."""
    if may_pass(error):
        return Bearing.OUTAGE
    return Bearing.REFUSAL if error.disposition is Disposition.ABORT else Bearing.ANSWER
