"""``mdc demo``: a backfill over a synthetic market, with two vendors failing, and ten seconds of it live.

Deterministic: seed, symbols and dates are fixed and lie in the past, so a second run on any later
day finds everything covered, sends nothing and writes nothing. What is captured live is of the day
itself; it is captured once.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import demo_capture, demo_report, options, output
from mdc_resources.cli.served_sandbox import sandbox_of
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ExitCode, UsageError
from mdc_resources.domain.symbols import Symbol

if TYPE_CHECKING:
    from mdc_resources.config import Home
    from mdc_resources.ingest import Outcome, Want

app = typer.Typer(rich_markup_mode=None)
NAMES = ("AAPL", "AMZN", "BRK.B", "GOOGL", "JPM", "KO", "META", "MSFT", "NVDA", "TSLA", "WMT", "XOM")
SYMBOLS = tuple(map(Symbol, NAMES))
DAYS = (dt.date(2024, 1, 2), dt.date(2024, 6, 28))
MINUTES = (dt.date(2024, 6, 24), dt.date(2024, 6, 28))
MINUTE_SYMBOLS = SYMBOLS[:3]
# Yahoo answers three symbols with its sign-in page, Stooq says that its downloads of the day are
# used up: what both owe comes from Alpaca, in one request.
FAULTS: tuple[dict[str, object], ...] = (
    {"provider": "yahoo", "kind": "html200", "match": "/(AAPL|KO|TSLA)", "times": 6},
    {"provider": "yahoo", "kind": "status", "match": "/MSFT", "times": 1, "params": {"status": 503}},
    {"provider": "stooq", "kind": "error200", "times": 3},
)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The demo's home")] = Path("demo-home"),
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Backfill 12 symbols x 6 months of daily and 3 x 5 sessions of minute bars, then capture live.

    Makes a sandbox home in DIR and serves its synthetic market for as long as it runs. A second time
    it shows what is there.
    """
    root = folder.expanduser().resolve()
    if dry_run:
        demo_report.print_plan(root, wants())
        return
    home = _home(root)
    _join(home)
    with output.quiet_logs():
        outcomes = _fill(home, quiet=as_json)
        if not demo_capture.is_captured(home):
            demo_capture.capture(home, quiet=as_json)
    if as_json:
        output.print_json(demo_report.as_dict(home, outcomes))
    else:
        demo_report.print_report(home, outcomes)
    if not demo_report.is_complete(home):
        raise typer.Exit(ExitCode.PROVIDER)


def wants() -> tuple[Want, ...]:
    """What the demo fetches, in order."""
    from mdc_resources.ingest import Want

    return (
        Want(Dataset.BARS_1D, SYMBOLS, *DAYS),
        Want(Dataset.BARS_1M, MINUTE_SYMBOLS, *MINUTES),
    )


def _home(root: Path) -> Home:
    from mdc_resources import config
    from mdc_resources.cli.home_files import make_home

    if (root / config.FILE_NAME).is_file():
        home = config.load(root / config.FILE_NAME)
        if not home.settings.lake.sandbox:
            raise UsageError(
                f"{root} is a home for real data", hint="Name another folder: mdc demo demo-home"
            )
        return home
    port = config.SandboxSettings().port
    return _with_feeds(make_home(root, sandbox=True, port=port, environ=os.environ), port)


def _with_feeds(home: Home, port: int) -> Home:
    """A new home with coins and live feeds in its settings."""
    from mdc_resources import config
    from mdc_resources.cli.home_files import replace_file
    from mdc_resources.cli.home_templates import live_text

    text = home.config_file.read_text(encoding="utf-8")
    replace_file(home.config_file, text + live_text(port), mode=0o644)
    return config.load(home.config_file)


def _join(home: Home) -> None:
    from mdc_resources.cli.selection import join_default_universe
    from mdc_resources.state import State

    with State.open(home) as state:
        join_default_universe(state, home, SYMBOLS, dry_run=False)


def _fill(home: Home, *, quiet: bool) -> list[Outcome]:
    """Run what is not covered yet; the empty list where everything is."""
    from mdc_resources.cli.reporters import load_reporter
    from mdc_resources.ingest import preview

    open_wants = [want for want in wants() if preview(home, want).partitions]
    if not open_wants:
        return []
    reporter = load_reporter()
    outcomes = []
    with sandbox_of(home) as (url, served):
        for want in open_wants:
            set_faults(url, FAULTS if want.dataset is Dataset.BARS_1D else ())
            with output.progress_bar(f"{want.dataset:<17}", quiet=quiet) as on_progress:
                outcomes.append(reporter.run(served, want, on_progress=on_progress))
    return outcomes


def set_faults(url: str, faults: tuple[dict[str, object], ...]) -> None:
    """Replace the faults of the sandbox at ``url``."""
    import httpx

    with httpx.Client(trust_env=False) as client:
        client.delete(f"{url}/_sandbox/faults").raise_for_status()
        for fault in faults:
            client.post(f"{url}/_sandbox/faults", json=fault).raise_for_status()
