"""``mdc stream tail``: live events of the running sidecar, a line each, or a table of its books.

What arrives is data of vendors: control characters are
escaped. Ends when the sidecar does, after ``--limit`` events, or at Ctrl-C (exit 130, without a word).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import ExitCode, MdcError, UsageError
from mdc_resources.domain.symbols import parse_symbols

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_START = "Start it with: mdc stream run"
_REDRAWS = 4  # of the table, per second
_SECOND = 1_000_000_000

Event = Mapping[str, Any]


@app.command()
def tail(
    ctx: typer.Context,
    symbols: Annotated[list[str] | None, typer.Argument(metavar="[SYMBOL]...", show_default=False)] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="trades, quotes or depth", show_default=False)
    ] = None,
    feed: Annotated[
        str | None, typer.Option("--feed", help="coinbase, kraken ...", show_default=False)
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Stop after so many events", show_default=False)
    ] = None,
    book: Annotated[
        bool, typer.Option("--book", help="The best bid and offer of each book, redrawn")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Show live events of the running sidecar; all symbols unless some are named."""
    if book and dataset:
        raise UsageError("--book shows books, whatever the dataset", hint="Leave --dataset out")
    named = ",".join(parse_symbols(symbols or []))
    wanted = {"symbol": named, "dataset": "book" if book else dataset or "", "feed": feed or ""}
    from mdc_streaming.announce import address

    try:
        events = _events(address(home_of(ctx)), wanted)
        if book and not as_json:
            _draw(events, limit)
        else:
            _print(events, limit, as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _events(url: str, wanted: Mapping[str, str]) -> Iterator[tuple[str, Event]]:
    """Each line and what it says; ends with the sidecar."""
    import httpx

    timeout = httpx.Timeout(5.0, read=None)  # a quiet market says nothing for long
    try:
        # Loopback never goes through a proxy of the environment.
        with (
            httpx.Client(trust_env=False, timeout=timeout) as client,
            client.stream("GET", f"{url}/events", params=wanted) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise _refused(answer.status_code, answer.read())
            for line in answer.iter_lines():
                yield line, json.loads(line)
    except (httpx.RemoteProtocolError, httpx.ReadError):
        pass  # it ended, in order or not: what it had said is shown
    except httpx.HTTPError as error:
        raise MdcError(f"the sidecar at {url} does not answer: {error}", hint=_START) from None
    output.note("the sidecar has ended the stream")


def _refused(status: int, body: bytes) -> MdcError:
    try:
        reason = str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        reason = f"the sidecar answered {status}"
    return UsageError(reason) if status < 500 else MdcError(reason)


def _print(events: Iterator[tuple[str, Event]], limit: int | None, *, as_json: bool) -> None:
    seen = 0
    for text, event in events:
        if as_json:
            print(text, flush=True)
        elif event["type"] == "dropped":
            output.note(f"{event['count']} events were dropped here: this terminal does not keep up")
        else:
            print(line(event), flush=True)
        seen += event["type"] != "dropped"
        if seen == limit:
            return


def _draw(events: Iterator[tuple[str, Event]], limit: int | None) -> None:
    from rich.live import Live

    tops: dict[str, Event] = {}
    with Live(_table(tops), refresh_per_second=_REDRAWS, transient=False) as live:
        for seen, (_, event) in enumerate((e for e in events if e[1]["type"] == "book"), start=1):
            tops[f"{event['symbol']} {event['feed']}"] = event
            live.update(_table(tops))
            if seen == limit:
                return


def _table(tops: Mapping[str, Event]) -> Table:
    """The best level of each side per symbol, or why there is none."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in ("symbol", "feed", "bid size", "bid", "ask", "ask size", "updated"):
        number = name.startswith(("bid", "ask"))
        # Where it gets narrow words are wrapped: a price without its last digits is another price.
        table.add_column(name, justify="right" if number else "left", no_wrap=number, overflow="fold")
    for _, event in sorted(tops.items()):
        bid, ask = _best(event, "bids"), _best(event, "asks")
        state = clock(event["ts_recv"])[:12] if event["valid"] else f"unknown: {event.get('reason', '')}"
        cells = (event["symbol"], event["feed"], bid[1], bid[0], ask[0], ask[1], state)
        table.add_row(*(Text(output.printable(str(cell))) for cell in cells))
    return table


def _best(event: Event, side: str) -> tuple[str, str]:
    levels = event.get(side) or []
    return (levels[0][0], levels[0][1]) if levels else ("-", "-")


def line(event: Event) -> str:
    """One event for a person: time of day (UTC), what, which symbol, and what it says."""
    when = clock(event.get("ts_event") or event["ts_recv"])
    said = f"{when}  {event['type']:<5}  {event['symbol']}  {_said(event)}"
    return output.printable(said.rstrip())


def clock(instant_ns: int) -> str:
    """``14:05:00.123456789``, UTC."""
    seconds, nanos = divmod(instant_ns % (86_400 * _SECOND), _SECOND)
    minutes, second = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}.{nanos:09}"


def _said(event: Event) -> str:
    match event["type"]:
        case "trade":
            return f"{event['price']} x {event['size']} {event.get('side', '')}"
        case "quote":
            bid = f"{event['bid_price']} x {event['bid_size']}"
            return f"{bid} | {event['ask_price']} x {event['ask_size']}"
        case "depth":
            more = f" and {event['more']} more" if event.get("more") else ""
            sides = f"bids {_levels(event['bids'])} asks {_levels(event['asks'])}"
            return f"{event['action']} {sides}{more}"
        case "book":
            sides = " | ".join(" x ".join(_best(event, side)) for side in ("bids", "asks"))
            return f"{sides} {event.get('reason', '')}"
        case "hole":
            return f"{event['dataset']} {event['reason']}: {event['detail']}"
        case _:
            return ""


def _levels(levels: list[list[str]]) -> str:
    """The first three, and how many there are."""
    shown = " ".join(f"{price}:{size}" for price, size in levels[:3])
    return f"[{shown}{f' ... {len(levels)}' if len(levels) > 3 else ''}]"
