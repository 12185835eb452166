"""Asking history for a part of a session: of the feed's market only, with failover within it.

An answer counts where it is complete: no error, no page cut short, no row refused, told after the
end of what was asked for, and reaching the event that was captured after the hole. What does not is
a reason, kept for the pause that follows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from mdc_resources.config import Home
from mdc_resources.domain.errors import BadCredentials, Disposition, ProviderError, UsageError
from mdc_resources.domain.requests import Attempt, FetchRequest
from mdc_resources.domain.symbols import venue_of
from mdc_resources.ingest.asking import Answer, ask
from mdc_resources.ingest.board import may_pass
from mdc_resources.ingest.candidates import Candidate, candidates
from mdc_resources.lake import QuarantineRow
from mdc_resources.landing.refill_merge import Stretch, reaches
from mdc_resources.landing.refill_plan import Torn
from mdc_resources.schema.arrow import empty
from mdc_resources.schema.checks import failures
from mdc_resources.state import State
from mdc_resources.transport.http import HttpTransport


@dataclass(frozen=True, slots=True)
class Told:
    """What history says of one stretch: rows with their final source, and the bodies they came in."""

    table: pa.Table
    source: str
    provider: str
    records: tuple[str, ...]


@dataclass(slots=True)
class Asked:
    """What asking about one partition cost, and why it failed: reasons by provider.

    ``outage`` is True where nobody could be spoken to: that is nobody's answer about the hole.
    """

    attempts: list[Attempt] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    refused: list[QuarantineRow] = field(default_factory=list)
    outage: bool = False

    @property
    def why(self) -> str:
        """All reasons in one line."""
        return "; ".join(f"{name}: {said}" for name, said in sorted(self.reasons.items()))


@dataclass(slots=True)
class Historian:
    """Asks for stretches over one transport. ``prefix`` is put before each row's source."""

    home: Home
    state: State
    transport: HttpTransport
    prefix: str
    at: dt.datetime
    dead: set[str] = field(default_factory=set)

    async def ask(self, torn: Torn, stretch: Stretch, attempt: int, asked: Asked) -> Told | None:
        """The first complete answer about ``stretch``; None if there is none, ``asked`` says why."""
        for candidate in self._candidates(torn, asked):
            request = FetchRequest(
                candidate.name,
                torn.dataset,
                (torn.key.symbol,),
                torn.key.session,
                torn.key.session,
                torn.calendar.name,
                self.at.date(),
                attempt,
                stretch.window,
            )
            answer = Answer(request, candidate, torn.calendar, synthetic_allowed=bool(self.prefix))
            await ask(self.transport, answer, asked.attempts)
            reason = self._reason(answer, stretch, asked)
            if not reason:
                return self._told(answer)
            asked.reasons[candidate.name] = reason
        return None

    def _candidates(self, torn: Torn, asked: Asked) -> Sequence[Candidate]:
        try:
            found, _ = candidates(
                self.home,
                torn.dataset,
                asset_class=torn.asset_class,
                venue=venue_of(torn.key.symbol),
                state=self.state,
                market=torn.spec.market,
            )
        except (UsageError, BadCredentials) as nobody:
            asked.reasons[torn.spec.provider] = str(nobody)
            return ()
        return [candidate for candidate in found if candidate.name not in self.dead]

    def _reason(self, answer: Answer, stretch: Stretch, asked: Asked) -> str:
        """Why ``answer`` cannot be used; empty if it can."""
        error, name = answer.error, answer.candidate.name
        if error is not None:
            self._note(error, name, asked)
            return error.message
        if answer.incomplete:
            return "its answer was cut short"
        end = stretch.end_ns // 10**9
        if answer.told_at is not None and answer.told_at.timestamp() + 1 <= end:
            return "it answered before the hole was over"
        table = self._table(answer)
        bad = [(row.reason, row.raw) for row in answer.rejected]
        bad += [(found.rule, "") for found in failures(answer.request.dataset, table)]
        if bad:
            asked.refused += [self._quarantined(answer, reason, raw) for reason, raw in bad[:100]]
            return f"its rows were refused: {bad[0][0]}"
        if not reaches(table, stretch):
            return "its history does not come up to the end of the hole"
        if not table.num_rows and not answer.candidate.offer.empty_is_proof:
            return "it knows of nothing there, which proves nothing"
        return ""

    def _note(self, error: ProviderError, name: str, asked: Asked) -> None:
        asked.outage = asked.outage or may_pass(error)
        if error.disposition is Disposition.ABORT:
            self.dead.add(name)

    def _told(self, answer: Answer) -> Told:
        return Told(
            self._table(answer), self._source(answer), answer.candidate.name, tuple(answer.record_ids)
        )

    def _table(self, answer: Answer) -> pa.Table:
        """All pages in order of time, as the vendor told them within it, with the final source."""
        dataset = answer.request.dataset
        pages = [page.tables[dataset] for page in answer.pages if dataset in page.tables]
        table = pa.concat_tables([empty(dataset), *pages])
        position = table.append_column("position", pa.array(range(table.num_rows), pa.int64()))
        table = position.sort_by([("ts_event", "ascending"), ("position", "ascending")]).select(
            table.schema.names
        )
        at = table.column_names.index("source")
        source = pa.array([self._source(answer)] * table.num_rows, pa.string())
        return table.set_column(at, table.schema.field(at), source).combine_chunks()

    def _source(self, answer: Answer) -> str:
        return self.prefix + answer.candidate.dialect(answer.calendar).source

    def _quarantined(self, answer: Answer, reason: str, raw: str) -> QuarantineRow:
        request = answer.request
        fetch_id = answer.fetch_ids[-1] if answer.fetch_ids else ""
        return QuarantineRow(
            request.dataset, request.symbols[0], request.start, self._source(answer), reason, raw, fetch_id
        )
