"""Vendors misbehave over real HTTP: a clear error or a quarantine row, a failover, nothing lost."""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.calendars import get_calendar
from mdc_resources.config import Home
from mdc_resources.coverage import coverage_summary
from mdc_resources.domain.coverage import PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import BadCredentials, ConfigError, UsageError
from mdc_resources.domain.symbols import Symbol, parse_symbols
from mdc_resources.ingest import Outcome, Want, backfill, preview
from mdc_resources.lake import Lake
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.transport.archive import ArchivedExchange, read_archive
from tests.homes import Served, make_home

START, END = dt.date(2024, 3, 4), dt.date(2024, 3, 28)
SESSIONS = get_calendar("XNYS").sessions(START, END)
BODIES = [
    "html200", "error200", "empty_body", "truncated", "truncated_json", "reset", "gzip_plain", "deep_json",
    "wrong_symbol", "redirect",
]  # fmt: skip
ROWS = ["null_rows", "missing_rows", "high_lt_low", "nan", "negative_volume", "conflicting_duplicates"]
HARMLESS = ["duplicates", "unsorted", "outside_range", "extra_field"]


@pytest.fixture
def pair(tmp_path: Path, vendor: SandboxServer) -> Served:
    """A home that asks yahoo first and stooq next."""
    found = Served(make_home(tmp_path / "home", vendor.url, providers=("yahoo", "stooq")), vendor)
    found.calm()
    return found


def want(symbols: str = "AAPL,IBM", dataset: Dataset = Dataset.BARS_1D, **more: Any) -> Want:
    """March 2024."""
    return Want(dataset, tuple(parse_symbols([symbols])), START, END, **more)


def query(home: Home, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Query the lake."""
    with (
        contextlib.closing(Lake.open(home.lake_dir)) as lake,
        contextlib.closing(lake.connect()) as connection,
    ):
        return connection.execute(sql, parameters).fetchall()


def check_invariants(home: Home, outcome: Outcome) -> None:
    """No duplicate rows, planned and present make the calendar, the lake verifies, bodies are kept."""
    keys = "symbol, session"
    assert query(home, f"SELECT {keys} FROM bars_1d_stored GROUP BY ALL HAVING count(*) > 1") == []
    stored = set(query(home, f"SELECT {keys} FROM bars_1d_stored"))
    holding = {
        k
        for k, row in outcome.states.items()
        if row.state in (PartitionState.PRESENT, PartitionState.PARTIAL)
    }
    assert stored == holding
    with contextlib.closing(Lake.open(home.lake_dir)) as lake:
        assert lake.verify(deep=True) == []
    archived = [e for e in read_archive(home.raw_dir) if isinstance(e, ArchivedExchange)]
    with_body = query(home, "SELECT count(*) FROM fetches WHERE record_id <> ''")[0][0]
    assert with_body == len(archived)


@pytest.mark.parametrize("kind", BODIES)
def test_a_broken_body_fails_over(pair: Served, kind: str) -> None:
    """The answer is refused whole, said so, and the next provider of the market fills in."""
    pair.fault("yahoo", kind, probability=1.0)
    outcome = backfill(pair.home, want(), run_id="run")
    assert outcome.counts == {PartitionState.PRESENT: 2 * len(SESSIONS)}, outcome.errors
    assert {row.source for row in outcome.states.values()} == {"sandbox:stooq"}
    assert outcome.failovers == 2
    assert any(text.startswith("yahoo:") for text in outcome.errors)
    check_invariants(pair.home, outcome)


@pytest.mark.parametrize("kind", ROWS)
def test_a_broken_row_costs_its_partition_not_the_page(pair: Served, kind: str) -> None:
    """All other sessions are taken from the first provider; the bad one comes from the next."""
    pair.fault("yahoo", kind, match="AAPL")
    outcome = backfill(pair.home, want(), run_id="run")
    assert outcome.counts == {PartitionState.PRESENT: 2 * len(SESSIONS)}, outcome.errors
    sources = [row.source for row in outcome.states.values()]
    assert sources.count("sandbox:stooq") == 1
    if kind not in ("null_rows", "missing_rows"):
        refused = query(pair.home, "SELECT symbol, source, reason, raw FROM quarantine")
        assert refused
        assert all(row[0] == "AAPL" and row[1] == "sandbox:yahoo" and row[2] and row[3] for row in refused)
    check_invariants(pair.home, outcome)


@pytest.mark.parametrize("kind", ["high_lt_low", "negative_volume", "conflicting_duplicates", "nan"])
def test_without_another_provider_the_partition_is_quarantined(
    tmp_path: Path, vendor: SandboxServer, kind: str
) -> None:
    """It is neither stored nor called missing, and the next backfill asks for it again."""
    only = Served(make_home(tmp_path / "home", vendor.url, providers=("yahoo",)), vendor)
    only.calm()
    only.fault("yahoo", kind)
    outcome = backfill(only.home, want("AAPL"), run_id="run")
    assert outcome.counts == {PartitionState.PRESENT: len(SESSIONS) - 1, PartitionState.QUARANTINED: 1}
    assert outcome.retryable_missing == 0
    summary = coverage_summary(only.home, Dataset.BARS_1D, (Symbol("AAPL"),), START, END)
    assert (summary.quarantined, summary.gaps) == (1, ())
    check_invariants(only.home, outcome)
    mended = backfill(only.home, want("AAPL"), run_id="again")
    assert mended.counts == {PartitionState.PRESENT: len(SESSIONS)}
    assert len(mended.fetched) == 1


@pytest.mark.parametrize("kind", HARMLESS)
def test_harmless_oddities_change_nothing(pair: Served, kind: str) -> None:
    """Repeats, disorder, neighbours and new fields give the very content of a clean answer."""
    pair.fault("yahoo", kind, probability=1.0)
    odd = backfill(pair.home, want(), run_id="odd")
    pair.calm()
    clean = backfill(pair.home, want(refetch=True), run_id="clean")
    assert {row.source for row in odd.states.values()} == {"sandbox:yahoo"}
    assert {k: r.fingerprint for k, r in odd.states.items()} == {
        k: r.fingerprint for k, r in clean.states.items()
    }
    assert clean.rows == 0, "confirmed content is not written again"
    check_invariants(pair.home, clean)


def test_storms_on_all_providers_leave_gaps_and_a_bounded_number_of_requests(served: Served) -> None:
    """Nothing is invented, nothing is called empty; the run says what may pass."""
    served.fault("*", "status", probability=1.0, params={"status": 503})
    home = served.reload(MDC__TRANSPORT__DEADLINE_SECONDS="3")
    outcome = backfill(home, want(), run_id="run")
    assert outcome.counts == {PartitionState.MISSING: 2 * len(SESSIONS)}
    assert outcome.retryable_missing == 2 * len(SESSIONS)
    assert served.requests() <= 5 * home.settings.transport.max_attempts
    assert outcome.requests_sent == served.requests()
    summary = coverage_summary(home, Dataset.BARS_1D, tuple(parse_symbols(["AAPL,IBM"])), START, END)
    assert [(g.symbol, g.start, g.end, g.sessions) for g in summary.gaps] == [
        (symbol, SESSIONS[0], SESSIONS[-1], len(SESSIONS)) for symbol in ("AAPL", "IBM")
    ]
    served.calm()
    healed = backfill(served.reload(MDC__TRANSPORT__BREAKER_OPEN_SECONDS="0.001"), want(), run_id="healed")
    assert healed.counts == {PartitionState.PRESENT: 2 * len(SESSIONS)}, healed.errors


@pytest.mark.parametrize("retry_after", ["0", "1", "-5", "soon"])
def test_rate_limits_are_obeyed_then_answered(pair: Served, retry_after: str) -> None:
    """A 429 delays the same provider; it is no reason to leave it."""
    pair.fault("yahoo", "status", times=1, params={"status": 429, "retry_after": retry_after})
    outcome = backfill(pair.home, want("AAPL"), run_id="run")
    assert {row.source for row in outcome.states.values()} == {"sandbox:yahoo"}
    assert outcome.requests_sent == 2


def test_an_absurd_retry_after_fails_over(pair: Served) -> None:
    """Thirty years is not waited for."""
    pair.fault("yahoo", "status", probability=1.0, params={"status": 429, "retry_after": "1000000000"})
    outcome = backfill(pair.home, want("AAPL"), run_id="run")
    assert {row.source for row in outcome.states.values()} == {"sandbox:stooq"}
    assert outcome.seconds < 10


def test_bad_credentials_stop_one_provider_for_the_run(served: Served) -> None:
    """One refused request, not one a symbol; the others do the work."""
    served.fault("alpaca", "status", probability=1.0, params={"status": 401})
    outcome = backfill(served.home, want("AAPL,IBM,MSFT,NVDA"), run_id="run")
    assert outcome.counts == {PartitionState.PRESENT: 4 * len(SESSIONS)}, outcome.errors
    refused = query(served.home, "SELECT count(*) FROM fetches WHERE provider = 'alpaca'")[0][0]
    assert refused == 1
    assert "secret-of-the-test" not in str(outcome)


def test_token_loops_end(tmp_path: Path, vendor: SandboxServer) -> None:
    """A page token that comes back is an error; the sessions before it are kept."""
    served = Served(make_home(tmp_path / "home", vendor.url, providers=("alpaca", "stooq")), vendor)
    served.calm()
    served.fault("alpaca", "token_loop", probability=1.0)
    outcome = backfill(served.home, want(), run_id="run")
    assert outcome.counts == {PartitionState.PRESENT: 2 * len(SESSIONS)}, outcome.errors
    assert served.requests() < 10


def test_a_gzip_bomb_is_cut_off(pair: Served) -> None:
    """The body is refused at the configured size; the next provider answers."""
    pair.fault("yahoo", "gzip_bomb", probability=1.0, params={"megabytes": 200})
    home = pair.reload(MDC__TRANSPORT__MAX_BODY_MB="8")
    outcome = backfill(home, want("AAPL"), run_id="run")
    assert {row.source for row in outcome.states.values()} == {"sandbox:stooq"}


def test_an_unknown_symbol_is_a_fact_about_the_pair(pair: Served) -> None:
    """Nobody knows it: missing, not retryable, the known one is not affected."""
    outcome = backfill(pair.home, want("AAPL,ZZTOP"), run_id="run")
    assert outcome.counts == {PartitionState.PRESENT: len(SESSIONS), PartitionState.MISSING: len(SESSIONS)}
    assert outcome.retryable_missing == 0
    assert any("ZZTOP" in text for text in outcome.errors)


def test_one_unknown_symbol_does_not_cost_the_others_their_request(
    tmp_path: Path, vendor: SandboxServer
) -> None:
    """Alpaca refuses the whole request for one symbol; the others are asked for again without it."""
    served = Served(make_home(tmp_path / "home", vendor.url, providers=("alpaca",)), vendor)
    served.calm()
    body = '{"message":"invalid symbol: ZZTOP"}'
    served.fault("alpaca", "status", probability=1.0, match="ZZTOP", params={"status": 400, "body": body})
    outcome = backfill(served.home, want("AAPL,IBM,ZZTOP"), run_id="run")
    assert outcome.counts == {
        PartitionState.PRESENT: 2 * len(SESSIONS),
        PartitionState.MISSING: len(SESSIONS),
    }
    asked = query(served.home, "SELECT symbols FROM fetches WHERE dataset = 'bars_1d' ORDER BY started_at")
    assert asked == [("AAPL,IBM,ZZTOP",), ("AAPL,IBM",)]
    assert any("ZZTOP" in text for text in outcome.errors)


def test_failover_stays_within_one_market(tmp_path: Path, vendor: SandboxServer) -> None:
    """IEX volume never stands in for the consolidated one."""
    extra = '[universes.us]\ncalendar = "XNYS"\n'
    home = make_home(tmp_path / "home", vendor.url, providers=("alpaca", "stooq"), extra=extra)
    served = Served(home, vendor)
    served.calm()
    served.fault("alpaca", "status", probability=1.0, params={"status": 403})
    iex = served.reload(MDC__PROVIDERS__ALPACA__FEED="iex")
    outcome = backfill(iex, want("AAPL"), run_id="run")
    assert outcome.counts == {PartitionState.MISSING: len(SESSIONS)}
    assert query(iex, "SELECT DISTINCT provider FROM fetches") == [("alpaca",)]


def test_a_real_lake_refuses_synthetic_data(tmp_path: Path, vendor: SandboxServer) -> None:
    """Pointing a real home at the sandbox stores nothing and says why."""
    home = make_home(tmp_path / "home", vendor.url, providers=("yahoo",), sandbox=False)
    outcome = backfill(home, want("AAPL"), run_id="run")
    assert outcome.counts == {PartitionState.MISSING: len(SESSIONS)}
    assert any("sandbox" in text for text in outcome.errors)
    assert query(home, "SELECT count(*) FROM bars_1d_stored") == [(0,)]


def test_an_unfinished_session_is_pending(pair: Served) -> None:
    """Today and the future are neither asked for nor counted as expected."""
    calendar = get_calendar("XNYS")
    today = dt.datetime.now(dt.UTC).date()
    far = calendar.sessions(today + dt.timedelta(days=1), today + dt.timedelta(days=20))
    outcome = backfill(pair.home, Want(Dataset.BARS_1D, (Symbol("AAPL"),), far[0], far[-1]), run_id="run")
    assert (outcome.expected, outcome.pending, outcome.requests_sent) == (0, len(far), 0)
    assert pair.requests() == 0


def test_no_credentials_and_unknown_providers_are_named(tmp_path: Path, vendor: SandboxServer) -> None:
    """Before anything is sent."""
    home = make_home(tmp_path / "home", vendor.url, environ={})
    with pytest.raises(BadCredentials, match="ALPACA_KEY_ID"):
        backfill(home, want(provider="alpaca"), run_id="run")
    with pytest.raises(ConfigError, match="yaho"):
        backfill(home, want(provider="yaho"), run_id="run")
    bare = make_home(tmp_path / "bare", vendor.url, providers=("alpaca",), environ={})
    with pytest.raises(UsageError, match="no provider can be asked"):
        preview(bare, want())


def test_preview_plans_what_the_backfill_sends(served: Served) -> None:
    """Requests, partitions and rows of the dry run are those of the real one; it changes nothing."""
    planned = preview(served.home, want())
    assert served.requests() == 0
    outcome = backfill(served.home, want(), run_id="run")
    assert planned.pages == outcome.requests_sent == served.requests()
    assert planned.partitions == outcome.expected
    assert outcome.expected <= planned.estimated_rows <= outcome.expected + 2, "and a few corporate actions"
    assert preview(served.home, want()).requests == ()


def test_raw_bars_bring_the_facts_that_make_them_readable(served: Served) -> None:
    """As-traded prices across a split: the actions are fetched along, so bars_1d is never NULL."""
    across = Want(Dataset.BARS_1D, (Symbol("NVDA"),), dt.date(2024, 5, 28), dt.date(2024, 6, 28))
    outcome = backfill(served.home, across, run_id="run")
    assert {row.basis for row in outcome.states.values()} == {"raw"}
    rows = query(
        served.home,
        "SELECT b.session, s.close / b.close FROM bars_1d b JOIN bars_1d_stored s USING (session)",
    )
    assert len(rows) == outcome.expected
    ratios = {session >= dt.date(2024, 6, 10): round(ratio) for session, ratio in rows}
    assert ratios == {False: 10, True: 1}


def test_many_small_backfills_do_not_leave_many_small_files(pair: Served) -> None:
    """One file a commit would make a lake of splinters; a month's are merged, rows untouched."""
    symbols = [f"S{number:02d}" for number in range(20)]
    for symbol in symbols:
        backfill(pair.home, want(symbol), run_id=f"run-{symbol}")
    with contextlib.closing(Lake.open(pair.home.lake_dir)) as lake:
        files = {table.name: table.files for table in lake.status().tables}
        assert lake.verify(deep=True) == []
    assert files["bars_1d"] < 16
    assert query(pair.home, "SELECT count(*) FROM bars_1d_stored") == [(len(symbols) * len(SESSIONS),)]


def test_exact_keys_narrow_the_hull(pair: Served) -> None:
    """Only the named partitions are fetched; neighbours stay missing."""
    keys = frozenset({PartitionKey(Symbol("AAPL"), SESSIONS[0]), PartitionKey(Symbol("IBM"), SESSIONS[3])})
    outcome = backfill(pair.home, want(keys=keys), run_id="run")
    assert set(outcome.states) == keys
    assert query(pair.home, "SELECT count(*) FROM bars_1d_stored") == [(2,)]


def test_a_series_keeps_its_basis(served: Served) -> None:
    """A hole in a split-adjusted series is asked of a split-adjusting provider, whatever the ranks."""
    first = want(
        "AAPL", provider="yahoo", keys=frozenset(PartitionKey(Symbol("AAPL"), s) for s in SESSIONS[1:])
    )
    backfill(served.home, first, run_id="first")
    outcome = backfill(served.home, want("AAPL"), run_id="second")
    assert {row.source for row in outcome.states.values()} == {"sandbox:yahoo"}
    assert {row.basis for row in outcome.states.values()} == {"split"}


def test_restated_history_is_a_new_snapshot(pair: Served) -> None:
    """The old content stays readable as of its snapshot."""
    before = backfill(pair.home, want("AAPL"), run_id="before")
    old = query(pair.home, "SELECT close FROM bars_1d_stored ORDER BY session")
    pair.fault("yahoo", "restated", probability=1.0)
    after = backfill(pair.home, want("AAPL", refetch=True), run_id="after")
    assert query(pair.home, "SELECT close FROM bars_1d_stored ORDER BY session") != old
    with contextlib.ExitStack() as stack:
        lake = stack.enter_context(contextlib.closing(Lake.open(pair.home.lake_dir)))
        then = stack.enter_context(contextlib.closing(lake.connect(as_of=before.snapshots[-1])))
        assert then.execute("SELECT close FROM bars_1d_stored ORDER BY session").fetchall() == old
    check_invariants(pair.home, after)


def test_intraday_answers_cut_short_are_not_present(tmp_path: Path, vendor: SandboxServer) -> None:
    """When paging breaks, sessions before the cut are kept and the cut one is only partial."""
    served = Served(make_home(tmp_path / "home", vendor.url, providers=("alpaca",)), vendor)
    served.calm()
    symbols = tuple(parse_symbols(["AAPL,IBM"]))
    wanted = Want(Dataset.BARS_1M, symbols, START, END)
    served.fault("alpaca", "status", probability=1.0, match="page_token", params={"status": 500})
    outcome = backfill(served.reload(MDC__TRANSPORT__MAX_ATTEMPTS="1"), wanted, run_id="cut")
    assert outcome.counts[PartitionState.PARTIAL] <= 1
    assert outcome.counts[PartitionState.MISSING] >= 1
    assert 0 < outcome.counts[PartitionState.PRESENT] < len(outcome.states)
    served.calm()
    whole = backfill(served.reload(MDC__TRANSPORT__BREAKER_OPEN_SECONDS="0.001"), wanted, run_id="whole")
    assert whole.counts == {PartitionState.PRESENT: 2 * len(SESSIONS)}, whole.errors
    per_session = query(served.home, "SELECT DISTINCT count(*) FROM bars_1m GROUP BY symbol, session")
    assert per_session == [(390,)]
