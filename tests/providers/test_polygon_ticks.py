"""Polygon's trades and quotes: nanoseconds, identity, corrections, round lots, sides that are not there."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import PayloadError
from mdc_resources.providers.polygon import PROVIDER
from mdc_resources.providers.spec import Page
from mdc_resources.schema.arrow import QUOTES, TRADES
from tests.providers.asking import decode, dialect_of, is_canonical, refusal, respond, rows, want
from tests.providers.polygon_pages import DAY, listed, nanos, quote, trade

T, Q = Dataset.TRADES, Dataset.QUOTES
OPEN = nanos(DAY, 9, 30)
LOTS, SHARES = dt.date(2025, 10, 31), dt.date(2025, 11, 3)  # the last session in lots, the first in shares


def _trades(*told: str, day: dt.date = DAY) -> Page:
    return decode(want("polygon", "AAPL", dataset=T, start=day, end=day), listed(*told))


def _quotes(*told: str, day: dt.date = DAY) -> Page:
    return decode(want("polygon", "AAPL", dataset=Q, start=day, end=day), listed(*told))


def _only(page: Page, dataset: Dataset = T) -> dict[str, Any]:
    assert page.rejected == ()
    (row,) = rows(page, dataset)
    return row


@pytest.mark.parametrize("dataset", [T, Q])
def test_ticks_are_asked_for_oldest_first_in_nanoseconds(dataset: Dataset) -> None:
    """The window of a session ends at 20:00 and begins where the one before ended; the end is excluded."""
    wire = PROVIDER.plan(want("polygon", "AAPL", dataset=dataset, start=DAY, end=DAY), dialect_of("polygon"))
    assert wire.url.endswith(f"/v3/{dataset}/AAPL")
    assert dict(wire.params) == {
        "timestamp.gte": str(nanos(dt.date(2024, 3, 7), 20)),
        "timestamp.lt": str(nanos(DAY, 20)),
        "order": "asc",
        "sort": "timestamp",
        "limit": "50000",
    }


def test_one_session_is_asked_for_at_a_time() -> None:
    """Ids begin anew each day, and a chain of pages that breaks costs no more than a session."""
    assert {PROVIDER.spec.offers[dataset].max_sessions for dataset in (T, Q)} == {1}


def test_a_trade_is_canonical() -> None:
    """Every field of the wire at its place; the taker's side is not told."""
    page = _trades(trade(OPEN + 123_456_789, conditions="[12,37]"))
    assert is_canonical(page.tables[T], TRADES)
    assert _only(page) == {
        "symbol": "AAPL",
        "session": DAY,
        "ts_event": OPEN + 123_456_789,
        "ts_recv": None,
        "ordinal": 0,
        "price": Decimal("169.05"),
        "size": Decimal(100),
        "side": None,
        "venue": "11",
        "trade_id": "71675577320245",
        "conditions": "12,37",
        "tape": "3",
        "sequence": 1063,
        "correction": None,
        "source": "polygon",
    }


def test_nanoseconds_keep_their_last_digit() -> None:
    """1709908200000000001 is no double."""
    page = _trades(trade(OPEN + 1), trade(OPEN + 2, id='"2"'), trade(OPEN + 3, id='"3"'))
    assert [row["ts_event"] - OPEN for row in rows(page, T)] == [1, 2, 3]


def test_the_time_is_the_one_the_vendor_sorts_by() -> None:
    """``sip_timestamp``; the participant's may lie before the window, even on another day."""
    told = trade(OPEN, participant_timestamp=str(OPEN - 86_400 * 10**9))
    assert _only(_trades(told))["ts_event"] == OPEN


@pytest.mark.parametrize(
    "stamp",
    [
        pytest.param(str(OPEN // 10**3), id="microseconds"),
        pytest.param(str(OPEN // 10**6), id="milliseconds"),
        pytest.param(str(OPEN // 10**9), id="seconds"),
        pytest.param("1.7099082e18", id="a float that lost its digits"),
        pytest.param(f'"{OPEN}"', id="text"),
        pytest.param("null", id="null"),
        pytest.param("", id="absent"),
        pytest.param("99999999999999999999", id="too large"),
        pytest.param(f"-{OPEN}", id="negative"),
    ],
)
def test_a_time_in_another_unit_is_an_error_and_no_event_of_1970(stamp: str) -> None:
    """It is not dropped as outside the range: the session stays open."""
    page = _trades(trade(OPEN), trade(OPEN, id='"2"', sip_timestamp=stamp))
    assert (page.tables[T].num_rows, len(page.rejected), page.dropped) == (1, 1, 0)
    assert page.incomplete == (("AAPL", DAY),)


def test_extended_hours_belong_to_the_session() -> None:
    """04:00 and 19:59 are of the day; 20:00 is of the next session, and 03:59 of none but this one."""
    at = [nanos(DAY, 4), nanos(DAY, 19, 59), nanos(DAY, 20), nanos(dt.date(2024, 3, 7), 20)]
    page = _trades(*(trade(ns, id=f'"{n}"') for n, ns in enumerate(at)))
    assert [row["ts_event"] for row in rows(page, T)] == sorted([at[0], at[1], at[3]])
    assert page.dropped == 1


def test_an_id_is_unique_per_exchange_and_trf() -> None:
    """Three trades called 1: two of FINRA's facilities and one of an exchange."""
    page = _trades(
        trade(OPEN, id='"1"', exchange="4", trf_id="202"),
        trade(OPEN, id='"1"', exchange="4", trf_id="201"),
        trade(OPEN, id='"1"', exchange="11", price="170"),
    )
    assert page.rejected == ()
    assert [row["venue"] for row in rows(page, T)] == ["4/202", "4/201", "11"]
    assert {row["trade_id"] for row in rows(page, T)} == {"1"}


def test_a_trade_told_twice_is_one_and_two_under_one_identity_are_none() -> None:
    """The first is repetition, the second a contradiction."""
    assert _trades(trade(OPEN), trade(OPEN)).tables[T].num_rows == 1
    page = _trades(trade(OPEN), trade(OPEN, "170"))
    assert (page.tables[T].num_rows, len(page.rejected)) == (0, 2)


def test_an_id_above_two_to_the_53_stays_text() -> None:
    """It was never a number."""
    assert _only(_trades(trade(OPEN, id='"9007199254740993"')))["trade_id"] == "9007199254740993"


@pytest.mark.parametrize("told", ["", "null"])
def test_trades_without_an_id_are_never_taken_for_one(told: str) -> None:
    """Two equal trades at one instant are two."""
    assert _trades(trade(OPEN, id=told), trade(OPEN, id=told)).tables[T].num_rows == 2


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("", None),
        ("null", None),
        ("0", None),
        ("1", "corrected"),
        ("7", "incorrect"),
        ("8", "canceled"),
        ("10", "cancel record"),
        ("11", "error record"),
        ("12", "correction record"),
        ("99", "correction 99"),
    ],
)
def test_a_trade_that_did_not_stand_says_so(code: str, word: str | None) -> None:
    """Null is valid; every other code is a word, also one nobody knows."""
    assert _only(_trades(trade(OPEN, correction=code)))["correction"] == word


def test_the_record_of_a_cancel_is_not_the_trade_it_tells_of() -> None:
    """Both carry one id and neither makes the other a contradiction."""
    page = _trades(trade(OPEN, correction="8"), trade(OPEN + 10**9, correction="10"))
    assert page.rejected == ()
    told = [(row["trade_id"], row["correction"]) for row in rows(page, T)]
    assert told == [("71675577320245", "canceled"), ("71675577320245/10", "cancel record")]


def test_fractions_of_a_share_are_exact() -> None:
    """Sizes are decimals."""
    assert _only(_trades(trade(OPEN, size="0.00012345")))["size"] == Decimal("0.00012345")


@pytest.mark.parametrize("codes", ["", "null", "[]"])
def test_no_conditions_are_null(codes: str) -> None:
    """Absent, null or an empty list."""
    assert _only(_trades(trade(OPEN, conditions=codes)))["conditions"] is None


@pytest.mark.parametrize(
    "more",
    [
        {"price": "NaN"},
        {"price": '"169.05"'},
        {"price": ""},
        {"size": "1e999"},
        {"size": "null"},
        {"exchange": '"11"'},
        {"id": "17"},
        {"conditions": "[1.5]"},
        {"conditions": '"12"'},
        {"conditions": "[null,{}]"},
        {"sequence_number": "1.5"},
        {"price": "1e-99999999"},
    ],
    ids=str,
)
def test_a_bad_cell_costs_its_row_only(more: dict[str, str]) -> None:
    """The good trade beside it stays, and the bad one is shown as received."""
    page = _trades(trade(OPEN), trade(OPEN + 1, **{"id": '"2"', **more}))
    assert page.tables[T].num_rows == 1
    assert len(page.rejected) == 1
    assert page.rejected[0].session == DAY


def test_a_page_is_sorted_whatever_the_order_it_came_in() -> None:
    """Equal instants keep the order of the page."""
    page = _trades(trade(OPEN + 5, id='"5"'), trade(OPEN, id='"0"'), trade(OPEN, id='"1"'))
    assert [row["trade_id"] for row in rows(page, T)] == ["0", "1", "5"]


def test_the_body_names_no_ticker() -> None:
    """So nothing can be compared; the ticker is the one that was asked for."""
    assert _only(_trades(trade(OPEN)))["symbol"] == "AAPL"


def test_a_quote_is_canonical() -> None:
    """Sizes of that year are round lots: 4 are 400 shares."""
    page = _quotes(quote(OPEN))
    assert is_canonical(page.tables[Q], QUOTES)
    found = _only(page, Q)
    assert [found[name] for name in ("bid_price", "bid_size", "ask_price", "ask_size")] == [
        Decimal("169.08"),
        Decimal(400),
        Decimal("169.1"),
        Decimal(300),
    ]
    assert (found["bid_venue"], found["ask_venue"], found["conditions"], found["tape"]) == (
        "19",
        "15",
        "1",
        "3",
    )


@pytest.mark.parametrize(("day", "size"), [(LOTS, 400), (SHARES, 4)])
def test_round_lots_end_on_the_third_of_november_2025(day: dt.date, size: int) -> None:
    """Friday's 4 are 400 shares, Monday's 4 are 4."""
    assert _only(_quotes(quote(nanos(day, 9, 30)), day=day), Q)["bid_size"] == size


def test_the_hour_of_the_change_is_new_yorks_midnight() -> None:
    """An early quote of that Monday, still Sunday's evening elsewhere, is in shares."""
    page = _quotes(quote(nanos(SHARES, 0)), quote(nanos(SHARES, 0) - 1), day=SHARES)
    assert [int(row["bid_size"]) for row in rows(page, Q)] == [400, 4]


@pytest.mark.parametrize("side", ["bid", "ask"])
@pytest.mark.parametrize("told", ["0", "", "null"], ids=["zero", "absent", "null"])
def test_a_side_that_is_not_there_is_zero(side: str, told: str) -> None:
    """No price, no size, no venue; the other side stands."""
    cells = {f"{side}_{name}": told for name in ("price", "size", "exchange")}
    found = _only(_quotes(quote(OPEN, **cells)), Q)
    assert (found[f"{side}_price"], found[f"{side}_size"], found[f"{side}_venue"]) == (0, 0, None)
    other = {"bid": "ask", "ask": "bid"}[side]
    assert found[f"{other}_price"] > 0


@pytest.mark.parametrize(
    "more",
    [
        {"bid_size": ""},
        {"ask_price": ""},
        {"bid_price": "", "bid_size": "", "ask_price": "", "ask_size": ""},
        {"bid_price": "NaN"},
        {"ask_size": '"3"'},
        {"bid_size": "99999999999999999999"},
        {"bid_size": "9999999999999999"},
    ],
    ids=str,
)
def test_half_a_side_is_an_error_of_its_row(more: dict[str, str]) -> None:
    """A price without a size, nothing at all, or no number."""
    page = _quotes(quote(OPEN), quote(OPEN + 1, **more))
    assert (page.tables[Q].num_rows, len(page.rejected)) == (1, 1)


def test_equal_quotes_at_one_instant_are_both_kept() -> None:
    """Quotes have no identity."""
    assert _quotes(quote(OPEN), quote(OPEN)).tables[Q].num_rows == 2


def test_a_session_whose_window_is_open_is_not_complete() -> None:
    """Until 20:00 trades may follow, whatever the close was."""
    request = want("polygon", "AAPL", dataset=T, start=DAY, end=DAY)
    dialect, good = dialect_of("polygon"), respond(listed(trade(OPEN)))
    for at, incomplete in (
        (dt.datetime(2024, 3, 9, 0, 59, tzinfo=dt.UTC), (("AAPL", DAY),)),
        (dt.datetime(2024, 3, 9, 1, 0, tzinfo=dt.UTC), ()),
    ):
        response = type(good)(good.status, good.headers, good.body, at)
        page = PROVIDER.decode(request, dialect, PROVIDER.plan(request, dialect), response)
        assert page.incomplete == incomplete


@pytest.mark.parametrize("dataset", [T, Q])
@pytest.mark.parametrize(
    "body", ['{"results":{},"status":"OK"}', '{"results":7,"status":"OK"}', '{"results":[]}']
)
def test_another_structure_is_refused(dataset: Dataset, body: str) -> None:
    """``results`` is a list, and the document says that it is fine."""
    assert isinstance(
        refusal(want("polygon", "AAPL", dataset=dataset, start=DAY, end=DAY), body), PayloadError
    )


def test_no_ticks_are_an_empty_page() -> None:
    """With or without ``results``."""
    for body in ('{"results":[],"status":"OK"}', '{"status":"OK"}', '{"results":null,"status":"OK"}'):
        page = decode(want("polygon", "AAPL", dataset=T, start=DAY, end=DAY), body)
        assert (page.tables[T].num_rows, page.rejected) == (0, ())
