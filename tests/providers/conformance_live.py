"""PC-11 to PC-25 of the conformance suite: a provider and its dialect in the sandbox, over HTTP.

Every check gets a :class:`Bench`: the provider, a server over a market at a fixed instant, and a
fresh folder. What does not apply to a provider says why (:class:`NotApplicable`); nothing is left
out silently. The ground is the week of Thanksgiving (a holiday and a half day), the end of daylight
saving time before it, and the symbol CONF, which splits and is halted in these weeks.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from itertools import pairwise

import httpx
import pyarrow as pa

from mdc_resources.calendars import Calendar
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import (
    BadCredentials,
    PayloadError,
    RateLimited,
    UnknownSymbol,
)
from mdc_resources.domain.requests import FetchRequest, HttpResponse
from mdc_resources.ingest.asking import Answer
from mdc_resources.ingest.assessing import assess, judge
from mdc_resources.ingest.candidates import Candidate
from mdc_resources.providers.spec import Dialect, Page
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.transport.addresses import real_headers, real_url
from tests.providers.live_bench import MIDDAY, NOW, Bench, NotApplicable
from tests.providers.talking import KEY, Talk


def needs_a_dialect(bench: Bench) -> None:
    """Raise NotApplicable for a provider that asks nobody."""
    if bench.name not in bench.server.sandbox.dialects:
        raise NotApplicable("it reads files and asks nobody")


def pc_11_a_week_of_every_dataset(bench: Bench) -> None:
    """All sessions of the week and no others; prices are the market's on the declared basis."""
    reached = 0
    for dataset in bench.provider.spec.offers:
        try:
            said = bench.good(dataset, symbol="THIN" if dataset.is_events and not bench.is_crypto else "")
        except NotApplicable:
            continue
        reached += 1
        table = said.table(dataset)
        if dataset.is_bars:
            assert _sessions(table) == set(bench.calendar.sessions(*bench.week)), dataset
        if dataset.is_events:
            assert table.num_rows > 0, dataset
            assert _sessions(table) == {bench.week[1]}
        if dataset is Dataset.INSTRUMENTS:
            assert table.num_rows == 1
        if dataset is Dataset.BARS_1D and not bench.is_crypto:
            _closes_are_true(bench, "AAPL", table)
    assert reached, "nothing it offers reaches the week"


def pc_12_a_halted_day_is_empty_and_invented_by_nobody(bench: Bench) -> None:
    """A session without trades has no row, and is no error."""
    if bench.is_crypto:
        raise NotApplicable("its venue never halts")
    halted = bench.week[0] + dt.timedelta(days=1)
    said = bench.good(bench.bars(), symbol="CONF")
    assert _sessions(said.table(bench.bars())) == set(bench.calendar.sessions(*bench.week)) - {halted}


def pc_13_a_half_day_ends_early(bench: Bench) -> None:
    """Nothing of Friday lies at or after 13:00 in New York."""
    if bench.is_crypto:
        raise NotApplicable("its venue never closes")
    friday = bench.week[1]
    assert bench.calendar.minutes(friday) == 210
    for dataset in (Dataset.BARS_1D, Dataset.BARS_1M):
        if dataset not in bench.provider.spec.offers:
            continue
        table = bench.good(dataset, span=(friday, friday)).table(dataset)
        opened, closed = bench.calendar.hours(friday)
        stamps = table.column("ts").to_pylist()
        assert stamps, dataset
        assert min(stamps) >= opened
        assert max(stamps) < closed


def pc_14_the_clock_changes_and_sessions_do_not(bench: Bench) -> None:
    """Friday before and Monday after the end of daylight saving time keep their dates and opens."""
    sunday = next(day for day in (dt.date(bench.year, 11, n) for n in range(1, 8)) if day.weekday() == 6)
    span = (sunday - dt.timedelta(days=2), sunday + dt.timedelta(days=1))
    table = bench.good(bench.bars(), span=span).table(bench.bars())
    sessions = bench.calendar.sessions(*span)
    assert _sessions(table) == set(sessions)
    first = {}
    for session, ts in zip(table.column("session").to_pylist(), table.column("ts").to_pylist(), strict=True):
        first.setdefault(session, ts)
    assert first == {session: bench.calendar.hours(session)[0] for session in sessions}


def pc_15_a_split_changes_prices_as_the_basis_says(bench: Bench) -> None:
    """Around CONF's split closes are as traded, or divided by it, as the offer declares."""
    if bench.is_crypto:
        raise NotApplicable("coins do not split")
    if Dataset.BARS_1D not in bench.provider.spec.offers:
        raise NotApplicable("it has no daily bars")
    monday = bench.week[0] - dt.timedelta(days=7)
    span = (monday - dt.timedelta(days=3), monday + dt.timedelta(days=1))
    table = bench.good(Dataset.BARS_1D, symbol="CONF", span=span).table(Dataset.BARS_1D)
    assert table.num_rows == 3
    _closes_are_true(bench, "CONF", table)


def pc_16_pages_are_followed_to_the_end(bench: Bench) -> None:
    """Rows over all pages are in order, none twice, and as many as the market has."""
    for dataset in sorted(bench.provider.spec.offers, key=lambda d: not d.is_events):
        if dataset in (Dataset.INSTRUMENTS, Dataset.CORPORATE_ACTIONS):
            continue
        try:
            said = bench.good(dataset)
        except NotApplicable:
            continue
        if len(said.pages) == 1:
            continue
        table = said.table(dataset)
        key = ["symbol", "ts_event", "trade_id"] if dataset is Dataset.TRADES else ["symbol", "ts"]
        if dataset is not Dataset.QUOTES:
            assert table.group_by(key).aggregate([]).num_rows == table.num_rows
        times = table.column("ts_event" if dataset.is_events else "ts").to_pylist()
        assert times == sorted(times)
        if dataset is Dataset.TRADES and not bench.is_crypto:
            truth = bench.market.daily(bench.symbol, bench.week[1], bench.week[1])
            assert sum(table.column("size").to_pylist()) == truth.volume[0]
        return
    raise NotApplicable("its answers come in one page")


def pc_17_a_token_that_repeats_ends_the_paging(bench: Bench) -> None:
    """A loop is an error, not an endless one."""
    if not bench.server.sandbox.dialects[bench.name].paged:
        raise NotApplicable("its answers come in one page")
    talk = bench.talk()
    talk.fault("token_loop", probability=1)
    said = bench.ask(bench.bars(), talk=talk)
    assert isinstance(said.error, PayloadError)
    assert len(said.attempts) < 10


def pc_18_every_form_of_retry_after(bench: Bench) -> None:
    """Seconds, a date, nothing and nonsense are waited for; an absurd wait fails over instead."""
    clean = bench.good(bench.bars()).table(bench.bars())
    for params in ({"retry_after": "1"}, {"retry_after_date": 1}, {}, {"retry_after": "-5"}):
        talk = bench.talk()
        talk.fault("status", times=1, params={"status": 429, **params})
        said = bench.ask(bench.bars(), talk=talk)
        assert said.error is None, (params, said.error)
        assert said.table(bench.bars()).equals(clean), params
        assert next(attempt.status for attempt in said.attempts) == 429
    talk = bench.talk()
    talk.fault("status", times=9, params={"status": 429, "retry_after": "1000000000"})
    said = bench.ask(bench.bars(), talk=talk)
    assert isinstance(said.error, RateLimited)
    assert len(said.attempts) == 1


def pc_19_an_error_with_status_200_is_an_error(bench: Bench) -> None:
    """The vendor's own notice under a 200 is named, and the key it echoes is not."""
    talk = bench.talk()
    talk.fault("error200", probability=1)
    said = bench.ask(bench.bars(), talk=talk)
    assert said.error is not None
    assert said.pages == []
    assert KEY not in f"{said.error!r} {said.error} {said.attempts}"


def pc_20_a_bad_key_is_named_and_tried_once(bench: Bench) -> None:
    """No retry, no failover silence: the key is wrong, and the message does not show it."""
    if not bench.provider.spec.credentials:
        raise NotApplicable("it needs no key")
    said = bench.ask(
        bench.bars(), talk=bench.talk(**dict.fromkeys(bench.provider.spec.credentials, "bad-k3y"))
    )
    assert isinstance(said.error, BadCredentials), said.error
    assert len(said.attempts) == 1
    assert "bad-k3y" not in f"{said.error!r} {said.error} {said.attempts}"


def pc_21_another_symbols_answer_is_refused(bench: Bench) -> None:
    """What was not asked for is not stored; an unknown symbol has no rows."""
    unknown = f"{bench.provider.spec.venue}:ZZ-USD" if bench.is_crypto else "ZZTOP"
    said = bench.ask(bench.bars(), symbol=unknown)
    assert said.table(bench.bars()).num_rows == 0
    assert said.error is None or isinstance(said.error, UnknownSymbol), said.error
    clean = bench.good(bench.bars())
    talk = bench.talk()
    talk.fault("wrong_symbol", probability=1)
    said = bench.ask(bench.bars(), talk=talk)
    if said.error is None and said.attempts[0].sha256 == clean.attempts[0].sha256:
        raise NotApplicable("its answers do not name the symbol")
    assert isinstance(said.error, PayloadError), said.error


def pc_22_repeated_rows_are_one_and_conflicting_ones_none(bench: Bench) -> None:
    """A row told twice is one row; two stories about one bar are kept out, with a reason."""
    clean = bench.good(bench.bars()).table(bench.bars())
    talk = bench.talk()
    talk.fault("duplicates", probability=1, params={"rows": 2})
    assert bench.ask(bench.bars(), talk=talk).table(bench.bars()).equals(clean)
    talk = bench.talk()
    talk.fault("conflicting_duplicates", probability=1, params={"rows": 100_000})
    said = bench.ask(bench.bars(), talk=talk)
    assert said.error is not None or said.rejected
    assert said.table(bench.bars()).num_rows < clean.num_rows


def pc_23_order_and_new_fields_do_not_matter(bench: Bench) -> None:
    """Shuffled rows give the same table, and so does a field that was not there before."""
    clean = bench.good(bench.bars()).table(bench.bars())
    for kind in ("unsorted", "extra_field"):
        talk = bench.talk()
        talk.fault(kind, probability=1)
        said = bench.ask(bench.bars(), talk=talk)
        assert said.error is None, (kind, said.error)
        assert said.table(bench.bars()).equals(clean), kind


def pc_24_restated_history_is_other_data_not_an_error(bench: Bench) -> None:
    """The same sessions at other prices: what becomes of it is for the ledger to say."""
    clean = bench.good(bench.bars()).table(bench.bars())
    talk = bench.talk()
    talk.fault("restated", probability=1)
    said = bench.ask(bench.bars(), talk=talk)
    assert said.error is None
    restated = said.table(bench.bars())
    assert _sessions(restated) == _sessions(clean)
    assert restated.column("close").to_pylist() != clean.column("close").to_pylist()


def pc_25_an_unfinished_bar_is_never_final(bench: Bench) -> None:
    """Asked while the session runs, its partition is cut short or absent, never present."""
    if any(offer.history_end for offer in bench.provider.spec.offers.values()):
        raise NotApplicable("its history has ended")
    dataset = bench.bars()
    calendar, name = bench.calendar, bench.name
    running = MIDDAY.date()
    with SandboxServer(market=Market.synthetic(seed=7, now=MIDDAY)) as server:
        bench.server, before = server, bench.server
        try:
            talk = bench.talk()
            request = bench.request(dataset, span=(running - dt.timedelta(days=3), running))
            dialect_page = _page_at(talk, request, calendar)
        finally:
            bench.server = before
    offer = bench.provider.spec.offers[dataset]
    answer = Answer(
        request,
        Candidate(bench.provider, talk.settings, offer, 1),
        calendar,
        pages=[dialect_page],
        record_ids=["r"],
        fetch_ids=["f"],
        told_at=MIDDAY,
        synthetic_allowed=True,
    )
    asked = [PartitionKey(request.symbols[0], s) for s in calendar.sessions(request.start, request.end)]
    (judged,) = judge(dataset, [answer], prefix="")
    verdict = assess(answer, dataset, judged, asked)
    final = {key.session for key in verdict.rows if key not in verdict.partial}
    assert running not in final, name
    assert running not in {key.session for key in verdict.empty}


def _page_at(talk: Talk, request: FetchRequest, calendar: Calendar) -> Page:
    """The first page as received at MIDDAY."""
    dialect = Dialect(talk.provider.spec, talk.settings, calendar)
    wire = talk.provider.plan(request, dialect)
    filled = {"secrets": talk.home.secrets, "provider": talk.provider.spec.name}
    got = httpx.get(real_url(wire, **filled), headers=real_headers(wire, **filled))
    received = {name.lower(): value for name, value in got.headers.items()}
    response = HttpResponse(got.status_code, received, got.content, MIDDAY)
    assert (error := talk.provider.classify(response)) is None, error
    return talk.provider.decode(request, dialect, wire, response)


def _sessions(table: pa.Table) -> set[dt.date]:
    return set(table.column("session").to_pylist())


def _closes_are_true(bench: Bench, symbol: str, table: pa.Table) -> None:
    """Closes equal the market's, as traded or over later splits; with dividends out, they do not jump."""
    offer = bench.provider.spec.offers[Dataset.BARS_1D]
    sessions = table.column("session").to_pylist()
    closes: list[Decimal] = table.column("close").to_pylist()
    truth = bench.market.daily(symbol, min(sessions), max(sessions))
    instrument = bench.market.instrument(symbol)
    assert instrument is not None
    if offer.basis is Basis.TOTAL:
        steps = [after / before for before, after in pairwise(closes)]
        assert all(Decimal("0.7") < step < Decimal("1.4") for step in steps)
        return
    by_session = dict(zip(truth.sessions, truth.close, strict=True))
    for session, close in zip(sessions, closes, strict=True):
        ratio = instrument.split_ratio(session, NOW.date()) if offer.basis is Basis.SPLIT else 1
        expected = Decimal(by_session[session]) / 100 / Decimal(float(ratio))
        assert abs(close - expected) <= Decimal("0.0051"), (symbol, session, close, expected)
        if offer.basis is Basis.RAW:
            assert close == Decimal(by_session[session]) / 100
