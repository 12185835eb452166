"""Whether the other side still lives: it must say something by itself, and answer our pings.

A server that answers pings and sends nothing is as dead as one that does not. No I/O; instants are
monotonic seconds.
"""

from __future__ import annotations

from mdc_streaming.endings import End
from mdc_streaming.pacing import Timing
from mdc_streaming.receiver import Receiver


class Pulse:
    """The deadlines of one open connection that may be silent for ``silence`` seconds."""

    def __init__(self, timing: Timing, silence: float, receiver: Receiver, moment: float) -> None:
        self._timing = timing
        self._silence = silence
        self._receiver = receiver
        self._ponged = 0
        self._pong_due: float | None = None
        self._pinged_at = receiver.heard = moment

    def judge(self, moment: float) -> End | None:
        """Why it is over, or None."""
        if moment - self._receiver.heard > self._silence:
            return End("silence", f"nothing for {moment - self._receiver.heard:.1f} s")
        if self._pong_due is not None and self._receiver.ponged > self._ponged:
            self._pong_due = None
        if self._pong_due is not None and moment > self._pong_due:
            return End("pong", f"no pong within {self._timing.pong:g} s")
        return None

    def ping_due(self, moment: float) -> bool:
        """True if a ping is to be sent now; it counts as sent."""
        if self._pong_due is not None or moment - self._pinged_at < self._timing.ping:
            return False
        self._ponged, self._pinged_at = self._receiver.ponged, moment
        self._pong_due = moment + self._timing.pong
        return True

    def forgive(self, moment: float) -> None:
        """We did not read for a while: no deadline has passed."""
        self._receiver.heard = self._pinged_at = moment
        self._pong_due = None
