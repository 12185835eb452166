"""An equity feed in tests: its dialect, a session that is through its handshake, a frame decoded."""

from __future__ import annotations

import json
from typing import Any

from pydantic import SecretStr

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import LiveDialect, LiveSession, Reply, Subscription, feed
from tests.feeds.recorder import Recorder

TRADES, QUOTES = Dataset.TRADES, Dataset.QUOTES


def one(dataset: Dataset, symbol: str) -> Subscription:
    """One subscription."""
    return Subscription(dataset, Symbol(symbol))


def dialect_of(name: str, **more: Any) -> LiveDialect:
    """The feed's dialect at the vendor's own address unless said otherwise."""
    spec = feed(name).spec
    return LiveDialect(spec, **{"ws_url": spec.ws_url, **more})


def keys(name: str) -> dict[str, SecretStr]:
    """A value for each credential of the feed."""
    return {key: SecretStr(f"value of {key}") for key in feed(name).spec.credentials}


def open_session(name: str, *wanted: Subscription, heard: tuple[Any, ...] = ()) -> LiveSession:
    """A session that was opened and has heard some frames."""
    session = feed(name).session(dialect_of(name), wanted)
    session.opened(keys(name))
    for frame in heard:
        hear(session, frame)
    return session


def hear(session: LiveSession, frame: Any) -> Reply:
    """The reply to one control frame, which the session must have recognised as one."""
    raw = json.dumps(frame).encode()
    assert session.is_control(raw)
    return session.control(raw)


def decoded(name: str, frame: bytes | Any) -> Recorder:
    """What a new decoder makes of one frame; what is not bytes is sent as JSON."""
    sink = Recorder()
    raw = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
    feed(name).decoder(dialect_of(name)).decode(raw, sink)
    return sink
