"""The accounts of the live half: what each connection was sent, and exactly what was withheld.

A test that finds its holes in a log compares them with these: ``withheld_ids`` are the trade ids (for
books the last update number) of messages that a fault kept back, per feed, symbol and dataset.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from mdc_resources.sandbox.live.talk import Message

_KEPT_CONNECTIONS, _KEPT_IDS, _KEPT_SAID = 2_000, 100_000, 200


@dataclass(slots=True)
class Account:
    """The messages of one dataset of one symbol of a feed."""

    sent: int = 0
    withheld: int = 0
    first_id: int | None = None
    last_id: int | None = None
    withheld_ids: deque[int] = field(default_factory=lambda: deque(maxlen=_KEPT_IDS))

    def as_dict(self) -> dict[str, Any]:
        """The account as JSON."""
        return {
            "sent": self.sent,
            "withheld": self.withheld,
            "first_id": self.first_id,
            "last_id": self.last_id,
            "withheld_ids": list(self.withheld_ids),
        }


@dataclass(slots=True)
class Visit:
    """One connection. ``end`` says how it ended (``client``, ``reset``, ``closed 1012``), if it has."""

    id: int
    feed: str
    target: str
    opened: float
    status: int = 101
    sent: int = 0
    withheld: int = 0
    end: str = ""
    faults: list[str] = field(default_factory=list)
    said: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_SAID))  # by the client, secrets cut

    def as_dict(self) -> dict[str, Any]:
        """The connection as JSON."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return found | {"said": list(self.said), "faults": list(self.faults)}


class LiveLedger:
    """All accounts of a server."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str, str], Account] = {}
        self._visits: deque[Visit] = deque(maxlen=_KEPT_CONNECTIONS)
        self._made = 0
        self._lock = Lock()

    def visit(self, feed: str, target: str) -> Visit:
        """Note a new connection."""
        with self._lock:
            self._made += 1
            made = Visit(self._made, feed, target, time.time())
            self._visits.append(made)
        return made

    def sent(self, visit: Visit, message: Message) -> None:
        """Note a message that was written to the connection."""
        account = self._account(visit, message)
        visit.sent += 1
        account.sent += 1
        if message.ids:
            account.first_id = message.ids[0] if account.first_id is None else account.first_id
            account.last_id = message.ids[-1]

    def withheld(self, visit: Visit, message: Message) -> None:
        """Note a message that a fault kept back."""
        account = self._account(visit, message)
        visit.withheld += 1
        account.withheld += 1
        account.withheld_ids.extend(message.ids)

    def clear(self) -> None:
        """Forget the accounts and the connections that are over."""
        with self._lock:
            self._accounts.clear()
            self._visits = deque((visit for visit in self._visits if not visit.end), _KEPT_CONNECTIONS)

    def connections(self) -> list[dict[str, Any]]:
        """The connections, oldest first."""
        with self._lock:
            return [visit.as_dict() for visit in self._visits]

    def as_dict(self) -> dict[str, Any]:
        """Feed, symbol, dataset: the accounts as JSON."""
        found: dict[str, Any] = {}
        with self._lock:
            for (feed, symbol, kind), account in self._accounts.items():
                found.setdefault(feed, {}).setdefault(symbol, {})[kind] = account.as_dict()
        return found

    def _account(self, visit: Visit, message: Message) -> Account:
        key = (visit.feed, message.stream.symbol, message.stream.kind)
        found = self._accounts.get(key)
        if found is None:
            with self._lock:
                found = self._accounts.setdefault(key, Account())
        return found
