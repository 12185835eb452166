"""``mdc explain`` for a person: the answer first, the evidence below it, nothing that is empty."""

from __future__ import annotations

import datetime as dt
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from mdc_resources.cli import output

if TYPE_CHECKING:
    from mdc_resources.coverage.adjustments import Adjustments
    from mdc_resources.coverage.day import Day
    from mdc_resources.coverage.evidence import Evidence, RawRecord, Request
    from mdc_resources.coverage.explain import Explanation, Partition
    from mdc_resources.state import Tries

_NAME = 15  # width of the column of names
_SHOWN = 8  # lines of one kind; --json has all
_CELL = 100
_HIDDEN = frozenset({"symbol", "session", "source", "basis", "basis_asof", "exact", "ts"})
Line = tuple[str, str]


def print_explanation(found: Explanation) -> None:
    """Print ``found``: the date, the first partition in full, the others in a line each."""
    first, *others = found.partitions
    print(f"{found.symbol}  {found.session:%Y-%m-%d %A}  {first.dataset}: {first.state}")
    _print(textwrap.wrap(first.why, 100), indent=2)
    print()
    _print_lines([*_facts(found), *_of_partition(first)])
    _print_tables(first)
    if others:
        print()
        rows = [(other.dataset, other.state, _cut(other.why)) for other in others]
        output.print_table(("other datasets", "state", "why"), rows)


def _facts(found: Explanation) -> Iterator[Line]:
    place, listing = found.place, found.listing
    where = f"{place.universe} ({place.shard})" if place.universe else "none"
    gone = "" if place.active or not place.universe else ", removed"
    yield "universe", f"{where}{gone}; sessions from {place.start} on" if place.start else where
    yield "day", _day(found.day)
    if listing is not None:
        span = f"{listing.first or '...'} to {listing.last or 'today'}"
        kin = [
            f"{word} {name}"
            for word, name in (("before it", listing.predecessor), ("after it", listing.successor))
            if name
        ]
        yield "listed", ", ".join([span, *kin]) + (f" (by {listing.origin})" if listing.origin else "")


def _day(day: Day) -> str:
    if day.opens is None or day.closes is None:
        return f"no session; {day.calendar} trades on {day.before} and {day.after}"
    zone = ZoneInfo(day.timezone)
    local = f"{day.opens.astimezone(zone):%H:%M}-{day.closes.astimezone(zone):%H:%M} {day.timezone}"
    utc = f"{day.opens:%H:%M}-{day.closes:%H:%M} UTC"
    return f"{day.why} of {day.calendar}: {local} ({utc}), {day.minutes} minutes"


def _of_partition(partition: Partition) -> Iterator[Line]:
    evidence = partition.evidence
    if partition.due_at is not None:
        yield "due", f"{_at(partition.due_at)} (close plus settle)"
    newest = evidence.changes[-1] if evidence.changes else None
    if newest is not None:
        yield from _content(evidence)
        if newest.basis:
            confirmed = newest.basis_confirmed_asof or newest.basis_asof
            yield "basis", f"{newest.basis}, as of {newest.basis_asof}, confirmed {confirmed}"
        yield "fingerprint", newest.fingerprint
        yield "verified", _at(newest.verified_at)
    for request in evidence.requests:
        if request.role in ("stored", "confirmed"):
            yield from _request(request)
    if partition.adjustments is not None:
        yield from _adjusted(partition.adjustments)
    if partition.tries is not None:
        yield from _tries(partition.tries)
    for claim in partition.claims:
        who = f"process {claim.owner.pid} of {claim.owner.host}"
        yield "claimed", f"attempt {claim.attempt} by {who}, until {_at(claim.expires_at)}"


def _content(evidence: Evidence) -> Iterator[Line]:
    if len(evidence.rows) == 1:
        yield "row", _row(evidence.rows[0])
    elif evidence.rows:
        yield "rows", f"{evidence.changes[-1].row_count}; the first: {_row(evidence.rows[0])}"


def _row(row: Mapping[str, object]) -> str:
    shown = {name: value for name, value in row.items() if name not in _HIDDEN and value is not None}
    return "  ".join(f"{name} {output.as_text(value)}" for name, value in shown.items())


def _request(request: Request) -> Iterator[Line]:
    page = f", page {request.raw.page}" if request.raw and request.raw.page > 1 else ""
    asked = f"{request.start}..{request.end} of {', '.join(request.symbols[:5])}"
    more = f" and {len(request.symbols) - 5} more" if len(request.symbols) > 5 else ""
    name = "fetched" if request.role == "stored" else "confirmed"
    yield name, f"{_at(request.started_at)} from {request.provider}{page}: {request.dataset} {asked}{more}"
    took = f"HTTP {request.status} in {request.duration_ms:.0f} ms, {output.size(request.body_bytes)}"
    yield "", f"{took}; {request.url}"
    if request.raw is not None:
        yield "raw", _raw(request.raw)


def _raw(raw: RawRecord) -> str:
    if raw.fault:
        return f"NOT FOUND WHOLE: {raw.fault}"
    state = (
        "intact, as the ledger says"
        if raw.agrees
        else "intact; differs from the ledger's hash (masked or replaced)"
    )
    return f"{raw.file} at byte {raw.offset}, {raw.length} bytes, sha256 {raw.sha256[:16]}...: {state}"


def _adjusted(found: Adjustments) -> Iterator[Line]:
    for reading in found.readings:
        close = reading.prices["close"]
        told = (
            f"close {output.exact(close)}" if isinstance(close, Decimal) else f"NULL: {reading.null_reason}"
        )
        yield (
            reading.view,
            f"{told}  (stored x {reading.factor or '?'}; {reading.basis} as of {reading.basis_asof})",
        )
    name = "actions"
    for action in found.actions[:_SHOWN]:
        what = action.ratio or (
            f"{output.exact(action.amount)} {action.currency or ''}" if action.amount else ""
        )
        note = ", in the stored price already" if action.in_price else ""
        yield name, f"{action.ex_date} {action.kind} {what}{action.successor or ''} ({action.source}){note}"
        name = ""
    if len(found.actions) > _SHOWN:
        yield "", f"and {len(found.actions) - _SHOWN} more; --json has all"


def _tries(tries: Tries) -> Iterator[Line]:
    until = "given up" if tries.gave_up else f"next not before {_at(tries.next_at)}"
    yield "tried", f"{tries.count} times, {until}"
    for each in tries.providers:
        yield (
            "",
            f"{each.provider}: {each.count} times, next not before {_at(each.next_at)}; {_cut(each.reason)}",
        )


def _print_tables(partition: Partition) -> None:
    evidence = partition.evidence
    lines = [
        (c.commit_seq, _at(c.committed_at), c.state, c.effect, c.source, _cut(c.reason, 40), c.run_id[:8])
        for c in evidence.changes
    ]
    _table("snapshots in which it was written", lines, "snapshot at state effect source reason run")
    asked = [
        (
            _at(r.started_at),
            r.provider,
            r.dataset,
            r.status,
            f"{r.duration_ms:.0f} ms",
            r.role,
            _cut(r.error, 60),
        )
        for r in evidence.requests
    ]
    _table("requests that asked for it", asked, "at provider dataset status took role error")
    refused = [
        (_date(q["committed_at"]), q["source"], q["reason"], _cut(q["raw"], 80)) for q in evidence.quarantine
    ]
    _table("refused", refused, "at source reason received")
    seen = [
        (o["source"], o["row_count"], o["basis"], o["last"], o["fingerprint"]) for o in evidence.observations
    ]
    _table("what others said", seen, "source rows basis last fingerprint")
    told = [
        (_date(i["started_at"]), i["kind"], i["provider"], _cut(i["message"])) for i in evidence.incidents
    ]
    _table("incidents", told, "at kind provider message")


def _table(title: str, rows: Sequence[Sequence[object]], columns: str) -> None:
    if not rows:
        return
    left_out = f", the last {_SHOWN} of {len(rows)}; --json has all" if len(rows) > _SHOWN else ""
    print(f"\n{title}{left_out}:")
    output.print_table(columns.split(), rows[-_SHOWN:])


def _print_lines(lines: Iterable[Line]) -> None:
    for name, text in lines:
        for at, part in enumerate(textwrap.wrap(output.printable(text), 110, break_on_hyphens=False) or [""]):
            print(f"{name if at == 0 else '':<{_NAME}}{part}".rstrip())


def _print(lines: Iterable[str], *, indent: int) -> None:
    for line in lines:
        print(" " * indent + output.printable(line))


def _at(instant: dt.datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def _date(value: object) -> str:
    return _at(value) if isinstance(value, dt.datetime) else str(value)


def _cut(value: object, width: int = _CELL) -> str:
    text = " ".join(str(value or "").split())
    return text if len(text) <= width else f"{text[: width - 3]}..."
