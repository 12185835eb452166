"""Answers become ledger lines: present, empty, quarantined, or a note on the board.

What one provider got wrong is kept in quarantine and its partitions stay open for the next one;
only when nobody does better do they end as ``quarantined``. What comes along with the bars
(corporate actions, instruments) is settled by the same answer. Good data that is already stored is
never given up for a bad answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import UnknownSymbol
from mdc_resources.domain.requests import Attempt
from mdc_resources.ingest.asking import Answer
from mdc_resources.ingest.assessing import BadRow, Judged, Verdict, assess, judge, only
from mdc_resources.ingest.board import Board
from mdc_resources.ingest.committing import Committer
from mdc_resources.ingest.events import Finished, runs_still, span_of
from mdc_resources.ingest.wants import Prior
from mdc_resources.lake import Observation, QuarantineRow, fingerprints

MAX_BAD_ROWS = 100  # of one streamed partition that are kept in quarantine
# Answers that arrive together are judged together; far below any network's latency.
_LINGER_SECONDS = 0.02


@dataclass(slots=True)
class Settler:
    """Settles the answers of one run. ``carried`` are claimed partitions of other datasets."""

    dataset: Dataset
    board: Board
    committer: Committer
    prior: Prior
    carried: Mapping[Dataset, set[PartitionKey]]
    prefix: str
    _waiting: list[Answer] = field(default_factory=list)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def settle(self, answer: Answer, attempts: Iterable[Attempt]) -> None:
        """Judge ``answer`` together with others that wait, queue what they settle, commit a full batch."""
        self._waiting.append(answer)
        sent = list(attempts)
        self.committer.pending.attempts.extend(sent)
        self.board.attempts.extend(sent)
        async with self._turn:
            if self._waiting:
                await asyncio.sleep(_LINGER_SECONDS)
                answers, self._waiting = self._waiting, []
                self._settle(answers)
            await self.flush_if_full()

    def _settle(self, answers: Sequence[Answer]) -> None:
        for answer, judged in zip(answers, judge(self.dataset, answers, prefix=self.prefix), strict=True):
            asked = [key for key in self._asked(answer) if key in self.board.open]
            for symbol in sorted(answer.unknown):
                error = UnknownSymbol(
                    f"does not know {symbol}", symbol=symbol, provider=answer.candidate.name
                )
                self.board.failed([key for key in asked if key.symbol == symbol], error)
            verdict = assess(answer, self.dataset, judged, asked)
            self._quarantine(answer, verdict)
            self.board.resolve(self._present(answer, verdict))
            self.board.resolve(self._empty(answer, verdict))
            for key in verdict.partial:
                best = self.board.partial.get(key)
                if best is None or best[1].rows.get(key, 0) < verdict.rows.get(key, 0):
                    self.board.partial[key] = (answer, verdict)
            self.board.tell(verdict.partial, answer.candidate.name, "its answer was cut short")
        for dataset, claimed in self.carried.items():
            along = [a for a in answers if dataset in a.candidate.offer.carries]
            for answer, judged in zip(along, judge(dataset, along, prefix=self.prefix), strict=True):
                self._along(answer, dataset, judged, claimed)

    async def flush_if_full(self) -> None:
        """Commit a full batch."""
        if self.committer.is_full:
            await self.committer.flush()

    async def flush(self) -> None:
        """Commit what waits."""
        await self.committer.flush()

    def give_up(self) -> None:
        """Nobody is left to ask: settle cut-short and quarantined partitions as what they are."""
        for key, (answer, verdict) in self.board.partial.items():
            if key in self.board.open and self._improves(key, verdict.rows.get(key, 0)):
                table = only(verdict.table, [key])
                line = self._line(
                    answer,
                    self.dataset,
                    key,
                    PartitionState.PARTIAL,
                    reason="the answer was cut short",
                    rows=table.num_rows,
                )
                self.board.resolve(self.committer.store(self.dataset, table, [line], answer.record_ids))
        for key, (answer, found) in self.board.cut.items():
            if key in self.board.open and self._improves(key, found.rows):
                lines = self._store_stream(
                    answer, found, PartitionState.PARTIAL, reason="the answer was cut short"
                )
                self.board.resolve(lines)
            else:
                found.discard()
        refused = [
            key for key in self.board.bad if key in self.board.open and not self._stored(self.dataset, key)
        ]
        lines = []
        for key in refused:
            source, row = self.board.bad[key][0]
            lines.append(
                CoverageRow(
                    self.dataset, key.symbol, key.session, PartitionState.QUARANTINED, row.reason, source
                )
            )
        self.committer.explain(lines)
        self.board.resolve(lines)

    def settle_stream(self, answer: Answer, found: Finished, attempts: Iterable[Attempt]) -> None:
        """Judge one partition of events that was streamed; queue what it settles."""
        sent = list(attempts)
        self.committer.pending.attempts.extend(sent)
        self.board.attempts.extend(sent)
        key = found.key
        verdict = Verdict(self.dataset, pa.table({}), bad=list(found.bad[:MAX_BAD_ROWS]))
        self._quarantine(answer, verdict)
        if key not in self.board.open or found.bad:
            found.discard()
        elif answer.error is not None or found.incomplete or runs_still(answer):
            if found.rows:
                self.board.tell({key}, answer.candidate.name, "its answer was cut short")
                self._keep_longest(answer, found)
        elif found.spooled is not None:
            self.board.resolve(self._store_stream(answer, found, PartitionState.PRESENT))
        else:
            verdict.empty, verdict.proven = {key}, answer.candidate.offer.empty_is_proof
            self.board.resolve(self._empty(answer, verdict))

    def _keep_longest(self, answer: Answer, found: Finished) -> None:
        best = self.board.cut.get(found.key)
        if best is not None and best[1].rows >= found.rows:
            found.discard()
            return
        if best is not None:
            best[1].discard()
        self.board.cut[found.key] = (answer, found)

    def _store_stream(
        self, answer: Answer, found: Finished, state: PartitionState, reason: str = ""
    ) -> list[CoverageRow]:
        """Queue the file of ``found`` with its ledger line and its span of time."""
        assert found.spooled is not None
        line = self._line(answer, self.dataset, found.key, state, reason=reason, rows=found.rows)
        line = replace(line, fingerprint=found.spooled.fingerprint)
        span = span_of(answer.calendar, line)
        return self.committer.store_file(found.spooled.file, line, span, answer.record_ids)

    def _asked(self, answer: Answer) -> Iterable[PartitionKey]:
        sessions = answer.calendar.sessions(answer.request.start, answer.request.end)
        return (PartitionKey(symbol, session) for symbol in answer.request.symbols for session in sessions)

    def _present(self, answer: Answer, verdict: Verdict) -> list[CoverageRow]:
        good = [key for key in verdict.rows if key not in verdict.partial]
        if not good:
            return []
        table = verdict.table if len(good) == len(verdict.rows) else only(verdict.table, good)
        lines = [
            self._line(answer, verdict.dataset, key, PartitionState.PRESENT, rows=verdict.rows[key])
            for key in good
        ]
        return self.committer.store(verdict.dataset, table, lines, answer.record_ids)

    def _empty(self, answer: Answer, verdict: Verdict) -> list[CoverageRow]:
        if verdict.proven:
            keys, reason = verdict.empty, f"nothing happened: {answer.candidate.name}'s contract"
        else:
            keys = self.board.vote_empty(verdict.empty, answer)
            reason = "nothing happened: two sources agree"
        lines = [
            self._line(answer, verdict.dataset, key, PartitionState.EMPTY, reason=reason)
            for key in sorted(keys)
        ]
        lines = [line for line in lines if not self._stored(verdict.dataset, line.key)]
        self.committer.explain(lines, answer.record_ids)
        return lines

    def _along(
        self, answer: Answer, dataset: Dataset, judged: Judged | None, claimed: set[PartitionKey]
    ) -> None:
        """Settle what ``answer`` carries of another dataset."""
        if judged is None:
            return
        asked = set(self._asked(answer))
        verdict = assess(answer, dataset, judged, asked)
        self._quarantine(answer, verdict)
        self._observe(answer, verdict, asked - claimed)
        mine = asked & claimed
        verdict.rows = {key: n for key, n in verdict.rows.items() if key in mine}
        verdict.table = only(verdict.table, verdict.rows)
        settled = self._present(answer, verdict)
        if verdict.proven:
            empty = [
                self._line(answer, dataset, key, PartitionState.EMPTY, reason="nothing happened")
                for key in sorted(verdict.empty & mine)
            ]
            self.committer.explain(empty, answer.record_ids)
            settled.extend(empty)
        claimed.difference_update(line.key for line in settled)

    def _observe(self, answer: Answer, verdict: Verdict, others: set[PartitionKey]) -> None:
        """Note where facts that are already stored were told differently."""
        told = {
            key: n
            for key, n in verdict.rows.items()
            if key in others and (verdict.dataset, key) in self.prior
        }
        if not told:
            return
        for key, fingerprint in fingerprints(verdict.dataset, only(verdict.table, told)).items():
            before = self.prior[verdict.dataset, key]
            if before.fingerprint != fingerprint:
                self.committer.pending.observations.append(
                    Observation(
                        dataset=verdict.dataset,
                        symbol=key.symbol,
                        session=key.session,
                        source=self._source(answer),
                        row_count=told[key],
                        basis=str(answer.candidate.offer.basis),
                        fingerprint=fingerprint,
                        fetch_id=answer.fetch_ids[-1],
                    )
                )

    def _quarantine(self, answer: Answer, verdict: Verdict) -> None:
        for row in verdict.bad:
            if row.key is not None and verdict.dataset is self.dataset:
                self.board.bad[row.key].append((self._source(answer), row))
                self.board.tell((row.key,), answer.candidate.name, f"its rows were refused: {row.reason}")
            self.committer.pending.quarantine.append(self._refused(answer, verdict.dataset, row))

    def _refused(self, answer: Answer, dataset: Dataset, row: BadRow) -> QuarantineRow:
        return QuarantineRow(
            dataset=dataset,
            symbol=row.key.symbol if row.key else None,
            session=row.key.session if row.key else None,
            source=self._source(answer),
            reason=row.reason,
            raw=row.raw,
            fetch_id=answer.fetch_ids[-1] if answer.fetch_ids else "",
        )

    def _line(
        self,
        answer: Answer,
        dataset: Dataset,
        key: PartitionKey,
        state: PartitionState,
        *,
        reason: str = "",
        rows: int = 0,
    ) -> CoverageRow:
        return CoverageRow(
            dataset=dataset,
            symbol=key.symbol,
            session=key.session,
            state=state,
            reason=reason,
            source=self._source(answer),
            basis=str(answer.candidate.offer.basis) if dataset.is_bars else "",
            basis_asof=answer.request.asof if dataset.is_bars else None,
            row_count=rows,
            attempt=answer.request.attempt,
        )

    def _source(self, answer: Answer) -> str:
        return self.prefix + answer.candidate.dialect(answer.calendar).source

    def _improves(self, key: PartitionKey, rows: int) -> bool:
        """True if a partial answer of ``rows`` rows is more than what is stored."""
        before = self.prior.get((self.dataset, key))
        if before is None or before.state is not PartitionState.PARTIAL:
            return rows > 0 and not self._stored(self.dataset, key)
        return rows > before.row_count

    def _stored(self, dataset: Dataset, key: PartitionKey) -> bool:
        before = self.prior.get((dataset, key))
        return before is not None and before.state is PartitionState.PRESENT
