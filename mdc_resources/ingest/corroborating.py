"""A second source for splits and dividends: asked once, about the days on which something happened.

Its own step, after the weekly recheck and as ``mdc actions check``: it is no part of a want, takes
no claim, and its requests are counted apart. The next provider of the same market is asked for the
span of the ex-dates of each symbol, and only if it is in good standing (budget to spare, breaker
closed); otherwise the question waits for another time. Agreement is noted in ``quality`` (metric
``corroborated``), disagreement in ``incidents`` (kind ``conflict``); neither is asked again until
the stored fact changes. What is stored is never changed here, and no provider's failure is raised.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from mdc_resources.calendars import Calendar
from mdc_resources.config import Home
from mdc_resources.domain.corporate_actions import ActionKind
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ProviderError, UsageError
from mdc_resources.domain.intervals import Intervals
from mdc_resources.domain.requests import Attempt, FetchRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.ingest.agreeing import COMPARED, Fact, Verdict, compare
from mdc_resources.ingest.asking import Answer, ask
from mdc_resources.ingest.candidates import Candidate, candidates, facts_reader
from mdc_resources.ingest.planner import Holes, plan, reachable
from mdc_resources.ingest.rotation import Standing
from mdc_resources.ingest.scope import groups, measure
from mdc_resources.ingest.votes import provider_of
from mdc_resources.ingest.wants import Want
from mdc_resources.lake import CommitBatch, Incident, Lake, Score
from mdc_resources.state import State
from mdc_resources.transport.archive import RawArchive
from mdc_resources.transport.budget import Budgets
from mdc_resources.transport.http import HttpTransport

METRIC = "corroborated"
CONFLICT = "conflict"
_ACTIONS = Dataset.CORPORATE_ACTIONS
_STORED = """
    SELECT a.*, a.session BETWEEN ? AND ? AND j.judged_at IS NULL AS open
    FROM corporate_actions a
    LEFT JOIN (SELECT symbol, session, max(committed_at) AS judged_at
               FROM (SELECT symbol, session, committed_at FROM quality
                     WHERE dataset = 'corporate_actions' AND metric = 'corroborated'
                     UNION ALL
                     SELECT symbol, session, committed_at FROM incidents
                     WHERE dataset = 'corporate_actions' AND kind = 'conflict')
               GROUP BY ALL) j
         ON a.symbol = j.symbol AND a.session = j.session AND a.known_at <= j.judged_at
    WHERE a.kind IN ('split', 'dividend') AND a.symbol IN (SELECT unnest(?::VARCHAR[]))
    ORDER BY a.symbol, a.ex_date, a.kind"""
_SETTLED = """
    SELECT symbol, session, source FROM coverage
    WHERE dataset = 'corporate_actions' AND state IN ('present', 'empty')
          AND symbol IN (SELECT unnest(?::VARCHAR[])) AND session BETWEEN ? AND ?"""


@dataclass(frozen=True, slots=True)
class Question:
    """What ``candidate`` is asked, and the facts of each symbol that ``source`` has in that span."""

    candidate: Candidate
    calendar: Calendar
    request: FetchRequest
    source: str


@dataclass(slots=True)
class Corroboration:
    """What came of it. ``waiting`` says who could not be asked now, ``open`` counts facts left open."""

    verdicts: list[Verdict] = field(default_factory=list)
    conflicts: list[Incident] = field(default_factory=list)
    agreed: int = 0
    open: int = 0
    requests: int = 0
    planned: list[Question] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


def corroborate(
    home: Home,
    symbols: Sequence[Symbol],
    start: dt.date,
    end: dt.date,
    *,
    run_id: str,
    dry_run: bool = False,
    at: dt.datetime | None = None,
) -> Corroboration:
    """Ask a second source about the stored splits and dividends of ``start``..``end``, both inclusive.

    Runs its own event loop. ``dry_run`` plans and sends nothing.

    Raises:
        LakeError: the lake cannot be read or written.
        ConfigError: an unknown provider is configured.
    """
    catalog_url = home.settings.lake.catalog_url
    with (
        closing(Lake.open(home.lake_dir, catalog_url=catalog_url)) as lake,
        closing(State.open(home)) as state,
    ):
        work = _Work(home, lake, state, run_id, at or now())
        work.read(symbols, start, end)
        if work.open:
            work.plan(symbols, start, end)
        if work.found.planned and not dry_run:
            asyncio.run(work.ask())
        return work.found


class _Work:
    """One corroboration: read, plan, ask, judge, commit."""

    def __init__(self, home: Home, lake: Lake, state: State, run_id: str, at: dt.datetime) -> None:
        self._home, self._lake, self._state = home, lake, state
        self._run_id, self._at = run_id, at
        self.found = Corroboration()
        self.facts: list[Fact] = []
        self.open: set[Fact] = set()
        self._sources: dict[tuple[Symbol, dt.date], str] = {}

    def read(self, symbols: Sequence[Symbol], start: dt.date, end: dt.date) -> None:
        """All stored splits and dividends of ``symbols``, and which of the range nobody judged yet."""
        with closing(self._lake.connect()) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            rows = connection.execute(_STORED, [start, end, list(symbols)]).to_arrow_table().to_pylist()
            settled = connection.execute(_SETTLED, [list(symbols), start, end]).fetchall()
        for row in rows:
            fact = Fact.of(row)
            self.facts.append(fact)
            if row["open"]:
                self.open.add(fact)
        self._sources = {(Symbol(symbol), session): source for symbol, session, source in settled}
        self.found.open = len(self.open)

    def plan(self, symbols: Sequence[Symbol], start: dt.date, end: dt.date) -> None:
        """One question per group of symbols that one source told of and another can be asked about."""
        scope = measure(
            self._home, self._lake, self._state, Want(_ACTIONS, tuple(symbols), start, end), at=self._at
        )
        for group, members in groups(self._home, self._state, scope).items():
            by_source: dict[str, list[Fact]] = defaultdict(list)
            for fact in self.open:
                if fact.symbol in members:
                    by_source[provider_of(fact.source)].append(fact)
            for source, facts in sorted(by_source.items()):
                second = self._second(source, group.asset_class, group.venue)
                if second is not None:
                    self._plan(second, source, facts, scope.calendar(facts[0].symbol))

    def _second(self, source: str, asset_class: str, venue: str) -> Candidate | None:
        """Whom to ask besides ``source``: the next of its market, if that one is in good standing now."""
        try:
            found, _ = candidates(self._home, _ACTIONS, asset_class=asset_class, venue=venue)
        except UsageError:
            return None
        others = [candidate for candidate in found if candidate.name != source]
        if not others or len(others) == len(found):  # alone, or of another market than who can be asked
            return None
        with facts_reader(self._home, self._state) as reader:
            standing = reader.facts(others[0].name, others[0].limits, _ACTIONS).standing
        if standing is Standing.READY:
            return others[0]
        self.found.waiting.append(f"{others[0].name}: {standing}")
        return None

    def _plan(self, second: Candidate, source: str, facts: Iterable[Fact], calendar: Calendar) -> None:
        spans: dict[Symbol, list[int]] = defaultdict(list)
        for fact in facts:
            if calendar.is_session(fact.session):
                spans[fact.symbol].append(calendar.ordinal(fact.session))
        asof = self._at.date()
        # The hull of a group: symbols that share a request share its range.
        missing = {
            symbol: reachable(
                second.offer, calendar, Intervals.of(range(min(days), max(days) + 1)), asof=asof
            )
            for symbol, days in spans.items()
        }
        if second.offer.max_symbols > 1 and not second.offer.max_sessions and missing:
            hull = Intervals.of(o for runs in missing.values() for o in runs)
            days = list(hull)
            whole = Intervals.of(range(min(days), max(days) + 1)) if days else hull
            missing = {symbol: whole for symbol, runs in missing.items() if list(runs)}
        spec = second.provider.spec
        for request in plan(spec, _ACTIONS, Holes(calendar, missing), asof=asof):
            self.found.planned.append(Question(second, calendar, request, source))

    async def ask(self) -> None:
        """Ask everything planned, judge the answers, commit what came of it."""
        archive = RawArchive.open(self._home.raw_dir, self._run_id)
        attempts: list[Attempt] = []
        scores: list[Score] = []
        try:
            async with HttpTransport(
                settings=self._home.settings.transport,
                state=self._state,
                budgets=Budgets.open(self._home.state_dir),
                archive=archive,
                secrets=self._home.secrets,
            ) as transport:
                for question in self.found.planned:
                    answer = Answer(
                        question.request,
                        question.candidate,
                        question.calendar,
                        synthetic_allowed=self._lake.sandbox,
                    )
                    await ask(transport, answer, attempts)
                    if answer.error is not None:
                        self.found.waiting.append(f"{question.candidate.name}: {answer.error.message}")
                        continue
                    scores += self._judge(question, answer)
            self.found.requests = len(attempts)
            if attempts:
                conflicts = self.found.conflicts
                batch = CommitBatch(
                    self._run_id, 0, {}, [], attempts=attempts, incidents=conflicts, scores=scores,
                    before_commit=archive.sync,
                )  # fmt: skip
                self._lake.commit(batch)
        finally:
            archive.close()

    def _judge(self, question: Question, answer: Answer) -> list[Score]:
        request, name = question.request, question.candidate.name
        table = answer.table(_ACTIONS)
        told = (
            [Fact.of(row) for row in table.to_pylist() if row["kind"] in COMPARED]
            if table is not None
            else []
        )
        unsure = {(row.symbol, row.session) for row in answer.rejected} | answer.incomplete
        unsure |= {(symbol, None) for symbol in answer.unknown}

        def counts(fact: Fact) -> bool:
            """Asked about, settled by the other source, and fully answered."""
            source = self._sources.get((fact.symbol, fact.session))
            asked = fact.symbol in request.symbols and request.start <= fact.session <= request.end
            known = not unsure & {(fact.symbol, fact.session), (fact.symbol, None), (None, None)}
            return asked and known and source is not None and provider_of(source) == question.source

        splits = [f for f in (*self.facts, *told) if f.kind is ActionKind.SPLIT]
        verdicts = compare(filter(counts, self.facts), filter(counts, told), splits=splits)
        verdicts = [v for v in verdicts if v.stored is None or v.stored in self.open]
        self.found.verdicts += verdicts
        scores: dict[tuple[Symbol, dt.date], Score] = {}
        for verdict in verdicts:
            words = verdict.words(question.source, name)
            if verdict.agree:
                self.found.agreed += 1
                key = (verdict.symbol, verdict.session)
                before = f"{scores[key].detail}; " if key in scores else ""
                scores[key] = Score(_ACTIONS, *key, METRIC, 1.0, before + words)
            else:
                self.found.conflicts.append(
                    Incident(CONFLICT, f"{verdict.symbol} {words}", now(), provider=name, dataset=_ACTIONS,
                             symbol=verdict.symbol, session=verdict.session)
                )  # fmt: skip
        self.found.open -= sum(verdict.stored is not None for verdict in verdicts)
        return list(scores.values())


def after_recheck(
    home: Home, want: Want, *, run_id: str, at: dt.datetime | None = None
) -> Corroboration | None:
    """The step that follows a recheck (a refetch from one provider); None where there is nothing to do."""
    wanted = want.dataset in (Dataset.BARS_1D, _ACTIONS) and want.refetch and want.provider
    if not wanted or not home.settings.ingest.corroborate:
        return None
    try:
        return corroborate(home, want.symbols, want.start, want.end, run_id=run_id, at=at)
    except (ProviderError, UsageError):
        return None  # a second opinion never fails the run
