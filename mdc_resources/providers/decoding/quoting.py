"""A vendor's own words in a message of ours: escaped, cut short, and without keys.

Some vendors repeat the caller's key in their notices ("We have detected your API key as ...").
What looks like one is cut out here, before the text meets an exception, a log or a ledger.
"""

from __future__ import annotations

import re

MASK = "***"
_LONGEST = 200
# "API key as ABC", "apikey=ABC", "token: ABC": whatever follows such words is taken for the key.
_NAMED = re.compile(r"(?i)\b(api[ _-]?key|token|key)(\s+as\s+|\s*[=:]\s*)[\"']?[^\s\"',;&]+")
# Words are not made of letters and digits in turn, keys are.
_KEY_LIKE = re.compile(r"(?=[A-Za-z0-9_-]*\d)(?=[A-Za-z0-9_-]*[A-Za-z])[A-Za-z0-9_-]{12,}")


def quoted(text: object) -> str:
    """``text`` as a quoted ASCII literal of at most some 200 characters, keys replaced by ``***``."""
    clean = _NAMED.sub(rf"\1\2{MASK}", str(text)[: 4 * _LONGEST])
    shown = ascii(_KEY_LIKE.sub(MASK, clean))  # one strange character becomes up to ten
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}...{shown[0]}"
