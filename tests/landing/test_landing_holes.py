"""Marks become holes: what was wanted while no connection that counts had it confirmed."""

from __future__ import annotations

import pytest

from mdc_resources.landing.holes import Stretch, Tracker
from mdc_resources.wal import marks

A, B = ("trades", "AAPL"), ("trades", "MSFT")
BOOK = ("depth", "BTC")
AnyMark = marks.AnyMark
Line = tuple[int, int, AnyMark]


def opened(probe: bool = False) -> AnyMark:
    """A connection opens."""
    return marks.Opened("alpaca", "wss://test", probe)


def derived(lines: list[Line], until: int) -> tuple[list[Stretch], list[Stretch]]:
    """Holes and live stretches of marks (time, connection, mark), all taken at once."""
    tracker = Tracker("alpaca")
    for at, connection, mark in lines:
        tracker.mark(at, connection, mark)
    for connection in list(tracker.connections):
        tracker.heard(until, connection)
    return tracker.take(until)


def brief(stretches: list[Stretch]) -> list[tuple[str, int, int, str]]:
    """Symbol, start, end and reason, sorted."""
    return sorted((s.name.split()[1], s.start_ns, s.end_ns, s.reason) for s in stretches)


START: list[Line] = [
    (0, 0, marks.Started(1, "v")),
    (0, 0, marks.Wanted(())),  # it is night
    (0, 0, marks.Wanted((A, B))),
    (5, 1, opened()),
    (10, 1, marks.Confirmed((A, B))),
]


def test_the_start_is_a_hole_until_confirmed() -> None:
    """From what is wanted first to the first confirmation; live from there."""
    holes, live = derived(START, 100)
    assert brief(holes) == [("AAPL", 0, 10, "start"), ("MSFT", 0, 10, "start")]
    assert brief(live) == [("AAPL", 10, 100, ""), ("MSFT", 10, 100, "")]


SECOND = 10**9


@pytest.mark.parametrize(("took", "listed"), [(1, False), (60, False), (61, True)])
def test_a_log_that_only_begins_has_no_hole_before_its_first_word(took: int, listed: bool) -> None:
    """Nothing was captured before; a vendor that cannot be reached for minutes is another matter."""
    lines: list[Line] = [
        (0, 0, marks.Started(1, "v")),
        (0, 0, marks.Wanted((A,))),
        (1, 1, opened()),
        (took * SECOND, 1, marks.Confirmed((A,))),
    ]
    waiting, _ = derived(lines[:3], took * SECOND)
    holes, live = derived(lines, 100 * SECOND)
    assert brief(waiting) == brief(holes) == ([("AAPL", 0, took * SECOND, "start")] if listed else [])
    assert brief(live) == [("AAPL", took * SECOND, 100 * SECOND, "")]


def test_an_orderly_stop_is_a_hole_only_once_the_service_is_back() -> None:
    """From the last word before it; a symbol that is not wanted any more has none."""
    stopped: list[Line] = [*START, (50, 1, marks.Closed(45, "stopped")), (50, 0, marks.Stopped("drained"))]
    again: list[Line] = [
        (90, 0, marks.Started(2, "v", last_ns=50)),
        (90, 0, marks.Wanted((A,))),
        (91, 2, opened()),
        (95, 2, marks.Confirmed((A,))),
    ]
    assert all(reason == "start" for *_, reason in brief(derived(stopped, 80)[0]))
    holes = brief(derived([*stopped, *again], 100)[0])
    assert [hole for hole in holes if hole[3] != "start"] == [("AAPL", 45, 95, "disconnect")]


def test_a_disconnect_counts_from_when_it_was_last_heard() -> None:
    """A silent death is not believed until it was noticed."""
    holes, live = derived(
        [*START, (50, 1, marks.Closed(30, "silence")), (60, 2, opened()), (70, 2, marks.Confirmed((A,)))], 100
    )
    assert brief(holes)[1:2] == [("AAPL", 30, 70, "disconnect")]
    assert ("MSFT", 30, 100, "disconnect") in brief(holes)
    assert brief(live) == [("AAPL", 10, 30, ""), ("AAPL", 70, 100, ""), ("MSFT", 10, 30, "")]


def test_overlapping_connections_leave_no_hole() -> None:
    """The old one ends after the new one was confirmed."""
    holes, live = derived(
        [*START, (40, 2, opened()), (45, 2, marks.Confirmed((A, B))), (50, 1, marks.Closed(49, "left"))], 100
    )
    assert all(reason == "start" for *_, reason in brief(holes))
    assert brief(live) == [("AAPL", 10, 100, ""), ("MSFT", 10, 100, "")]


def test_an_overlap_with_a_dead_connection_is_a_hole() -> None:
    """What the old one did not say before the new one was there nobody has."""
    holes, _ = derived(
        [*START, (40, 2, opened()), (45, 2, marks.Confirmed((A, B))), (90, 1, marks.Closed(20, "silence"))],
        100,
    )
    assert ("AAPL", 20, 45, "disconnect") in brief(holes)


def test_a_refusal_has_its_own_hole() -> None:
    """Until somebody confirms it, or it is not wanted any more."""
    holes, _ = derived(
        [*START[:4], (10, 1, marks.Confirmed((A,))), (10, 1, marks.Refused((B,), "plan")),
         (80, 0, marks.Wanted((A,)))],
        100,
    )  # fmt: skip
    assert brief(holes) == [("AAPL", 0, 10, "start"), ("MSFT", 0, 10, "start"), ("MSFT", 10, 80, "refused")]


def test_a_symbol_on_one_feed_refused_by_another_is_live() -> None:
    """A refusal elsewhere changes nothing."""
    holes, _ = derived([*START, (20, 2, opened()), (21, 2, marks.Refused((A,), "no"))], 100)
    assert all(reason == "start" for *_, reason in brief(holes))


def test_a_restart_is_a_hole_from_the_last_durable_instant() -> None:
    """Whatever was open when the process died is not; what comes back ends it."""
    holes, live = derived(
        [
            *START,
            (60, 0, marks.Started(2, "v", last_ns=40)),
            (60, 0, marks.Wanted((A, B))),
            (61, 2, opened()),
            (65, 2, marks.Confirmed((A, B))),
        ],
        100,
    )
    assert ("AAPL", 40, 65, "start") in brief(holes)
    assert ("AAPL", 10, 40, "") in brief(live)


def test_a_disconnect_before_a_crash_stays_one_hole() -> None:
    """Its reason is the first."""
    holes, _ = derived(
        [*START, (30, 1, marks.Closed(30, "x")), (60, 0, marks.Started(2, "v", last_ns=40)),
         (60, 0, marks.Wanted((A, B))), (61, 2, opened()), (65, 2, marks.Confirmed((A, B)))],
        100,
    )  # fmt: skip
    assert [hole for hole in brief(holes) if hole[3] != "start"] == [
        ("AAPL", 30, 65, "disconnect"),
        ("MSFT", 30, 65, "disconnect"),
    ]


def test_a_log_that_begins_with_a_restart_knows_when_it_ended() -> None:
    """Its older segments are gone; what is wanted first was wanted then."""
    holes, _ = derived(
        [(60, 0, marks.Started(2, "v", last_ns=40)), (61, 0, marks.Wanted((A,))), (62, 1, opened()),
         (63, 1, marks.Confirmed((A,)))],
        100,
    )  # fmt: skip
    assert brief(holes) == [("AAPL", 40, 63, "start")]


def test_the_end_of_the_hours_is_no_hole() -> None:
    """Nothing is wanted at night; unsubscribing first makes none either."""
    holes, live = derived(
        [*START, (50, 1, marks.Ended((A, B))), (51, 0, marks.Wanted(())), (52, 1, marks.Closed(52, "hours"))],
        100,
    )
    assert all(reason == "start" for *_, reason in brief(holes))
    assert brief(live) == [("AAPL", 10, 50, ""), ("MSFT", 10, 50, "")]


def test_unsubscribing_from_what_is_wanted_is_a_hole() -> None:
    """Resubscribing takes its time."""
    holes, _ = derived([*START, (50, 1, marks.Ended((A,))), (55, 1, marks.Confirmed((A,)))], 100)
    assert ("AAPL", 50, 55, "disconnect") in brief(holes)


def test_a_probe_confirms_nothing() -> None:
    """It only sees whether the feed works."""
    holes, live = derived([*START[:3], (5, 1, opened(probe=True)), (10, 1, marks.Confirmed((A, B)))], 100)
    assert brief(holes) == [("AAPL", 0, 100, "start"), ("MSFT", 0, 100, "start")]
    assert live == []


def test_stopping_is_a_hole_until_the_next_start() -> None:
    """The last segment ends with it; the next process ends it."""
    holes, _ = derived([*START, (50, 0, marks.Stopped("drained"))], 50)
    assert all(reason == "start" for *_, reason in brief(holes))
    holes, _ = derived(
        [*START, (50, 0, marks.Stopped("drained")), (90, 0, marks.Started(2, "v", last_ns=50)),
         (90, 0, marks.Wanted((A, B))), (91, 2, opened()), (95, 2, marks.Confirmed((A, B)))],
        100,
    )  # fmt: skip
    assert ("AAPL", 50, 95, "start") in brief(holes)


def test_what_a_decoder_misses_is_a_hole_of_at_least_a_nanosecond() -> None:
    """Two frames of one read have one time, and something may be missing between them."""
    tracker = Tracker("alpaca")
    for line in START:
        tracker.mark(line[0], line[1], line[2])
    tracker.missing(40, 1, "trades AAPL", "sequence", 40, union=True)
    tracker.missing(50, 1, "trades IBM", "sequence", 40, union=True)
    holes, _ = tracker.take(100)
    assert [h for h in brief(holes) if h[3] == "sequence"] == [("AAPL", 40, 41, "sequence")]


@pytest.mark.parametrize(("union", "found"), [(True, 0), (False, 1)], ids=["all kept", "one kept"])
def test_another_connection_covers_what_one_misses(union: bool, found: int) -> None:
    """Only where the events of both are kept."""
    tracker = Tracker("alpaca")
    for line in [*START, (20, 2, opened()), (21, 2, marks.Confirmed((A, B)))]:
        tracker.mark(line[0], line[1], line[2])
    tracker.missing(50, 1, "trades AAPL", "sequence", 40, union=union)
    holes, _ = tracker.take(100)
    assert sum(hole.reason == "sequence" for hole in holes) == found


def test_a_broken_book_is_a_hole_until_its_next_snapshot() -> None:
    """And ends with its connection, whose own hole goes on."""
    tracker = Tracker("coinbase")
    for line in [(0, 0, marks.Wanted((BOOK,))), (0, 1, opened()), (0, 1, marks.Confirmed((BOOK,)))]:
        tracker.mark(line[0], line[1], line[2])
    tracker.book_whole(0, "depth BTC", 1)
    tracker.take(0)
    tracker.book_broken(1, "depth BTC", "checksum", 20)
    tracker.book_broken(1, "depth BTC", "crossed", 25)
    assert brief(tracker.take(30)[0]) == [("BTC", 20, 30, "checksum")]
    tracker.book_whole(40, "depth BTC", 1)
    assert brief(tracker.take(50)[0]) == [("BTC", 20, 40, "checksum")]
    tracker.book_broken(1, "depth BTC", "crossed", 60)
    tracker.mark(80, 1, marks.Closed(70, "gone"))
    assert brief(tracker.take(90)[0]) == [("BTC", 60, 70, "crossed"), ("BTC", 70, 90, "disconnect")]


def booked(*after: Line | tuple[int, int]) -> list[tuple[str, int, int, str]]:
    """Holes of a book that is captured from 0 on; (time, connection) stands for a snapshot."""
    tracker = Tracker("binance")
    before: list[Line] = [
        (0, 0, marks.Started(1, "v")),
        (0, 0, marks.Wanted(())),
        (0, 0, marks.Wanted((BOOK,))),
    ]
    for line in (*before, (0, 1, opened()), (0, 1), (0, 1, marks.Confirmed((BOOK,))), *after):
        if len(line) == 2:
            tracker.book_whole(line[0], "depth BTC", line[1])
        else:
            tracker.mark(line[0], line[1], line[2])
    return brief(tracker.take(100)[0])


def test_a_reconnected_book_is_a_hole_until_its_snapshot() -> None:
    """Confirmed at 50, known at 70; a snapshot that comes before the confirmation counts from that."""
    gone: list[Line] = [(40, 1, marks.Closed(30, "x")), (45, 2, opened())]
    assert booked(*gone, (50, 2, marks.Confirmed((BOOK,))), (70, 2)) == [("BTC", 30, 70, "disconnect")]
    assert booked(*gone, (50, 2), (52, 2, marks.Confirmed((BOOK,)))) == [("BTC", 30, 52, "disconnect")]
    assert booked(*gone, (50, 2, marks.Confirmed((BOOK,)))) == [("BTC", 30, 100, "disconnect")]


def test_an_heir_without_a_snapshot_is_a_hole_of_the_book() -> None:
    """The old connection ends before the new one's book is known; after it there is none."""
    heir: list[Line] = [(40, 2, opened()), (45, 2, marks.Confirmed((BOOK,)))]
    assert booked(*heir, (50, 1, marks.Closed(49, "left")), (60, 2)) == [("BTC", 49, 60, "disconnect")]
    assert booked(*heir, (48, 2), (50, 1, marks.Closed(49, "left"))) == []


def test_a_clock_that_was_set_back_hides_no_hole() -> None:
    """Its end lies before its start; it stays a hole."""
    holes, _ = derived([*START, (50, 1, marks.Closed(50, "x")), (20, 2, opened()),
                        (21, 2, marks.Confirmed((A, B)))], 100)  # fmt: skip
    assert ("AAPL", 50, 51, "disconnect") in brief(holes)


def test_the_head_of_a_segment_says_what_is_open() -> None:
    """Without anything known from before, in whichever order the marks stand."""
    carried = marks.Carried("alpaca", (A,), last_ns=4)
    for lines in (
        [(5, 0, marks.Wanted((A,))), (5, 1, carried)],
        [(5, 1, carried), (5, 0, marks.Wanted((A,)))],
    ):
        holes, live = derived(lines, 100)
        assert holes == []
        assert brief(live) == [("AAPL", 5, 100, "")]


def test_a_missing_segment_is_a_hole_for_all() -> None:
    """From where the log ends until the head of the next segment; connections that ended are forgotten."""
    tracker = Tracker("alpaca")
    for line in START:
        tracker.mark(line[0], line[1], line[2])
    tracker.take(40)
    tracker.lost(40)
    tracker.mark(70, 0, marks.Wanted((A, B)))
    tracker.mark(70, 1, marks.Carried("alpaca", (A,), last_ns=69))
    tracker.heard(100, 1)
    holes, live = tracker.take(100)
    assert brief(holes) == [("AAPL", 40, 70, "damaged"), ("MSFT", 40, 100, "damaged")]
    assert ("AAPL", 70, 100, "") in brief(live)


def test_live_capture_is_told_as_far_as_it_was_heard() -> None:
    """A connection that is silent may be dead: what is told of it is never taken back."""
    tracker = Tracker("alpaca")
    for line in START:
        tracker.mark(line[0], line[1], line[2])
    tracker.heard(30, 1)
    assert brief(tracker.take(100)[1]) == [("AAPL", 10, 30, ""), ("MSFT", 10, 30, "")]
    tracker.mark(200, 1, marks.Closed(30, "silence"))
    holes, live = tracker.take(300)
    assert brief(live) == [("AAPL", 10, 30, ""), ("MSFT", 10, 30, "")]
    assert brief(holes) == [("AAPL", 30, 300, "disconnect"), ("MSFT", 30, 300, "disconnect")]


def test_what_an_older_connection_said_counts() -> None:
    """The newer one never said a word: the hole begins where the older one was last heard."""
    tracker = Tracker("alpaca")
    for line in [*START, (40, 2, opened()), (45, 2, marks.Confirmed((A,)))]:
        tracker.mark(line[0], line[1], line[2])
    tracker.heard(60, 1)
    tracker.mark(70, 1, marks.Closed(60, "left"))
    tracker.mark(90, 2, marks.Closed(45, "silence"))
    holes, live = tracker.take(100)
    assert ("AAPL", 60, 100, "disconnect") in brief(holes)
    assert ("AAPL", 10, 60, "") in brief(live)
