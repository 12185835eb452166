"""What a backfill would do, before anything is sent: requests, rows, bytes, time, cost.

Only the best provider's plan is shown; failover adds requests only where it does not answer. Rows
and bytes are estimates (390 regular minutes a session; bytes per row as measured on stored bars).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal

from mdc_resources.config import Home, Limits
from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.ingest.candidates import Candidate, candidates, in_order
from mdc_resources.ingest.planner import Holes, pages, plan, reachable, rows_per_session
from mdc_resources.ingest.scope import Group, Scope, groups, holes, measure, series_basis
from mdc_resources.ingest.wants import Want
from mdc_resources.lake import Lake
from mdc_resources.state import State

BYTES_PER_ROW = 30
_WINDOW_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True, slots=True)
class Preview:
    """The plan of a backfill. ``seconds_at_limits`` counts rate limits alone, from an idle budget."""

    want: Want
    requests: tuple[FetchRequest, ...]
    pages: int
    partitions: int
    covered: int
    pending: int
    beyond_history: int
    estimated_rows: int
    seconds_at_limits: float
    cost: Decimal

    @property
    def estimated_bytes(self) -> int:
        """Parquet bytes on disk, raw archive not included."""
        return self.estimated_rows * BYTES_PER_ROW

    def as_dict(self) -> dict[str, object]:
        """The JSON form printed by ``mdc backfill --dry-run --json``."""
        return {
            "dataset": str(self.want.dataset),
            "partitions": self.partitions,
            "covered": self.covered,
            "pending": self.pending,
            "beyond_history": self.beyond_history,
            "requests": self.pages,
            "estimated_rows": self.estimated_rows,
            "estimated_bytes": self.estimated_bytes,
            "seconds_at_limits": round(self.seconds_at_limits, 1),
            "cost": str(self.cost),
            "plan": [
                {
                    "provider": request.provider,
                    "symbols": list(request.symbols),
                    "start": request.start.isoformat(),
                    "end": request.end.isoformat(),
                }
                for request in self.requests
            ],
        }


def preview(home: Home, want: Want) -> Preview:
    """Plan ``want`` against the ledger as it is now; sends nothing and changes nothing."""
    with ExitStack() as stack:
        lake = stack.enter_context(
            contextlib.closing(Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url))
        )
        state = stack.enter_context(contextlib.closing(State.open(home)))
        scope = measure(home, lake, state, want, at=now())
        parts = _plan(home, lake, state, scope)
        return _sum(want, scope, [*parts, *_facts(home, lake, state, want, parts)])


def _plan(home: Home, lake: Lake, state: State, scope: Scope) -> list[_Part]:
    return [
        part
        for group, symbols in groups(home, state, scope).items()
        for part in _plan_group(home, lake, state, scope, group, symbols)
    ]


def _facts(home: Home, lake: Lake, state: State, want: Want, parts: list[_Part]) -> list[_Part]:
    """Requests for the corporate actions that bars of these parts will need."""
    needing = {
        symbol
        for part in parts
        if want.dataset.is_bars and part.candidate.offer.basis is not Basis.SPLIT
        for request in part.requests
        for symbol in request.symbols
    }
    if not needing:
        return []
    facts = Want(Dataset.CORPORATE_ACTIONS, tuple(sorted(needing)), want.start, want.end)
    try:
        return _plan(home, lake, state, measure(home, lake, state, facts, at=now()))
    except UsageError:  # nobody offers them
        return []


@dataclass(frozen=True, slots=True)
class _Part:
    candidate: Candidate
    requests: list[FetchRequest]
    pages: int
    rows: float
    beyond: int


def _plan_group(
    home: Home, lake: Lake, state: State, scope: Scope, group: Group, symbols: list[Symbol]
) -> Iterable[_Part]:
    mine = set(symbols)
    keys = [key for key in scope.open if key.symbol in mine]
    if not keys:
        return
    found, _ = candidates(
        home,
        scope.want.dataset,
        asset_class=group.asset_class,
        venue=group.venue,
        only=scope.want.provider,
        state=state,
    )
    several = len({c.offer.basis for c in found}) > 1
    basis = series_basis(lake, scope.want.dataset, symbols) if several else {}
    first = {symbol: in_order(found, basis.get(symbol, ""))[0] for symbol in symbols}
    for candidate in found:
        chosen = [key for key in keys if first[key.symbol].name == candidate.name]
        if chosen:
            yield _part(scope, candidate, holes(scope.calendar(chosen[0].symbol), chosen))


def _part(scope: Scope, candidate: Candidate, missing: Holes) -> _Part:
    dataset, asof = scope.want.dataset, scope.at.date()
    reached = {
        s: reachable(candidate.offer, missing.calendar, runs, asof=asof)
        for s, runs in missing.missing.items()
    }
    requests = plan(candidate.provider.spec, dataset, Holes(missing.calendar, reached), asof=asof)
    sizes = [(len(r.symbols), len(missing.calendar.sessions(r.start, r.end))) for r in requests]
    sessions = sum(len(runs) for runs in reached.values())
    each = rows_per_session(dataset, missing.calendar)
    return _Part(
        candidate,
        requests,
        sum(pages(candidate.offer, rows=n * m * each) for n, m in sizes),
        sessions * each,
        sum(map(len, missing.missing.values())) - sessions,
    )


def _sum(want: Want, scope: Scope, parts: list[_Part]) -> Preview:
    return Preview(
        want=want,
        requests=tuple(request for part in parts for request in part.requests),
        pages=sum(part.pages for part in parts),
        partitions=len(scope.open),
        covered=len(scope.due) - len(scope.open),
        pending=scope.pending,
        beyond_history=sum(part.beyond for part in parts),
        estimated_rows=round(sum(part.rows for part in parts)),
        seconds_at_limits=max(
            (seconds_at_limits(part.candidate.limits, part.pages) for part in parts), default=0.0
        ),
        cost=sum((part.candidate.provider.spec.cost_per_request * part.pages for part in parts), Decimal(0)),
    )


def seconds_at_limits(limits: Limits, requests: int) -> float:
    """Least time for ``requests`` from an idle budget: the first window's allowance goes at once."""
    return max(
        (
            (requests - 1) // allowed * _WINDOW_SECONDS[window]
            for window, allowed in limits.model_dump().items()
            if allowed and requests
        ),
        default=0.0,
    )
