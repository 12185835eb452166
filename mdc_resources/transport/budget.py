"""Rate budgets of providers, shared by all processes of a home and kept over a restart.

pyrate-limiter's SQLite bucket under its file lock, one table a provider: exact rolling windows of
a second, minute, hour and day, never over the limit whoever asks. A full second or minute is
waited out (first come, first served within a process); a full hour is not worth waiting for
unless it ends before the deadline, and a full day never is.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakKeyDictionary

from filelock import BaseFileLock
from pyrate_limiter import Rate, RateItem, SQLiteBucket

from mdc_resources.config import Limits
from mdc_resources.domain.errors import QuotaExhausted, RateLimited, StorageFailed, UsageError

FILE_NAME = "budgets.sqlite"
WINDOWS: dict[str, int] = {"second": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000}

_PROVIDER = re.compile(r"[a-z0-9_-]{1,40}")
_POLL_SECONDS = 0.005
_TIDY_EVERY = 500
_CLOCK_SLACK_MS = 5_000


class Budgets:
    """Permits to send. Open it with :meth:`open`; usable as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._buckets: dict[tuple[str, Limits], SQLiteBucket] = {}
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, defaultdict[str, asyncio.Lock]]
        self._queues = WeakKeyDictionary()
        # One thread: the file lock and the connection serve one caller at a time anyway, and a
        # wait for another process's lock must not stop the event loop.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mdc-budget")
        self._puts = 0

    @classmethod
    def open(cls, state_dir: Path) -> Budgets:
        """The budgets kept in ``state_dir``."""
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFailed(f"{state_dir} cannot be made: {error.strerror}") from None
        return cls(state_dir / FILE_NAME)

    def close(self) -> None:
        """Close the file; what was used stays counted."""
        self._thread.shutdown(wait=True)
        for bucket in self._buckets.values():
            bucket.close()  # type: ignore[no-untyped-call]
        self._buckets.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()

    async def acquire(self, provider: str, limits: Limits, *, deadline: float | None = None) -> None:
        """Take one permit, waiting for it if need be.

        ``deadline`` is a reading of the loop's clock; without one, seconds and minutes are waited
        out for as long as it takes.

        Raises:
            RateLimited: the window opens only after the deadline (or it is an hour's).
            QuotaExhausted: the day's allowance is used up.
        """
        if not _rates(limits):
            return
        loop = asyncio.get_running_loop()
        queues = self._queues.setdefault(loop, defaultdict(asyncio.Lock))
        async with queues[provider]:
            while refusal := await loop.run_in_executor(self._thread, self._take, provider, limits):
                window, wait = refusal
                late = deadline is not None and loop.time() + wait > deadline
                if window == "day":
                    raise QuotaExhausted(
                        f"{provider}: the day's budget of {limits.day} requests is used up, "
                        f"the next is free in {wait:.0f} s",
                        provider=provider,
                        hint=f"providers.{provider}.limits.day in mdc.toml sets it",
                    )
                if late or (deadline is None and window == "hour"):
                    raise RateLimited(
                        f"{provider}: the budget of {getattr(limits, window)} requests a {window} is "
                        f"used up, the next is free in {wait:.0f} s",
                        provider=provider,
                        retry_after=wait,
                        hint=f"providers.{provider}.limits.{window} in mdc.toml sets it",
                    )
                await asyncio.sleep(wait)

    def used(self, provider: str, limits: Limits) -> dict[str, tuple[int, int]]:
        """``{window: (used, limit)}`` for every window that has a limit."""
        wanted = {name: getattr(limits, name) for name in WINDOWS if getattr(limits, name)}
        if not wanted:
            return {}
        return self._thread.submit(self._count, provider, limits, wanted).result()

    def _take(self, provider: str, limits: Limits) -> tuple[str, float] | None:
        """None if a permit was had, else the full window and the seconds until it has room."""
        with _translated():
            bucket = self._bucket(provider, limits)
            with bucket.lock:
                self._puts += 1
                if self._puts % _TIDY_EVERY == 1:
                    _tidy(bucket)
                item = RateItem(provider, _now_ms())
                if bucket.put(item):
                    return None
                full = bucket.failing_rate
                wait = bucket.waiting(item)
        if full is None or not isinstance(wait, int):
            raise StorageFailed(f"{self._path} refused a permit without a reason")
        name = next(name for name, length in WINDOWS.items() if length == full.interval)
        return name, max(wait, 1) / 1000

    def _count(self, provider: str, limits: Limits, wanted: Mapping[str, int]) -> dict[str, tuple[int, int]]:
        with _translated():
            bucket, now = self._bucket(provider, limits), _now_ms()
            query = f"SELECT count(*) FROM {bucket.table} WHERE item_timestamp >= ?"  # noqa: S608 - checked name
            return {
                name: (bucket.conn.execute(query, (now - WINDOWS[name],)).fetchone()[0], limit)
                for name, limit in wanted.items()
            }

    def _bucket(self, provider: str, limits: Limits) -> SQLiteBucket:
        key = (provider, limits)
        if key not in self._buckets:
            if not _PROVIDER.fullmatch(provider):
                raise UsageError(f"{provider[:40]!a} is not the name of a provider")
            table = f"used_{provider.replace('-', '_')}"
            bucket = SQLiteBucket.init_from_file(
                _rates(limits),
                table=table,
                db_path=str(self._path),
                use_file_lock=True,
            )
            if isinstance(bucket.lock, BaseFileLock):
                bucket.lock.poll_interval = _POLL_SECONDS
            self._buckets[key] = bucket
        return self._buckets[key]


def _rates(limits: Limits) -> list[Rate]:
    """The windows that bind, shortest first; the bucket refuses ones implied by another.

    A minute's limit above the hour's never binds, nor does an hour's above sixty minutes' worth.
    """
    kept: list[Rate] = []
    for name, length in reversed(WINDOWS.items()):
        limit = getattr(limits, name)
        if limit and not (kept and limit >= kept[-1].limit):
            kept.append(Rate(limit, length))
    binding: list[Rate] = []
    for rate in reversed(kept):
        if not (binding and rate.limit * binding[-1].interval > binding[-1].limit * rate.interval):
            binding.append(rate)
    return binding


def _tidy(bucket: SQLiteBucket) -> None:
    """Forget what is older than a day; pull back what a jumped clock left in the future.

    Without that, a clock set back by a week would leave a budget exhausted for a week.
    """
    now = _now_ms()
    for statement, instant in (
        (f"DELETE FROM {bucket.table} WHERE item_timestamp < ?", now - WINDOWS["day"]),  # noqa: S608
        (f"UPDATE {bucket.table} SET item_timestamp = {now} WHERE item_timestamp > ?", now + _CLOCK_SLACK_MS),  # noqa: S608
    ):
        bucket.conn.execute(statement, (instant,))
    bucket.conn.commit()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StorageFailed(f"the rate budgets cannot be kept: {error}") from None
