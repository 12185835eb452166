"""Faults of live connections: their kinds and parameters.

``after`` matching messages and ``after_seconds`` must have gone by before one comes into force; the three
of the handshake take neither. ``ws_reorder`` sends a message after the next one of its stream, ``ws_slow``
holds back everything from a message on, ``ws_burst`` trades more often (and history with it), the others
do what they are called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mdc_resources.domain.errors import UsageError

_LATER = {"after": 0, "after_seconds": 0.0}
LIVE_KINDS: dict[str, dict[str, Any]] = {
    "ws_handshake": {"status": 503},
    "ws_auth": {},
    "ws_refuse": {},
    "ws_silence": {"seconds": 5.0} | _LATER,
    "ws_disconnect": {} | _LATER,
    "ws_close": {"code": 1000, "reason": ""} | _LATER,
    "ws_hole": {"messages": 1} | _LATER,
    "ws_duplicate": {"copies": 1} | _LATER,
    "ws_reorder": {} | _LATER,
    "ws_checksum": {} | _LATER,
    "ws_slow": {"seconds": 1.0} | _LATER,
    "ws_oversize": {"bytes": 2 << 20} | _LATER,
    "ws_garbage": {"shape": "utf8"} | _LATER,
    "ws_burst": {"factor": 10, "seconds": 5} | _LATER,
}
GARBAGE = ("utf8", "binary", "truncated")
UPFRONT = frozenset({"ws_handshake", "ws_auth", "ws_refuse"})  # met by a request, not by a message
ONLY: Mapping[str, frozenset[str]] = {
    "ws_auth": frozenset({"alpaca", "polygon", "finnhub", "tiingo"}),
    "ws_checksum": frozenset({"kraken", "kraken-v1"}),
}


def check(kind: str, given: Mapping[str, Any]) -> None:
    """Raise UsageError for parameters that have the right type and make no sense."""
    shape, code, status = given.get("shape", "utf8"), given.get("code", 1000), given.get("status", 503)
    if shape not in GARBAGE:
        raise UsageError(f"{kind}.shape is {shape[:40]!a}", hint=f"One of: {', '.join(GARBAGE)}")
    if not 1000 <= code < 5000 or code in (1004, 1005, 1006, 1015) or 1016 <= code < 3000:
        raise UsageError(f"{kind}.code is {code}", hint="A code a server may send: 1000, 1001, 1012 ...")
    if not 400 <= status < 600:
        raise UsageError(f"{kind}.status is {status}", hint="From 400 to 599")
    if given.get("factor", 2) < 2 or given.get("messages", 1) < 1:
        raise UsageError(f"{kind} would change nothing", hint="factor is 2 or more, messages 1 or more")
