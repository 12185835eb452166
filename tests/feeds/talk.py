"""A tape played to a session: what is sent is held against the tape, replies against their steps."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import NOTHING, LiveSession, Reply
from tests.feeds.tapes import Step, subscriptions


class Talk:
    """One session from its opening; ``unsaid`` are frames that were sent and not yet seen on the tape."""

    def __init__(self, session: LiveSession, credentials: Mapping[str, SecretStr]) -> None:
        self.session = session
        self.sent: list[bytes] = []
        self.replies: list[Reply] = []
        self.unsaid: deque[Any] = deque()
        self._took(session.opened(credentials))

    def play(self, step: Step) -> None:
        """One step of a tape; raises AssertionError where the session does something else."""
        if step.action == "send":
            assert self.unsaid, f"nothing was sent, expected {step.raw!r}"
            assert self.unsaid.popleft() == json.loads(step.raw)
            return
        reply = self._act(step)
        for name in ("confirmed", "ended"):
            assert set(getattr(reply, name)) == set(step.subscriptions(name)), (name, step, reply)
        assert {one for one, _ in reply.refused} == set(step.subscriptions("refused")), (step, reply)
        assert [fetch.symbol for fetch in reply.fetch] == list(step.expect.get("fetch", ())), (step, reply)
        assert reply.error is None, reply.error

    def hear(self, frame: bytes) -> Reply:
        """The reply to one frame, as the service would get it."""
        return self._took(self.session.control(frame) if self.session.is_control(frame) else NOTHING)

    def _act(self, step: Step) -> Reply:
        if step.action == "frame":
            return self.hear(step.raw)
        if step.action == "subscribe":
            return self._took(self.session.subscribe(subscriptions(step.content)))
        if step.action == "unsubscribe":
            return self._took(self.session.unsubscribe(subscriptions(step.content)))
        if step.action == "resync":
            return self._took(self.session.resync(Symbol(step.content)))
        return Reply()

    def _took(self, reply: Reply) -> Reply:
        self.replies.append(reply)
        self.sent.extend(reply.send)
        self.unsaid.extend(json.loads(frame.decode("utf-8")) for frame in reply.send)
        return reply
