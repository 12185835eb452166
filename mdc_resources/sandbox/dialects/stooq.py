"""Stooq's download: ``GET /q/d/l/?s=aapl.us&i=d&d1=20240101&d2=20240131``, both dates inclusive.

CSV with CRLF, header ``Date,Open,High,Low,Close,Volume``. Prices and volumes are adjusted for
splits and dividends known today, so that every dividend rewrites the history and volumes are
fractional. Every failure is a 200: ``No data`` for an unknown symbol, an empty range or a
parameter it cannot read, ``Exceeded the daily hits limit`` when it has enough. Daily bars only.
"""

from __future__ import annotations

import datetime as dt
import re

from mdc_resources.sandbox.adjust import dividend_factors, split_ratios
from mdc_resources.sandbox.answers import HTML, TEXT, Answer, Page, Query, Row
from mdc_resources.sandbox.market import Bars, Market

_HEADER = "Date,Open,High,Low,Close,Volume"
_SYMBOL = re.compile(r"([a-z0-9._-]+)\.us")
_CLASS_SHARE = re.compile(r"([A-Z]+)-([A-Z])")
_CSV = "text/csv"


class Stooq:
    """The CSV download."""

    name = "stooq"
    paged = False

    def __init__(self, market: Market) -> None:
        self._market = market

    def respond(self, query: Query) -> Page | Answer:
        """A CSV, or ``No data``."""
        if query.path.rstrip("/") != "/q/d/l":
            return Answer(404, b"<html><body>404</body></html>", HTML)
        asked = _SYMBOL.fullmatch(query.params.get("s", "").lower())
        if not asked or query.params.get("i", "d") != "d":
            return self.missing(query)
        instrument = self._market.instrument(_CLASS_SHARE.sub(r"\1.\2", asked[1].upper()))
        if instrument is None or instrument.successor:
            return self.missing(query)
        try:
            start, end = self._range(query)
        except ValueError:
            return self.missing(query)
        bars = self._market.daily(instrument.symbol, start, end)
        if not bars:
            return self.missing(query)
        return Page(self._rows(asked[1], instrument.symbol, bars), _encode, null="")

    def failure(self, status: int) -> Answer:
        """Plain text."""
        return Answer(status, {429: b"Too Many Requests"}.get(status, b"Service Unavailable"), TEXT)

    def hidden_error(self) -> Answer:
        """The hits limit, a sentence under a status of 200."""
        return Answer(200, b"Exceeded the daily hits limit", TEXT)

    def missing(self, query: Query) -> Answer:  # noqa: ARG002 - the same for every symbol
        """``No data``."""
        return Answer(200, b"No data", TEXT)

    def _range(self, query: Query) -> tuple[dt.date, dt.date]:
        first = query.params.get("d1", "19900101")
        last = query.params.get("d2") or self._market.today().strftime("%Y%m%d")
        start, end = (
            dt.datetime.strptime(text, "%Y%m%d").replace(tzinfo=dt.UTC).date() for text in (first, last)
        )
        return start, end

    def _rows(self, asked: str, name: str, bars: Bars) -> list[Row]:
        ratios = split_ratios(self._market, name, bars.sessions)
        factors = dividend_factors(self._market, name, bars.sessions)
        rows = []
        for i, session in enumerate(bars.sessions):
            unit = factors[i] * ratios[i].denominator / (100.0 * ratios[i].numerator)
            o, h, low, c = (
                _price(column[i] * unit) for column in (bars.open, bars.high, bars.low, bars.close)
            )
            volume = _volume(bars.volume[i] / (unit * 100.0))
            rows.append(Row(asked, session, bars.starts[i], o, h, low, c, volume))
        return rows


def _price(value: float) -> str:
    """Five decimals below 10, four from there on, without trailing zeros."""
    text = f"{value:.5f}" if value < 10 else f"{value:.4f}"
    return text.rstrip("0").rstrip(".")


def _volume(value: float) -> str:
    return f"{value:.15g}"


def _encode(page: Page) -> Answer:
    lines = [_HEADER + (",OpenInt" if page.extra else "")]
    for row in page.rows:
        fields = [row.session.isoformat(), row.open, row.high, row.low, row.close, row.volume]
        lines.append(",".join([*fields, "0"] if page.extra else fields))
    name = page.label.lower() or (page.rows[0].symbol + "_us" if page.rows else "empty")
    headers = {"content-disposition": f"attachment; filename={re.sub('[^a-z0-9_-]', '_', name)}_d.csv"}
    return Answer(200, ("\r\n".join(lines) + "\r\n").encode(), _CSV, headers)
