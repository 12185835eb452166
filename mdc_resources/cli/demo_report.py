"""What ``mdc demo`` prints at the end: the cost of each run, one query, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mdc_resources.cli import output
from mdc_resources.domain.symbols import Symbol

if TYPE_CHECKING:
    from pathlib import Path

    from mdc_resources.config import Home
    from mdc_resources.domain.coverage import CoverageSummary
    from mdc_resources.ingest import Outcome, Want
    from mdc_resources.query.books import ArchivedBook

_CAPTURED = ("trades", "quotes", "depth")
_COUNTED = ("dataset", "symbol", "session", "source", "rows")
_BLOCKS = "▁▂▃▄▅▆▇█"
QUERY = """\
WITH daily AS (
  SELECT symbol, session, close, ln(close / lag(close) OVER (PARTITION BY symbol ORDER BY session)) AS ret
  FROM bars_1d
), monthly AS (
  SELECT symbol, date_trunc('month', session) AS month, exp(sum(ret)) - 1 AS ret
  FROM daily GROUP BY ALL
)
SELECT d.symbol, any_value(m.returns) AS monthly, exp(sum(ret)) - 1 AS half_year,
       stddev(ret) * sqrt(252) AS volatility, list(close::DOUBLE ORDER BY session) AS closes
FROM daily d
JOIN (SELECT symbol, list(ret ORDER BY month) AS returns FROM monthly GROUP BY symbol) m USING (symbol)
GROUP BY d.symbol ORDER BY half_year DESC"""


def is_complete(home: Home) -> bool:
    """True if nothing the demo fetches is missing."""
    return all(not seen.gaps and not seen.quarantined for _, seen in coverage(home))


def coverage(home: Home) -> list[tuple[Want, CoverageSummary]]:
    """What each want of the demo holds now."""
    from mdc_resources.cli.demo import wants
    from mdc_resources.coverage import coverage_summary

    return [
        (want, coverage_summary(home, want.dataset, want.symbols, want.start, want.end)) for want in wants()
    ]


def as_dict(home: Home, outcomes: Sequence[Outcome]) -> dict[str, object]:
    """The JSON form."""
    from mdc_resources.cli import holes

    covered = {str(want.dataset): _percent(seen) for want, seen in coverage(home)}
    return {
        "home": home.root,
        "fetched": bool(outcomes),
        "runs": [outcome.as_dict() for outcome in outcomes],
        "coverage_percent": covered,
        "captured": [dict(zip(_COUNTED, row, strict=True)) for row in captured(home)[0]],
        "holes": holes.look(home),
    }


def print_plan(root: Path, wants: Sequence[Want]) -> None:
    """What would be fetched; nothing is made."""
    print(f"would make a sandbox home in {root} (or use the one there) and fetch what it lacks of:")
    rows = [(str(want.dataset), len(want.symbols), want.start, want.end) for want in wants]
    output.print_table(("dataset", "symbols", "first session", "last session"), rows, right=("symbols",))


def print_report(home: Home, outcomes: Sequence[Outcome]) -> None:
    """The report for a person."""
    if outcomes:
        _print_runs(home, outcomes)
    else:
        _print_nothing_done(home)
    _print_query(home)
    _print_capture(home)
    _print_next(home)


def _print_runs(home: Home, outcomes: Sequence[Outcome]) -> None:
    covered = {want.dataset: seen for want, seen in coverage(home)}
    rows = [
        (
            str(o.dataset),
            o.requests_sent,
            o.requests_minimum,
            o.rows,
            f"{_percent(covered[o.dataset]):.0f} %",
            o.failovers,
            f"{o.seconds:.1f}",
        )
        for o in outcomes
    ]
    columns = ("dataset", "requests", "fewest possible", "rows", "coverage", "failovers", "seconds")
    print()
    output.print_table(columns, rows, right=columns[1:])
    for outcome in outcomes:
        for error in outcome.errors[:3]:
            print(f"  failed on the way: {output.printable(error)[:110]}")


def _print_nothing_done(home: Home) -> None:
    print("Everything is covered already: nothing was fetched and nothing was changed.\n")
    rows = [
        (str(w.dataset), len(w.symbols), seen.expected, f"{_percent(seen):.0f} %")
        for w, seen in coverage(home)
    ]
    output.print_table(
        ("dataset", "symbols", "partitions", "coverage"), rows, right=("symbols", "partitions", "coverage")
    )


def _print_query(home: Home) -> None:
    from mdc_resources.query.session import run_select

    print("\nReturns by month and half year, volatility a year; from bars_1d by one SELECT (mdc query):\n")
    with run_select(home, QUERY) as result:
        rows = result.fetchall()
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun")
    table = [
        (symbol, *map(_signed, monthly), _signed(half), _whole(volatility), spark(closes))
        for symbol, monthly, half, volatility, closes in rows
    ]
    columns = ("symbol", *months, "half year", "volatility", "daily closes")
    output.print_table(columns, table, right=columns[1:-1])


def _print_capture(home: Home) -> None:
    """Rows of live capture, every hole with what repaired it, and the top of a book."""
    from mdc_resources.cli import holes
    from mdc_resources.cli.book import print_book

    rows, book = captured(home)
    if not rows:
        return
    print("\nCaptured live, from feeds that lost a connection and left out messages (mdc stream run):\n")
    output.print_table(_COUNTED, rows, right=("rows",))
    print("\nIts holes, and what repaired them (mdc holes):\n")
    holes.print_rows(holes.look(home))
    print("\nNobody keeps order books: theirs end with the next snapshot, and stay marked.")
    if book is not None and not book.broken:
        print("\nThe top of a book, rebuilt from the archive (mdc book):\n")
        print_book(book, 3)


def captured(home: Home) -> tuple[list[tuple[object, ...]], ArchivedBook | None]:
    """Rows by dataset, symbol and source, and the newest book there is of the symbol with depth."""
    from contextlib import closing

    from mdc_resources.domain.time import to_utc
    from mdc_resources.query.books import read_book
    from mdc_resources.query.session import connect

    counted = " UNION ALL ".join(
        f"SELECT '{name}', symbol, session, source, count(*) FROM {name} GROUP BY ALL"  # noqa: S608
        for name in _CAPTURED
    )
    with closing(connect(home)) as connection:
        rows = [tuple(row) for row in connection.execute(f"{counted} ORDER BY ALL DESC").fetchall()]
        newest = connection.execute("SELECT symbol, max(ts) FROM depth GROUP BY ALL LIMIT 1").fetchone()
        return rows, read_book(connection, Symbol(newest[0]), to_utc(newest[1])) if newest else None


def _print_next(home: Home) -> None:
    from mdc_resources.cli.demo import DAYS

    ui = f"http://{home.settings.dagster.host}:{home.settings.dagster.port}"
    mdc = f"mdc --config {home.root}"
    counts = "SELECT provider, count(*) AS requests, sum(body_bytes) AS bytes FROM fetches GROUP BY ALL"
    steps = (
        (f"mdc up {home.root}", f"the Dagster UI on {ui}"),
        (f"{mdc} coverage --dataset bars_1d --start {DAYS[0]} --end {DAYS[1]}", "the gaps: none"),
        (f'{mdc} query "{counts}"', "what was sent"),
        (f"{mdc} lake verify --deep", "is all of it sound?"),
        (f"{mdc} holes --all", "what live capture missed, and what repaired it"),
        ("mdc init ~/market-data", "a home of your own, for real data; docs/tutorial.md goes on from here"),
    )
    print("\nNext:")
    for command, what in steps:
        print(f"  {command}\n      {what}")


def spark(values: Sequence[float | None], *, width: int = 24) -> str:
    """``values`` as a line of blocks, the mean of each of ``width`` stretches; a gap is a space."""
    stretches = [values[at * len(values) // width : (at + 1) * len(values) // width] for at in range(width)]
    means = [_mean([v for v in stretch if v is not None]) for stretch in stretches]
    known = [mean for mean in means if mean is not None]
    if not known:
        return ""
    low, span = min(known), (max(known) - min(known)) or 1.0
    return "".join(" " if m is None else _BLOCKS[int((m - low) / span * (len(_BLOCKS) - 1))] for m in means)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.1%}"


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _percent(seen: CoverageSummary) -> float:
    settled = seen.present + seen.empty + seen.expired
    return 100 * settled / seen.expected if seen.expected else 100.0
