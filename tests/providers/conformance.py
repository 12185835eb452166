"""The conformance suite: numbered checks that every provider passes, installed or being written.

PC-01 to PC-10 need no server. They run over tapes: a tape is a JSON file with what was asked
(``dataset``, ``symbols``, ``start``, ``end``, ``calendar``, ``settings``), the ``body`` that came, and
what to ``expect`` of it (``rows``, and some columns of the ``first``, numbers as text). Recorded
answers of the real vendor, where they are at hand, are tapes too. PC-11 to PC-25 ask the sandbox
(:mod:`tests.providers.conformance_live`).
"""

from __future__ import annotations

import datetime as dt
import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mdc_resources.calendars import get_calendar
from mdc_resources.config import ProviderSettings
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ProviderError
from mdc_resources.domain.requests import FetchRequest, HttpRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.providers.spec import Dialect, Page, Provider
from mdc_resources.schema.arrow import SCHEMAS
from tests.providers.asking import ASOF, is_canonical, plain, respond
from tests.providers.recording import PAYLOADS, Recording

TAPES = Path(__file__).parent / "tapes"
STATED = ("Coverage", "Timestamps", "Numbers", "Page", "Limits", "Terms")


@dataclass(frozen=True, slots=True)
class Tape:
    """One recorded or hand-made answer and what it must become."""

    name: str
    request: FetchRequest
    settings: dict[str, Any]
    body: bytes
    expect: dict[str, Any]


def tapes_of(provider: str, folder: Path = TAPES) -> list[Tape]:
    """The tapes of ``provider`` in order of their names, then its recordings where they are at hand."""
    recorded = [_recorded(provider, at) for at in recordings_of(provider) if PAYLOADS.exists()]
    return read_tapes(provider, folder) + recorded


def read_tapes(provider: str, folder: Path) -> list[Tape]:
    """The hand-made tapes alone, in order of their names."""
    return [_read(provider, path) for path in sorted((folder / provider).glob("*.json"))]


def recordings_of(provider: str) -> tuple[Recording, ...]:
    """What ``tests/providers/recorded`` lists for ``provider``; nothing where it has no module there."""
    try:
        module = importlib.import_module(f"tests.providers.recorded.{provider}")
    except ModuleNotFoundError:
        return ()
    found: tuple[Recording, ...] = module.RECORDINGS
    return found


def _recorded(provider: str, at: Recording) -> Tape:
    request = FetchRequest(
        provider, at.dataset, tuple(map(Symbol, at.symbols)), at.start, at.end, at.calendar, ASOF
    )
    return Tape(at.path, request, dict(at.settings), at.body(), {"rows": at.rows, "first": {}})


def _read(provider: str, path: Path) -> Tape:
    tape = json.loads(path.read_text(encoding="utf-8"))
    request = FetchRequest(
        provider,
        Dataset(tape["dataset"]),
        tuple(map(Symbol, tape["symbols"])),
        dt.date.fromisoformat(tape["start"]),
        dt.date.fromisoformat(tape["end"]),
        tape["calendar"],
        ASOF,
    )
    return Tape(path.stem, request, tape["settings"], tape["body"].encode(), tape["expect"])


def dialect_of(provider: Provider, tape: Tape, **more: Any) -> Dialect:
    """What ``provider`` may know while it reads ``tape``."""
    settings = ProviderSettings(**{**tape.settings, **more})
    return Dialect(provider.spec, settings, get_calendar(tape.request.calendar))


def decode(
    provider: Provider, tape: Tape, body: bytes | None = None, request: FetchRequest | None = None
) -> Page:
    """The page of ``tape``, or of another ``body`` in its place."""
    dialect = dialect_of(provider, tape)
    asked = request or tape.request
    sent: HttpRequest = provider.plan(asked, dialect)
    return provider.decode(asked, dialect, sent, respond(tape.body if body is None else body))


def pc_01_the_module_is_its_own_specification(provider: Provider, tapes: list[Tape]) -> None:
    """Coverage, meaning of times and numbers, paging, limits and terms, and when they were checked."""
    text = sys.modules[type(provider).__module__].__doc__ or ""
    missing = [word for word in STATED if word not in text and word.lower() not in text]
    assert not missing, f"the docstring does not state {missing}"
    assert provider.spec.offers, "a provider offers something"
    assert provider.spec.checked_on <= now().date()


def pc_02_each_offered_dataset_has_a_tape(provider: Provider, tapes: list[Tape]) -> None:
    """What nobody showed working is not offered; files take the same road for all."""
    shown = {tape.request.dataset for tape in tapes}
    carried = {d for tape in tapes for d in decode(provider, tape).tables}
    assert shown, "no tapes"
    assert provider.spec.name == "files" or set(provider.spec.offers) <= shown | carried


def pc_03_planning_is_pure_and_stays_at_the_base_url(provider: Provider, tapes: list[Tape]) -> None:
    """The same wish gives the same request, and the setting alone decides where it goes."""
    for tape in tapes:
        moved = dialect_of(provider, tape, base_url="http://127.0.0.1:1/there")
        assert provider.plan(tape.request, moved) == provider.plan(tape.request, moved)
        assert provider.plan(tape.request, moved).url.startswith("http://127.0.0.1:1/there/")


def pc_04_credentials_are_named_never_carried(provider: Provider, tapes: list[Tape]) -> None:
    """Each declared credential is asked for by its name, in a header or a parameter, on every page."""
    for tape in tapes:
        for wire in _wires(provider, tape):
            assert {name for _, name in (*wire.auth, *wire.query_auth)} == set(provider.spec.credentials)


def _wires(provider: Provider, tape: Tape) -> Iterator[HttpRequest]:
    yield provider.plan(tape.request, dialect_of(provider, tape))
    if (following := decode(provider, tape).next) is not None:
        yield following


def pc_05_each_tape_becomes_canonical_rows(provider: Provider, tapes: list[Tape]) -> None:
    """Schema, source, basis, the number of rows and the first of them are as expected."""
    for tape in tapes:
        page = decode(provider, tape)
        table = page.tables[tape.request.dataset]
        for dataset, carried in page.tables.items():
            assert is_canonical(carried, SCHEMAS[dataset]), (tape.name, dataset)
            assert set(carried.column("source").to_pylist()) <= {dialect_of(provider, tape).source}
        assert (table.num_rows, page.rejected) == (tape.expect["rows"], ()), tape.name
        if tape.expect["first"]:
            first = table.slice(0, 1).to_pylist()[0]
            shown = {key: _shown(first[key]) for key in tape.expect["first"]}
            assert shown == tape.expect["first"], tape.name
        offer = dialect_of(provider, tape).offer(tape.request.dataset)
        if tape.request.dataset.is_bars:
            assert set(table.column("basis").to_pylist()) <= {offer.basis.value}


def _shown(value: Any) -> str:
    return plain(value) if hasattr(value, "normalize") else str(value)


def pc_06_decoding_is_pure(provider: Provider, tapes: list[Tape]) -> None:
    """Twice the same bytes, twice the same page."""
    for tape in tapes:
        one, two = decode(provider, tape), decode(provider, tape)
        assert all(one.tables[dataset].equals(two.tables[dataset]) for dataset in one.tables)
        assert one.next == two.next


def pc_07_a_narrower_question_gets_a_narrower_answer(provider: Provider, tapes: list[Tape]) -> None:
    """Rows outside the range are dropped and counted, never stored."""
    for tape in tapes:
        if tape.request.dataset is Dataset.INSTRUMENTS:
            continue  # says what is, not what was on a day
        whole = decode(provider, tape)
        day = tape.request.start
        try:
            page = decode(provider, tape, request=replace(tape.request, end=day))
        except ProviderError:
            continue  # a body that names its own range is not the answer to another one
        sessions = set(page.tables[tape.request.dataset].column("session").to_pylist())
        lost = whole.tables[tape.request.dataset].num_rows - page.tables[tape.request.dataset].num_rows
        assert sessions <= {day}
        assert page.dropped - whole.dropped >= lost > 0 or lost == 0, tape.name


def pc_08_a_cut_body_is_refused_or_marked(provider: Provider, tapes: list[Tape]) -> None:
    """No prefix of an answer passes for the answer."""
    for tape in tapes:
        for part in (0.1, 0.5, 0.9):
            cut = tape.body[: int(len(tape.body) * part)]
            try:
                page = decode(provider, tape, cut)
            except ProviderError:
                continue
            assert page.rejected or page.incomplete, (tape.name, part)


def pc_09_what_is_no_answer_is_an_error(provider: Provider, tapes: list[Tape]) -> None:
    """An empty body, a web page and noise never become an empty success."""
    for tape in tapes:
        for body in (b"", b"\n", b"<!DOCTYPE html><html>log in</html>", b"\x00\xff\xfe", b"[" * 100_000):
            try:
                decode(provider, tape, body)
            except ProviderError:
                continue
            raise AssertionError(f"{tape.name}: {body[:20]!r} was decoded")


def pc_10_general_statuses_are_left_to_the_transport(provider: Provider, tapes: list[Tape]) -> None:
    """429 and 5xx carry headers only the transport reads; what a provider says of them may be retried."""
    for status in (429, 500, 502, 503):
        error = provider.classify(respond(b"busy", status))
        assert error is None or error.disposition == "retry" or provider.spec.name == "files"
