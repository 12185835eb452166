"""The checks of the suite that are about frames: what they become, and what is never to be lost.

See :mod:`tests.feeds.conformance`, which runs them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import parse_symbol
from mdc_resources.providers.live import Reply
from tests.feeds.bench import Bench, NotApplicable, decode_step, decoded
from tests.feeds.bytes_of_any_kind import any_frames
from tests.feeds.recorder import Event, Recorder
from tests.feeds.tapes import render, subscriptions

_KINDS = {"trade": Dataset.TRADES, "quote": Dataset.QUOTES, "snapshot": Dataset.DEPTH, "delta": Dataset.DEPTH}
_INTEGERS = ("ts_event", "sequence", "first", "last", "previous", "checksum")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_LONG = "123456789.123456789"


def lc_13_the_tape_becomes_its_events(bench: Bench) -> None:
    """Each frame becomes exactly the events beside it, in their order."""
    decoder = bench.decoder()
    for step in bench.tape.received:
        sink = Recorder()
        decode_step(decoder, step, sink)
        assert sink.events == step.events, step.raw
        assert not sink.rejections, sink.rejections
        assert not sink.holes, (step.raw, sink.holes)


def lc_14_each_dataset_is_shown(bench: Bench) -> None:
    """What nobody showed working is not offered."""
    shown = {_KINDS[event["kind"]] for step in bench.tape.received for event in step.events}
    assert shown == bench.feed.spec.datasets


def lc_15_no_bytes_raise(bench: Bench) -> None:
    """Broken, cut, mixed and invented frames are rejected or ignored, and never become half an event."""
    frames = [step.raw for step in bench.tape.received]
    frames += [render(case["frame"]) for case in (*bench.tape.cases, *bench.tape.flaws)]
    decoder, talk = bench.decoder(), bench.after(0)

    def take(frame: bytes) -> None:
        sink = Recorder()
        decoder.decode(frame, sink)
        decoder.fetched(bench.tape.wanted[0].symbol, frame, sink)
        for event in sink.events:
            _is_well_formed(event)
        assert isinstance(talk.session.is_control(frame), bool)
        assert isinstance(talk.session.control(frame), Reply)

    any_frames(frames, take)


def _is_well_formed(event: Event) -> None:
    """Numbers are decimal text, instants and sequences 64-bit integers, everything else plain text."""
    told = dict(event)
    texts = [told.pop("symbol"), told.pop("kind")]
    numbers = [told.pop(name) for name in ("price", "size") if name in told]
    numbers += [*told.pop("bid", ()), *told.pop("ask", ())]
    numbers += [cell for level in (*told.pop("bids", ()), *told.pop("asks", ())) for cell in level]
    integers = [told.pop(name) for name in _INTEGERS if name in told]
    assert all(type(cell) is str and _NUMBER.fullmatch(cell) for cell in numbers), event
    assert all(type(cell) is int and -(2**63) <= cell < 2**64 for cell in integers), event
    assert all(isinstance(cell, str) for cell in (*texts, *told.values())), event
    assert parse_symbol(event["symbol"]) == event["symbol"]


def lc_16_wrong_parts_are_rejected_alone(bench: Bench) -> None:
    """A flaw costs its own message, with its reason, and never its neighbour."""
    assert bench.tape.flaws, "the tape has no flaws"
    for flaw in bench.tape.flaws:
        sink, raw = Recorder(), render(flaw["frame"])
        bench.decoder().decode(raw, sink)
        told = (len(sink.events), len(sink.rejections))
        assert told == (int(flaw.get("events", 0)), int(flaw["rejected"])), (raw, sink.rejections)


def lc_17_numbers_keep_their_text(bench: Bench) -> None:
    """Eighteen digits come out as they went in, for prices and for sizes."""
    tried = 0
    for step in bench.tape.frames:
        for text in dict.fromkeys(_decimals(step.events)):
            pattern = rb"(?<![\d.])" + re.escape(text.encode()) + rb"(?![\d.])"
            longer = re.sub(pattern, _LONG.encode(), step.raw)
            sink = Recorder()
            bench.decoder().decode(longer, sink)
            if longer != step.raw:
                tried += 1
                assert _LONG in list(_decimals(sink.events)), (text, longer, sink.rejections)
    assert tried


def _decimals(events: list[Event]) -> Iterator[str]:
    for event in events:
        cells = [event.get("price"), event.get("size"), *event.get("bid", ()), *event.get("ask", ())]
        levels = [*event.get("bids", ()), *event.get("asks", ())]
        for text in (*cells, *(cell for level in levels for cell in level)):
            if text is not None:
                assert type(text) is str, "plain text, which every encoder takes"
                if "." in text and len(text.strip("0.")) > 2:
                    yield text


def lc_18_instants_are_exact(bench: Bench) -> None:
    """Nanoseconds are integers, finer than a millisecond where the vendor is."""
    instants = [event["ts_event"] for event in decoded(bench).events if "ts_event" in event]
    if not instants:
        raise NotApplicable("the vendor tells no instants")
    assert all(type(at) is int and 10**17 < at < 2**63 for at in instants)
    if not bench.tape.facts.get("coarse"):
        assert any(at % 1_000_000 for at in instants)


def lc_19_symbols_are_canonical_and_come_back(bench: Bench) -> None:
    """Events carry the symbols that were asked for, as they were asked for."""
    asked = {symbol for _, symbol in bench.tape.asked_for}
    told = {event["symbol"] for event in decoded(bench).events}
    assert told <= asked
    assert all(parse_symbol(symbol) == symbol for symbol in told)


def lc_21_decoding_goes_on_where_it_was_cut(bench: Bench) -> None:
    """State taken after any frame and given to a new decoder makes no difference."""
    whole = decoded(bench)
    for cut in range(len(bench.tape.received) + 1):
        decoder, sink = bench.decoder(), Recorder()
        for at, step in enumerate(bench.tape.received):
            if at == cut:
                state = decoder.state()
                assert all(type(k) is str and type(v) is int for k, v in state.items())
                decoder = bench.decoder()
                decoder.restore(state)
            decode_step(decoder, step, sink)
        assert (sink.events, sink.holes) == (whole.events, whole.holes), cut


def lc_22_a_missing_frame_is_a_hole(bench: Bench) -> None:
    """Where the feed numbers its frames, leaving one out is found by the next, for the right symbols."""
    if not bench.tape.missing:
        raise NotApplicable("the vendor numbers nothing that tells of a gap, or leaves it to the book")
    for case in bench.tape.missing:
        decoder, sink = bench.decoder(), Recorder()
        for at, step in enumerate(bench.tape.received):
            if at != int(case["without"]):
                decode_step(decoder, step, sink)
        assert {one for one, _ in sink.holes} == set(subscriptions(case["holes"])), case
        assert {reason for _, reason in sink.holes} == {case.get("reason", "sequence")}


def lc_23_identities_tell_trades_apart(bench: Bench) -> None:
    """A repeated frame brings the same identities again; different trades have different ones."""
    names = bench.feed.spec.identities
    if Dataset.TRADES not in bench.feed.spec.datasets or not names:
        raise NotApplicable("the vendor identifies no trades")
    trades = [event for event in decoded(bench).events if event["kind"] == "trade"]
    keys = [_identity(event, names) for event in trades]
    assert len(set(keys)) == len(keys)
    for step in bench.tape.frames:
        expected = [_identity(event, names) for event in step.events if event["kind"] == "trade"]
        sink, decoder = Recorder(), bench.decoder()
        decoder.decode(step.raw, sink)
        decoder.decode(step.raw, sink)
        found = [_identity(event, names) for event in sink.events if event["kind"] == "trade"]
        assert found == expected * 2


def _identity(event: Event, names: tuple[str, ...]) -> tuple[object, ...]:
    assert event["trade_id"]
    return (event["symbol"], *(event.get(name) for name in names))


def lc_27_control_frames_are_no_data(bench: Bench) -> None:
    """The decoder sees them too, and says nothing of them."""
    for step in bench.tape.frames:
        if step.is_control and not step.events:
            sink = Recorder()
            bench.decoder().decode(step.raw, sink)
            assert (sink.events, sink.rejections, sink.holes) == ([], [], []), step.raw
