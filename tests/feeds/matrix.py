"""``python -m tests.feeds.matrix [NAME]...`` runs the suite and writes ``docs/reference/feeds.md``.

With names only these are run, and the others keep what the page says of them; what failed is shown as not
run. Tests compare each outcome with the page, so that neither can drift from the other.
"""

from __future__ import annotations

import datetime as dt
import re
import sys
from pathlib import Path

from mdc_resources.providers.live import LiveSpec, feed, feed_names
from tests.feeds.bench import NotApplicable, bench_of
from tests.feeds.conformance import Check, checks

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "feeds.md"
PASSED = "yes"
NOT_RUN = "it was not run"
_HEAD = """# Live feeds

Written by `python -m tests.feeds.matrix` from the feeds' own declarations and from a run of the conformance
suite; tests compare both with this page. A feed is captured once `mdc.toml` has a section `[stream.NAME]`
with its symbols; its keys are those of its provider. How its handshake goes and what its frames mean stands
in the docstring of its module under `mdc_resources/providers/`. Another vendor's is added as
[add a feed](../howto/add-a-feed.md) says.

"""
_SUITE = """
## Conformance

Each check runs on the feed's tape, `tests/feeds/tapes/NAME.json`. A letter says why a check does not apply.

"""
Outcomes = dict[tuple[str, str], str]  # (feed, LC-..) -> PASSED, or why it does not apply


def outcome(check: Check, name: str) -> str:
    """``yes``, or the reason why the check does not apply; raises AssertionError where it fails."""
    try:
        check.run(bench_of(name))
    except NotApplicable as reason:
        return str(reason)
    return PASSED


def published() -> Outcomes:
    """The outcomes on the page."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    reasons = dict(re.findall(r"^- ([a-z]+): (.*)$", text, re.MULTILINE))
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith(("| LC-", "| check |"))
    ]
    if not rows:
        return {}
    (_, _, *names), *lines = rows
    return {
        (name, number): PASSED if cell == PASSED else reasons.get(cell, cell)
        for number, _, *cells in lines
        for name, cell in zip(names, cells, strict=True)
    }


def page(outcomes: Outcomes) -> str:
    """The whole page."""
    return _HEAD + declared() + _SUITE + _matrix(outcomes)


def declared() -> str:
    """What each feed declares, in two tables: what it brings, and how it behaves."""
    specs = [feed(name).spec for name in feed_names()]
    lines = [
        "| feed | brings | market | source | refilled from history | keys |",
        "|---|---|---|---|---|---|",
    ]
    for spec in specs:
        keys = ", ".join(f"`{name}`" for name in spec.credentials) or "none"
        lines.append(
            f"| **{spec.name}** {spec.title} | {_listed(spec.datasets)} | {spec.market} | `{spec.source}` "
            f"| {_listed(spec.refillable)} | {keys} |"
        )
    lines += ["", "| feed | silence | lifetime | symbols a connection | trades told apart by | checked |"]
    lines.append("|---|---|---|---|---|---|")
    for spec in specs:
        lines.append(
            f"| {spec.name} | {_seconds(spec.silence)} | {_seconds(spec.lifetime) if spec.lifetime else '-'} "
            f"| {spec.max_symbols or '-'} | {_identities(spec)} | {spec.checked_on} |"
        )
    return "\n".join(lines) + "\n"


def _listed(datasets: frozenset[str]) -> str:
    return ", ".join(sorted(datasets)) or "none"


def _identities(spec: LiveSpec) -> str:
    return ", ".join(spec.identities) or "nothing"


def _seconds(span: dt.timedelta) -> str:
    hours = span / dt.timedelta(hours=1)
    return f"{hours:g} h" if hours >= 1 else f"{span.total_seconds():g} s"


def _matrix(outcomes: Outcomes) -> str:
    names = feed_names()
    reasons = sorted({text for text in (*outcomes.values(), NOT_RUN) if text != PASSED})
    letters = {text: chr(ord("a") + at) for at, text in enumerate(reasons)}
    lines = [f"| check | what it asks | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    for check in checks():
        cells = [outcomes.get((name, check.number), NOT_RUN) for name in names]
        shown = [cell if cell == PASSED else letters[cell] for cell in cells]
        lines.append(f"| {check.number} | {check.title} | {' | '.join(shown)} |")
    return "\n".join([*lines, "", *(f"- {letter}: {text}" for text, letter in letters.items())]) + "\n"


def main(names: list[str]) -> int:
    """Run everything, or the feeds named; write the page unless a check failed."""
    outcomes: Outcomes = {}
    failed = 0
    chosen = names or list(feed_names())
    for name in chosen:
        for check in checks():
            try:
                outcomes[name, check.number] = outcome(check, name)
            except Exception as error:
                failed += 1
                print(f"{name} {check.number} {check.title}: {type(error).__name__} {str(error)[:400]}")
    kept = {key: found for key, found in published().items() if key[0] not in chosen}
    PAGE.write_text(page(kept | outcomes), encoding="utf-8")
    print(f"{len(outcomes)} outcomes, {failed} failed, written to {PAGE.name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
