"""Subscribing at Coinbase: messages are answered in order, with the whole list of what is sent now.

Exchange takes all channels in one message, Advanced Trade one channel per message; that and the names
is all they differ in. An error refuses the message as a whole: what it names is refused, the rest is
asked for again; where it names nothing, halves are asked for, down to the one that is refused.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from pydantic import SecretStr

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ProviderError, TransportError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.coinbase import product_of
from mdc_resources.providers.decoding.live_text import UNREADABLE
from mdc_resources.providers.decoding.quoting import quoted
from mdc_resources.providers.live import NOTHING, Reply, Subscription

_PRODUCTS = re.compile(r"[A-Z0-9]+-[A-Z0-9]+")
_ENCODER = msgspec.json.Encoder()
Write = Callable[[str, Sequence[Subscription]], tuple[bytes, ...]]


class Listed(NamedTuple):
    """A control frame as read: ``channels`` where it lists what is sent, ``error`` where it refuses."""

    channels: Mapping[str, Sequence[str]] | None = None
    error: str = ""


class Asked(NamedTuple):
    """One message that awaits its answer."""

    wanted: tuple[Subscription, ...]
    leaving: bool = False


class CoinbaseSession:
    """The handshake of both dialects; ``write`` makes messages, ``read`` reads their answers."""

    def __init__(
        self,
        wanted: Sequence[Subscription],
        *,
        channels: Mapping[str, Dataset],
        write: Write,
        read: Callable[[bytes], Listed],
        batch: Callable[[Sequence[Subscription]], Iterable[Sequence[Subscription]]],
        greeting: tuple[bytes, ...] = (),
    ) -> None:
        for subscription in wanted:
            product_of(subscription.symbol)
        self._wanted = tuple(wanted)
        self._channels, self._write, self._read, self._batch = channels, write, read, batch
        self._greeting = greeting
        self._asked: deque[Asked] = deque()
        self._pending: set[Subscription] = set()
        self._leaving: set[Subscription] = set()
        self._left_out: set[Subscription] = set()

    def opened(self, credentials: Mapping[str, SecretStr]) -> Reply:  # noqa: ARG002 - no key is needed
        """Subscribe at once."""
        self._asked.extend(Asked(()) for _ in self._greeting)
        return Reply(send=self._greeting + self._ask(self._wanted, leaving=False))

    def is_control(self, frame: bytes) -> bool:
        """True for the list of subscriptions and for errors."""
        return b'"subscriptions"' in frame or b'"error"' in frame

    def control(self, frame: bytes) -> Reply:
        """Confirm what is listed, refuse what an error names."""
        try:
            said = self._read(frame)
        except UNREADABLE:
            return NOTHING  # the decoder rejects it
        if said.error:
            return self._refused(said.error)
        return NOTHING if said.channels is None else self._listed(said.channels)

    def subscribe(self, wanted: Sequence[Subscription]) -> Reply:
        """Ask for ``wanted``; raises UnknownSymbol for what is no product."""
        for subscription in wanted:
            product_of(subscription.symbol)
        return Reply(send=self._ask(wanted, leaving=False))

    def unsubscribe(self, wanted: Sequence[Subscription]) -> Reply:
        """Ask for less; the server's next list is the answer."""
        return Reply(send=self._ask(wanted, leaving=True))

    def resync(self, symbol: Symbol) -> Reply:
        """A new snapshot comes with a new subscription."""
        depth = (Subscription(Dataset.DEPTH, symbol),)
        self._asked.append(Asked(()))  # the answer to the first message
        return Reply(send=self._write("unsubscribe", depth) + self._ask(depth, leaving=False))

    def ping(self) -> bytes | None:
        """None: the heartbeat channel tells that the connection lives."""
        return None

    def _ask(self, wanted: Sequence[Subscription], *, leaving: bool) -> tuple[bytes, ...]:
        sent: list[bytes] = []
        for part in self._batch(wanted):
            for message in self._write("unsubscribe" if leaving else "subscribe", part):
                sent.append(message)
            self._asked.append(Asked(tuple(part), leaving))
            if leaving:
                self._leaving.update(part)
                self._pending.difference_update(part)
            else:
                self._pending.update(part)
                self._leaving.difference_update(part)
                self._left_out.difference_update(part)
        return tuple(sent)

    def _listed(self, channels: Mapping[str, Sequence[str]]) -> Reply:
        listed = {
            Subscription(dataset, Symbol(f"COINBASE:{product}"))
            for channel, products in channels.items()
            if (dataset := self._channels.get(channel)) is not None
            for product in products
        }
        if self._asked:
            self._asked.popleft()
        confirmed = self._pending & listed
        ended = self._leaving - listed
        self._pending -= confirmed
        self._leaving -= ended
        # They stay pending: a list that comes late may still have them.
        left_out = set() if self._asked else self._pending - self._left_out
        self._left_out = (self._left_out | left_out) - listed
        return Reply(
            confirmed=tuple(sorted(confirmed)),
            ended=tuple(sorted(ended)),
            refused=tuple((one, "left out of the server's list") for one in sorted(left_out)),
        )

    def _refused(self, said: str) -> Reply:
        """An error answers the oldest message; one that answers nothing ends the connection."""
        if not self._asked:
            return Reply(error=_unasked(said))
        asked = self._asked.popleft()
        if asked.leaving:
            self._leaving.difference_update(asked.wanted)
            return Reply(ended=asked.wanted)
        named = set(_PRODUCTS.findall(said.upper()))
        found = [one for one in asked.wanted if product_of(one.symbol) in named]
        if not found and len(asked.wanted) > 1:
            middle = len(asked.wanted) // 2
            halves = (asked.wanted[:middle], asked.wanted[middle:])
            return Reply(send=tuple(message for half in halves for message in self._ask(half, leaving=False)))
        found = found or list(asked.wanted)
        self._pending.difference_update(found)
        rest = [one for one in asked.wanted if one not in found]
        return Reply(
            send=self._ask(rest, leaving=False) if rest else (),
            refused=tuple((one, quoted(said)) for one in found),
        )


def _unasked(said: str) -> ProviderError:
    return TransportError(f"coinbase says {quoted(said)}", provider="coinbase")


def message(**parts: Any) -> bytes:
    """One message to the server."""
    return _ENCODER.encode(parts)
