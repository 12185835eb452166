"""Alpaca's multi-symbol bars: what is asked, paging, and every known trap."""

from __future__ import annotations

import datetime as dt
import json
import random
from decimal import Decimal
from typing import Any

import pytest

from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import (
    ConfigError,
    PayloadError,
)
from mdc_resources.providers.alpaca import PROVIDER
from mdc_resources.schema.arrow import BARS
from tests.providers.asking import (
    FRIDAY,
    MONDAY,
    RECEIVED,
    WEEK,
    bar,
    bars_page,
    decode,
    dialect_of,
    is_canonical,
    midnight,
    prices,
    refusal,
    respond,
    rows,
    same,
    want,
)

MINUTES = Dataset.BARS_1M


def _week(**more: Any) -> list[dict[str, Any]]:
    return [bar(midnight(day), 100.5 + at, **more) for at, day in enumerate(WEEK)]


def _params(**settings: Any) -> dict[str, str]:
    return dict(PROVIDER.plan(want("alpaca", "AAPL", "BRK.B"), dialect_of("alpaca", **settings)).params)


def test_a_request_names_all_symbols_and_the_largest_page() -> None:
    """One request for many symbols, raw prices, no symbol mapped to what it is called now."""
    assert _params() == {
        "symbols": "AAPL,BRK.B",
        "timeframe": "1Day",
        "start": "2024-03-04T05:00:00Z",
        "end": "2024-03-09T04:59:59Z",
        "limit": "10000",
        "adjustment": "raw",
        "asof": "-",
        "feed": "sip",
        "sort": "asc",
    }


def test_minutes_are_asked_for_from_the_open_to_just_before_the_close() -> None:
    """Both ends are inclusive on the wire: the bar that starts at the close is left out."""
    wire = PROVIDER.plan(want("alpaca", "AAPL", dataset=MINUTES), dialect_of("alpaca"))
    found = dict(wire.params)
    assert found["timeframe"] == "1Min"
    assert (found["start"], found["end"]) == ("2024-03-04T14:30:00Z", "2024-03-08T20:59:59Z")


def test_credentials_are_named_and_never_carried() -> None:
    """Headers are paired with the names of their secrets, which settings may change."""
    plan = PROVIDER.plan
    default = plan(want("alpaca", "AAPL"), dialect_of("alpaca"))
    assert dict(default.auth) == {
        "APCA-API-KEY-ID": "ALPACA_KEY_ID",
        "APCA-API-SECRET-KEY": "ALPACA_SECRET_KEY",
    }
    named = plan(want("alpaca", "AAPL"), dialect_of("alpaca", key_env="MY_ID", secret_env="MY_SECRET"))
    assert dict(named.auth) == {"APCA-API-KEY-ID": "MY_ID", "APCA-API-SECRET-KEY": "MY_SECRET"}
    assert default.headers == default.query_auth == ()


@pytest.mark.parametrize(("feed", "market"), [("sip", "us-consolidated"), ("iex", "iex")])
def test_the_feed_decides_the_market_and_the_source(feed: str, market: str) -> None:
    """One exchange is another market than the consolidated tape."""
    dialect = dialect_of("alpaca", feed=feed)
    assert dialect.offer(Dataset.BARS_1D).market == market
    page = decode(want("alpaca", "AAPL"), bars_page(AAPL=_week()), feed=feed)
    assert {row["source"] for row in rows(page)} == {f"alpaca/{feed}"}
    assert _params(feed=feed)["feed"] == feed


def test_an_unknown_feed_is_a_configuration_error() -> None:
    """It names the known ones."""
    with pytest.raises(ConfigError, match="Known: sip, iex"):
        _params(feed="otc")


@pytest.mark.parametrize(
    ("basis", "adjustment"), [("raw", "raw"), ("split", "split"), ("split+dividend", "split,dividend")]
)
def test_the_basis_asks_for_an_adjustment(basis: str, adjustment: str) -> None:
    """The rows carry the basis that was asked for; adjusted prices may be rounded, raw ones never."""
    assert _params(basis=basis)["adjustment"] == adjustment
    body = bars_page(AAPL=[bar(midnight(MONDAY), 1.12345678912), bar(midnight(FRIDAY), 2)])
    page = decode(want("alpaca", "AAPL"), body, basis=basis)
    assert {row["basis"] for row in rows(page)} == {Basis(basis)}
    assert prices(page) == (["2"] if basis == "raw" else ["1.123456789", "2"])
    assert len(page.rejected) == (basis == "raw")


def test_a_page_of_two_symbols_is_canonical() -> None:
    """Rows by symbol and session, with the vendor's statistics."""
    page = decode(want("alpaca", "BRK.B", "AAPL"), bars_page(BRK_B=_week()[:1], AAPL=_week()))
    table = page.tables[Dataset.BARS_1D]
    assert is_canonical(table, BARS)
    assert table.column("symbol").to_pylist() == ["AAPL"] * 5 + ["BRK.B"]
    assert rows(page)[0] == {
        "symbol": "AAPL",
        "session": MONDAY,
        "ts": dt.datetime(2024, 3, 4, 14, 30, tzinfo=dt.UTC),
        "open": Decimal("100.5"),
        "high": Decimal("100.5"),
        "low": Decimal("100.5"),
        "close": Decimal("100.5"),
        "volume": Decimal(1000),
        "trade_count": 10,
        "vwap": 100.25,
        "basis": "raw",
        "basis_asof": RECEIVED.date(),
        "exact": True,
        "source": "alpaca/sip",
    }


def test_a_daily_bar_belongs_to_its_new_york_date_in_both_seasons() -> None:
    """Midnight in New York is 05:00 or 04:00 UTC."""
    days = [dt.date(2024, 3, 8), dt.date(2024, 3, 11)]
    assert [midnight(day)[11:13] for day in days] == ["05", "04"]
    request = want("alpaca", "AAPL", start=days[0], end=days[1])
    page = decode(request, bars_page(AAPL=[bar(midnight(day)) for day in days]))
    assert page.tables[Dataset.BARS_1D].column("session").to_pylist() == days


@pytest.mark.parametrize(
    ("text", "value"),
    [("6.3896155e+07", "63896155"), ("895.36742328", "895.36742328"), ("1E3", "1000"), ("0", "0")],
)
def test_volumes_are_read_in_every_notation(text: str, value: str) -> None:
    """A JSON number is a number, with or without an exponent."""
    body = json.dumps(bars_page(AAPL=[bar(midnight(MONDAY), v=4711)])).replace("4711", text)
    assert prices(decode(want("alpaca", "AAPL"), body), "volume") == [value]


def test_old_bodies_have_no_statistics() -> None:
    """Where n and vw are absent they are null."""
    old = {key: value for key, value in bar(midnight(MONDAY)).items() if key not in ("n", "vw")}
    (row,) = rows(decode(want("alpaca", "AAPL"), bars_page(AAPL=[old])))
    assert (row["trade_count"], row["vwap"]) == (None, None)


@pytest.mark.parametrize(
    "body", [{"bars": {}, "next_page_token": None}, {"bars": None}, bars_page(AAPL=None), bars_page(AAPL=[])]
)
def test_nothing_in_the_range_is_an_empty_page(body: object) -> None:
    """An empty object, null and an empty list all mean: no bars."""
    page = decode(want("alpaca", "AAPL"), body)
    assert rows(page) == []
    assert is_canonical(page.tables[Dataset.BARS_1D], BARS)
    assert page.next is None


def test_a_page_continues_while_there_is_a_token() -> None:
    """A short page with a token goes on; the token replaces the one before it."""
    first = decode(want("alpaca", "AAPL"), bars_page("t1", AAPL=_week()[:1]))
    assert first.next is not None
    assert dict(first.next.params) == {**_params(), "symbols": "AAPL", "page_token": "t1"}
    second = decode(want("alpaca", "AAPL"), bars_page("t2", AAPL=_week()[1:2]), sent=first.next)
    assert second.next is not None
    assert [value for name, value in second.next.params if name == "page_token"] == ["t2"]
    assert second.next.auth == first.next.auth != ()
    assert decode(want("alpaca", "AAPL"), bars_page(AAPL=[]), sent=second.next).next is None


def test_a_token_that_repeats_itself_is_refused() -> None:
    """A page that names itself as the next one would never end."""
    sent = decode(want("alpaca", "AAPL"), bars_page("t1", AAPL=[])).next
    found = PROVIDER
    with pytest.raises(PayloadError, match="a loop"):
        found.decode(
            want("alpaca", "AAPL"), dialect_of("alpaca"), sent or _never(), respond(bars_page("t1", AAPL=[]))
        )


def _never() -> Any:
    raise AssertionError("the first page had no token")


def test_a_symbol_that_was_not_asked_for_is_refused() -> None:
    """AAPL.MX in an answer about AAPL makes all of it doubtful."""
    error = refusal(want("alpaca", "AAPL"), bars_page(AAPL=_week(), AAPL_MX=_week()))
    assert isinstance(error, PayloadError)
    assert "AAPL.MX" in str(error)


def test_extended_hours_are_dropped_and_counted() -> None:
    """Minutes before the open and from the close on are not of the regular session."""
    stamps = ["2024-03-08T14:29:00Z", "2024-03-08T14:30:00Z", "2024-03-08T20:59:00Z", "2024-03-08T21:00:00Z"]
    page = decode(want("alpaca", "AAPL", dataset=MINUTES), bars_page(AAPL=[bar(stamp) for stamp in stamps]))
    assert [ts.strftime("%H:%M") for ts in page.tables[MINUTES].column("ts").to_pylist()] == [
        "14:30",
        "20:59",
    ]
    assert page.dropped == 2


def test_rows_outside_the_range_are_dropped_and_counted() -> None:
    """More than was asked is never stored."""
    page = decode(want("alpaca", "AAPL", start=WEEK[1], end=WEEK[2]), bars_page(AAPL=_week()))
    assert (len(rows(page)), page.dropped) == (2, 3)


def test_identical_rows_collapse_and_contradicting_ones_are_rejected() -> None:
    """Pages overlap when data arrives during paging; contradictions are both quarantined."""
    group = [*_week(), _week()[0], bar(midnight(WEEK[1]), 7)]
    page = decode(want("alpaca", "AAPL"), bars_page(AAPL=group))
    assert page.tables[Dataset.BARS_1D].column("session").to_pylist() == [WEEK[0], *WEEK[2:]]
    assert [(wrong.session, wrong.reason) for wrong in page.rejected] == [
        (WEEK[1], "2 rows for one bar disagree")
    ] * 2


@pytest.mark.parametrize("bad", [None, 1.12345678912], ids=["fast reader", "slow reader"])
@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_does_not_matter(seed: int, bad: float | None) -> None:
    """Shuffled rows give the same page, rejections included."""
    group = [*_week(), bar(midnight(WEEK[1]), 7), bar(midnight(WEEK[2]), bad or 9)]
    shuffled = random.Random(seed).sample(group, len(group))
    straight = decode(want("alpaca", "AAPL"), bars_page(AAPL=group))
    assert same(straight, decode(want("alpaca", "AAPL"), bars_page(AAPL=shuffled)))


@pytest.mark.parametrize(
    ("literal", "reason"),
    [
        ("NaN", "is not a number"),
        ("-Infinity", "is not a number"),
        ("1e400", "too large"),
        ("1.1234567891", "more than 9 decimals"),
        ("12345678901", "too large"),
        ('"103.5"', "is not a JSON number"),
        ('"1.234,50"', "is not a JSON number"),
        ("true", "is not a JSON number"),
        ("{}", "is not a JSON number"),
        ("null", "close is missing"),
    ],
)
def test_one_bad_value_costs_one_row(literal: str, reason: str) -> None:
    """Whatever stands where a price belongs, the other rows of the page are stored."""
    group = _week()
    group[2]["c"] = 4711
    body = json.dumps(bars_page(AAPL=group, IBM=_week())).replace("4711", literal)
    page = decode(want("alpaca", "AAPL", "IBM"), body)
    assert len(rows(page)) == 9
    (wrong,) = page.rejected
    assert (wrong.symbol, wrong.session) == ("AAPL", WEEK[2])
    assert reason in wrong.reason
    assert len(wrong.raw) <= 2000


@pytest.mark.parametrize(
    ("key", "literal"),
    [
        ("n", "1.5"), ("n", '"7"'), ("n", "1e30"), ("vw", '"x"'), ("vw", "NaN"),
        ("t", "5"), ("t", '"2024-03-06"'), ("t", '"2024-03-06T05:00:00"'), ("t", "null"),
    ],
)  # fmt: skip
def test_a_bad_statistic_or_time_rejects_its_row(key: str, literal: str) -> None:
    """Counts must be whole, times must carry a zone."""
    group = _week()
    group[2][key] = 4711
    page = decode(want("alpaca", "AAPL"), json.dumps(bars_page(AAPL=group)).replace("4711", literal))
    assert len(rows(page)) == 4
    assert len(page.rejected) == 1


@pytest.mark.parametrize("row", [None, 5, "x", []])
def test_a_row_that_is_no_object_is_rejected(row: object) -> None:
    """The rows around it are stored."""
    page = decode(want("alpaca", "AAPL"), bars_page(AAPL=[*_week(), row]))
    assert (len(rows(page)), len(page.rejected)) == (5, 1)


def test_a_whole_count_may_come_with_an_exponent() -> None:
    """1e3 trades are a thousand trades."""
    body = json.dumps(bars_page(AAPL=[bar(midnight(MONDAY), n=4711)])).replace("4711", "1e3")
    assert rows(decode(want("alpaca", "AAPL"), body))[0]["trade_count"] == 1000


def test_the_slow_reader_reads_like_the_fast_one() -> None:
    """One bad row changes no other row of the page."""
    group = [
        bar(midnight(day), 34.099998474121094 if at else 1.5, v=63896155.5) for at, day in enumerate(WEEK)
    ]
    group = [{**row, **dict.fromkeys("ohlc", 34.0999 + at)} for at, row in enumerate(group)]
    fast = decode(want("alpaca", "AAPL", "IBM"), bars_page(AAPL=group, IBM=[]))
    slow = decode(want("alpaca", "AAPL", "IBM"), bars_page(AAPL=group, IBM=[None]))
    assert fast.tables[Dataset.BARS_1D].equals(slow.tables[Dataset.BARS_1D])
    assert len(slow.rejected) == 1


def test_unknown_keys_are_ignored() -> None:
    """A new field of the vendor disturbs nothing."""
    page = decode(want("alpaca", "AAPL"), {**bars_page(AAPL=_week(zz={"deep": [1]})), "currency": "USD"})
    assert len(rows(page)) == 5


def test_nonsense_prices_pass_through_for_the_rules_to_judge() -> None:
    """High below low, zero and negative volume are data here."""
    page = decode(want("alpaca", "AAPL"), bars_page(AAPL=[bar(midnight(MONDAY), h=1, l=9, c=0, v=-3)]))
    assert (rows(page)[0]["close"], rows(page)[0]["volume"]) == (Decimal(0), Decimal(-3))
