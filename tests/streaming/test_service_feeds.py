"""All feeds at once, in one process, against the sandbox's dialects: confirmed, captured, decoded live."""

from __future__ import annotations

from pathlib import Path

from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.wal import Kind, marks
from mdc_streaming.pacing import Timing
from tests.streaming.capturing import capturing, home_at, marked, records, until

_SYMBOLS = {
    "alpaca": "AAPL",
    "polygon": "AAPL",
    "finnhub": "AAPL",
    "tiingo": "AAPL",
    "binance": "BINANCE:BTC-USDT",
    "coinbase": "COINBASE:BTC-USD",
    "coinbase-advanced": "COINBASE:BTC-USD",
    "kraken": "KRAKEN:BTC-USD",
    "kraken-v1": "KRAKEN:BTC-USD",
}
_KEYS = {
    "FINNHUB_API_KEY": "finnhub-key-of-the-test",
    "POLYGON_API_KEY": "polygon-key-of-the-test",
    "TIINGO_API_TOKEN": "tiingo-key-of-the-test",
    "ALPACA_KEY_ID": "alpaca-key-of-the-test",
    "ALPACA_SECRET_KEY": "alpaca-secret-of-the-test",
}


def _stream(server: SandboxServer) -> str:
    sections = []
    for feed, symbol in _SYMBOLS.items():
        rest = f"{server.url}/{feed.partition('-')[0]}"
        sections.append(
            f'[stream.{feed}]\nws_url = "{server.live_url(feed)}"\nrest_url = "{rest}"\n'
            f'symbols = ["{symbol}"]\nhours = "always"\n'
        )
    return "".join(sections)


def test_all_feeds_are_captured_by_one_process(tmp_path: Path) -> None:
    """Every dataset of every feed is confirmed and arrives; books are valid, also the one begun over HTTP."""
    with SandboxServer(market=Market.synthetic(seed=7), live_rate=20) as server:
        home = home_at(tmp_path, _stream(server), environ=_KEYS)
        with capturing(home, timing=Timing(tick=0.1)) as running:
            running.ready()
            until(lambda: all(shard["frames"] > 20 for shard in running.status()["shards"]), 20)
            feeds = running.status()["monitors"]["feeds"]
            until(lambda: running.status()["monitors"]["books"]["valid"] == 5)
            assert running.status()["monitors"]["books"]["not_valid"] == []
    for feed in _SYMBOLS:
        shard = f"{feed}-0"
        assert not feeds[feed]["rejected"], feed
        wanted = {pair for mark in marked(home, marks.Wanted, shard)[:1] for pair in mark.pairs}
        confirmed = {pair for mark in marked(home, marks.Confirmed, shard) for pair in mark.pairs}
        assert wanted == confirmed, feed
        assert {dataset for dataset, _ in wanted} == feeds[feed]["events"].keys(), feed
    snapshots = [record for record in records(home, "binance-0") if record.kind == Kind.FETCHED]
    assert b"lastUpdateId" in snapshots[0].frames[1]
    written = b"".join(path.read_bytes() for path in home.wal_dir.rglob("*") if path.is_file())
    assert not any(key.encode() in written for key in _KEYS.values())
