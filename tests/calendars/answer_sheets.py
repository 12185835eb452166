"""Sessions as the exchanges announced them, written down by hand: nothing here was computed.

Sources: NYSE "Holidays & Trading Hours" and its rule 7.2 (a holiday on Saturday closes the Friday
before, on Sunday the Monday after; New Year's Day on a Saturday closes nothing), with the notices of
2001-09-11..14, 2012-10-29/30 and 2025-01-09; the London Stock Exchange's business days, which are
the bank holidays of England, with 2012-06-05, 2022-06-03 and 2022-09-19, and half days on the last
trading days before Christmas and the New Year. Clock changes: the (US) Uniform Time Act as amended
in 2005, and the EU's last Sundays of March and October.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

YEARS = (2001, 2012, 2022, 2024, 2025, 2026)


@dataclass(frozen=True, slots=True)
class Sheet:
    """One year of one exchange: weekdays without trading, half days, and when its summer time holds."""

    closed: str
    half_days: str
    summer: tuple[str, str]  # first and last day with summer time during trading hours


XNYS = {
    2001: Sheet(
        "01-01 01-15 02-19 04-13 05-28 07-04 09-03 09-11 09-12 09-13 09-14 11-22 12-25",
        "07-03 11-23 12-24",
        ("04-01", "10-27"),
    ),
    2012: Sheet(
        "01-02 01-16 02-20 04-06 05-28 07-04 09-03 10-29 10-30 11-22 12-25",
        "07-03 11-23 12-24",
        ("03-11", "11-03"),
    ),
    2022: Sheet("01-17 02-21 04-15 05-30 06-20 07-04 09-05 11-24 12-26", "11-25", ("03-13", "11-05")),
    2024: Sheet(
        "01-01 01-15 02-19 03-29 05-27 06-19 07-04 09-02 11-28 12-25",
        "07-03 11-29 12-24",
        ("03-10", "11-02"),
    ),
    2025: Sheet(
        "01-01 01-09 01-20 02-17 04-18 05-26 06-19 07-04 09-01 11-27 12-25",
        "07-03 11-28 12-24",
        ("03-09", "11-01"),
    ),
    2026: Sheet(
        "01-01 01-19 02-16 04-03 05-25 06-19 07-03 09-07 11-26 12-25", "11-27 12-24", ("03-08", "10-31")
    ),
}
XLON = {
    2001: Sheet("01-01 04-13 04-16 05-07 05-28 08-27 12-25 12-26", "12-24 12-31", ("03-25", "10-27")),
    2012: Sheet("01-02 04-06 04-09 05-07 06-04 06-05 08-27 12-25 12-26", "12-24 12-31", ("03-25", "10-27")),
    2022: Sheet(
        "01-03 04-15 04-18 05-02 06-02 06-03 08-29 09-19 12-26 12-27", "12-23 12-30", ("03-27", "10-29")
    ),
    2024: Sheet("01-01 03-29 04-01 05-06 05-27 08-26 12-25 12-26", "12-24 12-31", ("03-31", "10-26")),
    2025: Sheet("01-01 04-18 04-21 05-05 05-26 08-25 12-25 12-26", "12-24 12-31", ("03-30", "10-25")),
    2026: Sheet("01-01 04-03 04-06 05-04 05-25 08-31 12-25 12-28", "12-24 12-31", ("03-29", "10-24")),
}
# Trading days of each year as the exchanges count them.
COUNTS = {
    "XNYS": {2001: 248, 2012: 250, 2022: 251, 2024: 252, 2025: 250, 2026: 251},
    "XLON": {2001: 253, 2012: 252, 2022: 250, 2024: 254, 2025: 253, 2026: 253},
}


def days(year: int, months_and_days: str) -> set[dt.date]:
    """``"01-15 02-19"`` as dates of ``year``."""
    return {dt.date.fromisoformat(f"{year}-{text}") for text in months_and_days.split()}


def weekdays(year: int) -> list[dt.date]:
    """Mondays to Fridays of ``year``, counted from a Monday that everybody knows: 2000-01-03."""
    monday = dt.date(2000, 1, 3).toordinal()
    ordinals = range(dt.date(year, 1, 1).toordinal(), dt.date(year, 12, 31).toordinal() + 1)
    return [dt.date.fromordinal(ordinal) for ordinal in ordinals if (ordinal - monday) % 7 < 5]
