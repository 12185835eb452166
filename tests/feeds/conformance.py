"""The conformance suite of live feeds: numbered checks that every one of them passes.

They run over the feed's tape (:mod:`tests.feeds.tapes`). A check is a function whose name carries its
number; its docstring is what it asks. Those about the handshake are here, those about what frames
become in :mod:`tests.feeds.conformance_frames`, the one that talks to the sandbox beside it.
"""

from __future__ import annotations

import inspect
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import UnknownSymbol
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.providers.live import NOTHING, Subscription
from mdc_resources.providers.registry import load_providers
from tests.feeds import conformance_frames, conformance_sandbox
from tests.feeds.bench import SECRET, Bench, NotApplicable
from tests.feeds.talk import Talk
from tests.feeds.tapes import render, subscriptions

STATED = ("Checked",)
_EVENTS = {Dataset.TRADES, Dataset.QUOTES, Dataset.DEPTH}
_CHEAP_SECONDS = 0.5  # of CPU for 20,000 looks at a frame


@dataclass(frozen=True, slots=True)
class Check:
    """One numbered check; ``run`` raises AssertionError or NotApplicable."""

    number: str
    title: str
    run: Callable[[Bench], None]


def checks() -> list[Check]:
    """All checks in the order of their numbers."""
    modules = (sys.modules[__name__], conformance_frames, conformance_sandbox)
    found = [pair for module in modules for pair in vars(module).items() if pair[0].startswith("lc_")]
    return [_check(name, fn) for name, fn in sorted(found)]


def _check(name: str, run: Callable[[Bench], None]) -> Check:
    _, number, title = name.split("_", 2)
    return Check(f"LC-{number}", title.replace("_", " "), run)


def lc_01_the_spec_is_complete(bench: Bench) -> None:
    """What the service, the landing and the docs read is there, and agrees with the provider's history."""
    spec = bench.feed.spec
    assert re.fullmatch(rf"{spec.provider}/([a-z0-9_]+-)?live", spec.source)
    assert spec.title
    assert spec.ws_url.startswith("wss://")
    assert spec.datasets
    assert spec.datasets <= _EVENTS
    assert spec.silence.total_seconds() > 0
    assert spec.decoder_version >= 1
    assert spec.checked_on <= now().date()
    history = load_providers()[spec.provider].spec
    markets = {offer.market for offer in history.offers.values()} | set(history.feeds.values())
    assert spec.market in markets
    offered = {dataset for dataset, offer in history.offers.items() if offer.market == spec.market}
    by_feed = set(history.offers) if spec.market in history.feeds.values() else set()
    assert spec.refillable <= spec.datasets & (offered | by_feed)


def lc_02_the_module_states_what_a_reader_must_know(bench: Bench) -> None:
    """The docstring says how the handshake goes, what frames mean, and when that was checked."""
    text = inspect.getdoc(sys.modules[type(bench.feed).__module__]) or ""
    assert len(text.splitlines()) >= 3
    assert all(word in text for word in STATED)


def lc_03_the_entry_point_carries_its_name(bench: Bench) -> None:
    """The section in mdc.toml is the name of the spec."""
    assert bench.feed.spec.name == bench.name
    assert bench.feed.spec.provider in load_providers()


def lc_04_the_address_is_the_configured_one_without_a_secret(bench: Bench) -> None:
    """``ws_url`` decides where to go; credentials are named, never carried."""
    dialect = bench.tape.dialect(bench.feed.spec)
    address = bench.feed.address(dialect)
    assert address.url.startswith(dialect.ws_url)
    named = {name for _, name in (*address.auth, *address.query_auth)}
    assert named <= set(bench.feed.spec.credentials)
    assert "SECRET" not in repr(address)
    assert address == bench.feed.address(dialect)


def lc_05_secrets_travel_in_frames_only(bench: Bench) -> None:
    """What the session says of itself never holds one; without its credential it fails for good."""
    address = bench.feed.address(bench.tape.dialect(bench.feed.spec))
    in_frames = set(bench.feed.spec.credentials) - {n for _, n in (*address.auth, *address.query_auth)}
    if not bench.feed.spec.credentials:
        raise NotApplicable("the feed needs no key")
    talk = bench.talk()
    sent = b"".join(talk.sent)
    told = repr([(r.confirmed, r.refused, r.ended, r.fetch, str(r.error)) for r in talk.replies])
    assert "OF-THIS-TEST" not in told + repr(talk.session)
    for at, name in enumerate(bench.feed.spec.credentials):
        assert (SECRET.format(at).encode() in sent) == (name in in_frames)
    if in_frames:
        error = bench.session().opened({}).error
        assert error is not None
        assert error.disposition == "abort"


def lc_06_the_handshake_goes_as_on_the_tape(bench: Bench) -> None:
    """Everything that is sent, in its order, and nothing else."""
    talk = bench.talk()
    assert not talk.unsaid, f"sent, and not on the tape: {talk.unsaid}"


def lc_07_confirmed_is_what_the_server_said(bench: Bench) -> None:
    """Nothing counts as captured before the server's word."""
    if reason := bench.tape.facts.get("unconfirmed"):
        raise NotApplicable(reason)
    talk = Talk(bench.session(), bench.credentials)
    assert talk.replies[0].confirmed == ()
    told = [one for reply in bench.talk().replies for one in reply.confirmed]
    assert set(told) == bench.tape.asked_for
    assert len(told) == len(set(told)), "confirmed twice"


def lc_08_refused_symbols_are_told_one_by_one(bench: Bench) -> None:
    """An error about symbols names the subscriptions it ends, with the vendor's reason."""
    cases = [case for case in bench.tape.cases if "refused" in case]
    assert cases, "the tape has no refusal"
    for case in cases:
        reply = bench.after(int(case["after"])).hear(render(case["frame"]))
        assert {one for one, _ in reply.refused} == set(subscriptions(case["refused"])), case
        assert all(reason for _, reason in reply.refused)
        assert reply.error is None


def lc_09_unsubscribing_ends(bench: Bench) -> None:
    """What is unsubscribed from ends, by the server's word or at once."""
    wanted = [one for s in bench.tape.steps if s.action == "unsubscribe" for one in subscriptions(s.content)]
    assert wanted, "the tape unsubscribes from nothing"
    ended = [one for reply in bench.talk().replies for one in reply.ended]
    assert set(wanted) <= set(ended)


def lc_10_a_live_connection_takes_more(bench: Bench) -> None:
    """A second subscription is confirmed like the first, and ends nothing."""
    more = [one for s in bench.tape.steps if s.action == "subscribe" for one in subscriptions(s.content)]
    assert more, "the tape subscribes to nothing later"
    talk = bench.talk()
    assert set(more) <= {one for reply in talk.replies for one in reply.confirmed}


def lc_11_control_frames_are_told_from_data(bench: Bench) -> None:
    """True for each control frame, False for data, and looking costs next to nothing."""
    session = bench.session()
    data = [step.raw for step in bench.tape.frames if step.events and not step.is_control]
    for step in bench.tape.frames:
        assert not step.is_control or session.is_control(step.raw), step.raw
    for case in bench.tape.cases:
        assert session.is_control(render(case["frame"])), case["frame"]
    for raw in data:
        assert not session.is_control(raw), raw
    began = time.process_time()
    for _ in range(20_000 // len(data)):
        for raw in data:
            session.is_control(raw)
    assert time.process_time() - began < _CHEAP_SECONDS


def lc_12_data_frames_come_to_nothing_in_the_session(bench: Bench) -> None:
    """The session may be shown everything."""
    talk = bench.talk()
    for step in bench.tape.frames:
        if step.events and not step.is_control:
            assert talk.session.control(step.raw) == NOTHING


def lc_20_unknown_symbols_are_refused_at_once(bench: Bench) -> None:
    """A symbol of another market never reaches the vendor, neither at first nor later."""
    dialect = bench.tape.dialect(bench.feed.spec)
    live = bench.after(0).session
    for name in ("NOWHERE:BTC-USD", "AAPL") if bench.feed.spec.venue else ("NOWHERE:BTC-USD",):
        wanted = [Subscription(dataset, Symbol(name)) for dataset in sorted(bench.feed.spec.datasets)[:1]]
        with pytest.raises(UnknownSymbol) as first:
            bench.feed.session(dialect, wanted)
        with pytest.raises(UnknownSymbol):
            live.subscribe(wanted)
        assert first.value.symbol == name


def lc_24_a_book_can_be_asked_for_again(bench: Bench) -> None:
    """A resync subscribes anew or names the snapshot to fetch; without books nothing happens."""
    talk = bench.talk()
    symbols = sorted({symbol for dataset, symbol in bench.tape.wanted if dataset is Dataset.DEPTH})
    if not symbols:
        assert talk.session.resync(bench.tape.wanted[0].symbol) == NOTHING
        raise NotApplicable("the feed has no books")
    reply = talk.session.resync(symbols[0])
    assert reply.send or reply.fetch
    assert reply.error is None
    assert all(fetch.symbol == symbols[0] and fetch.request.url for fetch in reply.fetch)


def lc_25_a_new_connection_begins_anew(bench: Bench) -> None:
    """After a reconnect all goes as the first time: sessions share nothing."""
    first, second = bench.talk(), bench.talk()
    assert (first.sent, first.replies) == (second.sent, second.replies)


def lc_26_errors_have_the_right_disposition(bench: Bench) -> None:
    """Each error frame ends the connection with its error: tried again, left to others, or for good."""
    cases = [case for case in bench.tape.cases if "error" in case or "leave" in case]
    assert cases, "the tape has no errors"
    for case in cases:
        reply = bench.after(int(case["after"])).hear(render(case["frame"]))
        assert reply.leave == case.get("leave", False), case
        if "error" in case:
            assert reply.error is not None, case
            told = (type(reply.error).__name__, str(reply.error.disposition), reply.error.provider)
            assert told == (case["error"], case["disposition"], bench.feed.spec.provider)


def lc_28_nothing_is_remembered_of_a_wrong_turn(bench: Bench) -> None:
    """Unsubscribing from what is not subscribed, and hearing an answer nobody asked for, do no harm."""
    talk = bench.talk()
    reply = talk.session.unsubscribe([])
    assert (reply.confirmed, reply.refused, reply.ended, reply.error) == ((), (), (), None)
    for step in bench.tape.frames:
        if step.is_control:
            assert talk.session.control(step.raw).error is None
