"""The dialects against one another, and each against its vendor's manners.

Expected prices are computed here from Alpaca's raw bars and the corporate actions it tells, with
exact decimals, independently of the sandbox's own adjustment.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import struct
from decimal import Decimal
from typing import Any

import httpx
import pytest

from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.sandbox.asking import KEYS, Ask, Params, epoch, result

SPLITS = {
    "AAPL": [("2020-08-31", 4, 1)],
    "NVDA": [("2021-07-20", 4, 1), ("2024-06-10", 10, 1)],
    "GE": [("2021-08-02", 1, 8)],
    "XYZ": [],
}


def single(value: Decimal) -> float:
    """``value`` as a float32 widened to double."""
    return float(struct.unpack("f", struct.pack("f", float(value)))[0])


def by_session(chart: dict[str, Any], column: str = "close") -> dict[str, float]:
    """One column of a daily chart by New York date (its stamps are opens, so UTC dates do)."""
    values = chart["indicators"]["quote"][0][column]
    days = [dt.datetime.fromtimestamp(at, dt.UTC).date().isoformat() for at in chart["timestamp"]]
    return dict(zip(days, values, strict=True))


def raw_bars(answer: httpx.Response, symbol: str) -> dict[str, dict[str, Decimal]]:
    """Alpaca's bars of ``symbol`` by date, prices exact."""
    body = json.loads(answer.text, parse_float=Decimal)
    return {bar["t"][:10]: bar for bar in body["bars"][symbol]}


def table(answer: httpx.Response) -> dict[str, list[Decimal]]:
    """Stooq's rows by date."""
    lines = answer.text.split("\r\n")
    assert lines[0] == "Date,Open,High,Low,Close,Volume"
    assert lines[-1] == ""
    return {line.split(",")[0]: [Decimal(f) for f in line.split(",")[1:]] for line in lines[1:-1]}


def later_ratio(symbol: str, day: str) -> Decimal:
    """New shares today per share of ``day``."""
    ratio = Decimal(1)
    for ex_date, to, old in SPLITS[symbol]:
        if day < ex_date:
            ratio = ratio * to / old
    return ratio


@pytest.mark.parametrize(
    ("symbol", "start", "end"),
    [
        pytest.param("AAPL", "2020-08-03", "2020-09-30", id="AAPL over its 4:1 split"),
        pytest.param("NVDA", "2021-07-01", "2021-08-06", id="NVDA over 4:1, before 10:1"),
        pytest.param("NVDA", "2024-05-20", "2024-06-21", id="NVDA over 10:1"),
        pytest.param("GE", "2021-07-20", "2021-08-10", id="GE over its reverse split"),
        pytest.param("XYZ", "2024-01-02", "2024-03-28", id="no split"),
    ],
)
def test_yahoo_is_alpaca_over_later_splits_in_float32(
    chart: Ask, bars: Ask, symbol: str, start: str, end: str
) -> None:
    """Every price equals the raw one divided by later splits, as a single; volumes are multiplied."""
    raw = raw_bars(bars(symbol, start, end), symbol)
    found = result(chart(symbol, start, end))
    for column, field in (("open", "o"), ("high", "h"), ("low", "l"), ("close", "c")):
        for day, value in by_session(found, column).items():
            assert value == single(raw[day][field] / later_ratio(symbol, day)), (day, column)
    for day, volume in by_session(found, "volume").items():
        assert volume == int(raw[day]["v"] * later_ratio(symbol, day))
    assert len(found["timestamp"]) == len([day for day in raw if day < end])


def test_stooq_takes_dividends_and_splits_out(bars: Ask, csv: Ask, client: httpx.Client) -> None:
    """A close is the raw one times every later dividend's factor; volume goes the other way."""
    start, end = "2024-01-02", "2024-06-28"
    raw = raw_bars(bars("MSFT", start, end), "MSFT")
    asked: Params = {"symbols": "MSFT", "types": "cash_dividend", "start": start, "end": "2024-07-31"}
    told = client.get("/alpaca/v1/corporate-actions", params=asked, headers=KEYS).json()
    paid = {d["ex_date"]: Decimal(str(d["rate"])) for d in told["corporate_actions"]["cash_dividends"]}
    assert sorted(paid) == ["2024-02-09", "2024-05-09"]
    days = sorted(raw)
    factors = {ex: 1 - amount / raw[days[days.index(ex) - 1]]["c"] for ex, amount in paid.items()}
    rows = table(csv("msft.us", start, end))
    assert sorted(rows) == days
    for day, (_, _, _, close, volume) in rows.items():
        factor = Decimal(1)
        for ex_date, dividend in factors.items():
            factor *= dividend if day < ex_date else 1
        assert close == pytest.approx(raw[day]["c"] * factor, abs=Decimal("0.00006"))
        assert volume == pytest.approx(raw[day]["v"] / factor, rel=Decimal("1e-12"))
    assert rows["2024-01-02"][4] != int(rows["2024-01-02"][4])


def test_yahoo_adjclose_agrees_with_stooq(chart: Ask, csv: Ask) -> None:
    """The two vendors that take dividends out agree on the close, each in its own precision."""
    start, end = "2023-01-03", "2024-06-28"
    found = result(chart("KO", start, "2024-06-29"))
    closes = found["indicators"]["adjclose"][0]["adjclose"]
    rows = table(csv("ko.us", start, end))
    days = list(by_session(found))
    assert days == list(rows)
    for day, value in zip(days, closes, strict=True):
        assert value == pytest.approx(float(rows[day][3]), abs=6e-5)


def test_alpaca_adjusts_when_asked(chart: Ask, bars: Ask) -> None:
    """``adjustment=split`` gives Yahoo's closes to a hundredth of a cent, ``all`` its adjclose."""
    start, end = "2021-07-12", "2021-07-28"
    found = result(chart("NVDA", start, "2021-07-29"))
    closes = by_session(found)
    adjusted = dict(zip(closes, found["indicators"]["adjclose"][0]["adjclose"], strict=True))
    for day, bar in raw_bars(bars("NVDA", start, end, adjustment="split"), "NVDA").items():
        assert float(bar["c"]) == pytest.approx(closes[day], abs=6e-5)
    for day, bar in raw_bars(bars("NVDA", start, end, adjustment="all"), "NVDA").items():
        assert float(bar["c"]) == pytest.approx(adjusted[day], abs=6e-5)


def test_minutes_agree_between_yahoo_and_alpaca(chart: Ask, bars: Ask) -> None:
    """The same minutes, Alpaca's raw and Yahoo's as singles."""
    found = result(chart("XYZ", "2024-06-24", "2024-06-29", interval="1m"))
    raw = bars("XYZ", "2024-06-24", "2024-06-28", "1Min", limit=10000).json()["bars"]["XYZ"]
    assert len(raw) == 5 * 390
    stamps = [int(dt.datetime.fromisoformat(bar["t"]).timestamp()) for bar in raw]
    assert stamps == found["timestamp"]
    quote = found["indicators"]["quote"][0]
    assert quote["close"] == [single(Decimal(str(bar["c"]))) for bar in raw]
    assert quote["volume"] == [bar["v"] for bar in raw]


def test_a_later_split_rewrites_yahoos_past_but_not_alpacas() -> None:
    """SPLT before and after 2024-06-03: Yahoo's old closes halve, Alpaca's stay."""
    closes: dict[str, list[float]] = {"yahoo": [], "alpaca": []}
    for day in ("2024-05-31", "2024-06-03"):
        market = Market.synthetic(seed=7, now=dt.datetime.fromisoformat(f"{day}T22:00:00+00:00"))
        with SandboxServer(market=market) as server, httpx.Client(base_url=server.url) as client:
            period: Params = {
                "period1": epoch("2024-05-28"),
                "period2": epoch("2024-05-29"),
                "interval": "1d",
            }
            found = result(client.get("/yahoo/v8/finance/chart/SPLT", params=period))
            closes["yahoo"].append(found["indicators"]["quote"][0]["close"][0])
            asked: Params = {
                "symbols": "SPLT",
                "timeframe": "1Day",
                "start": "2024-05-28",
                "end": "2024-05-28",
            }
            body = client.get("/alpaca/v2/stocks/bars", params=asked, headers=KEYS).json()
            closes["alpaca"].append(body["bars"]["SPLT"][0]["c"])
    assert closes["yahoo"][0] == pytest.approx(2 * closes["yahoo"][1], rel=1e-7)
    assert closes["alpaca"][0] == closes["alpaca"][1]


# --- Yahoo -------------------------------------------------------------------------------------


def test_yahoo_period2_is_exclusive(chart: Ask, client: httpx.Client) -> None:
    """A bar whose open is period2 is left out, one whose open is period1 is in."""
    opened = int(dt.datetime(2024, 1, 30, 14, 30, tzinfo=dt.UTC).timestamp())
    params: Params = {"period1": opened, "period2": opened + 86_400, "interval": "1d"}
    found = result(client.get("/yahoo/v8/finance/chart/XYZ", params=params))
    assert found["timestamp"] == [opened]


def test_yahoo_tells_splits_and_restated_dividends(chart: Ask) -> None:
    """Events are those asked for, keyed by the ex-date's open; dividends restated by later splits."""
    found = result(chart("NVDA", "2021-05-01", "2021-08-15", events="div|split"))
    splits, dividends = found["events"]["splits"], found["events"]["dividends"]
    assert list(splits.values()) == [
        {"date": 1626787800, "numerator": 4, "denominator": 1, "splitRatio": "4:1"}
    ]
    assert [d["amount"] for d in dividends.values()] == [0.004, 0.004]
    assert {str(event["date"]) for event in dividends.values()} == set(dividends)
    assert (
        result(chart("NVDA", "2021-05-01", "2021-08-15", events="div,splits,capitalGains"))["events"]
        == found["events"]
    )
    assert "dividends" not in result(chart("NVDA", "2021-05-01", "2021-08-15", events="split"))["events"]
    assert "events" not in result(chart("NVDA", "2021-05-01", "2021-08-15"))


def test_yahoo_without_bars_has_no_timestamp(chart: Ask) -> None:
    """A weekend is a 200 with an empty quote."""
    found = result(chart("XYZ", "2024-06-22", "2024-06-24"))
    assert "timestamp" not in found
    assert found["indicators"]["quote"] == [{}]


def test_yahoo_sends_nulls_for_a_halted_session(chart: Ask) -> None:
    """The halted session has a stamp and null in each column."""
    found = result(chart("HALT", "2024-03-12", "2024-03-16"))
    assert [value is None for value in found["indicators"]["quote"][0]["close"]] == [False, True, True, False]
    assert found["indicators"]["quote"][0]["volume"][1] is None


@pytest.mark.parametrize(
    ("symbol", "start", "end", "params", "status", "words"),
    [
        pytest.param("ZZTOP", "2024-01-02", "2024-01-05", {}, 404, "may be delisted", id="unknown"),
        pytest.param("FB", "2022-01-03", "2022-01-07", {}, 404, "may be delisted", id="renamed away"),
        pytest.param(
            "NEWCO", "2023-01-02", "2023-01-05", {}, 400, "Data doesn't exist", id="before its listing"
        ),
        pytest.param(
            "TWTR", "2023-01-02", "2023-01-05", {}, 400, "Data doesn't exist", id="after its delisting"
        ),
        pytest.param("XYZ", "2024-01-05", "2024-01-02", {}, 400, "cannot be after", id="reversed"),
        pytest.param(
            "XYZ", "2024-06-01", "2024-06-28", {"interval": "1m"}, 422, "Only 8 days", id="1m too long"
        ),
        pytest.param(
            "XYZ", "2024-05-01", "2024-05-03", {"interval": "1m"}, 422, "last 30 days", id="1m too old"
        ),
        pytest.param(
            "XYZ", "2024-05-01", "2024-05-03", {"interval": "7m"}, 422, "not supported", id="interval"
        ),
        pytest.param("XYZ", "2024-05-01", "2024-05-03", {"period1": "soon"}, 400, "epoch", id="no number"),
    ],
)
def test_yahoo_errors(
    chart: Ask, symbol: str, start: str, end: str, params: dict[str, str], status: int, words: str
) -> None:
    """Errors come as ``chart.error`` with a null result."""
    answer = chart(symbol, start, end, **params)
    body = answer.json()["chart"]
    assert (answer.status_code, body["result"]) == (status, None)
    assert words in body["error"]["description"]


def test_yahoo_spells_class_shares_with_a_dash(chart: Ask, bars: Ask) -> None:
    """BRK-B of Yahoo is BRK.B of Alpaca; the chart says BRK-B."""
    found = result(chart("BRK-B", "2024-01-02", "2024-01-05"))
    raw = bars("BRK.B", "2024-01-02", "2024-01-04").json()["bars"]["BRK.B"]
    assert found["meta"]["symbol"] == "BRK-B"
    assert found["indicators"]["quote"][0]["close"] == [single(Decimal(str(bar["c"]))) for bar in raw]


def test_yahoos_running_session_is_stamped_now() -> None:
    """In a session the last daily row carries the present time, not the open."""
    at = dt.datetime(2024, 6, 28, 15, 30, 20, tzinfo=dt.UTC)
    with (
        SandboxServer(market=Market.synthetic(seed=7, now=at)) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        params: Params = {"period1": epoch("2024-06-27"), "period2": epoch("2024-06-29"), "interval": "1d"}
        stamps = result(client.get("/yahoo/v8/finance/chart/XYZ", params=params))["timestamp"]
    assert stamps[0] % 60 == 0
    assert stamps[1] == int(at.timestamp()) - 1


# --- Stooq -------------------------------------------------------------------------------------


def test_stooq_dates_are_inclusive(csv: Ask) -> None:
    """Both d1 and d2 are in the answer."""
    assert list(table(csv("xyz.us", "2024-06-24", "2024-06-26"))) == [
        "2024-06-24",
        "2024-06-25",
        "2024-06-26",
    ]


@pytest.mark.parametrize(
    ("symbol", "params"),
    [
        pytest.param("zztop.us", {}, id="unknown"),
        pytest.param("xyz", {}, id="no market"),
        pytest.param("xyz.us", {"i": "5"}, id="minutes"),
        pytest.param("xyz.us", {"d1": "20240622", "d2": "20240623"}, id="weekend"),
        pytest.param("xyz.us", {"d1": "yesterday"}, id="no date"),
        pytest.param("fb.us", {}, id="renamed away"),
    ],
)
def test_stooq_says_no_data(csv: Ask, symbol: str, params: dict[str, str]) -> None:
    """Whatever is wrong, the answer is 200 and these two words."""
    answer = csv(symbol, "2024-06-24", "2024-06-26", **params)
    assert (answer.status_code, answer.text) == (200, "No data")


def test_stooq_leaves_a_halted_session_out(csv: Ask) -> None:
    """No row for a session without trades."""
    assert list(table(csv("halt.us", "2024-03-12", "2024-03-15"))) == ["2024-03-12", "2024-03-15"]


# --- Alpaca ------------------------------------------------------------------------------------


def test_alpaca_daily_bars_carry_new_yorks_midnight(bars: Ask) -> None:
    """05:00Z in winter, 04:00Z in summer."""
    found = bars("XYZ", "2024-03-08", "2024-03-11").json()["bars"]["XYZ"]
    assert [bar["t"] for bar in found] == ["2024-03-08T05:00:00Z", "2024-03-11T04:00:00Z"]


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        pytest.param("2024-06-26T04:00:00Z", "2024-06-27T04:00:00Z", 2, id="both instants included"),
        pytest.param("2024-06-26T04:00:01Z", "2024-06-27T03:59:59Z", 0, id="just inside"),
        pytest.param("2024-06-26", "2024-06-27", 2, id="dates"),
        pytest.param("2024-06-26T00:00:00-04:00", "2024-06-26T00:00:00-04:00", 1, id="offset"),
    ],
)
def test_alpaca_ends_are_inclusive(bars: Ask, start: str, end: str, count: int) -> None:
    """A bar at exactly start or end is in the answer."""
    assert len(bars("XYZ", start, end).json()["bars"].get("XYZ", [])) == count


def test_alpaca_pages_by_symbol_then_time(bars: Ask) -> None:
    """``limit`` is for the page; following tokens gives each bar once, in order."""
    asked: Params = {"symbols": "XYZ,AAPL,MSFT", "start": "2024-06-03", "end": "2024-06-28", "limit": 7}
    seen: list[tuple[str, str]] = []
    pages, token = 0, None
    while True:
        body = bars(**asked, **({"page_token": token} if token else {})).json()
        page = [(symbol, bar["t"]) for symbol, rows in body["bars"].items() for bar in rows]
        assert len(page) <= 7
        seen += page
        pages, token = pages + 1, body["next_page_token"]
        if token is None:
            break
        assert base64.b64decode(token).decode().startswith(f"{page[-1][0]}|D|{page[-1][1][:19]}")
    whole = bars("XYZ,AAPL,MSFT", "2024-06-03", "2024-06-28").json()["bars"]
    assert seen == [(symbol, bar["t"]) for symbol in sorted(whole) for bar in whole[symbol]]
    assert (len(seen), pages) == (57, 9)


def test_alpaca_sorts_descending_when_asked(bars: Ask) -> None:
    """``sort=desc`` reverses time inside a symbol, also over pages."""
    asked: Params = {"symbols": "XYZ", "start": "2024-06-24", "end": "2024-06-28", "limit": 3, "sort": "desc"}
    first = bars(**asked).json()
    second = bars(**asked, page_token=first["next_page_token"]).json()
    days = [bar["t"][8:10] for page in (first, second) for bar in page["bars"]["XYZ"]]
    assert days == ["28", "27", "26", "25", "24"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 401, id="no keys"),
        pytest.param({"APCA-API-KEY-ID": "key"}, 401, id="no secret"),
        pytest.param({"APCA-API-KEY-ID": "", "APCA-API-SECRET-KEY": "x"}, 401, id="empty key"),
        pytest.param(KEYS, 200, id="any keys"),
    ],
)
def test_alpaca_wants_its_keys(client: httpx.Client, headers: dict[str, str], status: int) -> None:
    """Without both headers nothing is told."""
    params: Params = {"symbols": "XYZ", "timeframe": "1Day", "start": "2024-06-24", "end": "2024-06-24"}
    answer = client.get("/alpaca/v2/stocks/bars", params=params, headers=headers)
    assert answer.status_code == status
    assert ("message" in answer.json()) is (status != 200)


def test_alpaca_checks_keys_where_some_are_set(market: Market) -> None:
    """With keys configured a wrong pair is a 403."""
    with SandboxServer(market=market, alpaca_keys={"key": "other"}) as server:
        params: Params = {"symbols": "XYZ", "timeframe": "1Day", "start": "2024-06-24", "end": "2024-06-24"}
        for secret, status in (("secret", 403), ("other", 200)):
            headers = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": secret}
            answer = httpx.get(f"{server.url}/alpaca/v2/stocks/bars", params=params, headers=headers)
            assert answer.status_code == status


def test_alpaca_leaves_unknown_symbols_out(bars: Ask) -> None:
    """An unknown symbol beside a known one is absent; alone, the answer is empty."""
    assert list(bars("XYZ,ZZTOP", "2024-06-24", "2024-06-24").json()["bars"]) == ["XYZ"]
    assert bars("ZZTOP", "2024-06-24", "2024-06-24").json() == {"bars": {}, "next_page_token": None}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        pytest.param({"symbols": "xyz!"}, "invalid symbol", id="symbol"),
        pytest.param({"symbols": ""}, "symbols is required", id="no symbols"),
        pytest.param({"timeframe": "1Fortnight"}, "invalid timeframe", id="timeframe"),
        pytest.param({"limit": "0"}, "limit", id="limit 0"),
        pytest.param({"limit": "10001"}, "limit", id="limit too large"),
        pytest.param({"start": "yesterday"}, "RFC3339", id="start"),
        pytest.param({"start": "2024-06-24T00:00:00"}, "RFC3339", id="naive start"),
        pytest.param({"end": "2024-06-01"}, "before start", id="reversed"),
        pytest.param({"adjustment": "none"}, "invalid adjustment", id="adjustment"),
        pytest.param({"page_token": "!"}, "invalid page token", id="token"),
        pytest.param({"asof": "then"}, "invalid asof", id="asof"),
    ],
)
def test_alpaca_refuses(client: httpx.Client, params: Params, words: str) -> None:
    """Bad parameters are a 400 with a message and the rate-limit headers."""
    asked: Params = {
        "symbols": "XYZ",
        "timeframe": "1Day",
        "start": "2024-06-24",
        "end": "2024-06-25",
    } | params
    answer = client.get("/alpaca/v2/stocks/bars", params=asked, headers=KEYS)
    assert answer.status_code == 400
    assert words in answer.json()["message"]
    assert int(answer.headers["x-ratelimit-limit"]) > 0


@pytest.mark.parametrize(
    ("symbol", "asof", "days"),
    [
        pytest.param("META", "", 4, id="META with its history"),
        pytest.param("META", "-", 2, id="META without mapping"),
        pytest.param("FB", "", 0, id="FB today"),
        pytest.param("FB", "2022-06-01", 2, id="FB as of then"),
        pytest.param("FB", "-", 2, id="FB without mapping"),
    ],
)
def test_alpaca_maps_renamed_symbols_by_asof(bars: Ask, symbol: str, asof: str, days: int) -> None:
    """FB became META on 2022-06-09; ``asof`` says whose name is meant."""
    found = bars(symbol, "2022-06-07", "2022-06-10", **({"asof": asof} if asof else {})).json()["bars"]
    assert len(found.get(symbol, [])) == days


def test_alpaca_tells_corporate_actions(client: httpx.Client) -> None:
    """Splits by their ex-date, dividends by the day they are paid, name changes; paged."""
    asked: Params = {"symbols": "NVDA,META,GE", "start": "2021-07-01", "end": "2022-06-30", "limit": 4}
    found: dict[str, list[dict[str, Any]]] = {}
    token: str | None = ""
    while token is not None:
        page = asked | ({"page_token": token} if token else {})
        body = client.get("/alpaca/v1/corporate-actions", params=page, headers=KEYS).json()
        for group, actions in body["corporate_actions"].items():
            found.setdefault(group, []).extend(actions)
        token = body["next_page_token"]
    split = found["forward_splits"][0]
    assert (split["symbol"], split["ex_date"], split["new_rate"], split["old_rate"]) == (
        "NVDA",
        "2021-07-20",
        4,
        1,
    )
    assert (found["reverse_splits"][0]["new_rate"], found["reverse_splits"][0]["old_rate"]) == (1, 8)
    assert (found["name_changes"][0]["old_symbol"], found["name_changes"][0]["new_symbol"]) == ("FB", "META")
    paid = [d for d in found["cash_dividends"] if d["symbol"] == "NVDA"]
    assert [d["ex_date"] for d in paid] == ["2021-08-09", "2021-11-09", "2022-02-09", "2022-05-09"]
    assert all(d["process_date"] > d["ex_date"] for d in paid)
    ids = [action["id"] for actions in found.values() for action in actions]
    assert len(ids) == len(set(ids))
