"""Nasdaq Data Link: ``GET /api/v3/datasets/{database}/{code}.json`` and ``.../metadata.json``.

``start_date`` and ``end_date`` are inclusive, ``order`` is ``desc`` unless asked for otherwise,
``limit`` cuts the rows. ``WIKI`` ends on 2018-03-27; ``EOD`` goes on, for a subscription that keys
starting with ``free`` do not have. Class shares are spelled ``BRK_B``. Prices as traded stand beside
columns over splits and dividends. Errors are ``quandl_error`` with a code. Source: recorded answers,
the vendor's client and its table of error codes.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mdc_resources.sandbox import noise
from mdc_resources.sandbox.adjust import dividend_factors, split_ratios
from mdc_resources.sandbox.answers import JSON, Answer, Page, Query, Row, cents_text
from mdc_resources.sandbox.instruments import Instrument
from mdc_resources.sandbox.market import Market

_WIKI_ENDS = dt.date(2018, 3, 27)
_PATH = re.compile(r"/api/v3/datasets/([A-Z0-9]+)/([A-Z0-9_]+)(/metadata)?(?:\.json)?")
_CLASS_SHARE = re.compile(r"([A-Z]+)_([A-Z])")
_RAW = ("Date", "Open", "High", "Low", "Close", "Volume")
_COLUMNS = {
    "WIKI": (
        *_RAW, "Ex-Dividend", "Split Ratio", "Adj. Open", "Adj. High", "Adj. Low", "Adj. Close",
        "Adj. Volume",
    ),
    "EOD": (*_RAW, "Dividend", "Split", "Adj_Open", "Adj_High", "Adj_Low", "Adj_Close", "Adj_Volume"),
}  # fmt: skip
_BAD_KEY = "We could not recognize your API key. Please check your API key and try again."
_UNKNOWN = "You have submitted an incorrect Quandl code. Please check your Quandl codes and try again."
_CLOSED = "You do not have permission to view this dataset. Please subscribe to this database to get access."
_FAILURES = {
    401: ("QEAx01", _BAD_KEY),
    403: ("QEPx04", _CLOSED),
    404: ("QECx02", _UNKNOWN),
    429: ("QELx04", "You have exceeded your 10-minute call limit as a registered user."),
    503: ("QEXx01", "Service is unavailable."),
}
_STATUS = {"QEAx01": 400, "QEPx04": 403, "QECx02": 404, "QESx04": 422}


@dataclass(frozen=True, slots=True)
class _Beside:
    """What stands beside a day's raw prices: dividend, split ratio, adjusted columns."""

    dividend: str = "0.0"
    split: str = "1.0"
    adjusted: tuple[str, ...] = ()


class Nasdaq:
    """Daily time-series."""

    name = "nasdaq"
    paged = False

    def __init__(self, market: Market) -> None:
        self._market = market

    def respond(self, query: Query) -> Page | Answer:
        """A series, its metadata, or a ``quandl_error``."""
        key = query.headers.get("x-api-token") or query.params.get("api_key", "")
        if not key or key.startswith("bad"):
            return _error("QEAx01", _BAD_KEY)
        path = _PATH.fullmatch(query.path)
        if not path or path[1] not in _COLUMNS:
            return _error("QECx02", _UNKNOWN)
        database, code, metadata = path.groups()
        instrument = self._market.instrument(_CLASS_SHARE.sub(r"\1.\2", code))
        if instrument is None or instrument.successor:
            return self.missing(query)
        if database == "EOD" and key.startswith("free"):
            return _error("QEPx04", _CLOSED)
        last = self._last(instrument, database)
        facts = self._facts(instrument, database, code, last)
        if metadata:
            return _sent({"dataset": facts})
        try:
            return self._series(instrument, facts, query.params, last)
        except ValueError as error:
            return _error("QESx04", str(error))

    def failure(self, status: int) -> Answer:
        """``quandl_error`` with the code of ``status``."""
        code, message = _FAILURES.get(status, ("QEMx01", "Something went wrong. Please try again."))
        return Answer(status, _body(code, message))

    def hidden_error(self) -> Answer:
        """The day's limit under a status of 200."""
        return Answer(200, _body("QELx02", "You have exceeded the daily limit of calls."))

    def missing(self, query: Query) -> Answer:  # noqa: ARG002 - the same for every symbol
        """404, an incorrect code."""
        return _error("QECx02", _UNKNOWN)

    def _last(self, instrument: Instrument, database: str) -> dt.date:
        """The last session that the database has."""
        end = min(_WIKI_ENDS if database == "WIKI" else self._market.today(), instrument.last or dt.date.max)
        over = [
            day
            for day in self._market.sessions(instrument.symbol, end - dt.timedelta(days=14), end)
            if self._market.calendar.hours(day)[1] <= self._market.now()
        ]
        return over[-1] if over else end

    def _facts(self, instrument: Instrument, database: str, code: str, last: dt.date) -> dict[str, Any]:
        name = f"{instrument.symbol} Synthetic Inc ({code}) Prices, Dividends, Splits and Trading Volume"
        return {
            "id": noise.key("dataset", database, code) % 10**8,
            "dataset_code": code,
            "database_code": database,
            "name": name,
            "description": "This dataset has no description.",
            "refreshed_at": f"{last.isoformat()}T21:46:11.201Z",
            "newest_available_date": last.isoformat(),
            "oldest_available_date": instrument.listed.isoformat(),
            "column_names": list(_COLUMNS[database]),
            "frequency": "daily",
            "type": "Time Series",
            "premium": database != "WIKI",
            "database_id": 4922 if database == "WIKI" else 12910,
        }

    def _series(
        self, instrument: Instrument, facts: Mapping[str, Any], params: Mapping[str, str], last: dt.date
    ) -> Page:
        start = _date(params, "start_date", instrument.listed)
        end = _date(params, "end_date", last)
        order, limit = params.get("order", "desc"), params.get("limit")
        if order not in ("asc", "desc") or (limit is not None and not limit.isdecimal()):
            raise ValueError("You have submitted incorrect query parameters.")
        rows, beside = self._rows(instrument, max(start, instrument.listed), min(end, last))
        if order == "desc":
            rows.reverse()
        cut: dict[str, Any] = {
            "limit": int(limit) if limit else None,
            "transform": None,
            "column_index": None,
            "start_date": start.isoformat(),
            "end_date": end.isoformat(),
            "collapse": None,
            "order": params.get("order"),
        }
        told = {**facts, **cut}

        def encode(page: Page) -> Answer:
            return _encode(page, told, beside)

        return Page(rows[: int(limit)] if limit else rows, encode, null="null")

    def _rows(
        self, instrument: Instrument, start: dt.date, end: dt.date
    ) -> tuple[list[Row], dict[dt.date, _Beside]]:
        market, name = self._market, instrument.symbol
        bars = market.daily(name, start, end)
        ratios = split_ratios(market, name, bars.sessions)
        factors = dividend_factors(market, name, bars.sessions)
        paid = {dividend.ex_date: dividend.amount for dividend in market.known_dividends(name)}
        parts = {split.ex_date: split.ratio for split in instrument.splits}
        rows, beside = [], {}
        for i, session in enumerate(bars.sessions):
            cents = (bars.open[i], bars.high[i], bars.low[i], bars.close[i])
            o, h, low, c = (_float(cents_text(value)) for value in cents)
            rows.append(Row(name, session, bars.starts[i], o, h, low, c, f"{bars.volume[i]}.0"))
            unit = factors[i] / float(ratios[i])
            adjusted = [repr(value * unit / 100) for value in cents]
            beside[session] = _Beside(
                repr(float(paid.get(session, 0))),
                repr(float(parts.get(session, 1))),
                (*adjusted, repr(bars.volume[i] * float(ratios[i]))),
            )
        return rows, beside


def _encode(page: Page, told: Mapping[str, Any], beside: Mapping[dt.date, _Beside]) -> Answer:
    facts = {**told, "dataset_code": page.label or told["dataset_code"]}
    if page.extra:
        facts["column_names"] = [*told["column_names"], "zz"]
    lines = []
    for row in page.rows:
        raw = (row.open, row.high, row.low, row.close, row.volume)
        day = beside.get(row.session, _Beside())
        cells = [json.dumps(row.session.isoformat()), *raw, day.dividend, day.split, *(day.adjusted or raw)]
        lines.append(f"[{','.join([*cells, '1'] if page.extra else cells)}]")
    head = json.dumps(facts, separators=(",", ":"))[:-1]
    return Answer(
        200, f'{{"dataset":{head},"data":[{",".join(lines)}]}}}}'.encode(), f"{JSON}; charset=utf-8"
    )


def _float(text: str) -> str:
    return text if "." in text else f"{text}.0"


def _date(params: Mapping[str, str], name: str, default: dt.date) -> dt.date:
    try:
        return dt.date.fromisoformat(params[name]) if params.get(name) else default
    except ValueError:
        raise ValueError(f"You have submitted an incorrect {name}.") from None


def _error(code: str, message: str) -> Answer:
    return Answer(_STATUS[code], _body(code, message))


def _body(code: str, message: str) -> bytes:
    return json.dumps({"quandl_error": {"code": code, "message": message}}).encode()


def _sent(document: object) -> Answer:
    return Answer(200, json.dumps(document).encode(), f"{JSON}; charset=utf-8")
