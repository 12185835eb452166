"""``python -m tests.providers.matrix [NAME]...`` runs the suite and writes ``docs/providers.md``.

With names only these are run, and the others keep what the page says of them. The page shows what
every provider declares and the outcome of every check. Tests compare each outcome with the page, so
that neither can drift from the other.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from mdc_resources.config import Limits
from mdc_resources.providers.registry import load_providers, provider, provider_names
from mdc_resources.providers.spec import Offer, ProviderSpec
from mdc_resources.sandbox.server import SandboxServer
from tests.providers.conformance import TAPES, recordings_of
from tests.providers.live_bench import NotApplicable
from tests.providers.suite import Check, bench_of, checks, vendors

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
PASSED = "yes"
NOT_RUN = "it was not run"
_HEAD = """# Providers

Written by `python -m tests.providers.matrix` from the providers' own declarations and from a run of
the conformance suite; tests compare both with this page. What a vendor's data mean, field by field,
stands in the docstring of its module under `mdc_resources/providers/`. A provider is asked once it
has a section in `mdc.toml` and its keys in `.env`: `mdc providers setup NAME` does both.

"""
_SUITE = """
## Conformance

Each check runs on the provider's tapes and recorded answers, or on its dialect in the sandbox, over
HTTP and through the real transport. A letter says why a check does not apply.

"""

Outcomes = dict[tuple[str, str], str]  # (provider, PC-..) -> PASSED, why it does not apply, or FAILED: ...


def outcome(check: Check, name: str, server: SandboxServer, folder: Path) -> str:
    """``yes``, or the reason why the check does not apply; raises AssertionError where it fails."""
    try:
        check.run(bench_of(provider(name), server, folder), TAPES)
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
        if line.startswith(("| PC-", "| check |"))
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
    specs = {name: found.spec for name, found in load_providers().items()}
    return _HEAD + declared(specs) + _SUITE + _matrix(list(specs), outcomes)


def declared(specs: dict[str, ProviderSpec]) -> str:
    """What each provider declares: a line for itself and one for each dataset."""
    ranked = sorted(specs.values(), key=lambda spec: (spec.rank, spec.name))
    lines = [
        "| provider | rank | keys | limits of its free plan | recorded answers | checked |",
        "|---|---|---|---|---|---|",
    ]
    for spec in ranked:
        keys = ", ".join(f"`{name}`" for name in spec.credentials) or "none"
        recorded = str(len(recordings_of(spec.name))) or "0"
        lines.append(
            f"| **{spec.name}** {spec.title} | {spec.rank} | {keys} | {_limits(spec.limits)} | {recorded} "
            f"| {spec.checked_on} |"
        )
    lines += [
        "",
        "| provider | dataset | market | basis | a request | history |",
        "|---|---|---|---|---|---|",
    ]
    for spec in ranked:
        for dataset, offer in sorted(spec.offers.items()):
            basis = offer.basis if dataset.is_bars else "-"
            market = offer.market or "as configured"
            lines.append(
                f"| {spec.name} | {dataset} | {market} | {basis} | {_request(offer)} | {_history(offer)} |"
            )
    return "\n".join(lines) + "\n"


def _limits(limits: Limits) -> str:
    windows = {name: getattr(limits, name) for name in ("second", "minute", "hour", "day")}
    shown = (
        f"{limit:,} {'an' if name == 'hour' else 'a'} {name}" for name, limit in windows.items() if limit
    )
    return ", ".join(shown) or "none"


def _request(offer: Offer) -> str:
    parts = [f"{offer.max_symbols} symbol{'s' if offer.max_symbols > 1 else ''}"]
    if offer.max_sessions:
        parts.append(f"{offer.max_sessions} session{'s' if offer.max_sessions > 1 else ''}")
    if offer.page_rows:
        parts.append(f"pages of {offer.page_rows:,}")
    return ", ".join(parts)


def _history(offer: Offer) -> str:
    parts = []
    if offer.history_start:
        parts.append(f"from {offer.history_start}")
    if offer.history_days is not None:
        parts.append(f"the last {offer.history_days} days")
    if offer.history_end:
        parts.append(f"to {offer.history_end}")
    return " ".join(parts) or "the vendor's own"


def _matrix(names: list[str], outcomes: Outcomes) -> str:
    reasons = sorted({text for text in (*outcomes.values(), NOT_RUN) if text != PASSED})
    letters = {text: _letter(at) for at, text in enumerate(reasons)}
    lines = [f"| check | what it asks | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    for check in checks():
        cells = [outcomes.get((name, check.number), NOT_RUN) for name in names]
        shown = [cell if cell == PASSED else letters[cell] for cell in cells]
        lines.append(f"| {check.number} | {check.title} | {' | '.join(shown)} |")
    return "\n".join([*lines, "", *(f"- {letter}: {text}" for text, letter in letters.items())]) + "\n"


def _letter(at: int) -> str:
    return chr(ord("a") + at) if at < 26 else _letter(at // 26 - 1) + _letter(at % 26)


def main(names: list[str]) -> int:
    """Run everything, or the providers named; write the page unless a check failed."""
    outcomes: Outcomes = {}
    failed = 0
    chosen = names or list(provider_names())
    with vendors() as server, tempfile.TemporaryDirectory() as folder:
        for at, (name, check) in enumerate((n, c) for n in chosen for c in checks()):
            try:
                outcomes[name, check.number] = outcome(check, name, server, Path(folder) / str(at))
            except Exception as error:
                failed += 1
                print(f"{name} {check.number} {check.title}: {type(error).__name__} {str(error)[:300]}")
    if not failed:
        PAGE.write_text(page(published() | outcomes), encoding="utf-8")
    print(f"{len(outcomes)} outcomes, {failed} failed{'' if failed else f', written to {PAGE.name}'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
