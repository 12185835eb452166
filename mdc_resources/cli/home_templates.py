"""Texts that ``mdc init`` writes into a new home. They must load and pass ``mdc config check``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

_HEAD = """\
# Settings of this mdc home. Precedence, rising: defaults, this file, .env beside it, the
# environment (MDC__PROVIDERS__YAHOO__BASE_URL=...), the command line. An unknown key is an error.
# No secrets here: a provider's key_env names the variable that holds its key (see .env).
# `mdc config check` validates, `mdc config show --origin` says where each value comes from.

[lake]
root = "lake"                  # beside this file, or an absolute path
# catalog_url = "postgresql+psycopg2://user@host/mdc"   # several writing machines; default SQLite
snapshot_days = 90             # how far back --as-of reaches
sandbox = {sandbox}
"""

_PROVIDERS = """
[providers.yahoo]              # lower rank is asked first; only providers named here are asked
enabled = true
rank = 10
{yahoo}
[providers.stooq]
enabled = true
rank = 20
{stooq}
[providers.alpaca]             # needs ALPACA_KEY_ID and ALPACA_SECRET_KEY, see .env
enabled = {keyed}
rank = {alpaca_rank}
{alpaca}"""

_REST = """
# [providers.files]            # a drop folder of CSV or Parquet files
# enabled = true
# rank = 1
# drop_folder = "drop"

[universes.us]                 # a symbol belongs to one universe; 40 symbols per shard
calendar = "XNYS"
asset_class = "equity"
start = 2010-01-01
shards = 1                     # grown by `mdc universe grow us --shards 2`

# [universes.crypto]           # KRAKEN:BTC-USD, COINBASE:BTC-USD, BINANCE:BTC-USDT join it
# calendar = "24/7"
# asset_class = "crypto"
# start = 2020-01-01
{coins}
[datasets.bars_1d]
settle = "30m"                 # after the close, before a session counts as final
max_partitions_per_run = 2600

[datasets.bars_1m]
settle = "30m"
max_partitions_per_run = 260

[dagster]
host = "127.0.0.1"             # the web UI has no login: keep it on loopback
port = 3333
"""

_SLA = """
{off}[sla.us_daily]               # shown by `mdc coverage --sla` and as the check `fresh` in the web UI
{off}dataset = "bars_1d"
{off}universe = "us"
{off}within = "2h"                # complete so long after the close
{off}sessions = 5                 # of how many of the newest sessions that is judged
"""

_SCHEDULE = """
# [schedule]                   # what runs by itself when this home is first served; the web UI has
# end_of_day = true            # the last word. Also: gaps, recheck, verify, reconcile, freshness,
# recheck_sessions = 20        # coverage_map
"""

_SANDBOX = """
[sandbox]                      # `mdc sandbox serve` listens here
port = {port}
seed = 7

[search.urls]                  # symbol search; the providers' own base_url counts for theirs
openfigi = "http://127.0.0.1:{port}/openfigi"
"""

_LIVE = """
[providers.kraken]
base_url = "{url}/kraken"
limits = {{ minute = 6000 }}

[providers.coinbase]
base_url = "{url}/coinbase"
limits = {{ minute = 6000 }}

[universes.crypto]
calendar = "24/7"
asset_class = "crypto"
start = 2020-01-01

[stream.kraken]                # captured by `mdc stream run`, which `mdc up` keeps running
symbols = ["KRAKEN:BTC-USD"]
datasets = ["trades", "depth"]
levels = 10
ws_url = "{live}/kraken/ws"

[stream.coinbase]
symbols = ["COINBASE:BTC-USD"]
datasets = ["trades"]
ws_url = "{live}/coinbase/ws"

[stream.alpaca]
symbols = ["AAPL"]
datasets = ["trades", "quotes"]
feed = "sip"
hours = "always"               # the synthetic market trades around the clock
ws_url = "{live}/alpaca/ws"
"""

_EXCHANGES = ("kraken", "coinbase", "binance")  # each serves the symbols that name it, and needs no key
_REMOTE_LIMITS = "# limits = { minute = 60, hour = 1000 }\n"


def config_text(*, sandbox: bool, port: int) -> str:
    """``mdc.toml`` of a new home; in a sandbox home every vendor is the local server."""

    def lines(name: str) -> str:
        if not sandbox:
            return _REMOTE_LIMITS
        return f'base_url = "http://127.0.0.1:{port}/{name}"\nlimits = {{ minute = 6000 }}\n'

    providers = _PROVIDERS.format(
        yahoo=lines("yahoo"),
        stooq=lines("stooq"),
        alpaca=lines("alpaca"),
        keyed=str(sandbox).lower(),
        alpaca_rank=30 if sandbox else 5,
    )
    tail = _SANDBOX.format(port=port) if sandbox else ""
    sla = _SLA.format(off="" if sandbox else "# ")
    rest = _REST.format(coins=_coins(port if sandbox else None))
    return _HEAD.format(sandbox=str(sandbox).lower()) + providers + rest + sla + _SCHEDULE + tail


def _coins(port: int | None) -> str:
    """Commented sections of the exchanges, at the local server where ``port`` is given."""
    lines = []
    for name in _EXCHANGES:
        lines.append(f"# [providers.{name}]")
        if port is not None:
            lines.append(f'# base_url = "http://127.0.0.1:{port}/{name}"\n# limits = {{ minute = 6000 }}')
    return "\n".join(lines) + "\n"


def live_text(port: int) -> str:
    """Coins and live feeds for the end of a sandbox home's ``mdc.toml``, all at the local server."""
    url, live = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
    return _LIVE.format(url=url, live=live)


def dotenv_text(dagster_home: Path, credentials: Iterable[str], *, sandbox: bool) -> str:
    """``.env``: DAGSTER_HOME and a line per credential, filled with a dummy in a sandbox home."""
    lines = [
        "# Read by mdc only; keep it at mode 600 and out of version control.",
        f"DAGSTER_HOME={dagster_home}",
    ]
    lines += [f"{name}=sandbox" if sandbox else f"# {name}=" for name in credentials]
    return "\n".join(lines) + "\n"
