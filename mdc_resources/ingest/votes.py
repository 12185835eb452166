"""Empty votes over time: one provider's "nothing there" is kept until a second one confirms it.

A vote is a row of ``observations`` with no rows in it, written once per provider and partition, and
counted for ``LASTING``: after that a provider may have got what it lacked.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest.board import Board
from mdc_resources.lake import Lake, Observation

LASTING = dt.timedelta(days=30)
SYNTHETIC = "sandbox:"


def provider_of(source: str) -> str:
    """``sandbox:alpaca/sip`` -> ``alpaca``."""
    return source.removeprefix(SYNTHETIC).partition("/")[0]


def stored_votes(
    lake: Lake,
    dataset: Dataset,
    keys: Collection[PartitionKey],
    *,
    at: dt.datetime,
    voters: Mapping[Symbol, Collection[str]],
) -> dict[PartitionKey, frozenset[str]]:
    """Providers that saw nothing at each of ``keys`` in the last 30 days, of those in ``voters``.

    A provider that is no candidate for the symbol any more (another market, disabled) has no vote.
    """
    if not keys:
        return {}
    sessions = [key.session for key in keys]
    symbols = sorted({key.symbol for key in keys})
    table = lake.empty_votes(dataset, symbols, min(sessions), max(sessions), since=at - LASTING)
    found: dict[PartitionKey, set[str]] = defaultdict(set)
    wanted = set(keys)
    columns = (table[name].to_pylist() for name in ("symbol", "session", "source"))
    for symbol, session, source in zip(*columns, strict=True):
        key, provider = PartitionKey(Symbol(symbol), session), provider_of(source)
        if key in wanted and provider in voters.get(key.symbol, ()):
            found[key].add(provider)
    return {key: frozenset(providers) for key, providers in found.items()}


def new_votes(
    board: Board, dataset: Dataset, keys: Iterable[PartitionKey], *, prefix: str
) -> list[Observation]:
    """The votes of this run about ``keys`` that earlier runs did not leave already."""
    return [
        Observation(
            dataset=dataset,
            symbol=key.symbol,
            session=key.session,
            source=prefix + vote.answer.candidate.dialect(vote.answer.calendar).source,
            row_count=0,
            basis=str(vote.answer.candidate.offer.basis),
            fetch_id=vote.answer.fetch_ids[-1] if vote.answer.fetch_ids else "",
        )
        for key in keys
        for vote in board.votes.get(key, ())
        if vote.provider not in (board.recalled or {}).get(key, ())
    ]
