"""Options that several commands share, so that a word means the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing")]
DatasetName = Annotated[
    str, typer.Option("--dataset", help="bars_1d, bars_1m, trades, quotes, corporate_actions, instruments")
]
SymbolList = Annotated[
    list[str] | None,
    typer.Option("--symbols", help="Symbols, separated by commas", show_default=False, metavar="A,B"),
]
UniverseName = Annotated[
    str | None, typer.Option("--universe", help="All symbols of a universe", show_default=False)
]
Start = Annotated[
    str | None, typer.Option("--start", help="First session, included", metavar="DATE", show_default=False)
]
End = Annotated[
    str | None, typer.Option("--end", help="Last session, included", metavar="DATE", show_default=False)
]
