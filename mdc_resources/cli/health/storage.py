"""The lake and the machine state: marker, catalog, leftovers, clock, claims, breakers."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mdc_resources.cli.health.finding import Finding
from mdc_resources.config import Home
from mdc_resources.domain.errors import ClockJumped
from mdc_resources.domain.time import now

if TYPE_CHECKING:
    from mdc_resources.state import State

_CLOCK_SLACK = dt.timedelta(minutes=5)
_INLINED_ROWS = 200_000


def lake(home: Home) -> Iterator[Finding]:
    """The lake opens, is of the kind the settings say, and no commit lies in the future."""
    from mdc_resources.lake import Lake

    opened = Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)
    try:
        status, last = opened.status(), opened.snapshots()[-1]
    finally:
        opened.close()
    size = f"{status.rows} rows, {status.files} files, {status.snapshots} snapshots"
    yield Finding("ok", "lake", f"{status.root} ({status.catalog}): {size}")
    if status.sandbox != home.settings.lake.sandbox:
        kinds = {True: "a sandbox", False: "for real data"}
        said = kinds[home.settings.lake.sandbox]
        message = f"the lake is {kinds[status.sandbox]}, lake.sandbox says it is {said}"
        yield Finding("error", "lake kind", message, "Put the setting right: the marker decides")
    if last.committed_at > now() + _CLOCK_SLACK:
        message = (
            f"the newest commit is of {last.committed_at.isoformat()}, the clock says {now().isoformat()}"
        )
        yield Finding(
            "error", "clock", message, "Set the clock: sessions that are due cannot be told otherwise"
        )
    if status.inlined_rows > _INLINED_ROWS:
        message = f"{status.inlined_rows} ledger rows lie in the catalog unflushed"
        yield Finding("warning", "lake", message, "The next backfill flushes them")
    for name in (".rebuilding",):
        left = home.lake_dir.with_name(home.lake_dir.name + name)
        if left.exists():
            yield Finding("warning", "lake", f"{left} is left of a rebuild that was stopped", f"rm -r {left}")


def state(home: Home) -> Iterator[Finding]:
    """The state opens; who holds claims; which breakers are open."""
    from mdc_resources.state import State

    with State.open(home) as opened:
        members, claims, breakers = opened.members(), opened.claims(), opened.breakers()
        jump = _jump(opened)
    running = f", {len(claims)} backfills under way" if claims else ""
    yield Finding("ok", "state", f"{len(members)} symbols followed{running}")
    if jump is not None:
        yield Finding("error", "clock", jump.message, jump.hint)
    for breaker in breakers:
        if breaker.open_until > time.time():
            seconds = breaker.open_until - time.time()
            message = (
                f"{breaker.provider} is not asked for {breaker.dataset} for {seconds:.0f} s: {breaker.reason}"
            )
            yield Finding("warning", "breaker", message, "mdc providers check asks each one now")


def _jump(opened: State) -> ClockJumped | None:
    """Why recovery does not trust this machine's clock; None if it does."""
    try:
        opened.compare_clock()
    except ClockJumped as jumped:
        return jumped
    return None
