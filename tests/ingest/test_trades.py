"""A session of trades or quotes: all pages become one file, or the partition says why not."""

from __future__ import annotations

import contextlib
import datetime as dt
from decimal import Decimal

import numpy as np
import pytest

from mdc_resources.calendars import get_calendar
from mdc_resources.domain.coverage import PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.ingest.rebuild import rebuild
from mdc_resources.lake import Lake
from mdc_resources.sandbox.ticks import quotes_of, trades_of
from tests.homes import Served
from tests.ingest.ticking import DAY, KEY, PAGE, cursors, fetch, only_line, page, query, spools, verified

PRESENT, PARTIAL = PartitionState.PRESENT, PartitionState.PARTIAL


@pytest.fixture
def trades(served: Served) -> int:
    """How many trades MSFT had that day."""
    return len(trades_of(served.server.sandbox.market, "MSFT", DAY))


def test_a_whole_session_is_stored(served: Served, trades: int) -> None:
    """Every trade, to the nanosecond and the cent, in order, in one file, explained by one line and span."""
    outcome = fetch(served.home)
    line = only_line(outcome)
    assert (line.state, line.row_count, line.source) == (PRESENT, trades, "sandbox:alpaca/sip")
    assert (line.basis, line.basis_asof) == ("", None)
    assert outcome.requests_sent == outcome.requests_minimum == served.requests() == -(-trades // PAGE)
    real = trades_of(served.server.sandbox.market, "MSFT", DAY)
    stored = query(served.home, "SELECT ts_event, price, size, trade_id, ordinal FROM trades")
    assert [row[0] for row in stored] == real.times.tolist()
    assert [int(row[1] * 100) for row in stored] == real.prices.tolist()
    assert [int(row[2]) for row in stored] == real.sizes.tolist()
    assert [int(row[3]) for row in stored] == real.ids.tolist()
    assert [row[4] for row in stored] == list(range(trades))
    start, end = get_calendar("XNYS").window(DAY)
    spans = query(served.home, "SELECT symbol, session, start_ns, end_ns, source, state FROM spans")
    nanos = [int(instant.timestamp()) * 10**9 for instant in (start, end)]
    assert spans == [("MSFT", DAY, *nanos, "sandbox:alpaca/sip", "present")]
    assert verified(served.home)
    assert (cursors(served.home), spools(served.home)) == ([], [])


def test_the_view_has_instants_and_validity(served: Served) -> None:
    """``ts`` is the microsecond below; a canceled trade stays and is not valid."""
    fetch(served.home)
    wrong = query(
        served.home,
        "SELECT count(*) FROM trades WHERE epoch_us(ts) <> ts_event // 1000 OR valid <> (correction IS NULL)",
    )
    assert wrong == [(0,)]
    kinds = dict(query(served.home, "SELECT correction, count(*) FROM trades GROUP BY 1"))
    assert kinds.keys() == {None, "canceled"}
    assert 0 < kinds["canceled"] < 100


def test_trades_and_minutes_agree(served: Served) -> None:
    """Sums over the ticks of a minute are its bar."""
    fetch(served.home)
    fetch(served.home, dataset=Dataset.BARS_1M)
    differing = query(
        served.home,
        """WITH told AS (SELECT time_bucket(INTERVAL 1 MINUTE, ts) AS ts, sum(size) AS volume,
                                count(*) AS n, max(price) AS high, arg_max(price, ordinal) AS close
                         FROM trades GROUP BY 1)
           SELECT count(*) FROM told FULL JOIN bars_1m b USING (ts)
           WHERE told.volume IS DISTINCT FROM b.volume OR n IS DISTINCT FROM trade_count
              OR told.high IS DISTINCT FROM b.high OR told.close IS DISTINCT FROM b.close""",
    )
    assert differing == [(0,)]


def test_quotes_come_the_same_way(served: Served) -> None:
    """Both sides, 0 where there is none, sizes in shares whatever the vendor counted in."""
    outcome = fetch(served.home, dataset=Dataset.QUOTES)
    real = quotes_of(served.server.sandbox.market, "MSFT", DAY)
    assert only_line(outcome).row_count == len(real)
    stored = query(served.home, "SELECT bid_price, bid_size, ask_price, ask_size, epoch_us(ts) FROM quotes")
    columns = [np.array([int(row[at] * (100 if at in (0, 2) else 1)) for row in stored]) for at in range(5)]
    told = (real.bids, real.bid_sizes, real.asks, real.ask_sizes, real.times // 1000)
    for mine, theirs in zip(columns, told, strict=True):
        assert (mine == theirs).all()
    assert query(served.home, "SELECT count(*) > 0 FROM quotes WHERE ask_price = 0") == [(True,)]


def test_several_sessions_are_several_partitions(served: Served) -> None:
    """One request and one file each; asked for again, none is fetched."""
    outcome = fetch(served.home, "THIN", start=DAY, end=DAY + dt.timedelta(days=4))
    assert outcome.counts == {PRESENT: 5}
    assert outcome.requests_sent == 5
    again = fetch(served.home, "THIN", start=DAY, end=DAY + dt.timedelta(days=4))
    assert (again.requests_sent, again.counts) == (0, {PRESENT: 5})
    assert len(query(served.home, "SELECT * FROM spans")) == 5


def test_a_refetch_of_the_same_changes_nothing(served: Served) -> None:
    """The content is confirmed: no new file, no second copy."""
    before = only_line(fetch(served.home))
    outcome = fetch(served.home, refetch=True)
    assert only_line(outcome).fingerprint == before.fingerprint
    assert (outcome.rows, spools(served.home)) == (0, [])
    assert verified(served.home)


def test_an_answer_cut_short_is_partial(served: Served, trades: int) -> None:
    """What came before the fault is kept; the next run asks for the rest alone, and it is whole."""
    served.fault("alpaca", "html200", match=page(4), times=100)
    line = only_line(fetch(served.home))
    assert (line.state, line.row_count) == (PARTIAL, 3 * PAGE)
    assert verified(served.home)
    served.calm()
    outcome = fetch(served.home)
    line = only_line(outcome)
    assert (line.state, line.row_count) == (PRESENT, trades)
    assert outcome.requests_sent == served.requests() == -(-trades // PAGE) - 3
    assert query(served.home, "SELECT count(*), count(DISTINCT ordinal) FROM trades") == [(trades, trades)]
    assert verified(served.home)
    assert spools(served.home) == []


def test_a_shorter_answer_never_replaces_a_longer_one(served: Served) -> None:
    """A refetch that breaks earlier leaves what is stored."""
    served.fault("alpaca", "html200", match=page(4), times=100)
    before = only_line(fetch(served.home))
    served.calm()
    served.fault("alpaca", "html200", match=page(2), times=100)
    fetch(served.home, refetch=True)
    assert query(served.home, "SELECT count(*) FROM trades") == [(before.row_count,)]
    assert spools(served.home) == []


def test_a_token_loop_ends(served: Served) -> None:
    """A vendor that repeats its token is stopped; what it sent before is partial."""
    served.fault("alpaca", "token_loop", match=page(3), times=100)
    line = only_line(fetch(served.home))
    assert (line.state, line.row_count) == (PARTIAL, 2 * PAGE)
    assert served.requests() < 10


def test_a_running_session_is_not_due(served: Served) -> None:
    """A session of events is over with its window, hours after its close."""
    session = get_calendar("XNYS").final_sessions(
        dt.date(2026, 1, 1), dt.date(2026, 12, 31), at=dt.datetime.now(dt.UTC), settle=dt.timedelta()
    )[-1]
    closed, ends = get_calendar("XNYS").hours(session)[1], get_calendar("XNYS").window(session)[1]
    assert closed < ends
    outcome = fetch(served.home, "THIN", start=session, end=session)
    over = dt.datetime.now(dt.UTC) >= ends + dt.timedelta(minutes=30)
    assert outcome.expected == int(over)
    assert outcome.pending == int(not over)


def test_nothing_is_a_vote_only(served: Served) -> None:
    """A halted day without trades stays open: one vendor's silence proves nothing."""
    outcome = fetch(served.home, "HALT", start=dt.date(2024, 3, 13), end=dt.date(2024, 3, 13))
    assert outcome.counts == {PartitionState.MISSING: 1}
    again = fetch(served.home, "HALT", start=dt.date(2024, 3, 13), end=dt.date(2024, 3, 13))
    assert again.requests_sent == 1, "it is asked again, not read from the archive"


def test_another_symbol_s_trades_are_refused(served: Served) -> None:
    """Nothing of it is stored."""
    served.fault("alpaca", "wrong_symbol", times=100, params={"symbol": "IBM"})
    outcome = fetch(served.home, "THIN")
    assert outcome.counts == {PartitionState.MISSING: 1}
    assert query(served.home, "SELECT count(*) FROM trades") == [(0,)]


def test_the_archive_gives_the_same_lake(served: Served) -> None:
    """A rebuild streams the pages again: equal fingerprints, also where a second run went on."""
    served.fault("alpaca", "html200", match=page(3), times=100)
    fetch(served.home)
    served.calm()
    line = only_line(fetch(served.home))
    spans = query(served.home, "SELECT * EXCLUDE (commit_seq, committed_at) FROM spans_log ORDER BY ALL")
    report = rebuild(served.home)
    assert report.differing == []
    again = query(served.home, "SELECT * EXCLUDE (commit_seq, committed_at) FROM spans_log ORDER BY ALL")
    assert again == spans
    assert len(spans) == 2
    assert query(served.home, "SELECT count(*), sum(size) > 0 FROM trades") == [(line.row_count, True)]
    newest = "SELECT fingerprint, state FROM coverage WHERE dataset = 'trades'"
    assert query(served.home, newest) == [(line.fingerprint, "present")]
    assert verified(served.home)


def test_compaction_merges_small_sessions_and_leaves_large_ones(served: Served) -> None:
    """Ten thin sessions become one file; the rows of all are untouched."""
    fetch(served.home, "THIN", start=DAY, end=DAY + dt.timedelta(days=11))
    fetch(served.home)
    content = "SELECT symbol, session, count(*), sum(price * size) FROM trades GROUP BY ALL ORDER BY ALL"
    before = query(served.home, content)
    with contextlib.closing(Lake.open(served.home.lake_dir)) as lake:
        (receipt,) = lake.compact()
        assert (receipt.dataset, receipt.files_before, receipt.files_after) == (Dataset.TRADES, 10, 1)
        assert lake.verify(deep=True) == []
    assert query(served.home, content) == before
    outcome = fetch(served.home, "THIN", refetch=True)
    assert outcome.rows == 0
    assert KEY not in outcome.states


def test_sums_stay_exact(served: Served) -> None:
    """Turnover in SQL is a decimal, equal to integer arithmetic over the market's cents."""
    fetch(served.home, "THIN")
    real = trades_of(served.server.sandbox.market, "THIN", DAY)
    cents = int((real.prices * real.sizes).sum())
    stored = query(
        served.home, "SELECT sum(CAST(price AS DECIMAL(38,9)) * CAST(size AS INTEGER)) FROM trades"
    )
    assert Decimal(stored[0][0]) * 100 == cents
