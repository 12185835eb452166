"""What vendors do to prices: undo splits, and take dividends out of the past.

Split ratios are exact fractions. A dividend's factor is ``1 - amount / previous close`` (both as
traded), multiplied over all later ex-dates: the rule of CRSP that Yahoo and Stooq follow. Only
splits and dividends with an ex-date up to ``asof`` count.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction

from mdc_resources.sandbox.instruments import Dividend
from mdc_resources.sandbox.market import Market


def split_ratios(market: Market, symbol: str, sessions: Sequence[dt.date]) -> list[Fraction]:
    """Shares today per share at the close of each session; divide prices, multiply volumes by it."""
    instrument = market.instrument(symbol)
    today = market.today()
    if instrument is None or not instrument.splits:
        return [Fraction(1)] * len(sessions)
    splits = [split for split in instrument.splits if split.ex_date <= today]
    after = [Fraction(1)]
    for split in reversed(splits):
        after.append(after[-1] * split.ratio)
    after.reverse()
    dates = [split.ex_date for split in splits]
    return [after[bisect_right(dates, session)] for session in sessions]


def dividend_factors(market: Market, symbol: str, sessions: Sequence[dt.date]) -> list[float]:
    """What each session's price is multiplied by so that later dividends leave no jump."""
    dividends = market.known_dividends(symbol)
    after = [1.0]
    for dividend in reversed(dividends):
        after.append(after[-1] * _factor(market, symbol, dividend))
    after.reverse()
    dates = [dividend.ex_date for dividend in dividends]
    return [after[bisect_right(dates, session)] for session in sessions]


def _factor(market: Market, symbol: str, dividend: Dividend) -> float:
    close = market.previous_close(symbol, dividend.ex_date)
    if not close:
        return 1.0
    return 1.0 - float(dividend.amount) * 100.0 / close
