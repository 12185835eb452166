"""Machine state of a home: claims with fencing, membership, breakers, failed attempts, uses, clock.

SQLite in the home by default, a Postgres schema when the catalog is Postgres; the same code for
both. It is not data: losing it loses none.
"""

from mdc_resources.state.breakers import Aftermath, Breaker, Verdict
from mdc_resources.state.claims import Claim, ClaimRow
from mdc_resources.state.clock import Reading
from mdc_resources.state.cursors import PageCursor
from mdc_resources.state.health import Sample
from mdc_resources.state.membership import SHARD_SIZE, Member
from mdc_resources.state.owner import Owner
from mdc_resources.state.store import State
from mdc_resources.state.tries import ProviderTry, Tries, pause_after

__all__ = [
    "SHARD_SIZE",
    "Aftermath",
    "Breaker",
    "Claim",
    "ClaimRow",
    "Member",
    "Owner",
    "PageCursor",
    "ProviderTry",
    "Reading",
    "Sample",
    "State",
    "Tries",
    "Verdict",
    "pause_after",
]
