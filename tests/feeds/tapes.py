"""Tapes of feeds: ``tapes/<feed>.json``, written from the vendors' documents, with what they must become.

A tape is one connection: ``wanted`` at its start, then ``steps`` in order, each with one of

* ``send``: a frame that the session must have sent by now (compared as JSON), in order;
* ``frame``: what the server says, with ``confirmed``, ``refused``, ``ended`` (lists of [dataset, symbol]),
  the ``events`` it must become, and ``control: true`` where the session must see it though nothing follows;
* ``subscribe``, ``unsubscribe`` or ``resync``: what the service asks for, with ``fetch`` (symbols);
* ``fetched``: the body of a snapshot of ``symbol``, with its ``events``.

Beside it stand ``cases`` (a frame ``after`` so many server frames of the tape, and the ``error`` and
``disposition``, or the ``refused``, that it must come to), ``flaws`` (frames with something wrong, how many
``events`` and ``rejected`` they come to), and ``missing`` (server frames that, when left out, are a hole).
Frames are JSON inside the JSON: numbers are read and written again in their own characters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.bodies import NumberText
from mdc_resources.providers.live import LiveDialect, LiveSpec, Subscription

TAPES = Path(__file__).parent / "tapes"
ACTIONS = ("send", "frame", "subscribe", "unsubscribe", "resync", "fetched")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens, and what must come of it."""

    action: str
    content: Any
    expect: Mapping[str, Any]

    @property
    def raw(self) -> bytes:
        """The frame or body as bytes."""
        return render(self.content)

    def subscriptions(self, name: str) -> tuple[Subscription, ...]:
        """The expected ``confirmed``, ``refused`` or ``ended``."""
        return subscriptions(self.expect.get(name, ()))

    @property
    def events(self) -> list[dict[str, Any]]:
        """The expected events, instants and sequence numbers as integers."""
        return [plain(event) for event in self.expect.get("events", ())]

    @property
    def is_control(self) -> bool:
        """True where the session must see the frame."""
        names = ("confirmed", "refused", "ended", "control")
        return self.action == "frame" and any(name in self.expect for name in names)


@dataclass(frozen=True, slots=True)
class FeedTape:
    """One connection of a feed, and what may go wrong on it."""

    feed: str
    wanted: tuple[Subscription, ...]
    steps: tuple[Step, ...]
    cases: tuple[Mapping[str, Any], ...]
    flaws: tuple[Mapping[str, Any], ...]
    missing: tuple[Mapping[str, Any], ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def dialect(self, spec: LiveSpec) -> LiveDialect:
        """What the feed may know while the tape runs."""
        levels = {Symbol(name): int(depth) for name, depth in self.facts.get("levels", {}).items()}
        rest, vendors = self.facts.get("rest_url", "https://rest.invalid"), self.facts.get("feed", "")
        return LiveDialect(spec, "ws://127.0.0.1:1/there", rest_url=rest, feed=vendors, levels=levels)

    @property
    def received(self) -> list[Step]:
        """What a decoder gets to see, in order."""
        return [step for step in self.steps if step.action in ("frame", "fetched")]

    @property
    def frames(self) -> list[Step]:
        """What the server said."""
        return [step for step in self.steps if step.action == "frame"]

    @property
    def asked_for(self) -> set[Subscription]:
        """All that was wanted at some time."""
        later = (subscriptions(step.content) for step in self.steps if step.action == "subscribe")
        return {*self.wanted, *(one for several in later for one in several)}


def tape_of(feed: str) -> FeedTape:
    """The tape of ``feed``."""
    found = json.loads(
        (TAPES / f"{feed}.json").read_text(encoding="utf-8"), parse_float=NumberText, parse_int=NumberText
    )
    return FeedTape(
        feed,
        subscriptions(found["wanted"]),
        tuple(_step(step) for step in found["steps"]),
        tuple(found.get("cases", ())),
        tuple(found.get("flaws", ())),
        tuple(found.get("missing", ())),
        {
            name: found[name]
            for name in ("levels", "rest_url", "feed", "unconfirmed", "coarse")
            if name in found
        },
    )


def _step(step: dict[str, Any]) -> Step:
    (action,) = (name for name in ACTIONS if name in step)
    return Step(action, step[action], {name: value for name, value in step.items() if name != action})


def subscriptions(pairs: Any) -> tuple[Subscription, ...]:
    """``[["trades", "AAPL"]]`` as subscriptions."""
    return tuple(Subscription(Dataset(dataset), Symbol(symbol)) for dataset, symbol in pairs)


def render(content: Any) -> bytes:
    """A frame as bytes: text as it is, JSON compactly and with each number in its own characters."""
    if isinstance(content, str) and not isinstance(content, NumberText):
        return content.encode()
    return "".join(_written(content)).encode()


def _written(value: Any) -> Iterator[str]:
    if isinstance(value, NumberText):
        yield str(value)
    elif isinstance(value, dict):
        yield "{"
        for at, (key, cell) in enumerate(value.items()):
            yield f"{',' if at else ''}{json.dumps(key)}:"
            yield from _written(cell)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for at, cell in enumerate(value):
            yield "," if at else ""
            yield from _written(cell)
        yield "]"
    else:
        yield json.dumps(value)


def plain(value: Any) -> Any:
    """An expectation with its numbers as integers."""
    if isinstance(value, NumberText):
        return int(value)
    if isinstance(value, dict):
        return {key: plain(cell) for key, cell in value.items()}
    return [plain(cell) for cell in value] if isinstance(value, list) else value
