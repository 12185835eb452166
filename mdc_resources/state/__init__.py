"""Machine state of a home: claims with fencing, universe membership, circuit breakers.

SQLite in the home by default, a Postgres schema when the catalog is Postgres; the same code for
both. It is not data: losing it loses none.
"""

from mdc_resources.state.breakers import Aftermath, Breaker, Verdict
from mdc_resources.state.claims import Claim, ClaimRow
from mdc_resources.state.membership import SHARD_SIZE, Member
from mdc_resources.state.owner import Owner
from mdc_resources.state.store import State

__all__ = ["SHARD_SIZE", "Aftermath", "Breaker", "Claim", "ClaimRow", "Member", "Owner", "State", "Verdict"]
