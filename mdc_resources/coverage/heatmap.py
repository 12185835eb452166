"""The picture as one HTML file that needs nothing else: no script, no network, light and dark.

Numbers on top, then every symbol as strips of days (weeks as columns, weekdays as rows, a strip a
year), the ones that need attention first, then the gaps as a table. Of universes so large that this
would be hundreds of megabytes a symbol is one line with a cell a month, or a year; the page says so.
Whatever comes from outside is escaped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from html import escape
from pathlib import Path

from mdc_resources.coverage.heatmap_lines import lines_of
from mdc_resources.coverage.heatmap_strips import strips_of, summary_strips
from mdc_resources.coverage.heatmap_style import LOOKS, STEPS, stylesheet
from mdc_resources.coverage.picture import EXPECTED, Grain, Picture, Row, Shade, percent
from mdc_resources.domain.errors import UsageError

MAX_GAPS = 1_000
_BEGIN = '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="generator" content="mdc coverage">'
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page_of(picture: Picture) -> str:
    """The whole page."""
    return "".join(_parts(picture))


def write_page(picture: Picture, path: Path) -> Path:
    """Write the page to ``path``, readable by its owner alone; an old one is replaced at once.

    Raises:
        UsageError: a file is there that is no such page, or a folder.
        OSError: it cannot be written.
    """
    if path.exists() and not _is_page(path):
        raise UsageError(
            f"{path} is there and is no page of this kind", hint="Name a new file: coverage.html"
        )
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(
        os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as out:
        out.writelines(_parts(picture))
    temporary.replace(path)
    return path


def _is_page(path: Path) -> bool:
    """True for what :func:`write_page` wrote before, and for an empty file."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_BEGIN)) in (_BEGIN.encode(), b"")


def _parts(picture: Picture) -> Iterator[str]:
    title = escape(f"Coverage of {picture.dataset}" + (f", {picture.title}" if picture.title else ""))
    yield (
        f"{_BEGIN}<title>{title}</title>"
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<style>{stylesheet()}</style><main><h1>{title}</h1>"
    )
    yield f'<p class="dim">{_facts(picture)}</p>{_summary(picture)}'
    if picture.grain is Grain.DAY:
        if len(picture.rows) > 1:
            yield f'<section class="card"><div class="head"><h3>All symbols</h3>{_share(picture)}'
            yield f"{_steps('of the symbols that day:')}</div>"
            yield "".join(summary_strips(picture))
            yield "</section>"
        yield "<h2>By symbol</h2>" if picture.rows else ""
        for row in picture.rows:
            name = escape(row.symbol)
            yield f'<section class="card row" id="{name}"><div class="head"><h3>{name}</h3>'
            yield f"{_share(row)}{_lacking(row)}</div>{''.join(strips_of(row))}</section>"
    else:
        yield f'<h2>By symbol</h2><section class="card"><div class="head">{_too_many(picture)}'
        yield f"{_steps(f'of the {picture.grain}:')}</div>{''.join(lines_of(picture))}</section>"
    if picture.untouched:
        names = ", ".join(map(escape, picture.untouched[:200]))
        more = f" and {len(picture.untouched) - 200:,} more" if len(picture.untouched) > 200 else ""
        yield f'<h2>Never asked for</h2><p class="card">{names}{more}</p>'
    yield from _gaps(picture)
    yield "</main></html>"


def _facts(picture: Picture) -> str:
    calendars = sorted({row.calendar.name for row in picture.rows})
    count = len(picture.rows)
    facts = [
        f"{count:,} symbol{'' if count == 1 else 's'}",
        f"sessions of {escape(', '.join(calendars))}" if calendars else "",
        f"{picture.start} to {picture.end}",
        f"as of {picture.at:%Y-%m-%d %H:%M} UTC, lake version {picture.snapshot}",
    ]
    return " · ".join(fact for fact in facts if fact)


def _summary(picture: Picture) -> str:
    share = "-" if picture.percent is None else f"{picture.percent:g} %"
    bars = "".join(
        f'<i class="{LOOKS[shade].mark}" style="flex:{picture.tally[shade]}" '
        f'title="{picture.tally[shade]:,} {LOOKS[shade].label}"></i>'
        for shade in EXPECTED
        if picture.tally[shade]
    )
    open_sessions = sum(gap.sessions for gap in picture.gaps)
    where = f"{len({gap.symbol for gap in picture.gaps}):,} of {len(picture.rows):,} symbols"
    told = (
        f"{open_sessions:,} sessions are open, in {len(picture.gaps):,} gaps of {where}."
        if picture.gaps
        else ""
    )
    return (
        f'<section class="card"><div class="top"><div><div class="hero">{share}</div></div><div>'
        f"<p>of {picture.expected:,} expected sessions are covered.</p>"
        f'<p class="dim">{told or "There are no gaps."}</p></div></div>'
        f'<div class="bar">{bars}</div><ul class="legend">{"".join(_legend(picture))}</ul></section>'
    )


def _legend(picture: Picture) -> Iterator[str]:
    for shade, look in LOOKS.items():
        count = picture.tally[shade]
        told = "" if shade is Shade.UNLISTED else f'<strong class="num">{count:,}</strong> '
        some = "" if count or not told else " class=none"
        yield (
            f"<li{some}><b class={look.mark}></b><span>{told}{look.label}</span>"
            f"<small>{look.means}</small></li>"
        )


def _too_many(picture: Picture) -> str:
    return (
        f'<p class="dim">A cell a session would be too many here. A cell is one {picture.grain}, or several '
        "in a row that are complete. Fewer symbols, or a later start, show sessions.</p>"
    )


def _steps(of: str) -> str:
    """What the colours of shares mean, from all to little."""
    marks = [(LOOKS[Shade.PRESENT].mark, "all"), *((mark, words) for _, mark, words, _ in reversed(STEPS))]
    shown = "".join(f"<span><b class={mark}></b>{words}</span>" for mark, words in marks)
    return f'<span class="steps"><span>covered {of}</span>{shown}</span>'


def _share(found: Picture | Row) -> str:
    share = percent(found.covered, found.expected)
    if share is None:
        return '<span class="dim">nothing is expected</span>'
    held = f'<span class="dim num">{found.covered:,} of {found.expected:,}</span>'
    return f'<strong class="num">{share:g} %</strong>{held}'


def _lacking(row: Row) -> str:
    lacking = [
        f"{row.tally[shade]:,} {LOOKS[shade].label}"
        for shade in (Shade.MISSING, Shade.PARTIAL, Shade.QUARANTINED)
        if row.tally[shade]
    ]
    return f'<span class="dim">{", ".join(lacking)}</span>' if lacking else ""


def _gaps(picture: Picture) -> Iterator[str]:
    if not picture.gaps:
        return
    yield '<h2 id="gaps">Gaps</h2><section class="card table"><table><thead><tr>'
    for name in ("symbol", "from", "to", "sessions", "state", "tried", "next look", "why"):
        yield f"<th{' class=right' if name in ('sessions', 'tried') else ''}>{name}</th>"
    yield "</tr></thead><tbody>"
    worst = sorted(picture.gaps, key=lambda gap: (-gap.sessions, gap.symbol, gap.start))
    for gap in worst[:MAX_GAPS]:
        mark = LOOKS[Shade.PARTIAL if gap.partial == gap.sessions else Shade.MISSING].mark
        yield (
            f"<tr><td><strong>{escape(gap.symbol)}</strong></td>"
            f"<td class=num>{gap.start}</td><td class=num>{gap.end}</td>"
            f'<td class="num right">{gap.sessions:,}</td><td><b class="{mark}"></b>{gap.state}</td>'
            f'<td class="num right">{gap.tries}</td><td class=num>{gap.next_look(picture.at)}</td>'
            f"<td class=dim>{escape(gap.why)}</td></tr>"
        )
    yield "</tbody></table>"
    if len(worst) > MAX_GAPS:
        yield f"<p class=dim>and {len(worst) - MAX_GAPS:,} more; mdc gaps --json lists all</p>"
    yield "</section>"
