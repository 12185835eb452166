"""Channels that fell silent while their connection speaks: a subscription the server forgot.

Judged by what the monitors decoded, per feed and dataset. Silence may be the market's own, so a
channel is never cut off for it: its connections are replaced, the successor confirmed first, and
each further suspicion of the same channel waits twice as long. Instants are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_LONGEST = 3600.0


@dataclass(slots=True)
class _Channel:
    events: int
    since: float
    patience: float


class ChannelWatch:
    """Counters of events in, silent channels out."""

    def __init__(self) -> None:
        self._channels: dict[tuple[str, str], _Channel] = {}

    def look(self, feed: str, events: Mapping[str, int], patience: float, moment: float) -> tuple[str, ...]:
        """Datasets of ``feed`` that fell silent for longer than ``patience`` seconds."""
        silent = []
        for dataset, count in events.items():
            known = self._channels.get((feed, dataset))
            if known is None or known.events != count:
                self._channels[feed, dataset] = _Channel(count, moment, patience)
            elif moment - known.since > known.patience:
                known.since, known.patience = moment, min(2 * known.patience, _LONGEST)
                silent.append(dataset)
        return tuple(sorted(silent))

    def forgive(self, feed: str, moment: float) -> None:
        """The feed was not expected to say anything: outside its hours, or while nothing was read."""
        for (name, _), channel in self._channels.items():
            if name == feed:
                channel.since = moment
