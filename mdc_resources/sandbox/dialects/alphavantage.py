"""Alpha Vantage: ``GET /query?function=..&symbol=..&apikey=..``; every answer has status 200.

``TIME_SERIES_DAILY`` is as traded, newest first, ``compact`` (the default) the last 100 rows;
``TIME_SERIES_INTRADAY`` naive New York times that start their minute, one ``month`` of them.
``SPLITS`` and ``DIVIDENDS`` are everything ever, ``OVERVIEW`` about a company. A key that starts with
``free`` is of the free plan: no ``full``, no minutes. Class shares are spelled ``BRK-B``. Source:
recorded answers, the vendor's documentation, quoted refusals.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from zoneinfo import ZoneInfo

from mdc_resources.sandbox.adjust import dividend_factors, split_ratios
from mdc_resources.sandbox.answers import JSON, Answer, Page, Query, Row
from mdc_resources.sandbox.instruments import Instrument
from mdc_resources.sandbox.market import Bars, Market

_NEW_YORK = ZoneInfo("America/New_York")
_CLASS_SHARE = re.compile(r"([A-Z]+)-([A-Z])")
_COMPACT = 100
_PLANS = "any of the premium plans at https://www.alphavantage.co/premium/"
_BAD_KEY = (
    "the parameter apikey is invalid or missing. Please claim your free API key on "
    "(https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds."
)
_QUOTA = (
    "We have detected your API key as DEMO5EXAMPLE9KEY and our standard API rate limit is 25 requests "
    f"per day. Please subscribe to {_PLANS} to instantly remove all daily rate limits."
)
_BURST = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more "
    f"sparingly (1 request per second). You may subscribe to {_PLANS} to lift the free key rate limit "
    "(25 requests per day) and instantly remove all daily rate limits."
)
_PREMIUM_SIZE = (
    "Thank you for using Alpha Vantage! The outputsize=full parameter value is a premium feature for "
    f"the TIME_SERIES_DAILY endpoint. You may subscribe to {_PLANS} to instantly unlock all premium features"
)
_PREMIUM_MINUTES = (
    f"Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to {_PLANS} "
    "to instantly unlock all premium endpoints"
)


class AlphaVantage:
    """Daily and one-minute series, splits, dividends, overviews."""

    name = "alphavantage"
    paged = False

    def __init__(self, market: Market) -> None:
        self._market = market

    def respond(self, query: Query) -> Page | Answer:
        """What was asked for, or a refusal in Alpha Vantage's words."""
        if query.path != "/query":
            return Answer(404, b"<html><body>Page not found</body></html>", "text/html")
        key, function = query.params.get("apikey", ""), query.params.get("function", "")
        if not key or key.startswith("bad"):
            return _said("Error Message", _BAD_KEY)
        asked = query.params.get("symbol", "").upper()
        instrument = self._market.instrument(_CLASS_SHARE.sub(r"\1.\2", asked))
        if instrument is None or instrument.successor:
            return self.missing(query)
        free = key.startswith("free")
        if function == "TIME_SERIES_DAILY":
            if free and query.params.get("outputsize") == "full":
                return _said("Information", _PREMIUM_SIZE)
            return self._daily(asked, instrument, full=query.params.get("outputsize") == "full")
        if function == "TIME_SERIES_INTRADAY":
            return _said("Information", _PREMIUM_MINUTES) if free else self._minutes(asked, instrument, query)
        if function in ("SPLITS", "DIVIDENDS"):
            return self._facts(asked, instrument, function)
        if function == "OVERVIEW":
            return _sent(self._overview(asked))
        return _invalid(function)

    def failure(self, status: int) -> Answer:
        """The vendor has no such statuses of its own; its edge answers with a page."""
        return Answer(status, b"<html><body>Service Unavailable</body></html>", "text/html")

    def hidden_error(self) -> Answer:
        """The day's allowance is used up; the notice repeats a key."""
        return _said("Information", _QUOTA)

    def burst(self) -> Answer:
        """Too fast: the notice that also speaks of the day's allowance."""
        return _said("Information", _BURST)

    def missing(self, query: Query) -> Answer:
        """An invalid call; of overviews, an empty object."""
        function = query.params.get("function", "")
        return _sent({}) if function == "OVERVIEW" else _invalid(function)

    def _daily(self, asked: str, instrument: Instrument, *, full: bool) -> Page:
        bars = self._market.daily(instrument.symbol, instrument.listed, self._market.today())
        rows = _rows(asked, bars, [1.0] * len(bars), [1.0] * len(bars))[::-1]
        size = "Full size" if full else "Compact"
        meta = {
            "1. Information": "Daily Prices (open, high, low, close) and Volumes",
            "2. Symbol": asked,
            "3. Last Refreshed": rows[0].session.isoformat() if rows else "",
            "4. Output Size": size,
            "5. Time Zone": "US/Eastern",
        }

        def encode(page: Page) -> Answer:
            return _encode(page, meta, "Daily", [row.session.isoformat() for row in page.rows])

        return Page(rows if full else rows[:_COMPACT], encode, null="null")

    def _minutes(self, asked: str, instrument: Instrument, query: Query) -> Page | Answer:
        today = self._market.today()
        try:
            first = dt.date.fromisoformat(f"{query.params.get('month', today.strftime('%Y-%m'))}-01")
        except ValueError:
            return _invalid("TIME_SERIES_INTRADAY")
        if query.params.get("interval") != "1min":
            return _invalid("TIME_SERIES_INTRADAY")
        last = (first + dt.timedelta(days=31)).replace(day=1) - dt.timedelta(days=1)
        market, name = self._market, instrument.symbol
        bars = (
            market.minutes(name, first, min(last, today)) if first <= today else Bars(*[[] for _ in range(8)])
        )
        prices = volumes = [1.0] * len(bars)
        if query.params.get("adjusted", "true") != "false":
            volumes = [float(ratio) for ratio in split_ratios(market, name, bars.sessions)]
            factors = dividend_factors(market, name, bars.sessions)
            prices = [factor / ratio for factor, ratio in zip(factors, volumes, strict=True)]
        rows = _rows(asked, bars, prices, volumes)[::-1]
        full = query.params.get("outputsize") == "full"
        meta = {
            "1. Information": "Intraday (1min) open, high, low, close prices and volume",
            "2. Symbol": asked,
            "3. Last Refreshed": _local(rows[0].start) if rows else "",
            "4. Interval": "1min",
            "5. Output Size": "Full size" if full else "Compact",
            "6. Time Zone": "US/Eastern",
        }

        def encode(page: Page) -> Answer:
            return _encode(page, meta, "1min", [_local(row.start) for row in page.rows])

        return Page(rows if full else rows[:_COMPACT], encode, null="null")

    def _facts(self, asked: str, instrument: Instrument, function: str) -> Answer:
        if function == "SPLITS":
            data = [
                {"effective_date": split.ex_date.isoformat(), "split_factor": f"{float(split.ratio):.4f}"}
                for split in reversed(instrument.splits)
                if split.ex_date <= self._market.today()
            ]
        else:
            data = [
                {
                    "ex_dividend_date": paid.ex_date.isoformat(),
                    "declaration_date": "None",
                    "record_date": paid.ex_date.isoformat(),
                    "payment_date": (paid.ex_date + dt.timedelta(days=14)).isoformat(),
                    "amount": f"{paid.amount.normalize():f}",
                }
                for paid in reversed(self._market.known_dividends(instrument.symbol))
            ]
        return _sent({"symbol": asked, "data": data})

    def _overview(self, asked: str) -> dict[str, str]:
        return {
            "Symbol": asked,
            "AssetType": "Common Stock",
            "Name": f"{asked} Synthetic Inc",
            "Description": "Invented.",
            "CIK": "None",
            "Exchange": "NYSE",
            "Currency": "USD",
            "Country": "USA",
            "Sector": "TECHNOLOGY",
        }


def _rows(asked: str, bars: Bars, prices: list[float], volumes: list[float]) -> list[Row]:
    rows = []
    for i, session in enumerate(bars.sessions):
        cents = (bars.open[i], bars.high[i], bars.low[i], bars.close[i])
        o, h, low, c = (f"{value * prices[i] / 100:.4f}" for value in cents)
        rows.append(
            Row(asked, session, bars.starts[i], o, h, low, c, str(round(bars.volume[i] * volumes[i])))
        )
    return rows


def _encode(page: Page, meta: dict[str, str], label: str, times: list[str]) -> Answer:
    told = {**meta, "2. Symbol": page.label or meta["2. Symbol"]}
    fields = ("open", "high", "low", "close", "volume")
    rows = []
    for time, row in zip(times, page.rows, strict=True):
        texts = [f'"{n}. {name}": {_text(getattr(row, name))}' for n, name in enumerate(fields, 1)]
        inner = ", ".join([*texts, '"6. zz": "1"'] if page.extra else texts)
        rows.append(f'        "{time}": {{{inner}}}')
    series = "{\n" + ",\n".join(rows) + "\n    }"
    body = f'{{\n    "Meta Data": {json.dumps(told)},\n    "Time Series ({label})": {series}\n}}'
    return Answer(200, body.encode(), JSON)


def _text(value: str) -> str:
    return value if value == "null" else json.dumps(value)


def _local(start: int) -> str:
    return dt.datetime.fromtimestamp(start, _NEW_YORK).strftime("%Y-%m-%d %H:%M:%S")


def _invalid(function: str) -> Answer:
    return _said(
        "Error Message",
        "Invalid API call. Please retry or visit the documentation "
        f"(https://www.alphavantage.co/documentation/) for {function[:40]}.",
    )


def _said(key: str, sentence: str) -> Answer:
    return _sent({key: sentence})


def _sent(document: object) -> Answer:
    return Answer(200, json.dumps(document, indent=4).encode(), JSON)
