"""The ``.cdxj`` index beside a raw file: where each record lies, sorted by URL and time.

Written once, when its file is complete and synced; that it exists is what says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

SUFFIX = ".cdxj"


class ArchiveIndex:
    """Collects lines while records are written."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, url: str, date: str, entry: Mapping[str, object]) -> None:
        """Note one record; ``date`` is its WARC-Date, ``entry`` at least offset, length and id."""
        stamp = "".join(c for c in date[:19] if c.isdigit())
        self._lines.append(f"{sort_key(url)} {stamp} {json.dumps({'url': url, **entry})}")

    def write(self, warc: Path) -> None:
        """Write the index of ``warc`` durably: temporary file, fsync, rename, fsync of the folder."""
        final = warc.with_suffix(SUFFIX)
        temporary = final.with_suffix(f"{SUFFIX}.tmp")
        with temporary.open("w", encoding="ascii") as out:
            out.writelines(f"{line}\n" for line in sorted(self._lines))
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(final)
        sync_dir(final.parent)


def sort_key(url: str) -> str:
    """``http://a.b.c:8/x`` -> ``c,b,a:8)/x`` (SURT), the order of CDXJ files; addresses stay as they are."""
    parts = urlsplit(url)
    if not parts.hostname:
        return url
    labels = parts.hostname.split(".")
    host = parts.hostname if labels[-1].isdigit() else ",".join(reversed(labels))
    port = f":{parts.port}" if parts.port else ""
    query = f"?{parts.query}" if parts.query else ""
    return f"{host}{port}){parts.path or '/'}{query}".replace(" ", "%20").lower()


def sync_dir(folder: Path) -> None:
    """Make the names in ``folder`` durable; OSError if that fails."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
