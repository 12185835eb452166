"""``mdc stream deadletter``: what could not be decoded or landed, and what becomes of it.

Letters refer to sealed segments, where the bytes stay whatever is done here. What they show is a
vendor's: secrets are masked, control characters escaped. Exit 1 where something could not be done.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from mdc_resources.landing.deadletters import DeadLetters
    from mdc_resources.landing.letters import CauseCount, DeadLetter

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, add_completion=False)

_REASON = 60
_COLUMNS = ("id", "state", "cause", "reference", "symbol", "tries", "next try", "reason")
_MOST = 100_000
E = TypeVar("E", bound=StrEnum)


@app.callback()
def deadletter() -> None:
    """What could not be decoded or landed: list, show, replay, drop."""


@app.command("list")
def list_(
    ctx: typer.Context,
    state: Annotated[str, typer.Option("--state", help="open, replayed, dropped or all")] = "open",
    cause: Annotated[
        str | None,
        typer.Option("--cause", help="undecodable, unstorable, damaged or not-landed", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many")] = 50,
    as_json: options.Json = False,
) -> None:
    """List dead letters, the newest first, and how many there are of each cause."""
    from mdc_resources.landing.letters import Cause, LetterState

    chosen = None if state == "all" else _member(LetterState, state, "--state")
    store = _store(ctx)
    letters = store.letters(
        state=chosen, cause=_member(Cause, cause, "--cause") if cause else None, limit=limit
    )
    counts = store.counts()
    if as_json:
        output.print_json(
            {
                "letters": [letter.as_dict() for letter in letters],
                "counts": {name: _counted(count) for name, count in counts.items()},
            }
        )
        return
    if letters:
        output.print_table(_COLUMNS, [_row(letter) for letter in letters], right=("id", "tries"))
    else:
        print("no dead letters" if chosen is None else f"no {chosen} dead letters")
    for name, count in counts.items():
        told = ", ".join(f"{number} {word}" for word, number in _counted(count).items() if number)
        output.note(f"{name}: {told}")


@app.command()
def show(
    ctx: typer.Context, number: Annotated[int, typer.Argument(metavar="ID")], as_json: options.Json = False
) -> None:
    """Show one dead letter: what it refers to, why, and the first 2,000 bytes of it."""
    letter = _store(ctx).get(number)
    if as_json:
        output.print_json(letter.as_dict())
        return
    shown = letter.as_dict()
    raw = str(shown.pop("raw"))
    output.print_fields([("reference", letter.reference), *shown.items()])
    if raw:
        print()
        print(output.printable(raw))


@app.command()
def replay(
    ctx: typer.Context,
    numbers: Annotated[list[int] | None, typer.Argument(metavar="[ID]...", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help="Every open one")] = False,
    due: Annotated[bool, typer.Option("--due", help="Those whose next try has come")] = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Try again with the decoders of today; what succeeds is in the lake and closed."""
    if bool(numbers) + every + due != 1:
        hint = "mdc stream deadletter list shows their ids"
        raise UsageError("name letters, or give --all or --due", hint=hint)
    from mdc_resources.domain.time import now
    from mdc_resources.landing.replaying import replay as replay_letters

    home, store = home_of(ctx), _store(ctx)
    if every:
        letters = store.letters(limit=_MOST)
    else:
        letters = store.due(now()) if due else _open(store, numbers or [])
    outcomes = replay_letters(home, store, letters, dry_run=dry_run)
    if as_json:
        output.print_json({"dry_run": dry_run, "letters": [outcome.as_dict() for outcome in outcomes]})
    elif not outcomes:
        print("no dead letter is due" if due else "no open dead letters")
    else:
        for outcome in outcomes:
            print(output.printable(f"{outcome.letter.id}  {outcome.letter.reference}  {outcome.told}"))
    if any(not outcome.ok for outcome in outcomes):
        raise typer.Exit(ExitCode.FINDINGS)


@app.command()
def drop(
    ctx: typer.Context,
    numbers: Annotated[list[int], typer.Argument(metavar="ID...")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the letter", show_default=False)],
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Give letters up: they are never tried again. Their bytes stay in the segment."""
    if not reason.strip():
        raise UsageError("a reason is needed", hint="--reason 'a test message of the vendor'")
    store = _store(ctx)
    letters = _open(store, numbers)
    if not dry_run:
        store.drop([letter.id for letter in letters], reason=reason.strip())
    if as_json:
        output.print_json({"dry_run": dry_run, "dropped": [letter.id for letter in letters]})
        return
    for letter in letters:
        print(f"{letter.id}  {letter.reference}  {'would be dropped' if dry_run else 'dropped'}")


def _store(ctx: typer.Context) -> DeadLetters:
    from mdc_resources.landing.deadletters import DeadLetters

    return DeadLetters.of(ctx.find_root().obj.opened or home_of(ctx))


def _open(store: DeadLetters, numbers: Sequence[int]) -> list[DeadLetter]:
    """The letters with these ids; raises UsageError for one that is closed, or is not there."""
    from mdc_resources.landing.letters import LetterState

    letters = [store.get(number) for number in dict.fromkeys(numbers)]
    for letter in letters:
        if letter.state is not LetterState.OPEN:
            raise UsageError(f"dead letter {letter.id} is {letter.state} already")
    return letters


def _member(kind: type[E], text: str, option: str) -> E:
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"{option} {text[:40]!a} is none", hint=f"Known: {', '.join(kind)}") from None


def _row(letter: DeadLetter) -> tuple[object, ...]:
    due = letter.next_at
    return (
        letter.id,
        letter.state,
        letter.cause,
        letter.reference,
        letter.symbol,
        letter.attempts,
        f"{due:%Y-%m-%d %H:%M}Z" if due else None,
        letter.reason if len(letter.reason) <= _REASON else letter.reason[: _REASON - 3] + "...",
    )


def _counted(count: CauseCount) -> dict[str, int]:
    return {
        "open": count.open,
        "replayed": count.replayed,
        "dropped": count.dropped,
        "not kept": count.beyond,
    }
