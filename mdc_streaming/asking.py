"""What one connection asked for and what came of each: waiting, confirmed, refused or unanswered.

Refused and unanswered subscriptions stay visible and are asked for again, ever more seldom. No I/O;
instants are monotonic seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from mdc_resources.providers.live import Subscription
from mdc_streaming.pacing import Timing

_LONGEST = 3600.0
_SHOWN = 50  # of each kind on /status


class Asked:
    """The subscriptions of one connection."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._pause: dict[Subscription, float] = {}
        self._again: dict[Subscription, float] = {}
        self.waiting: dict[Subscription, float] = {}
        self.confirmed: set[Subscription] = set()
        self.refused: dict[Subscription, str] = {}
        self.unanswered: set[Subscription] = set()

    @property
    def all(self) -> frozenset[Subscription]:
        """Everything that was asked for and not given up."""
        return frozenset({*self.waiting, *self.confirmed, *self.refused, *self.unanswered})

    @property
    def answered(self) -> bool:
        """True if the server said anything about any of them."""
        return bool(self.confirmed or self.refused)

    def ask(self, wanted: Iterable[Subscription], *, wait: float = 0.0) -> None:
        """They were asked for; ``wait`` seconds more than usual may pass before the answer."""
        due = time.monotonic() + self._timing.confirm + wait
        self.waiting.update(dict.fromkeys(wanted, due))

    def confirm(self, found: Iterable[Subscription]) -> None:
        """The server sends them."""
        for subscription in found:
            self._forget(subscription)
            self._pause.pop(subscription, None)
            self.confirmed.add(subscription)

    def refuse(self, subscription: Subscription, reason: str) -> None:
        """The server will not send it."""
        self._forget(subscription)
        self.refused[subscription] = reason
        self._later(subscription)

    def end(self, found: Iterable[Subscription], wanted: frozenset[Subscription]) -> None:
        """They are over; those of them still ``wanted`` are asked for again, after a pause."""
        for subscription in found:
            self._forget(subscription)
            if subscription in wanted:
                self.unanswered.add(subscription)
                self._later(subscription)

    def leave(self, gone: Iterable[Subscription]) -> None:
        """Nobody wants them any more."""
        for subscription in gone:
            self._forget(subscription)
            self._pause.pop(subscription, None)

    def expire(self, moment: float) -> frozenset[Subscription]:
        """Those whose answer is overdue now for the first time."""
        late = frozenset(s for s, due in self.waiting.items() if due <= moment)
        for subscription in late:
            self._forget(subscription)
            self.unanswered.add(subscription)
            self._later(subscription)
        return late

    def due(self, moment: float) -> frozenset[Subscription]:
        """Those to be asked for once more now; they count as asked."""
        found = frozenset(s for s, at in self._again.items() if at <= moment)
        for subscription in found:
            self._forget(subscription)
        self.ask(found)
        return found

    def postpone(self, moment: float) -> None:
        """Nothing was read for a while: the answers may take as long as if asked now."""
        self.waiting = dict.fromkeys(self.waiting, moment + self._timing.confirm)

    def as_dict(self) -> dict[str, object]:
        """For ``/status``, bounded."""
        return {
            "subscribed": len(self.confirmed),
            "waiting": len(self.waiting),
            "refused": {_name(s): reason for s, reason in list(self.refused.items())[:_SHOWN]},
            "unanswered": [_name(s) for s in sorted(self.unanswered)[:_SHOWN]],
        }

    def _forget(self, subscription: Subscription) -> None:
        self.waiting.pop(subscription, None)
        self.refused.pop(subscription, None)
        self._again.pop(subscription, None)
        self.confirmed.discard(subscription)
        self.unanswered.discard(subscription)

    def _later(self, subscription: Subscription) -> None:
        pause = self._pause.get(subscription, self._timing.ask_again)
        self._again[subscription] = time.monotonic() + pause
        self._pause[subscription] = min(2 * pause, _LONGEST)


def _name(subscription: Subscription) -> str:
    return f"{subscription.dataset.value} {subscription.symbol}"
