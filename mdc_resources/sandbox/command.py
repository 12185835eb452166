"""``mdc sandbox serve``: the sandbox in the foreground, until Ctrl-C."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="A local server that speaks real vendors' dialects.")

_PORT = 8790


@app.callback()
def main() -> None:
    """A local server that speaks real vendors' dialects over a synthetic market."""


@app.command()
def serve(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = _PORT,
    seed: Annotated[int, typer.Option(help="Another seed, another market.")] = 7,
    replay: Annotated[
        Path | None, typer.Option(help="Serve the recorded exchanges below this folder instead.")
    ] = None,
    closures: Annotated[
        Path | None,
        typer.Option(
            exists=True, help="A closures.toml, or the home that holds one: no trades on those days."
        ),
    ] = None,
    live_rate: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="Trades a second of each symbol on the live feeds (5); given, history since yesterday "
            "shows them too.",
        ),
    ] = None,
) -> None:
    """Serve the synthetic market (or recordings) on loopback until Ctrl-C."""
    from mdc_resources.domain.errors import MdcError
    from mdc_resources.sandbox.live.feeds import FEEDS
    from mdc_resources.sandbox.market import Market
    from mdc_resources.sandbox.server import SandboxServer

    try:
        server = SandboxServer(
            market=Market.synthetic(seed=seed, closures=closures),
            port=port,
            replay=replay,
            live_rate=live_rate,
        )
        server.listen()
    except MdcError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    typer.echo(_banner(server.url, list(server.sandbox.dialects), list(FEEDS), replay))
    try:
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()
    typer.echo("sandbox stopped")


def _variable(name: str) -> str:
    """The setting that points at a vendor; OpenFIGI is asked about symbols only."""
    return (
        "MDC__SEARCH__URLS__OPENFIGI" if name == "openfigi" else f"MDC__PROVIDERS__{name.upper()}__BASE_URL"
    )


def _live_variable(name: str) -> str:
    return f"MDC__STREAM__{name.upper()}__WS_URL"


def _banner(url: str, providers: list[str], feeds: list[str], replay: Path | None) -> str:
    served = f"recordings below {replay}" if replay else "a synthetic market"
    lines = [f"sandbox at {url}, serving {served}. Ctrl-C stops it.", "", "Point providers at it:"]
    lines += [f"  {_variable(name)}={url}/{name}" for name in providers]
    lines += ["", "Live feeds:"]
    lines += [f"  {_live_variable(name)}={url.replace('http', 'ws', 1)}/{name}/ws" for name in feeds]
    fault = '{"provider": "yahoo", "kind": "status", "times": 3, "params": {"status": 503}}'
    lines += [
        "",
        "Make it fail, see what was asked, lift the faults:",
        f"  curl -X POST {url}/_sandbox/faults -d '{fault}'",
        f"  curl {url}/_sandbox/requests",
        f"  curl -X DELETE {url}/_sandbox/faults",
    ]
    return "\n".join(lines)
