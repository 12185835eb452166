"""Reading the raw archive back: exchanges and commit notes in the order they were written.

Runs that overlapped are merged by time. A file without an index belongs to a run that did not
end: it is read up to its last whole record and the torn rest is reported in the log. In a file
with an index every byte was synced, so damage there is an error that names file and offset,
never skipped.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed
from warcio.statusandheaders import StatusAndHeadersParserException

from mdc_resources.domain.errors import DataError
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.telemetry import get_logger
from mdc_resources.transport.notes import HEADER, from_json

_AFTER_RECORD = len(b"\r\n\r\n")
_UNREADABLE = (
    ArchiveLoadFailed,
    StatusAndHeadersParserException,
    EOFError,
    StopIteration,
    ValueError,
    KeyError,
)


@dataclass(frozen=True, slots=True)
class ArchivedExchange:
    """One answer as it was archived; ``wire`` is masked. ``truncated`` ones are never decoded.

    The record takes up ``length`` bytes of ``file`` from ``offset``.
    """

    record_id: str
    fetch: FetchRequest
    wire: HttpRequest
    page: int
    decoder_version: int
    response: HttpResponse
    error: str
    file: Path
    offset: int
    fetch_id: str = ""
    truncated: bool = False
    length: int = 0


@dataclass(frozen=True, slots=True)
class ArchivedCommit:
    """What a commit noted when it was made."""

    note: dict[str, Any]
    file: Path
    offset: int


Archived = ArchivedExchange | ArchivedCommit


@dataclass(frozen=True, slots=True)
class _Record:
    kind: str
    date: str
    headers: dict[str, str]
    body: bytes
    offset: int
    end: int


def read_archive(raw_dir: Path) -> Iterator[Archived]:
    """Every exchange and commit under ``raw_dir``, by time; within a run as written.

    Raises:
        DataError: a finished file is damaged.
    """
    waiting = sorted(((_started(path), path) for path in raw_dir.glob("*/*/*.warc")), reverse=True)
    merged: list[tuple[str, int, Archived, Iterator[tuple[str, Archived]]]] = []
    opened = 0
    while waiting or merged:
        while waiting and (not merged or waiting[-1][0] <= merged[0][0]):
            _push(merged, opened, _archived(waiting.pop()[1]))
            opened += 1
        if merged:
            _, order, item, rest = heapq.heappop(merged)
            yield item
            _push(merged, order, rest)


def read_record(raw_dir: Path, record_id: str, *, run_id: str = "") -> ArchivedExchange:
    """The exchange called ``record_id``, its body checked against its digest.

    Files of run ``run_id`` are looked into first: that finds it without reading every index.

    Raises:
        DataError: no file holds it, or the record is damaged.
    """
    mine = run_id.isascii() and run_id.replace("-", "").replace("_", "").isalnum()
    for pattern in (f"*/*/{run_id}*", "*/*/*") if mine else ("*/*/*",):
        if found := _find_record(raw_dir, pattern, record_id):
            return found
    raise DataError(f"{record_id[:80]!a} is in no file under {raw_dir}", hint="Was raw/ moved or pruned?")


def read_records(raw_dir: Path, run_id: str, record_ids: Collection[str]) -> Iterator[ArchivedExchange]:
    """Those of ``record_ids`` that run ``run_id`` archived and that are whole, in the order written.

    For many records of one run: each of its files is read once. What is missing or damaged is left
    out, so the caller compares.
    """
    wanted = set(record_ids)
    if not (run_id.isascii() and run_id.replace("-", "").replace("_", "").isalnum()):
        return
    for path in sorted(raw_dir.glob(f"*/*/{run_id}*.warc")):
        try:
            for _, item in _archived(path, only=wanted):
                if isinstance(item, ArchivedExchange):
                    yield item
        except DataError:
            get_logger().warning("archive.damaged", file=str(path))


def read_again(exchange: ArchivedExchange) -> ArchivedExchange:
    """``exchange`` from its file, where its body was not kept; raises DataError if it is damaged."""
    with exchange.file.open("rb") as file:
        return _exchange(exchange.file, _read_one(exchange.file, file, exchange.offset))


def _find_record(raw_dir: Path, pattern: str, record_id: str) -> ArchivedExchange | None:
    for index in sorted(raw_dir.glob(f"{pattern}.cdxj"), reverse=True):
        for line in index.read_text(encoding="ascii").splitlines():
            if record_id in line:
                entry = json.loads(line.split(" ", 2)[2])
                path = index.with_name(entry["filename"])
                with path.open("rb") as file:
                    return _exchange(path, _read_one(path, file, int(entry["offset"])))
    for path in sorted(raw_dir.glob(f"{pattern}.warc"), reverse=True):
        if not path.with_suffix(".cdxj").exists():
            for _, item in _archived(path):
                if isinstance(item, ArchivedExchange) and item.record_id == record_id:
                    return item
    return None


def _push(
    merged: list[tuple[str, int, Archived, Iterator[tuple[str, Archived]]]],
    order: int,
    rest: Iterator[tuple[str, Archived]],
) -> None:
    following = next(rest, None)
    if following is not None:
        heapq.heappush(merged, (following[0], order, following[1], rest))


def _archived(path: Path, *, only: Collection[str] | None = None) -> Iterator[tuple[str, Archived]]:
    """(time, item) of one file; times never go back within it, whatever the clock did.

    With ``only`` just the exchanges of these ids.
    """
    latest = ""
    for record in _records(path):
        latest = max(latest, record.date)
        if only is not None and record.headers.get("warc-record-id") not in only:
            continue
        if HEADER.lower() in record.headers:
            yield latest, _exchange(path, record)
        elif record.kind == "metadata":
            yield latest, ArchivedCommit(json.loads(record.body), path, record.offset)


def _records(path: Path) -> Iterator[_Record]:
    size, offset = path.stat().st_size, 0
    with path.open("rb") as file:
        while offset < size:
            try:
                record = _read_one(path, file, offset)
            except DataError:
                if path.with_suffix(".cdxj").exists():
                    raise
                get_logger().warning(
                    "archive.torn_tail", file=str(path), offset=offset, lost_bytes=size - offset
                )
                return
            yield record
            offset = record.end


def _read_one(path: Path, file: IO[bytes], offset: int) -> _Record:
    file.seek(offset)
    try:
        found = next(iter(ArchiveIterator(file)))
        headers = {name.lower(): value for name, value in found.rec_headers.headers}
        length = int(headers["content-length"])
        body = found.raw_stream.read()
        end = offset + found.rec_headers.total_len + length + _AFTER_RECORD
        date, digest = headers["warc-date"], headers.get("warc-payload-digest", "")
    except _UNREADABLE as error:
        raise _damaged(path, offset, f"no readable record ({type(error).__name__})") from None
    if end > path.stat().st_size:
        raise _damaged(path, offset, "the record is cut short")
    if digest.startswith("sha256:") and hashlib.sha256(body).hexdigest() != digest.removeprefix("sha256:"):
        raise _damaged(path, offset, "the body does not match its digest")
    return _Record(found.rec_type, date, headers, body, offset, end)


def _exchange(path: Path, record: _Record) -> ArchivedExchange:
    try:
        note = from_json(record.headers[HEADER.lower()])
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, record.offset, f"its note cannot be read ({type(error).__name__})") from None
    return ArchivedExchange(
        record_id=record.headers["warc-record-id"],
        fetch=note.fetch,
        wire=note.wire,
        page=note.page,
        decoder_version=note.decoder_version,
        response=note.response(record.body),
        error=note.error,
        file=path,
        offset=record.offset,
        fetch_id=note.fetch_id,
        truncated=note.truncated,
        length=record.end - record.offset,
    )


def _started(path: Path) -> str:
    with path.open("rb") as file:
        try:
            return _read_one(path, file, 0).date
        except DataError:
            return ""


def _damaged(path: Path, offset: int, what: str) -> DataError:
    return DataError(
        f"{path} is damaged at byte {offset}: {what}", hint="Restore the file from a copy, or move it away"
    )
