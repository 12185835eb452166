"""Why things end: connections by cause, processes by the error that counts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mdc_resources.domain.errors import (
    BadCredentials,
    ConfigError,
    Disposition,
    ProviderError,
    RateLimited,
    StorageFailed,
    TransportError,
)
from mdc_resources.telemetry import register_secret
from mdc_streaming.endings import End, not_opened
from mdc_streaming.pacing import Timing
from mdc_streaming.plan import plans
from mdc_streaming.pulse import Pulse
from mdc_streaming.receiver import Receiver
from mdc_streaming.service import worst
from tests.streaming.capturing import capturing, coinbase, home_at, until
from tests.streaming.server import Exchange

_FINNHUB = '[stream.finnhub]\nws_url = "ws://127.0.0.1:9"\nsymbols = ["AAPL"]\n'


@pytest.mark.parametrize(
    ("status", "kind", "disposition"),
    [
        (401, BadCredentials, Disposition.ABORT),
        (403, TransportError, Disposition.RETRY),
        (404, TransportError, Disposition.RETRY),
        (429, RateLimited, Disposition.RETRY),
        (502, TransportError, Disposition.RETRY),
    ],
)
def test_an_answer_to_the_handshake_has_a_consequence(
    tmp_path: Path, status: int, kind: type[ProviderError], disposition: Disposition
) -> None:
    """A refused key is never tried again; a gateway's 403 and everything else is, after a pause."""
    end = _handshake(tmp_path, status)
    assert (end.cause, end.code) == ("handshake", status)
    assert type(end.error) is kind
    assert end.error is not None
    assert end.error.disposition is disposition


@pytest.mark.parametrize(("said", "waits"), [("7", 7.0), ("1000000000", 900.0), ("-5", None), ("soon", None)])
def test_retry_after_is_obeyed_within_reason(tmp_path: Path, said: str, waits: float | None) -> None:
    """Seconds are obeyed, absurd ones capped, what is no number ignored."""
    end = _handshake(tmp_path, 429, ("Retry-After", said))
    assert isinstance(end.error, RateLimited)
    assert end.error.retry_after == waits


def _handshake(tmp_path: Path, status: int, *headers: tuple[str, str]) -> End:
    """The end of a real handshake that was answered with ``status``."""
    from picows import WSListener, ws_connect

    home = home_at(tmp_path, _FINNHUB, environ={"FINNHUB_API_KEY": "a-key-of-the-test"})
    plan = plans(home)["finnhub-0"]

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        lines = [f"HTTP/1.1 {status} No", "Content-Length: 0", *(": ".join(pair) for pair in headers), "", ""]
        writer.write("\r\n".join(lines).encode())
        await writer.drain()
        writer.close()

    async def main() -> End:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            try:
                await ws_connect(WSListener, f"ws://127.0.0.1:{port}/", max_redirects=0)
            except Exception as error:
                return not_opened(error, plan)
        raise AssertionError("it was refused")

    return asyncio.run(main())


def test_a_connect_error_tells_no_secret(tmp_path: Path) -> None:
    """The library's message quotes the URL; what is kept of it is masked."""
    home = home_at(tmp_path, _FINNHUB, environ={"FINNHUB_API_KEY": "a-key-of-the-test"})
    register_secret("canary-of-the-endings")
    error = OSError("cannot connect to wss://host/?token=canary-of-the-endings")
    end = not_opened(error, plans(home)["finnhub-0"])
    assert end.cause == "connect"
    assert "canary" not in end.reason
    assert end.error is not None
    assert "canary" not in str(end.error)


def test_a_timeout_says_so(tmp_path: Path) -> None:
    """No text of the library: it has none."""
    home = home_at(tmp_path, coinbase("ws://127.0.0.1:9"))
    assert not_opened(TimeoutError(), plans(home)["coinbase-0"]).reason == "connect: no answer in time"


def test_the_error_that_counts_decides_the_exit_code() -> None:
    """A defect before everything, then the greatest exit code; groups within groups are looked into."""
    config, disk, defect = ConfigError("a"), StorageFailed("b"), ZeroDivisionError()
    assert worst(BaseExceptionGroup("", [config, disk])) is disk
    nested = BaseExceptionGroup("", [config, BaseExceptionGroup("", [disk, defect])])
    assert worst(nested) is defect


def test_the_death_of_any_task_is_the_processes(tmp_path: Path) -> None:
    """A defect in one of them is not survived quietly: the service ends with it."""

    def broken() -> str:
        raise ZeroDivisionError("a defect of the test")

    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home) as running:
            running.ready()
            running.service.switchboard.look = lambda *_: broken()  # type: ignore[method-assign,assignment]
            until(lambda: running.error)
        until(lambda: server.open == 0)
    assert isinstance(running.error, ZeroDivisionError)


def _pulse() -> tuple[Pulse, Receiver]:
    receiver = Receiver(lambda _: None, lambda *_: None, lambda _: None, 1000)
    return Pulse(Timing(ping=10.0, pong=5.0), 60.0, receiver, 100.0), receiver


def test_a_ping_is_due_once_until_it_is_answered() -> None:
    """Every ten seconds, and none while one is on its way."""
    pulse, receiver = _pulse()
    assert not pulse.ping_due(109.0)
    assert pulse.ping_due(110.0)
    assert not pulse.ping_due(125.0)
    receiver.ponged += 1
    assert pulse.judge(114.0) is None
    assert pulse.ping_due(120.0)


def test_a_pong_that_does_not_come_is_the_end() -> None:
    """At its deadline, not before."""
    pulse, _ = _pulse()
    pulse.ping_due(110.0)
    assert pulse.judge(115.0) is None
    end = pulse.judge(115.1)
    assert end is not None
    assert end.cause == "pong"


def test_pongs_alone_are_silence() -> None:
    """A server that answers pings and says nothing by itself is left all the same."""
    pulse, receiver = _pulse()
    for moment in range(110, 160, 10):
        assert pulse.ping_due(float(moment))
        receiver.ponged += 1
        assert pulse.judge(moment + 1.0) is None
    end = pulse.judge(160.5)
    assert end is not None
    assert end.cause == "silence"


def test_what_was_not_read_counts_against_nobody() -> None:
    """After a pause of ours every deadline begins anew."""
    pulse, _ = _pulse()
    pulse.ping_due(110.0)
    pulse.forgive(1000.0)
    assert pulse.judge(1050.0) is None
    assert pulse.ping_due(1010.0)
