"""The dialects against one another.

Expected prices are computed here from Alpaca's raw bars and the corporate actions it tells, with
exact decimals, independently of the sandbox's own adjustment.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import httpx
import pytest

from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.sandbox.asking import KEYS, Ask, Params, by_session, epoch, raw_bars, result, single, table

SPLITS = {
    "AAPL": [("2020-08-31", 4, 1)],
    "NVDA": [("2021-07-20", 4, 1), ("2024-06-10", 10, 1)],
    "GE": [("2021-08-02", 1, 8)],
    "XYZ": [],
}


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
