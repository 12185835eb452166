"""``mdc stream wal``: look into the log: verify it, print it, serve it once more.

A LOG is a shard (``coinbase-0``: all its segments), a segment (``coinbase-0/000000000012``) or a file.
None at all is every shard of the home.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from mdc_resources.config import Home
    from mdc_resources.wal import Kind, Record

app = typer.Typer(
    name="wal",
    help="The log: verify, cat, replay.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
Logs = Annotated[list[str] | None, typer.Argument(metavar="[LOG]...", show_default=False)]
Connection = Annotated[int | None, typer.Option("--connection", help="Of this one only", show_default=False)]
_LIVE, _SEALED = ".wal", ".wal.zst"


@app.callback()
def wal() -> None:
    """The log: verify, cat, replay."""


@app.command()
def verify(ctx: typer.Context, logs: Logs = None, as_json: options.Json = False) -> None:
    """Check every byte; exit 1 if anything is damaged. What was set aside as damaged is listed too."""
    rows = [_verdict(path) for path in _paths(home_of(ctx), logs, damaged=True)]
    if as_json:
        output.print_json(rows)
    else:
        columns = ("segment", "verdict", "records", "frames", "bytes", "torn_bytes", "detail")
        right = ("records", "frames", "bytes", "torn_bytes")
        output.print_table(columns, [[row.get(name) for name in columns] for row in rows], right=right)
    if any(row["verdict"] in {"damaged", "unreadable"} for row in rows):
        raise typer.Exit(ExitCode.FINDINGS)


@app.command()
def cat(
    ctx: typer.Context,
    logs: Logs = None,
    connection: Connection = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Received at or after this instant", show_default=False)
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="frames, mark or fetched", show_default=False)
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Records", show_default=False)] = None,
) -> None:
    """Print records, one JSON object a line; a frame that is no text is an object with its base64."""
    wanted, since_ns = _kind(kind), _nanoseconds(since)
    left = sys.maxsize if limit is None else limit
    for path, record in _records(_paths(home_of(ctx), logs)):
        if (
            (connection is not None and record.connection != connection)
            or (wanted is not None and record.kind != wanted)
            or record.recv_ns < since_ns
        ):
            continue
        print(json.dumps(_line(path, record), ensure_ascii=False))
        left -= 1
        if not left:
            return


@app.command()
def replay(
    ctx: typer.Context,
    logs: Logs = None,
    connection: Connection = None,
    speed: Annotated[float, typer.Option("--speed", min=0, help="1 as captured, 10 faster, 0 at once")] = 1.0,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: a free one")] = 0,
    keep: Annotated[bool, typer.Option("--keep", help="Go on after the first client has all")] = False,
) -> None:
    """Serve the frames over a WebSocket on loopback, to be captured again; prints its address."""
    import asyncio

    from mdc_streaming.wal_replay import Replay

    paths = _paths(home_of(ctx), logs)
    if not paths:
        raise UsageError("there is nothing to replay", hint="mdc stream wal verify lists the segments")
    serving = Replay(paths, connection=connection, speed=speed)
    asyncio.run(serving.serve(port, keep=keep, announce=lambda url: print(url, flush=True)))
    output.note(f"{serving.sent} frames sent")


def _verdict(path: Path) -> dict[str, Any]:
    from mdc_resources.domain.errors import LakeError
    from mdc_resources.wal import WalDamaged, verify_segment

    row: dict[str, Any] = {"segment": _name(path), "path": str(path), "bytes": path.stat().st_size}
    try:
        found = verify_segment(path)
    except WalDamaged as error:
        place = {"offset": error.offset, "following": error.following}
        return {**row, "verdict": "damaged", **place, "detail": f"at {error.offset}: {error.reason}"}
    except LakeError as error:
        return {**row, "verdict": "unreadable", "detail": error.message}
    state = "sealed" if path.name.endswith(_SEALED) else "finished" if found.sealed else "live"
    return {
        **row,
        "verdict": "torn" if found.torn_bytes else state,
        "records": found.records,
        "frames": found.frames,
        "frame_bytes": found.frame_bytes,
        "torn_bytes": found.torn_bytes,
        "valid_bytes": found.valid_bytes,
        "first_ns": found.first_ns,
        "last_ns": found.last_ns,
    }


def _line(path: Path, record: Record) -> dict[str, Any]:
    return {
        "segment": _name(path),
        "offset": record.offset,
        "kind": record.kind.name.lower(),
        "recv_ns": record.recv_ns,
        "connection": record.connection,
        "number": record.number,
        "frames": [_text(frame) for frame in record.frames],
    }


def _text(frame: bytes) -> object:
    try:
        return frame.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(frame).decode()}


def _records(paths: Sequence[Path]) -> Iterator[tuple[Path, Record]]:
    from mdc_resources.wal import read_segment

    for path in paths:
        for record in read_segment(path):
            yield path, record


def _paths(home: Home, logs: list[str] | None, *, damaged: bool = False) -> list[Path]:
    """The files meant by ``logs``, in order; raises UsageError where one names none."""
    if not logs:
        folders = {path.name for root in (home.segments_dir, home.wal_dir) for path in root.glob("*/")}
        return [path for shard in sorted(folders) for path in _shard(home, shard, damaged=damaged)]
    found = []
    for log in logs:
        shard, _, number = log.partition("/")
        here = [Path(log)] if log.endswith((_LIVE, _SEALED)) and Path(log).is_file() else []
        named = [path for path in _shard(home, shard, damaged=damaged) if not number or _name(path) == log]
        if not (here or named):
            raise UsageError(f"there is no log {log[:80]!a}", hint="mdc stream wal verify lists them")
        found += here or named
    return found


def _shard(home: Home, shard: str, *, damaged: bool) -> list[Path]:
    """The segments of a shard, sealed ones first; one that is both is only taken sealed."""
    sealed = sorted((home.segments_dir / shard).glob(f"*{_SEALED}"))
    names = {_name(path) for path in sealed}
    live = [path for path in sorted((home.wal_dir / shard).glob(f"*{_LIVE}")) if _name(path) not in names]
    return [
        *sealed,
        *live,
        *(sorted((home.wal_dir / shard / "damaged").glob(f"*{_LIVE}")) if damaged else ()),
    ]


def _name(path: Path) -> str:
    folder = path.parent if path.parent.name != "damaged" else path.parent.parent
    return f"{folder.name}/{path.name.partition('.')[0]}"


def _kind(name: str | None) -> Kind | None:
    from mdc_resources.wal import Kind

    kinds = {kind.name.lower(): kind for kind in Kind if kind is not Kind.FOOTER}
    if name is None:
        return None
    if name not in kinds:
        raise UsageError(f"{name[:40]!a} is no kind of record", hint=f"One of: {', '.join(kinds)}")
    return kinds[name]


def _nanoseconds(instant: str | None) -> int:
    import datetime as dt

    from mdc_resources.domain.time import parse_instant

    if instant is None:
        return -sys.maxsize
    since = parse_instant(instant) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return since // dt.timedelta(microseconds=1) * 1000
