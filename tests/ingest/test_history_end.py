"""A database that has ended is asked for what lies before its end, and for nothing else."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.calendars import get_calendar
from mdc_resources.config import ProviderSettings
from mdc_resources.domain.datasets import Basis, Dataset, NumberEncoding
from mdc_resources.domain.intervals import Intervals
from mdc_resources.ingest.planner import reachable
from mdc_resources.providers.registry import provider
from mdc_resources.providers.spec import Offer, offers_under

XNYS = get_calendar("XNYS")
ASOF = dt.date(2024, 12, 31)
OFFER = Offer(market="us-consolidated", basis=Basis.RAW, encoding=NumberEncoding.DECIMAL)
FIRST = XNYS.ordinal(dt.date(2018, 3, 1))
ENDED = dt.date(2018, 3, 27)


def dates(left: Intervals) -> list[dt.date]:
    """The sessions of ``left``."""
    return [XNYS.session_at(ordinal) for ordinal in left]


def test_the_end_is_inclusive() -> None:
    """The last day is asked for, the day after is not."""
    month = Intervals(((FIRST, FIRST + 40),))
    left = reachable(replace(OFFER, history_end=ENDED), XNYS, month, asof=ASOF)
    assert (dates(left)[0], dates(left)[-1]) == (dt.date(2018, 3, 1), ENDED)


def test_an_end_on_a_day_without_a_session_is_the_session_before() -> None:
    """Good Friday was no session."""
    offer = replace(OFFER, history_end=dt.date(2018, 3, 30))
    left = reachable(offer, XNYS, Intervals(((FIRST, FIRST + 40),)), asof=ASOF)
    assert dates(left)[-1] == dt.date(2018, 3, 29)


def test_what_lies_after_the_end_is_nobodys_request() -> None:
    """An empty part, so that no request is planned."""
    later = XNYS.ordinal(dt.date(2018, 3, 28))
    left = reachable(replace(OFFER, history_end=ENDED), XNYS, Intervals(((later, later + 99),)), asof=ASOF)
    assert left == Intervals()


def test_start_and_end_bound_together() -> None:
    """History is the sessions between them, however far back it may go today."""
    offer = replace(OFFER, history_start=dt.date(2018, 3, 5), history_end=dt.date(2018, 3, 9))
    assert len(dates(reachable(offer, XNYS, Intervals(((FIRST, FIRST + 40),)), asof=ASOF))) == 5
    rolling = replace(offer, history_days=10)
    left = reachable(rolling, XNYS, Intervals(((FIRST, FIRST + 40),)), asof=dt.date(2018, 3, 17))
    assert dates(left) == [dt.date(2018, 3, day) for day in (7, 8, 9)]


def test_without_an_end_nothing_changes() -> None:
    """The very same intervals come back."""
    month = Intervals(((FIRST, FIRST + 40),))
    assert reachable(OFFER, XNYS, month, asof=ASOF) is month


@given(st.sets(st.integers(FIRST, FIRST + 40)), st.dates(dt.date(2018, 2, 1), dt.date(2018, 6, 1)))
def test_what_is_left_is_exactly_what_lies_before_the_end(missing: set[int], end: dt.date) -> None:
    """Nothing is invented, nothing on or before the end is lost."""
    left = reachable(replace(OFFER, history_end=end), XNYS, Intervals.of(missing), asof=ASOF)
    assert set(left) == {ordinal for ordinal in missing if XNYS.session_at(ordinal) <= end}


def test_only_the_feed_that_ended_has_an_end() -> None:
    """WIKI ended on 2018-03-27; EOD is another database of the same vendor, and goes on."""
    spec = provider("nasdaq").spec
    for settings in (ProviderSettings(), ProviderSettings(feed="WIKI")):
        assert {offer.history_end for offer in offers_under(spec, settings).values()} == {ENDED}
    going_on = offers_under(spec, ProviderSettings(feed="EOD"))
    assert {offer.history_end for offer in going_on.values()} == {None}
    assert going_on[Dataset.BARS_1D].market == "us-consolidated"
