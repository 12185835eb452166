"""When to ask again: the vendor's Retry-After where there is one, else full jitter.

One course is one exchange with all its retries. It ends at one deadline: a wait that would reach
beyond it, or a Retry-After longer than the cap, is not waited for, and the caller fails over.
"""

from __future__ import annotations

import datetime as dt
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from mdc_resources.domain.errors import Disposition, ProviderError

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 8.0
_SECONDS = re.compile(r"\d{1,18}(\.\d{1,9})?", re.ASCII)


def retry_after(headers: Mapping[str, str], *, received_at: dt.datetime) -> float | None:
    """Seconds the vendor asks to wait (RFC 9110 §10.2.3), or None if it says nothing usable.

    Negative, malformed and past values say nothing; an absurd one is returned as it is.
    """
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=dt.UTC)
    seconds = (until - received_at).total_seconds()
    return seconds if seconds > 0 else None


@dataclass(slots=True)
class Course:
    """The retries of one exchange. The clock starts with the first permit to send."""

    deadline_seconds: float
    max_retry_after_seconds: float
    started: float | None = None
    failures: int = 0
    asked_to_wait: float | None = None
    is_over: bool = False  # the breaker has opened: asking again would not be let through
    random: random.Random = field(default_factory=random.Random)

    def start(self) -> None:
        """Start the clock, once."""
        if self.started is None:
            self.started = time.monotonic()

    @property
    def remaining(self) -> float:
        """Seconds left; the whole deadline before the start."""
        if self.started is None:
            return self.deadline_seconds
        return self.deadline_seconds - (time.monotonic() - self.started)

    def next_wait(self, error: Exception) -> bool | float:
        """Seconds to wait before asking again, or False if that is pointless (stamina's hook)."""
        if not isinstance(error, ProviderError) or error.disposition is not Disposition.RETRY:
            return False
        if self.is_over:
            return False
        self.failures += 1
        wait = self._wait()
        if wait > self.max_retry_after_seconds and self.asked_to_wait is not None:
            return False
        return wait if wait < self.remaining else False

    def _wait(self) -> float:
        """Full jitter: anywhere between nothing and an exponential bound, so that herds disperse."""
        bound = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (self.failures - 1))
        jitter = self.random.uniform(0, bound)
        return jitter if self.asked_to_wait is None else self.asked_to_wait + min(jitter, 1.0)
