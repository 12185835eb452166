"""Tiingo: ``/tiingo/daily/{t}/prices``, ``/tiingo/daily/{t}`` and ``/iex/{t}/prices``.

A day is raw and adjusted side by side (CRSP: splits and dividends), with ``divCash`` and ``splitFactor``
on the ex-date; its ``date`` is a date written as midnight UTC, it appears at 17:30 in New York, and a
day without trades is left out. Without ``startDate`` there is only the newest. Minutes are those of IEX,
a few per cent of the volume, which is told only where ``columns`` names it; at most the newest 2,000.
Class shares are spelled ``BRK-B``. A list names no ticker. Sources: recorded answers of the vendor's
Python client; error texts as quoted by its users.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mdc_resources.sandbox.adjust import dividend_factors, split_ratios
from mdc_resources.sandbox.answers import Answer, Page, Query, Row, cents_text
from mdc_resources.sandbox.instruments import Instrument
from mdc_resources.sandbox.market import Bars, Market

_DAYS = re.compile(r"/tiingo/daily/([^/]+)/prices")
_TICKER = re.compile(r"/tiingo/daily/([^/]+)")
_MINUTES = re.compile(r"/iex/([^/]+)/prices")
_PUBLISHED = dt.time(17, 30)
_NEWEST = 2000
_COLUMNS: tuple[str, ...] = ("open", "high", "low", "close", "volume")
_IEX_PARTS = 40  # of the market's volume IEX trades one
_HOURLY = "Error: You have run over your hourly request allocation."
_TEXTS = {401: "Invalid token.", 403: "You do not have permission to perform this action.", 404: "Not found."}


class Tiingo:
    """End-of-day prices, minutes of IEX, and descriptions of tickers."""

    name = "tiingo"
    paged = False

    def __init__(self, market: Market) -> None:
        self._market = market

    def respond(self, query: Query) -> Page | Answer:
        """Prices, a description, or Tiingo's error for what was asked."""
        if refused := _refusal(query):
            return refused
        found = _DAYS.fullmatch(query.path) or _MINUTES.fullmatch(query.path) or _TICKER.fullmatch(query.path)
        if not found:
            return _detail(404, "Not found.")
        instrument = self._instrument(found[1])
        if instrument is None:
            return self.missing(query)
        try:
            if found.re is _DAYS:
                return self._days(instrument, query.params)
            return (
                self._minutes(instrument, query.params) if found.re is _MINUTES else self._facts(instrument)
            )
        except ValueError as error:
            return _detail(400, f"Error: {error}")

    def failure(self, status: int) -> Answer:
        """``{"detail": ...}``."""
        return _detail(status, _TEXTS.get(status, "Too many requests." if status == 429 else "Server error."))

    def hidden_error(self) -> Answer:
        """The hour's allocation is used up, under a status of 200."""
        return _detail(200, _HOURLY)

    def missing(self, query: Query) -> Answer:
        """404 with the ticker."""
        parts = query.path.removesuffix("/prices").split("/")
        return _detail(404, f"Error: Ticker '{parts[-1].upper()[:40]}' not found")

    def _instrument(self, ticker: str) -> Instrument | None:
        """A class share takes a dash, never a dot; what was renamed is known by its new name only."""
        found = None if "." in ticker else self._market.instrument(ticker.upper().replace("-", "."))
        return None if found is None or found.successor else found

    def _days(self, instrument: Instrument, params: Mapping[str, str]) -> Page | Answer:
        if params.get("resampleFreq", "daily") != "daily":
            raise ValueError("the sandbox resamples nothing")
        market, newest = self._market, self._published()
        first = _date(params, "startDate") or newest
        last = min(_date(params, "endDate") or newest, newest)
        bars = market.daily(instrument.symbol, first, last)
        days = _days_of(market, instrument, bars)
        as_csv = params.get("format") == "csv"
        return Page(
            _rows(instrument, bars), lambda page: _encode_days(page, days, as_csv=as_csv), null="null"
        )

    def _published(self) -> dt.date:
        """The newest date whose prices are out."""
        now = self._market.now().astimezone(self._market.calendar.tz)
        return now.date() if now.time() >= _PUBLISHED else now.date() - dt.timedelta(days=1)

    def _minutes(self, instrument: Instrument, params: Mapping[str, str]) -> Page | Answer:
        if params.get("resampleFreq", "1min") != "1min":
            raise ValueError("the sandbox resamples nothing")
        today = self._market.today()
        first, last = _date(params, "startDate") or today, _date(params, "endDate") or today
        bars = self._market.minutes(instrument.symbol, first, last)
        columns = params.get("columns", "open,high,low,close").split(",")
        rows = _rows(instrument, bars)[-_NEWEST:]
        for row in rows:
            row.volume = f"{-(-int(row.volume) // _IEX_PARTS)}.0"
        return Page(rows, lambda page: _encode_minutes(page, columns), null="null")

    def _facts(self, instrument: Instrument) -> Answer:
        newest = min(self._published(), instrument.last or dt.date.max)
        document = {
            "ticker": _spelled(instrument),
            "name": f"{instrument.symbol} Synthetic Inc.",
            "exchangeCode": "NYSE",
            "startDate": instrument.listed.isoformat(),
            "endDate": newest.isoformat(),
            "description": "It makes nothing.",
        }
        return Answer(200, json.dumps(document, separators=(",", ":")).encode())


@dataclass(frozen=True, slots=True)
class _Day:
    """What a day's row tells besides its prices."""

    price_unit: float
    volume_unit: float
    cash: str = "0.0"
    factor: str = "1.0"


def _days_of(market: Market, instrument: Instrument, bars: Bars) -> dict[dt.date, _Day]:
    ratios = split_ratios(market, instrument.symbol, bars.sessions)
    factors = dividend_factors(market, instrument.symbol, bars.sessions)
    cash = {paid.ex_date: repr(float(paid.amount)) for paid in market.known_dividends(instrument.symbol)}
    splits = {split.ex_date: repr(split.to / split.old) for split in instrument.splits}
    return {
        day: _Day(
            factors[i] / float(ratios[i]), float(ratios[i]), cash.get(day, "0.0"), splits.get(day, "1.0")
        )
        for i, day in enumerate(bars.sessions)
    }


def _rows(instrument: Instrument, bars: Bars) -> list[Row]:
    rows = []
    for i, session in enumerate(bars.sessions):
        o, h, low, c = (_float(column[i]) for column in (bars.open, bars.high, bars.low, bars.close))
        rows.append(Row(instrument.symbol, session, bars.starts[i], o, h, low, c, str(bars.volume[i])))
    return rows


def _encode_days(page: Page, days: Mapping[dt.date, _Day], *, as_csv: bool) -> Answer:
    texts = [_day_cells(row, days.get(row.session, _Day(1.0, 1.0))) for row in page.rows]
    for cells in texts if page.extra else []:
        cells["zz"] = "1"
    if as_csv:
        header = ",".join(texts[0]) if texts else "date"
        lines = [",".join(cells.values()) for cells in texts]
        return Answer(200, ("\n".join([header, *lines]) + "\n").encode(), "text/csv")
    return Answer(200, _array([{**cells, "date": f'"{cells["date"]}T00:00:00.000Z"'} for cells in texts]))


def _day_cells(row: Row, day: _Day) -> dict[str, str]:
    raw = {"close": row.close, "high": row.high, "low": row.low, "open": row.open, "volume": row.volume}
    adjusted = {f"adj{name.title()}": _adjusted(text, day.price_unit) for name, text in raw.items()}
    adjusted["adjVolume"] = _adjusted(row.volume, day.volume_unit).removesuffix(".0")
    return {
        "date": row.session.isoformat(),
        **raw,
        **adjusted,
        "divCash": day.cash,
        "splitFactor": day.factor,
    }


def _adjusted(text: str, unit: float) -> str:
    try:
        return text if unit == 1.0 else repr(float(text) * unit)
    except ValueError:  # a fault has made it something else
        return text


def _encode_minutes(page: Page, columns: list[str]) -> Answer:
    found: list[dict[str, str]] = []
    extra: dict[str, str] = {"zz": "1"} if page.extra else {}
    for row in page.rows:
        at = dt.datetime.fromtimestamp(row.start, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        told = {name: str(getattr(row, name)) for name in _COLUMNS if name in columns}
        found.append({"date": f'"{at}"', **told, **extra})
    return Answer(200, _array(found))


def _array(rows: list[dict[str, str]]) -> bytes:
    texts = ["{" + ",".join(f'"{name}":{text}' for name, text in cells.items()) + "}" for cells in rows]
    return f"[{','.join(texts)}]".encode()


def _float(cents: int) -> str:
    """A price as Python's JSON prints a float: ``1110.0``."""
    text = cents_text(cents)
    return text if "." in text else f"{text}.0"


def _spelled(instrument: Instrument) -> str:
    return instrument.symbol.replace(".", "-")


def _date(params: Mapping[str, str], name: str) -> dt.date | None:
    return dt.date.fromisoformat(params[name]) if params.get(name) else None


def _refusal(query: Query) -> Answer | None:
    """401 where there is no token, or one that starts with ``bad``."""
    scheme, _, header = query.headers.get("authorization", "").partition(" ")
    token = header.strip() if scheme.lower() == "token" else query.params.get("token", "")
    if not token:
        return _detail(401, "Please supply a token")
    return _detail(401, "Invalid token.") if token.startswith("bad") else None


def _detail(status: int, text: str) -> Answer:
    return Answer(status, json.dumps({"detail": text}).encode())
