"""The raw archive: every response body as it came, in WARC 1.1 (ISO 28500), one file a run.

Uncompressed, because gzip costs more than the network here; compressing is a later job. Written
in order, synced before the commit that cites it, indexed in a ``.cdxj`` when closed. A failed
write or fsync is final: what the file holds after it is unknown, so nothing follows it. Secrets
never reach the file: names and values are masked before.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import os
import threading
import uuid
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from mdc_resources.domain.errors import StorageFailed, UsageError
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.time import now
from mdc_resources.telemetry.masking import mask_bytes, mask_text
from mdc_resources.transport.addresses import masked_url
from mdc_resources.transport.archive_index import ArchiveIndex, sync_dir
from mdc_resources.transport.archive_reader import (
    ArchivedCommit,
    ArchivedExchange,
    read_archive,
    read_record,
)
from mdc_resources.transport.notes import HEADER, Note, masked_pairs, masked_request, plain_json, to_json

__all__ = ["ArchivedCommit", "ArchivedExchange", "RawArchive", "read_archive", "read_record"]

_VERSION = "WARC/1.1"


class RawArchive:
    """The file of one run. Nothing is made on disk before the first record."""

    def __init__(self, raw_dir: Path, run_id: str) -> None:
        self._raw_dir = raw_dir
        self._run_id = run_id
        self._file: IO[bytes] | None = None
        self._path = Path()
        self._failed = ""
        self._dir_synced = False
        self._index = ArchiveIndex()
        self._lock = threading.Lock()

    @classmethod
    def open(cls, raw_dir: Path, run_id: str) -> RawArchive:
        """The archive of run ``run_id``; a file of an earlier try of that run is left alone."""
        if not run_id or not all(c.isalnum() or c in "-_" for c in run_id) or len(run_id) > 100:
            raise UsageError(f"{run_id[:40]!a} is not a run id")
        return cls(raw_dir, run_id)

    @property
    def path(self) -> Path | None:
        """The file, once there is one."""
        return self._path if self._file else None

    def write_exchange(
        self,
        request: FetchRequest,
        wire: HttpRequest,
        response: HttpResponse,
        *,
        page: int,
        decoder_version: int,
        fetch_id: str,
        error: str = "",
        truncated: bool = False,
    ) -> str:
        """Append one answer; returns its WARC-Record-ID. The body is masked, its length kept."""
        headers = dict(masked_pairs(tuple(response.headers.items())))
        note = Note(
            fetch=request,
            wire=masked_request(wire),
            status=response.status,
            headers=headers,
            received_at=response.received_at,
            page=page,
            decoder_version=decoder_version,
            fetch_id=fetch_id,
            error=mask_text(error),
            truncated=truncated,
        )
        url = masked_url(wire)
        is_http = url.startswith(("http://", "https://"))
        warc_headers = {HEADER: to_json(note), "WARC-Date": _warc_date(response.received_at)}
        if truncated:
            warc_headers["WARC-Truncated"] = "unspecified"
        return self._append(
            "response" if is_http else "resource",
            url,
            mask_bytes(response.body),
            warc_headers=warc_headers,
            content_type="" if is_http else response.content_type or "application/octet-stream",
            http_headers=_http_head(response.status, headers) if is_http else None,
            index={"status": str(response.status), "mime": response.content_type},
        )

    def write_commit(self, note: Mapping[str, object]) -> None:
        """Append what a commit used: a ``metadata`` record holding ``note`` as JSON."""
        headers = {"WARC-Date": _warc_date(now())}
        body = mask_bytes(plain_json(note).encode())
        url = f"urn:mdc:commit:{self._run_id}"
        self._append("metadata", url, body, warc_headers=headers, content_type="application/json", index={})

    def sync(self) -> None:
        """Make everything written so far durable; StorageFailed if that cannot be promised."""
        with self._lock:
            self._refuse_after_failure()
            if self._file is None:
                return
            try:
                self._file.flush()
                os.fsync(self._file.fileno())
                if not self._dir_synced:
                    for folder in (self._path.parent, *self._path.parents[1:4]):
                        sync_dir(folder)
                    self._dir_synced = True
            except OSError as error:
                raise self._fail(error) from None

    def close(self) -> None:
        """Sync, write the index beside the file, close. An archive that failed is only closed."""
        if self._file is None:
            return
        try:
            if not self._failed:
                self.sync()
                self._index.write(self._path)
        except OSError as error:
            raise self._fail(error) from None
        finally:
            # What a failed write left in the buffer cannot be written now either.
            with suppress(OSError):
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()

    def _append(
        self,
        kind: str,
        url: str,
        body: bytes,
        *,
        warc_headers: Mapping[str, str],
        content_type: str,
        index: Mapping[str, str],
        http_headers: StatusAndHeaders | None = None,
    ) -> str:
        record_id = f"<urn:uuid:{uuid.uuid4()}>"
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        headers = {"WARC-Record-ID": record_id, "WARC-Payload-Digest": digest, **warc_headers}
        with self._lock:
            self._refuse_after_failure()
            try:
                file = self._opened()
                offset = file.tell()
                writer = WARCWriter(file, gzip=False, warc_version=_VERSION)
                record = writer.create_warc_record(
                    url,
                    kind,
                    payload=io.BytesIO(body),
                    length=len(body),
                    warc_content_type=content_type,
                    warc_headers_dict=headers,
                    http_headers=http_headers,
                )
                writer.write_record(record)
                length = file.tell() - offset
            except OSError as error:
                raise self._fail(error) from None
            entry = {"digest": digest, "offset": offset, "length": length, "id": record_id, "type": kind}
            self._index.add(url, warc_headers["WARC-Date"], {**index, **entry, "filename": self._path.name})
        return record_id

    def _opened(self) -> IO[bytes]:
        """The file, made on first use with a name no earlier try has."""
        if self._file is None:
            folder = self._raw_dir / now().strftime("%Y/%m")
            folder.mkdir(parents=True, exist_ok=True)
            for suffix in ("", *(f"-{n}" for n in range(2, 1000))):
                self._path = folder / f"{self._run_id}{suffix}.warc"
                try:
                    self._file = self._path.open("xb")
                    break
                except FileExistsError:
                    continue
            else:
                raise FileExistsError(17, f"{self._path} and all its siblings exist")
            writer = WARCWriter(self._file, gzip=False, warc_version=_VERSION)
            info = {"software": "mdc", "format": "WARC File Format 1.1", "isPartOf": self._run_id}
            writer.write_record(writer.create_warcinfo_record(self._path.name, info))
        return self._file

    def _refuse_after_failure(self) -> None:
        if self._failed:
            raise StorageFailed(f"the raw archive {self._path.name} failed before: {self._failed}")

    def _fail(self, error: OSError) -> StorageFailed:
        self._failed = error.strerror or str(error)
        return StorageFailed(
            f"the raw archive {self._path} cannot be written: {self._failed}",
            hint="Free space, then run the command again",
        )


def _http_head(status: int, headers: Mapping[str, str]) -> StatusAndHeaders:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
    pairs = [(name, value.replace("\r", " ").replace("\n", " ")) for name, value in headers.items()]
    return StatusAndHeaders(f"{status} {phrase}", pairs, protocol="HTTP/1.1")


def _warc_date(instant: dt.datetime) -> str:
    return instant.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
