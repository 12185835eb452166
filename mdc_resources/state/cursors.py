"""Where the paging of a partition stopped: one line per page that is archived.

The pages themselves lie in the raw archive. A line says which record holds a page and which request
follows it, so that a later run reads what is there and asks only for the rest. Losing these lines
costs the requests again, nothing else.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, insert, select

from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.requests import HttpRequest
from mdc_resources.state.tables import page_cursors

_C = page_cursors.c


@dataclass(frozen=True, slots=True)
class PageCursor:
    """Page ``page`` (from 1) of ``key``, as ``provider`` sent it; ``following`` is None after the last.

    ``record_id`` names it in the archive of run ``run_id``.
    """

    dataset: Dataset
    key: PartitionKey
    provider: str
    decoder_version: int
    page: int
    run_id: str
    record_id: str
    following: HttpRequest | None


def note(connection: Connection, cursor: PageCursor) -> None:
    """Write down ``cursor``, in place of what was known of that page and of later ones."""
    mine = _of(cursor.dataset, cursor.key, cursor.provider)
    connection.execute(delete(page_cursors).where(*mine, _C.page >= cursor.page))
    connection.execute(
        insert(page_cursors).values(
            dataset=cursor.dataset.value,
            symbol=cursor.key.symbol,
            session=cursor.key.session,
            provider=cursor.provider,
            page=cursor.page,
            decoder_version=cursor.decoder_version,
            run_id=cursor.run_id,
            record_id=cursor.record_id,
            following=_text(cursor.following),
            noted_at=time.time(),
        )
    )


def load(
    connection: Connection, dataset: Dataset, key: PartitionKey, provider: str, *, decoder_version: int
) -> list[PageCursor]:
    """Pages 1, 2, 3 ... as far as they are known and were decoded by ``decoder_version``."""
    rows = connection.execute(
        select(page_cursors).where(*_of(dataset, key, provider)).order_by(_C.page)
    ).all()
    found: list[PageCursor] = []
    for number, row in enumerate(rows, start=1):
        if row.page != number or row.decoder_version != decoder_version:
            break
        following = _request(row.following)
        found.append(
            PageCursor(
                dataset, key, provider, decoder_version, row.page, row.run_id, row.record_id, following
            )
        )
    return found


def forget(
    connection: Connection, dataset: Dataset, keys: Iterable[PartitionKey], provider: str | None
) -> None:
    """Drop the pages of ``keys``."""
    for key in keys:
        connection.execute(delete(page_cursors).where(*_of(dataset, key, provider)))


def expire(connection: Connection, before: dt.datetime) -> None:
    """Drop pages noted before ``before``."""
    connection.execute(delete(page_cursors).where(_C.noted_at < before.timestamp()))


def _of(dataset: Dataset, key: PartitionKey, provider: str | None) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        _C.dataset == dataset.value,
        _C.symbol == key.symbol,
        _C.session == key.session,
    ]
    return [*found, _C.provider == provider] if provider is not None else found


def _text(wire: HttpRequest | None) -> str:
    if wire is None:
        return ""
    return json.dumps(
        {
            "url": wire.url,
            "params": wire.params,
            "headers": wire.headers,
            "auth": wire.auth,
            "query_auth": wire.query_auth,
            "method": wire.method,
        }
    )


def _request(text: str) -> HttpRequest | None:
    if not text:
        return None
    found = json.loads(text)

    def pairs(name: str) -> tuple[tuple[str, str], ...]:
        return tuple((key, value) for key, value in found[name])

    return HttpRequest(
        url=found["url"],
        params=pairs("params"),
        headers=pairs("headers"),
        auth=pairs("auth"),
        query_auth=pairs("query_auth"),
        method=found["method"],
    )
