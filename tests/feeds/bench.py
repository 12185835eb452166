"""What a check of the suite runs on: a feed with its tape, played to sessions and decoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import LiveDecoder, LiveFeed, LiveSession, feed
from tests.feeds.recorder import Recorder
from tests.feeds.talk import Talk
from tests.feeds.tapes import FeedTape, Step, tape_of

SECRET = "SECRET-{}-OF-THIS-TEST"


class NotApplicable(Exception):
    """The check asks for something that this feed does not have; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A feed with its tape."""

    name: str
    feed: LiveFeed
    tape: FeedTape

    @property
    def credentials(self) -> Mapping[str, SecretStr]:
        """A value for each credential of the spec."""
        names = enumerate(self.feed.spec.credentials)
        return {name: SecretStr(SECRET.format(at)) for at, name in names}

    def session(self) -> LiveSession:
        """The session of a new connection."""
        return self.feed.session(self.tape.dialect(self.feed.spec), self.tape.wanted)

    def decoder(self) -> LiveDecoder:
        """The decoder of a new connection."""
        return self.feed.decoder(self.tape.dialect(self.feed.spec))

    def talk(self) -> Talk:
        """The tape played to a new session from its beginning to its end."""
        talk = Talk(self.session(), self.credentials)
        for step in self.tape.steps:
            talk.play(step)
        return talk

    def after(self, frames: int) -> Talk:
        """A session that has heard so many frames of the server."""
        talk, heard = Talk(self.session(), self.credentials), 0
        for step in self.tape.steps:
            if step.action == "frame" and heard == frames:
                break
            talk.play(step)
            heard += step.action == "frame"
        assert heard == frames
        return talk


def bench_of(name: str) -> Bench:
    """The feed called ``name`` and its tape."""
    return Bench(name, feed(name), tape_of(name))


def decode_step(decoder: LiveDecoder, step: Step, sink: Recorder) -> None:
    """A frame, or the body of a snapshot."""
    if step.action == "fetched":
        decoder.fetched(Symbol(step.expect["symbol"]), step.raw, sink)
    else:
        decoder.decode(step.raw, sink)


def decoded(bench: Bench) -> Recorder:
    """All that the tape becomes."""
    decoder, sink = bench.decoder(), Recorder()
    for step in bench.tape.received:
        decode_step(decoder, step, sink)
    return sink
