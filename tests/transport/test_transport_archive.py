"""The raw archive: standard WARC, complete enough to decode from, honest about its end."""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing as mp
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from warcio.archiveiterator import ArchiveIterator

from mdc_resources.domain.errors import DataError, StorageFailed, UsageError
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.telemetry import register_secret
from mdc_resources.transport import archive as module
from mdc_resources.transport.archive import (
    ArchivedCommit,
    ArchivedExchange,
    RawArchive,
    read_archive,
    read_record,
)

Wish = Callable[..., FetchRequest]

WIRE = HttpRequest(
    "https://api.acme.test/v2/bars",
    params=(("symbols", "AAPL,BRK.B"), ("page_token", "QUFQTHxNfDIwMjE=")),
    headers=(("accept", "application/json"),),
    auth=(("APCA-API-KEY-ID", "ALPACA_KEY_ID"),),
    query_auth=(("apikey", "ACME_KEY"),),
)


def _response(body: bytes = b'{"a": 1}', *, at: str = "2026-11-20T12:00:00.123456+00:00") -> HttpResponse:
    headers = {"content-type": "application/json", "content-length": str(len(body)), "x-note": "a:b, c"}
    return HttpResponse(200, headers, body, dt.datetime.fromisoformat(at))


def _write(archive: RawArchive, wish: Wish, body: bytes = b'{"a": 1}', **more: Any) -> str:
    at = more.pop("at", "2026-11-20T12:00:00.123456+00:00")
    return archive.write_exchange(
        wish(), WIRE, _response(body, at=at), page=2, decoder_version=5, fetch_id="f" * 32, **more
    )


def test_everything_a_decoder_needs_comes_back(tmp_path: Path, wish: Wish) -> None:
    """Wish, request, response, page and versions are equal to what was written."""
    with RawArchive.open(tmp_path, "run-1") as archive:
        record_id = _write(archive, wish, bytes(range(256)))
    found = read_record(tmp_path, record_id)
    assert (found.fetch, found.wire, found.response) == (wish(), WIRE, _response(bytes(range(256))))
    assert (found.page, found.decoder_version, found.fetch_id) == (2, 5, "f" * 32)
    assert (found.error, found.truncated) == ("", False)
    assert list(read_archive(tmp_path)) == [found]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n\r\n",
        b"WARC/1.1\r\nWARC-Type: response\r\n\r\n",
        b"\x00" * 70_000,
        "é\u2028".encode() * 9000,
    ],
    ids=["empty", "blank lines", "a record within", "zeros over a block", "unicode"],
)
def test_any_body_survives(tmp_path: Path, wish: Wish, body: bytes) -> None:
    """Bodies are bytes: nothing in them can confuse the file."""
    with RawArchive.open(tmp_path, "run") as archive:
        for _ in range(3):
            _write(archive, wish, body)
        archive.write_commit({"n": 1})
    *exchanges, commit = read_archive(tmp_path)
    assert [e.response.body for e in exchanges] == [body] * 3
    assert commit.note == {"n": 1}


def test_a_wish_of_many_symbols_fits(tmp_path: Path, wish: Wish) -> None:
    """A note of forty kilobytes in one header line is read back whole."""
    from dataclasses import replace

    wide = replace(wish(), symbols=tuple(f"SYM{n:05d}" for n in range(4000)))
    with RawArchive.open(tmp_path, "run") as archive:
        archive.write_exchange(wide, WIRE, _response(), page=1, decoder_version=1, fetch_id="x")
    (found,) = read_archive(tmp_path)
    assert found.fetch == wide


def test_it_is_standard_warc(tmp_path: Path, wish: Wish) -> None:
    """Other tools read it: versions, types, block digests and dates are as ISO 28500 has them."""
    with RawArchive.open(tmp_path, "run") as archive:
        _write(archive, wish)
        _write(archive, wish, b"cut", error="TransportError: x", truncated=True)
        archive.write_commit({"records": []})
        path = archive.path
    assert path is not None
    with path.open("rb") as file:
        reader = ArchiveIterator(file, check_digests="raise")
        kinds = []
        for record in reader:
            record.content_stream().read()
            kinds.append(record.rec_type)
            assert record.rec_headers.protocol == "WARC/1.1"
        assert reader.err_count == 0
    assert kinds == ["warcinfo", "response", "response", "metadata"]
    text = path.read_bytes()
    assert b"WARC-Truncated: unspecified" in text
    assert b"WARC-Date: 2026-11-20T12:00:00.123456Z" in text
    assert b"HTTP/1.1 200 OK\r\n" in text


def test_the_index_finds_records(tmp_path: Path, wish: Wish) -> None:
    """``.cdxj`` lines are sorted and give offset and length of each record exactly."""
    with RawArchive.open(tmp_path, "run") as archive:
        ids = [_write(archive, wish, b"%d" % n) for n in range(20)]
        path = archive.path
    assert path is not None
    lines = path.with_suffix(".cdxj").read_text().splitlines()
    assert lines == sorted(lines)
    data = path.read_bytes()
    for line in lines:
        key, stamp, entry = line.split(" ", 2)
        found = json.loads(entry)
        assert key.startswith("test,acme,api)/v2/bars?symbols=")
        assert stamp == "20261120120000"
        record = data[found["offset"] : found["offset"] + found["length"]]
        assert record.startswith(b"WARC/1.1\r\n")
        assert found["id"].encode() in record
        assert record.endswith(b"\r\n\r\n")
    assert [read_record(tmp_path, i).response.body for i in ids] == [b"%d" % n for n in range(20)]


def test_a_secret_never_reaches_the_file(tmp_path: Path, wish: Wish) -> None:
    """Whoever writes: body, headers, error and commit note are masked here, lengths kept."""
    register_secret("SEKRET_in_archive")
    headers = {"x-echo": "SEKRET_in_archive", "set-cookie": "abc", "content-type": "text/plain"}
    response = HttpResponse(200, headers, b"<SEKRET_in_archive>", dt.datetime.now(dt.UTC))
    with RawArchive.open(tmp_path, "run") as archive:
        archive.write_exchange(
            wish(), WIRE, response, page=1, decoder_version=1, fetch_id="x", error="SEKRET_in_archive"
        )
        archive.write_commit({"reason": "SEKRET_in_archive"})
    exchange, commit = read_archive(tmp_path)
    assert exchange.response.body == b"<*****************>"
    assert exchange.response.headers["set-cookie"] == "***"
    assert set(commit.note["reason"]) == {"*"}
    assert b"SEKRET" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*.*"))


def test_nothing_written_leaves_nothing(tmp_path: Path) -> None:
    """A run that fetches nothing makes no file."""
    archive = RawArchive.open(tmp_path / "raw", "run")
    archive.sync()
    archive.close()
    assert not (tmp_path / "raw").exists()
    assert list(read_archive(tmp_path / "raw")) == []


def test_a_second_try_of_a_run_gets_its_own_file(tmp_path: Path, wish: Wish) -> None:
    """A file of a crashed try is never appended to: its end may be torn."""
    bodies = [b"first", b"second", b"third"]
    for body in bodies:
        with RawArchive.open(tmp_path, "run") as archive:
            _write(archive, wish, body)
    assert sorted(p.name for p in tmp_path.rglob("*.warc")) == ["run-2.warc", "run-3.warc", "run.warc"]
    assert sorted(e.response.body for e in read_archive(tmp_path)) == sorted(bodies)


@pytest.mark.parametrize("run_id", ["", "../x", "a/b", "a b", "x" * 200, "a\0b", "."], ids=ascii)
def test_a_run_id_is_a_plain_name(tmp_path: Path, run_id: str) -> None:
    """It becomes a file name, so it cannot lead elsewhere."""
    with pytest.raises(UsageError):
        RawArchive.open(tmp_path, run_id)


def test_overlapping_runs_are_merged_by_time(tmp_path: Path, wish: Wish) -> None:
    """What two runs wrote in turns is read in turns, so the last commit really is the last."""
    first, second = RawArchive.open(tmp_path, "zz"), RawArchive.open(tmp_path, "aa")
    _write(first, wish, b"0", at="2026-11-20T12:00:00+00:00")
    for n in range(1, 6):
        _write((first, second)[n % 2], wish, b"%d" % n, at=f"2100-01-01T12:00:0{n}+00:00")
    first.close()
    second.close()
    assert [e.response.body for e in read_archive(tmp_path)] == [b"%d" % n for n in range(6)]


def test_order_within_a_run_beats_the_clock(tmp_path: Path, wish: Wish) -> None:
    """A clock set back during a run does not reorder it."""
    with RawArchive.open(tmp_path, "run") as archive:
        for n, day in enumerate((20, 13, 21)):
            _write(archive, wish, b"%d" % n, at=f"2100-11-{day}T12:00:00+00:00")
    assert [e.response.body for e in read_archive(tmp_path)] == [b"0", b"1", b"2"]


@pytest.mark.parametrize("lost", [1, 5, 40, 300, 800])
def test_a_torn_tail_loses_only_the_last_record(
    tmp_path: Path, wish: Wish, lost: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unfinished file is read up to its last whole record, and the loss is reported."""
    with RawArchive.open(tmp_path, "run") as archive:
        for n in range(5):
            _write(archive, wish, b"%d" % n * 300)
        path = archive.path
    assert path is not None
    path.with_suffix(".cdxj").unlink()
    os.truncate(path, path.stat().st_size - lost)
    assert [e.response.body[:1] for e in read_archive(tmp_path)] == [b"0", b"1", b"2", b"3"]
    said = capsys.readouterr()
    assert "archive.torn_tail" in said.err
    assert said.out == ""


def test_a_tail_of_zeros_is_torn(tmp_path: Path, wish: Wish) -> None:
    """After a power loss a file may end in zeros that were never written."""
    with RawArchive.open(tmp_path, "run") as archive:
        _write(archive, wish)
        path = archive.path
    assert path is not None
    path.with_suffix(".cdxj").unlink()
    with path.open("ab") as file:
        file.write(bytes(4096))
    assert len(list(read_archive(tmp_path))) == 1


@pytest.mark.parametrize("where", ["in a body", "in a header", "cut short"])
def test_damage_in_a_finished_file_is_an_error(tmp_path: Path, wish: Wish, where: str) -> None:
    """Every byte of an indexed file was synced: damage is named with its place, never skipped."""
    with RawArchive.open(tmp_path, "run") as archive:
        ids = [_write(archive, wish, b"body-%d" % n * 9) for n in range(3)]
        path = archive.path
    assert path is not None
    data = bytearray(path.read_bytes())
    if where == "in a body":
        data[data.index(b"body-1")] ^= 1
    elif where == "in a header":
        at = data.index(b"WARC/1.1", data.index(b"body-0"))
        data[at : at + 4] = b"XXXX"
    else:
        del data[-50:]
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"run\.warc is damaged at byte \d+"):
        list(read_archive(tmp_path))
    if where == "in a body":
        with pytest.raises(DataError, match="does not match its digest"):
            read_record(tmp_path, ids[1])


def test_an_unknown_record_is_an_error(tmp_path: Path, wish: Wish) -> None:
    """A citation that leads nowhere is not an empty answer."""
    with RawArchive.open(tmp_path, "run") as archive:
        _write(archive, wish)
    with pytest.raises(DataError, match="is in no file"):
        read_record(tmp_path, "<urn:uuid:00000000-0000-0000-0000-000000000000>")


def test_a_running_archive_can_be_read(tmp_path: Path, wish: Wish) -> None:
    """After a sync, records are found without an index, by id as well."""
    archive = RawArchive.open(tmp_path, "run")
    record_id = _write(archive, wish)
    archive.sync()
    assert read_record(tmp_path, record_id).response.body == b'{"a": 1}'
    archive.close()


def test_a_commit_note_is_plain_json(tmp_path: Path) -> None:
    """Dates, sets and tuples are written in plain forms; anything else is refused, not pickled."""
    with RawArchive.open(tmp_path, "run") as archive:
        archive.write_commit({"day": dt.date(2024, 1, 2), "ids": {"b", "a"}, "pair": ("x", 1)})
        with pytest.raises(TypeError):
            archive.write_commit({"what": object()})
    (commit,) = read_archive(tmp_path)
    assert isinstance(commit, ArchivedCommit)
    assert commit.note == {"day": "2024-01-02", "ids": ["a", "b"], "pair": ["x", 1]}


def test_a_failed_fsync_is_final(tmp_path: Path, wish: Wish, monkeypatch: pytest.MonkeyPatch) -> None:
    """After one failed sync nothing more is written or promised, however often it is asked."""
    archive = RawArchive.open(tmp_path, "run")
    _write(archive, wish)
    calls: list[int] = []

    def broken(descriptor: int) -> None:
        calls.append(descriptor)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(module.os, "fsync", broken)
    with pytest.raises(StorageFailed, match="Input/output error"):
        archive.sync()
    monkeypatch.undo()
    for again in (archive.sync, lambda: _write(archive, wish), lambda: archive.write_commit({})):
        with pytest.raises(StorageFailed, match="failed before"):
            again()
    archive.close()
    assert len(calls) == 1
    assert not list(tmp_path.rglob("*.cdxj"))


def _fill(folder: str, wish: FetchRequest, answers: Any) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    archive = RawArchive.open(Path(folder), "run")
    written = 0
    try:
        for _ in range(100):
            archive.write_exchange(
                wish, WIRE, _response(b"z" * 9000), page=1, decoder_version=1, fetch_id="x"
            )
            archive.sync()
            written += 1
    except StorageFailed as error:
        answers.put((written, str(error)))
    archive.close()


def test_a_full_disk_is_a_storage_error(tmp_path: Path, wish: Wish) -> None:
    """What was synced before the disk filled up is readable; the error says what to do."""
    context = mp.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=_fill, args=(str(tmp_path), wish(), answers))
    process.start()
    written, message = answers.get(timeout=60)
    process.join(30)
    assert process.exitcode == 0
    assert "cannot be written" in message
    assert 0 < written < 100
    assert len(list(read_archive(tmp_path))) >= written


def _write_for_ever(folder: str, wish: FetchRequest, synced: Any) -> None:
    archive = RawArchive.open(Path(folder), "run")
    for n in range(1_000_000):
        body = b"%06d" % n * 5000
        archive.write_exchange(wish, WIRE, _response(body), page=1, decoder_version=1, fetch_id="x")
        archive.sync()
        synced.value = n + 1


@pytest.mark.parametrize("kill_after", [0.02, 0.11, 0.23])
def test_kill_nine_in_mid_write_keeps_what_was_synced(tmp_path: Path, wish: Wish, kill_after: float) -> None:
    """The readable prefix holds every record a sync had promised, in order and whole."""
    context = mp.get_context("spawn")
    synced = context.Value("l", 0)
    process = context.Process(target=_write_for_ever, args=(str(tmp_path), wish(), synced), daemon=True)
    process.start()
    while synced.value < 3:
        time.sleep(0.005)
    time.sleep(kill_after)
    process.kill()
    process.join(20)
    promised = synced.value
    found = [item for item in read_archive(tmp_path) if isinstance(item, ArchivedExchange)]
    assert len(found) >= promised
    assert [int(e.response.body[:6]) for e in found] == list(range(len(found)))
    assert all(len(e.response.body) == 30_000 for e in found)
