"""Books rebuilt from the archive equal the live ones at any instant, and say when they cannot be known."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import random
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from depth_rows import DAY, MIDNIGHT, SECOND, SYMBOL, DepthLog, store, store_tables
from typer.testing import CliRunner

from mdc_resources.books import Book, book_rule
from mdc_resources.cli.lazy import Lazy
from mdc_resources.cli.main import Root, app
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.lake import HoleRow, Lake
from mdc_resources.query.books import ArchivedBook, nanos_of, read_book, shown
from mdc_resources.schema.arrow import schema_of

BIDS, ASKS = [("100.1", "2"), ("100", "5.00000001")], [("100.2", "1.5"), ("101", "7")]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty sandbox home."""
    root = tmp_path_factory.mktemp("home") / "home"
    ran = CliRunner().invoke(app, ["init", str(root), "--sandbox"])
    assert ran.exit_code == 0, ran.output
    return root


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    """A home of its own."""
    import shutil

    return Path(shutil.copytree(template, tmp_path / "home"))


@pytest.fixture(autouse=True)
def _command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command stands in the table, whatever else does."""
    monkeypatch.setitem(Root.table, "book", Lazy("mdc_resources.cli.book:app", "A book.", "Every day"))


@contextlib.contextmanager
def reading(home: Path) -> Iterator[object]:
    """A reader's connection to the home's lake."""
    with (
        contextlib.closing(Lake.open(home / "lake")) as lake,
        contextlib.closing(lake.connect()) as connection,
    ):
        yield connection


def at(seconds: float) -> dt.datetime:
    """An instant ``seconds`` after midnight."""
    return dt.datetime(2026, 11, 20, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)


def found(home: Path, seconds: float) -> ArchivedBook:
    """The book then; there must be one."""
    with reading(home) as connection:
        book = read_book(connection, SYMBOL, at(seconds))  # type: ignore[arg-type]
    assert book is not None
    return book


def run(home: Path, *words: str) -> tuple[int, str, str]:
    """``mdc book`` on ``home``: exit code, stdout, stderr."""
    ran = CliRunner().invoke(app, ["--config", str(home), "book", *words])
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return ran.exit_code, ran.stdout, ran.stderr


def levels(*pairs: tuple[str, str]) -> tuple[tuple[Decimal, Decimal], ...]:
    """Levels as the archive has them."""
    return tuple((Decimal(price), Decimal(size)) for price, size in pairs)


def test_the_snapshot_and_what_changed_since_make_the_book(home: Path) -> None:
    """Sizes are replaced, zero removes, and what comes after the instant does not count."""
    log = DepthLog()
    log.snapshot(10, BIDS, ASKS)
    log.change(11, [("100.1", "3"), ("100.15", "0.5")], [("100.2", "0")])
    log.change(12, [("100.15", "0")], [])
    store(home / "lake", log)
    assert found(home, 10).bids == levels(*BIDS)
    book = found(home, 11.5)
    assert book.bids == levels(("100.15", "0.5"), ("100.1", "3"), ("100", "5.00000001"))
    assert book.asks == levels(("101", "7"))
    assert (book.spread, book.changes, book.broken) == (Decimal("0.85"), 7, "")
    assert (book.updated_ns, book.snapshot_ns) == (MIDNIGHT + 11 * SECOND, MIDNIGHT + 10 * SECOND)
    assert book.age_seconds == 0.5


def test_a_newer_snapshot_begins_anew(home: Path) -> None:
    """Levels of the book before it are gone, though nothing deleted them."""
    log = DepthLog()
    log.snapshot(10, BIDS, ASKS)
    log.snapshot(3600, [("99", "1")], [("99.5", "1")])
    store(home / "lake", log)
    assert found(home, 4000).bids == levels(("99", "1"))
    assert found(home, 3599).bids == levels(*BIDS)


def test_nothing_is_known_before_the_first_snapshot(home: Path) -> None:
    """Then there is no book, and exit code 1 says so."""
    log = DepthLog()
    log.snapshot(10, BIDS, ASKS)
    store(home / "lake", log)
    with reading(home) as connection:
        assert read_book(connection, SYMBOL, at(9.999)) is None  # type: ignore[arg-type]
    code, out, err = run(home, SYMBOL, "--at", "2026-11-20T00:00:09Z")
    assert (code, out) == (1, "")
    assert "no snapshot of it from before then" in err


def test_a_broken_book_is_not_shown_until_the_next_snapshot(home: Path) -> None:
    """An invalid row after the snapshot: exit code 1 with the reason, also in JSON."""
    log = DepthLog()
    log.snapshot(10, BIDS, ASKS)
    log.invalid(20)
    log.change(21, [("100.2", "9")], [])
    log.snapshot(30, BIDS, ASKS)
    store(home / "lake", log)
    assert found(home, 19.9).broken == ""
    assert found(home, 25).bids == ()
    assert found(home, 30).broken == ""
    code, out, err = run(home, SYMBOL, "--at", "2026-11-20T00:00:25Z")
    assert (code, out) == (1, "")
    assert "the feed's own check failed at 2026-11-20T00:00:20Z" in err
    code, out, _ = run(home, SYMBOL, "--at", "2026-11-20T00:00:25Z", "--json")
    document = json.loads(out)
    assert (code, document["valid"], document["bids"]) == (1, False, [])


def test_a_hole_breaks_the_book_until_the_next_snapshot(home: Path) -> None:
    """What the ledger of holes says counts, also where no row was written."""
    log = DepthLog()
    log.snapshot(10, BIDS, ASKS)
    log.snapshot(60, BIDS, ASKS)
    hole = HoleRow(
        Dataset.DEPTH, PartitionKey(SYMBOL, DAY), "hole-1", "coinbase", "1", "depth",
        MIDNIGHT + 20 * SECOND, MIDNIGHT + 60 * SECOND, "disconnect", "unrepairable",
    )  # fmt: skip
    store(home / "lake", log, holes=[hole])
    assert found(home, 19).broken == ""
    assert found(home, 30).broken == "nothing is known since 2026-11-20T00:00:20Z (disconnect)"
    assert found(home, 60).broken == ""


def test_two_feeds_of_one_market_are_not_mixed(home: Path) -> None:
    """A backup's snapshot begins a book of its own; rows of the other feed beside it do not count."""
    log = DepthLog()
    log.snapshot(10, BIDS, ASKS)
    log.source = "sandbox:coinbase/advanced-live"
    log.snapshot(20, [("99", "1")], [("99.5", "1")])
    log.source = "sandbox:coinbase/live"
    log.change(21, [("100.1", "77")], [])
    store(home / "lake", log)
    assert found(home, 15).source == "sandbox:coinbase/live"
    assert found(home, 25).bids == levels(("99", "1"))


def test_after_midnight_the_book_of_the_day_before_goes_on(home: Path) -> None:
    """Until the new session's first snapshot."""
    log = DepthLog()
    log.snapshot(86_300, BIDS, ASKS)
    log.snapshot(86_405, [("99", "1")], [("99.5", "1")])
    store(home / "lake", log)
    assert found(home, 86_402).bids == levels(*BIDS)
    assert found(home, 86_406).bids == levels(("99", "1"))


def test_the_archive_rebuilds_what_a_live_book_was(home: Path) -> None:
    """At a dozen instants of a random hour, level by level."""
    drawn = random.Random(5)
    log, live = DepthLog(), Book(1000, book_rule("coinbase"))
    instants: dict[float, tuple[object, object]] = {}
    start = (
        [(f"{100 - n * 0.01:.2f}", "1") for n in range(50)],
        [(f"{100.01 + n * 0.01:.2f}", "1") for n in range(50)],
    )
    log.snapshot(0, *start)
    assert live.apply_snapshot(*start).applied
    for step in range(1, 800):
        middle = 100 + drawn.randint(-20, 20) / 100
        bids = [(f"{middle - drawn.randint(1, 60) / 100:.2f}", f"{drawn.choice([0, 0, 1.5, 2]):.8f}")]
        asks = [(f"{middle + drawn.randint(1, 60) / 100:.2f}", f"{drawn.choice([0, 0, 1.5, 2]):.8f}")]
        change = live.apply_delta(bids, asks)
        if change.reason:
            log.snapshot(step, *start)
            assert live.apply_snapshot(*start).applied
        else:
            log.change(step, bids, asks)
        if drawn.random() < 0.015:
            instants[step + 0.5] = live.levels()
    store(home / "lake", log)
    with reading(home) as connection:
        for seconds, expected in instants.items():
            book = read_book(connection, SYMBOL, at(seconds))  # type: ignore[arg-type]
            assert book is not None
            assert (book.bids, book.asks) == tuple(levels(*side) for side in expected)  # type: ignore[misc]


def test_the_command_prints_both_sides(home: Path) -> None:
    """Sizes with every digit, the spread, and how old the newest update is."""
    log = DepthLog()
    log.snapshot(10, BIDS, ASKS)
    store(home / "lake", log)
    code, out, _ = run(home, "coinbase:btc-usd", "--at", "2026-11-20T00:00:40Z", "--levels", "1")
    assert code == 0
    assert out.splitlines()[:3] == [
        "bid size    bid    ask  ask size",
        "--------  -----  -----  --------",
        "       2  100.1  100.2       1.5",
    ]
    assert "100" not in out.splitlines()[3]
    assert "spread       0.1\n" in out
    assert "2026-11-20T00:00:10Z, 30 s before" in out
    code, out, _ = run(home, SYMBOL, "--at", "2026-11-20T00:00:40Z", "--json")
    document = json.loads(out)
    assert (code, document["valid"], document["spread"]) == (0, True, "0.1")
    assert document["bids"] == [["100.1", "2"], ["100", "5.00000001"]]


def test_a_side_without_orders_leaves_its_cells_empty(home: Path) -> None:
    """And there is no spread."""
    log = DepthLog()
    log.snapshot(10, [], ASKS)
    store(home / "lake", log)
    assert found(home, 11).spread is None
    code, out, _ = run(home, SYMBOL, "--at", "2026-11-20T00:00:11Z")
    assert code == 0
    assert out.splitlines()[2].split() == ["-", "-", "100.2", "1.5"]


def test_an_instant_without_a_zone_is_refused(home: Path) -> None:
    """Exit code 2, before anything is read; so are no levels, and what is no symbol."""
    assert run(home, SYMBOL, "--at", "2026-11-20T00:00:40Z", "--levels", "0")[0] == 2
    assert run(home, "no symbol", "--at", "2026-11-20T00:00:40Z")[0] == 2
    assert run(home, SYMBOL, "--at", "2026-11-20T00:00:40")[0] == 2


def whole(numbers: np.ndarray, missing: np.ndarray) -> pa.Array:
    """Whole numbers as decimals."""
    return pa.array(numbers, mask=missing).cast(pa.decimal128(19, 0))


def test_a_day_of_a_million_rows_is_read_fast(home: Path) -> None:
    """A million rows with hourly snapshots: well below a second, and exact."""
    count, per_hour = 1_200_000, 50_000
    steps = np.arange(count)
    first = steps % per_hour == 0
    bid = steps % 2 == 0
    price = np.where(bid, 10_000 - steps % 199, 10_001 + steps % 199)
    held = (steps % 7 != 0) & ~first
    text = pa.string()
    columns = {
        "symbol": pa.repeat(pa.scalar(str(SYMBOL)), count),
        "session": pa.repeat(pa.scalar(DAY, pa.date32()), count),
        "ts_event": pa.array(MIDNIGHT + steps * 72_000_000),
        "ts_recv": pa.array(MIDNIGHT + steps * 72_000_000),
        "ordinal": pa.array(steps),
        "side": pa.array(np.where(bid, "bid", "ask"), text, mask=first),
        "price": whole(price, first).cast(pa.decimal128(18, 9), safe=False),
        "size": whole(np.where(held, 1 + steps % 5, 0), first).cast(pa.decimal128(28, 8)),
        "action": pa.array(np.where(first, "snapshot_begin", np.where(held, "set", "delete")), text),
        "sequence": pa.nulls(count, pa.int64()),
        "source": pa.repeat(pa.scalar("sandbox:coinbase/live"), count),
    }  # fmt: skip
    schema = schema_of(Dataset.DEPTH)
    store_tables(home / "lake", pa.table([columns[name] for name in schema.names], schema=schema))
    with reading(home) as connection:
        read_book(connection, SYMBOL, at(3600))  # type: ignore[arg-type]
        begun = time.perf_counter()
        book = read_book(connection, SYMBOL, at(86_399))  # type: ignore[arg-type]
        took = time.perf_counter() - begun
    assert book is not None
    assert book.snapshot_ns == MIDNIGHT + 23 * 3600 * SECOND
    assert 0 < len(book.bids) <= 199
    assert took < 2


@pytest.mark.parametrize(
    ("text", "shows"),
    [
        ("2026-11-20T00:00:00Z", "2026-11-20T00:00:00Z"),
        ("2026-11-20T01:00:00.25+01:00", "2026-11-20T00:00:00.25Z"),
    ],
)
def test_instants_are_exact_nanoseconds(text: str, shows: str) -> None:
    """There and back."""
    assert shown(nanos_of(dt.datetime.fromisoformat(text))) == shows
