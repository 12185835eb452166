"""The page: complete by itself, escaped, bounded in size, and legible without colour."""

from __future__ import annotations

import datetime as dt
import re
import stat
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations, pairwise

import pytest

from mdc_resources.calendars import get_calendar
from mdc_resources.coverage.heatmap import page_of, write_page
from mdc_resources.coverage.heatmap_style import LOOKS, STEPS, step_of, stylesheet
from mdc_resources.coverage.heatmap_svg import SYMBOLS, svg_of
from mdc_resources.coverage.outlook import GapLine
from mdc_resources.coverage.picture import EXPECTED, SETTLED, Cell, Grain, Picture, Row, Shade
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import Symbol

XNYS = get_calendar("XNYS")
AT = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
DAILY = Dataset.BARS_1D
NASTY = "<script>alert('x')</script>\"&"


def row(symbol: str, first: str, last: str, *, calendar=XNYS, **shades: str) -> Row:
    """Present from ``first`` to ``last``, but for ``shades``: ``missing="2024-01-03 2024-01-04"``."""
    other = {dt.date.fromisoformat(d): Shade(name) for name, days in shades.items() for d in days.split()}
    cells = []
    for date in calendar.sessions(dt.date.fromisoformat(first), dt.date.fromisoformat(last)):
        shade = other.get(date, Shade.PRESENT)
        one = int(shade in EXPECTED)
        note = NASTY if shade in (Shade.EMPTY, Shade.QUARANTINED) else ""
        cells.append(Cell(date, date, shade, one, int(one and shade in SETTLED), note))
    return Row(Symbol(symbol), calendar, tuple(cells), Counter(cell.shade for cell in cells))


def picture(*rows: Row, grain=Grain.DAY, gaps=(), untouched=()) -> Picture:
    """A picture of ``rows``."""
    tally = sum((each.tally for each in rows), Counter())
    start = min(each.cells[0].first for each in rows)
    end = max(each.cells[-1].last for each in rows)
    return Picture(DAILY, "universe us", AT, 7, start, end, grain, rows, tally, gaps, untouched)


class Seen(HTMLParser):
    """Elements of a page: (tag, attributes) in order; and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += f"{data} "

    def titles(self, mark: str) -> list[str]:
        """Tooltips of the cells of one shade."""
        return [
            a["title"] or ""
            for tag, a in self.elements
            if tag == "b" and a.get("class") == mark and "title" in a
        ]


HOLED = row(
    "AAPL", "2024-01-02", "2024-02-29", missing="2024-01-03 2024-01-04", empty="2024-01-05",
    quarantined="2024-01-08", pending="2024-02-29",
)  # fmt: skip


def test_every_session_is_a_cell_with_its_date_and_state():
    """41 sessions and two holidays, each once, in the words of the legend."""
    seen = Seen(page_of(picture(HOLED)))
    assert seen.titles("m") == ["2024-01-03 missing", "2024-01-04 missing"]
    assert len(seen.titles("p")) == 36
    assert seen.titles("w") == ["2024-02-29 pending"]
    assert [title.split(":")[1] for title in seen.titles("n")] == [
        " New Year's Day", " Dr. Martin Luther King Jr. Day", " President's Day",
    ][1:]  # fmt: skip


def test_reasons_are_in_the_tooltips_and_escaped():
    """A vendor's words are data, never markup."""
    page = page_of(picture(HOLED))
    assert "<script" not in page
    assert Seen(page).titles("e") == [f"2024-01-05 empty: {NASTY}"]


def test_nothing_on_the_page_comes_from_elsewhere():
    """No script, link, image, font or address; and a policy that allows none."""
    page = page_of(picture(HOLED, row("MSFT", "2024-01-02", "2024-02-29")))
    seen = Seen(page)
    assert not {tag for tag, _ in seen.elements} & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "base",
        "form",
    }
    assert not any(
        name in attributes for _, attributes in seen.elements for name in ("src", "href", "onclick")
    )
    assert "://" not in page
    assert "url(" not in page
    assert "@import" not in page
    policy = [a["content"] for tag, a in seen.elements if tag == "meta" and "http-equiv" in a]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_the_numbers_on_top_are_the_pictures():
    """In the headline and, shade by shade, in the legend."""
    seen = Seen(page_of(picture(HOLED)))
    found = picture(HOLED)
    text = " ".join(seen.text.split())
    assert f"{found.percent:g} % of {found.expected} expected sessions are covered" in text
    for shade, look in LOOKS.items():
        if shade is not Shade.UNLISTED:
            assert f"{found.tally[shade]} {look.label} {look.means}" in text


def test_strips_begin_on_the_right_weekday():
    """2024-01-01 was a Monday: no blank before it; 2026-01-01 was a Thursday: three."""
    for year, blanks in ((2024, 0), (2026, 3), (2022, 0)):  # 2022-01-01 was a Saturday
        page = page_of(picture(row("AAPL", f"{year}-01-03", f"{year}-03-01")))
        days = page.partition('class="days five"')[2].partition(">")[2]
        leading = re.match(r"(?:<b></b>)*", days)[0].count("<b>")
        closed = sum(dt.date(year, 1, n).weekday() < 5 for n in (1, 2))
        assert leading == blanks + closed, year


def test_a_market_with_weekends_has_seven_rows():
    """Bitcoin on a Sunday."""
    coin = row(
        "COINBASE:BTC-USD", "2024-01-01", "2024-01-20", calendar=get_calendar("24/7"), missing="2024-01-07"
    )
    page = page_of(picture(coin))
    assert 'class="days seven"' in page
    assert Seen(page).titles("m") == ["2024-01-07 missing"]


def test_all_symbols_together_have_strips_of_their_own():
    """A day that one of two lacks is half covered."""
    other = row("MSFT", "2024-01-02", "2024-02-29")
    assert "All symbols" in page_of(picture(HOLED, other))
    assert "All symbols" not in page_of(picture(HOLED))
    assert "2024-01-03 1 of 2 covered" in Seen(page_of(picture(HOLED, other))).titles(step_of(0.5))


def test_screen_readers_are_told_each_strip():
    """A strip is an image with its numbers as the name."""
    seen = Seen(page_of(picture(HOLED)))
    labels = [a["aria-label"] for _, a in seen.elements if a.get("role") == "img"]
    assert labels == [f"AAPL 2024: {HOLED.covered} of {HOLED.expected} sessions covered"]


def test_gaps_are_listed_the_longest_first_and_escaped():
    """With what was tried and when they are looked at next."""
    day = dt.date(2024, 1, 3)
    short = GapLine(
        DAILY, Symbol("AAPL"), day, day, 1, 0, 2, dt.datetime(2024, 3, 2, tzinfo=dt.UTC), 0, NASTY
    )
    long = replace(short, sessions=5, tries=6, given_up=5, partial=5)
    page = page_of(picture(HOLED, gaps=(short, long)))
    table = page.partition('id="gaps"')[2]
    assert table.index("given up") < table.index("2024-03-02 00:00 UTC")
    assert "&lt;script&gt;" in table
    assert "<script" not in table


def test_symbols_never_asked_for_are_named():
    """So that nobody looks for them among the strips."""
    page = page_of(picture(HOLED, untouched=(Symbol("KO"), Symbol("PEP"))))
    assert "KO, PEP" in page.partition("Never asked for")[2]


def test_months_are_one_line_a_symbol_and_the_page_says_so():
    """Cells by their column; the complete rest of the year is one of them."""
    cells = (
        Cell(dt.date(2024, 1, 2), dt.date(2024, 1, 31), Shade.MISSING, 21, 12, "9 missing, 12 present"),
        Cell(dt.date(2024, 2, 1), dt.date(2024, 6, 28), Shade.PRESENT, 103, 103),
    )
    tally = Counter({Shade.PRESENT: 115, Shade.MISSING: 9})
    found = picture(Row(Symbol("AAPL"), XNYS, cells, tally), grain=Grain.MONTH)
    page = page_of(found)
    assert "A cell is one month" in page
    assert Seen(page).titles("s1")[-1] == "2024-01 12 of 21 covered: 9 missing, 12 present"
    assert Seen(page).titles("p")[-1] == "2024-02 to 2024-06 103 of 103 covered"
    assert "grid-column:2/7" in page


def test_all_symbols_by_month_count_what_the_symbols_do():
    """A cell of several months is taken apart by the sessions of each."""
    cells = (
        Cell(dt.date(2024, 1, 2), dt.date(2024, 1, 31), Shade.MISSING, 21, 20, "1 missing, 20 present"),
        Cell(dt.date(2024, 2, 1), dt.date(2024, 4, 30), Shade.PRESENT, 62, 62),
    )
    begun_in_march = (Cell(dt.date(2024, 3, 1), dt.date(2024, 4, 30), Shade.PRESENT, 32, 32),)
    rows = (
        Row(Symbol("AAPL"), XNYS, cells, Counter({Shade.PRESENT: 82, Shade.MISSING: 1})),
        Row(Symbol("MSFT"), XNYS, begun_in_march, Counter({Shade.PRESENT: 32})),
    )
    page = page_of(picture(*rows, grain=Grain.MONTH))
    line = page.partition("all symbols</span>")[2].partition("</div>")[0]
    assert re.findall(r'title="([^"]*) covered', line) == [
        "2024-01 20 of 21", "2024-02 20 of 20", "2024-03 30 of 30", "2024-04 44 of 44",
    ]  # fmt: skip


def test_thousands_of_symbols_make_a_small_page():
    """5,000 symbols over 15 years, each with some holes: a few megabytes."""

    def line(n: int) -> Row:
        cells = []
        for year in range(2010, 2025):
            cells.append(Cell(dt.date(year, 1, 4), dt.date(year, 5, 28), Shade.PRESENT, 102, 102))
            cells.append(
                Cell(
                    dt.date(year, 6, 1), dt.date(year, 6, 30), Shade.MISSING, 22, 21, "1 missing, 21 present"
                )
            )
            cells.append(Cell(dt.date(year, 7, 1), dt.date(year, 12, 30), Shade.PRESENT, 128, 128))
        tally = Counter({Shade.PRESENT: 15 * 251, Shade.MISSING: 15})
        return Row(Symbol(f"S{n:04d}"), XNYS, tuple(cells), tally)

    page = page_of(picture(*(line(n) for n in range(5_000)), grain=Grain.MONTH))
    assert len(page) < 25_000_000
    assert page.count("S4999") == 1


def test_a_day_costs_less_than_fifty_bytes():
    """Which is why forty symbols over ten years still are a page of days."""
    many = row("AAPL", "2014-01-02", "2023-12-29")
    assert len(page_of(picture(many))) / len(many.cells) < 55


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_shades_differ_in_lightness_or_pattern(theme):
    """Of those without a pattern or a border, any two differ by 9 of 100 in lightness."""
    plain = (Shade.PRESENT, Shade.MISSING, Shade.UNLISTED)
    lightness = {shade: _lightness(LOOKS[shade].colours[theme]) for shade in plain}
    for one, other in combinations(plain, 2):
        assert abs(lightness[one] - lightness[other]) > 9, (one, other, lightness)
    steps = [_lightness(colours[theme]) for _, _, _, colours in STEPS]
    assert steps == sorted(steps, reverse=theme == 1)
    assert all(abs(a - b) > 5 for a, b in pairwise(steps))


def _lightness(colour: str) -> float:
    """CIE L* of ``#rrggbb``, 0 to 100."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    y = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 116 * y ** (1 / 3) - 16 if y > 0.008856 else 903.3 * y


def test_the_style_sheet_names_every_shade_in_both_themes():
    """A shade without a colour would be invisible."""
    sheet = stylesheet()
    for mark in [look.mark for look in LOOKS.values()] + [mark for _, mark, _, _ in STEPS]:
        assert sheet.count(f"--{mark}:") == 2
        assert f".{mark}{{" in sheet


def test_the_page_is_private_and_replaces_only_pages(tmp_path):
    """Mode 600; a file of another kind is not overwritten, and neither is a folder."""
    path = tmp_path / "coverage.html"
    assert write_page(picture(HOLED), path) == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    write_page(picture(HOLED), path)
    assert [each.name for each in tmp_path.iterdir()] == ["coverage.html"]
    (tmp_path / "mdc.toml").write_text("[lake]\n")
    for name in ("mdc.toml", "."):
        with pytest.raises(UsageError):
            write_page(picture(HOLED), tmp_path / name)
    assert (tmp_path / "mdc.toml").read_text() == "[lake]\n"


def test_the_drawing_is_small_and_well_formed():
    """For Dagster's page: XML, under 12 kB, at most 20 symbols, no address but the namespace."""
    from xml.etree import ElementTree as ET

    drawing = svg_of(picture(*(row(f"S{n}", "2022-01-03", "2024-02-29") for n in range(50))))
    ET.fromstring(drawing)
    assert len(drawing) < 12_000
    assert drawing.count("text-anchor") == SYMBOLS
    assert re.findall(r"https?://[^']+", drawing) == ["http://www.w3.org/2000/svg"]


def test_the_drawing_shades_a_month_by_its_share():
    """Two of 21 missing: not the colour of a complete month."""
    holed, whole = (svg_of(picture(each)) for each in (HOLED, row("AAPL", "2024-01-02", "2024-02-28")))
    present = LOOKS[Shade.PRESENT].colours[0]
    cells = {colour: path.count("M") for colour, path in re.findall(r"fill='(#\w+)' d='([^']*)'", whole)}
    assert cells == {present: 2}
    assert STEPS[2][3][0] in holed
