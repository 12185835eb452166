"""Facts that change what a price means: splits, dividends, renames.

A split's ratio is two integers, ``to`` new shares for ``from`` old ones (4:1 is ``to=4, from=1``).
Cash amounts are per share, as paid on the share count of the ex-date, unless the source says
otherwise in ``basis`` (Yahoo restates dividends by later splits).
"""

from __future__ import annotations

from enum import StrEnum


class ActionKind(StrEnum):
    """Kinds of corporate action."""

    SPLIT = "split"
    DIVIDEND = "dividend"
    RENAME = "rename"
    DELISTING = "delisting"
