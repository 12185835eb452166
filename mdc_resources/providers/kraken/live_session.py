"""Subscribing at Kraken: one message per channel (and depth), one answer per symbol.

The two versions of the feed differ in how messages are written and answers read; who was asked for
what, confirmed and refused is the same. Each message carries a number that its answers repeat, since
a refusal does not name the channel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pydantic import SecretStr

from mdc_resources.books import book_rule
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ProviderError, RateLimited, TransportError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.live_text import UNREADABLE, Names
from mdc_resources.providers.decoding.quoting import quoted
from mdc_resources.providers.kraken.live_names import name_of
from mdc_resources.providers.live import NOTHING, LiveDialect, Reply, Subscription

_PER_MESSAGE = 100
_KEPT = 1000  # messages whose answers may still come
_RULE = book_rule("kraken")


class Asking(NamedTuple):
    """One message to be written: ``pairs`` of a dataset, ``depth`` for books."""

    number: int
    dataset: Dataset
    pairs: tuple[str, ...]
    depth: int
    leaving: bool = False


class Answer(NamedTuple):
    """One answer as read. ``number`` and ``pair`` are None where it does not say."""

    leaving: bool
    error: str = ""
    number: int | None = None
    dataset: Dataset | None = None
    pair: str | None = None


class KrakenSession:
    """The handshake of both versions; ``write`` makes messages, ``read`` reads answers (None: no answer)."""

    def __init__(
        self,
        dialect: LiveDialect,
        wanted: Sequence[Subscription],
        *,
        pair_of: Callable[[Symbol], str],
        write: Callable[[Asking], bytes],
        read: Callable[[bytes], Answer | None],
        mark: bytes,
        ping: bytes,
    ) -> None:
        for subscription in wanted:
            pair_of(subscription.symbol)
        self._wanted, self._levels = tuple(wanted), dict(dialect.levels)
        self._pair_of, self._write, self._read = pair_of, write, read
        self._mark, self._ping = mark, ping
        self._names = Names(name_of)
        self._asked: dict[int, Asking] = {}
        self._number = 0
        self._resyncing: set[Subscription] = set()

    def opened(self, credentials: Mapping[str, SecretStr]) -> Reply:  # noqa: ARG002 - no key is needed
        """Subscribe at once."""
        return self.subscribe(self._wanted)

    def is_control(self, frame: bytes) -> bool:
        """True for answers, and for the few other frames without market data."""
        return self._mark in frame

    def control(self, frame: bytes) -> Reply:
        """Confirm, refuse or end the one symbol of an answer."""
        try:
            answer = self._read(frame)
        except UNREADABLE:
            return NOTHING  # the decoder rejects it
        return NOTHING if answer is None else self._answered(answer)

    def subscribe(self, wanted: Sequence[Subscription]) -> Reply:
        """Ask for ``wanted``; raises UnknownSymbol for what is no pair."""
        for subscription in wanted:
            self._pair_of(subscription.symbol)
        return Reply(send=self._ask(wanted, leaving=False))

    def unsubscribe(self, wanted: Sequence[Subscription]) -> Reply:
        """Ask for less; each symbol is answered."""
        return Reply(send=self._ask(wanted, leaving=True))

    def resync(self, symbol: Symbol) -> Reply:
        """A new snapshot comes with a new subscription."""
        depth = Subscription(Dataset.DEPTH, symbol)
        self._resyncing.add(depth)
        return Reply(send=self._ask([depth], leaving=True) + self._ask([depth], leaving=False))

    def ping(self) -> bytes | None:
        """The vendor's own ping."""
        return self._ping

    def _ask(self, wanted: Sequence[Subscription], *, leaving: bool) -> tuple[bytes, ...]:
        groups: dict[tuple[Dataset, int], list[str]] = {}
        for dataset, symbol in wanted:
            depth = _RULE.depth(self._levels.get(symbol, 1)) if dataset is Dataset.DEPTH else None
            groups.setdefault((dataset, depth or 0), []).append(self._pair_of(symbol))
        sent: list[bytes] = []
        for (dataset, depth), pairs in groups.items():
            for at in range(0, len(pairs), _PER_MESSAGE):
                self._number += 1
                some = tuple(pairs[at : at + _PER_MESSAGE])
                asking = self._asked[self._number] = Asking(self._number, dataset, some, depth, leaving)
                self._asked.pop(self._number - _KEPT, None)
                sent.append(self._write(asking))
        return tuple(sent)

    def _answered(self, answer: Answer) -> Reply:
        asked = self._asked.get(answer.number or 0)
        found = self._meant(answer, asked)
        if answer.error and asked is None and not found:
            return Reply(error=_unasked(answer.error))
        if answer.leaving or (asked is not None and asked.leaving):
            # An error here says that the server does not know it: then it does not send it either.
            return Reply(ended=tuple(one for one in found if one not in self._resyncing))
        self._resyncing.difference_update(found)
        if answer.error:
            return Reply(refused=tuple((one, quoted(answer.error)) for one in found))
        return Reply(confirmed=found)

    def _meant(self, answer: Answer, asked: Asking | None) -> tuple[Subscription, ...]:
        """The subscriptions an answer is about: all of its message where it names no symbol."""
        dataset = answer.dataset or (asked.dataset if asked else None)
        pairs = (answer.pair,) if answer.pair else asked.pairs if asked else ()
        if dataset is None:
            return ()
        symbols = (self._names[pair] for pair in pairs)
        return tuple(Subscription(dataset, symbol) for symbol in symbols if symbol is not None)


def _unasked(said: str) -> ProviderError:
    kind = RateLimited if "rate" in said.lower() else TransportError
    return kind(f"kraken says {quoted(said)}", provider="kraken")
