"""A second source on splits and dividends: asked once, never in the way, its word kept in the ledgers."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol, parse_symbols
from mdc_resources.ingest import Want, backfill
from mdc_resources.ingest.corroborating import Corroboration, corroborate
from mdc_resources.lake import CommitBatch, Lake, fingerprints
from mdc_resources.sandbox.server import SandboxServer
from tests.homes import Served, make_home
from tests.ingest.test_bad_input import query

ACTIONS = Dataset.CORPORATE_ACTIONS
START, END = dt.date(2020, 8, 3), dt.date(2020, 9, 30)
AT = dt.datetime(2026, 11, 13, 6, tzinfo=dt.UTC)
JUDGED = "SELECT symbol, session, value, detail FROM quality WHERE metric = 'corroborated' ORDER BY session"
CONFLICTS = "SELECT symbol, session, message, provider, dataset FROM incidents WHERE kind = 'conflict'"


@pytest.fixture
def two(tmp_path: Path, vendor: SandboxServer) -> Iterator[Served]:
    """A home with yahoo and alpaca, both of which have corporate actions."""
    home = make_home(tmp_path / "two", vendor.url, providers=("yahoo", "alpaca"))
    found = Served(home, vendor)
    found.calm()
    yield found
    found.calm()


def stored(served: Served, *symbols: str, start: dt.date = START, end: dt.date = END) -> None:
    """Yahoo's splits and dividends, as a backfill stores them; what that cost is forgotten."""
    want = Want(ACTIONS, tuple(map(Symbol, symbols)), start, end, provider="yahoo")
    assert backfill(served.home, want, run_id="stored", at=AT).requests_sent
    served.calm()


def check(served: Served, *symbols: str, **options: bool) -> Corroboration:
    """Ask the second source."""
    return corroborate(served.home, tuple(map(Symbol, symbols)), START, END, run_id="check", at=AT, **options)


def falsify(served: Served, symbol: str, session: dt.date, **values: object) -> None:
    """Store other values for one action, under the same source; none where ``values`` are empty."""
    key = PartitionKey(Symbol(symbol), session)
    with contextlib.closing(Lake.open(served.home.lake_dir)) as lake:
        rows = lake.rows_of(ACTIONS, [key])
        source = lake.coverage(ACTIONS, symbols=[key.symbol], start=session, end=session)["source"][0].as_py()
        table = pa.Table.from_pylist(
            [row | values for row in rows.to_pylist()] if values else [], schema=rows.schema
        )
        state = PartitionState.PRESENT if values else PartitionState.EMPTY
        mark = fingerprints(ACTIONS, table)[key] if values else ""
        line = CoverageRow(
            ACTIONS, key.symbol, session, state, source=source, row_count=table.num_rows, fingerprint=mark
        )
        lake.commit(
            CommitBatch(
                "false", 1, {ACTIONS: table} if values else {}, [line], replaces=frozenset({(ACTIONS, key)})
            )
        )


def test_what_two_sources_say_alike_is_noted_once(two: Served) -> None:
    """One request for the span of the ex-dates; the next check asks nobody."""
    stored(two, "AAPL")
    found = check(two, "AAPL")
    assert (found.agreed, found.conflicts, found.open, found.requests) == (2, [], 0, 1)
    assert two.requests() == 1
    judged = query(two.home, JUDGED)
    assert [(row[0], row[1].isoformat(), row[2]) for row in judged] == [
        ("AAPL", row[1].isoformat(), 1.0) for row in judged
    ]
    assert any(row[3] == "split 4:1 from yahoo, confirmed by alpaca" for row in judged)
    again = check(two, "AAPL")
    assert (again.agreed, again.requests, again.planned) == (0, 0, [])
    assert two.requests() == 1


def test_symbols_share_a_request_where_the_second_source_takes_several(two: Served) -> None:
    """One request for the group, from its first ex-date to its last."""
    stored(two, "AAPL", "MSFT", "KO")
    found = check(two, "AAPL", "MSFT", "KO")
    assert (found.requests, found.open, found.conflicts) == (1, 0, [])
    assert found.agreed >= 3


def test_a_wrong_ratio_is_a_conflict_that_names_both(two: Served) -> None:
    """Both sources, both values, the dataset, the symbol and the session; the row stays as it is."""
    split = dt.date(2020, 8, 31)
    stored(two, "AAPL")
    falsify(two, "AAPL", split, ratio_to=5)
    found = check(two, "AAPL")
    assert (found.agreed, len(found.conflicts)) == (1, 1)
    (row,) = query(two.home, CONFLICTS)
    message = "AAPL ex 2020-08-31: yahoo says split 5:1, alpaca says split 4:1"
    assert row == ("AAPL", split, message, "alpaca", "corporate_actions")
    assert query(two.home, "SELECT ratio_to FROM corporate_actions WHERE kind = 'split'") == [(5,)]
    assert check(two, "AAPL").planned == []  # told once


def test_dividends_are_compared_on_one_share_count(two: Served) -> None:
    """Yahoo divided the August payment by the later split; alpaca gives it as paid."""
    stored(two, "AAPL")
    amounts = query(two.home, "SELECT amount, basis FROM corporate_actions WHERE kind = 'dividend'")
    assert {row[1] for row in amounts} == {"split"}
    assert check(two, "AAPL").conflicts == []


def test_a_wrong_amount_is_a_conflict(two: Served) -> None:
    """A cent more on the old share is no rounding."""
    stored(two, "AAPL")
    ((session, amount),) = query(
        two.home, "SELECT session, amount FROM corporate_actions WHERE kind = 'dividend' AND symbol = 'AAPL'"
    )
    falsify(two, "AAPL", session, amount=amount + Decimal("0.0025"))
    (conflict,) = check(two, "AAPL").conflicts
    assert "dividend" in conflict.message
    assert conflict.session == session


def test_what_only_one_side_has_is_a_conflict(two: Served) -> None:
    """Removed from the store: the other source still has it, within the span that was asked."""
    start, end = dt.date(2020, 1, 2), dt.date(2021, 3, 1)
    stored(two, "AAPL", start=start, end=end)
    ((first,), *_) = query(two.home, "SELECT session FROM corporate_actions ORDER BY session")
    assert first < dt.date(2020, 8, 31)
    falsify(two, "AAPL", dt.date(2020, 8, 31))
    found = corroborate(two.home, (Symbol("AAPL"),), start, end, run_id="check", at=AT)
    (conflict,) = found.conflicts
    assert conflict.message == "AAPL ex 2020-08-31: yahoo says no split, alpaca says split 4:1"
    assert found.agreed >= 3


def test_a_failing_second_source_leaves_the_question_open(two: Served) -> None:
    """Nothing is judged, nothing raised, and the next check asks again."""
    stored(two, "AAPL")
    two.fault("alpaca", "status", params={"status": 403}, times=50)
    found = check(two, "AAPL")
    assert (found.agreed, found.conflicts, found.open) == (0, [], 2)
    assert found.waiting
    two.calm()
    assert check(two, "AAPL").open in (0, 2)  # the breaker may still rest


def test_nothing_is_asked_where_there_is_one_source(served: Served, tmp_path: Path) -> None:
    """No second provider of the market, no request, no finding."""
    home = make_home(tmp_path / "one", served.server.url, providers=("yahoo",))
    one = Served(home, served.server)
    stored(one, "AAPL")
    found = check(one, "AAPL")
    assert (found.planned, found.requests, found.open) == ([], 0, 2)


def test_a_dry_run_sends_nothing(two: Served) -> None:
    """It shows whom it would ask about what."""
    stored(two, "AAPL")
    (question,) = check(two, "AAPL", dry_run=True).planned
    assert (question.candidate.name, question.source) == ("alpaca", "yahoo")
    assert START <= question.request.start <= question.request.end <= END
    assert two.requests() == 0
    assert query(two.home, JUDGED) == []


@pytest.mark.parametrize(("switch", "asked"), [("true", True), ("false", False)])
def test_a_recheck_asks_along_unless_it_is_switched_off(two: Served, switch: str, asked: bool) -> None:
    """Its requests are not the recheck's: the outcome counts its own."""
    stored(two, "AAPL")
    home = two.reload(MDC__INGEST__CORROBORATE=switch)
    want = Want(ACTIONS, tuple(parse_symbols(["AAPL"])), START, END, provider="yahoo", refetch=True)
    outcome = backfill(home, want, run_id="recheck", at=AT)
    assert outcome.requests_sent == 1
    assert two.requests() == 1 + asked
    assert bool(query(home, JUDGED)) is asked


def test_an_ordinary_backfill_asks_nobody_else(two: Served) -> None:
    """What a want costs is what its partitions need."""
    want = Want(Dataset.BARS_1D, (Symbol("AAPL"),), START, END, provider="yahoo")
    outcome = backfill(two.home, want, run_id="run", at=AT)
    assert outcome.requests_sent == two.requests() == 1
