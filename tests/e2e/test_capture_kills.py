"""kill -9 of the capturing process at any moment under load: nothing acknowledged is lost, no hole hides.

The vendor streams a tape whose trades count up without a gap, and tells the same tape as history. So
after landing and refilling, the lake must hold every trade from the first to the last, each once; and
what the refill brought lay inside a hole that landing had found by itself.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import time
from contextlib import closing

import httpx
import pytest

from mdc_resources import config
from mdc_resources.cli.home_files import make_home
from mdc_resources.landing.land import land
from mdc_resources.landing.refill import refill
from mdc_resources.query.session import connect
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.wal import Kind, verify_segment
from tests.streaming.capturing import Process, records, until

SEED = int(os.environ.get("MDC_DRILL_SEED", "20261121"))
KILLS = int(os.environ.get("MDC_CAPTURE_KILLS", "200"))
SHARDS = ("coinbase-0", "kraken-0")
CONFIG = """
[universes.crypto]
calendar = "24/7"
asset_class = "crypto"
start = 2020-01-01

[providers.coinbase]
base_url = "{http}/coinbase"
limits = {{ minute = 60000 }}

[providers.kraken]
base_url = "{http}/kraken"
limits = {{ minute = 60000 }}

[stream.coinbase]
symbols = ["COINBASE:BTC-USD", "COINBASE:ETH-USD"]
ws_url = "{ws}/coinbase/ws"

[stream.kraken]
symbols = ["KRAKEN:BTC-USD"]
ws_url = "{ws}/kraken/ws"

[sidecar]
port = 0
segment_mb = 0.2
segment_seconds = 3
reserve_mb = 0
backoff_seconds = 0.05
longest_backoff_seconds = 0.5
"""
pytestmark = [pytest.mark.slow]


@pytest.fixture
def vendor():
    """A market of a hundred trades a second and symbol."""
    with SandboxServer(market=Market.synthetic(seed=7), live_rate=100) as server:
        yield server


@pytest.fixture
def home(tmp_path, vendor):
    """A home that captures three symbols of it."""
    made = make_home(tmp_path / "home", sandbox=True, port=1, environ={})
    path = made.root / "mdc.toml"
    text = path.read_text().partition("[dagster]")[0]
    path.write_text(text + CONFIG.format(http=vendor.url, ws=vendor.url.replace("http", "ws")))
    return config.load(path, environ={})


def acknowledged(service):
    """``durable_through`` of each shard, as the service itself told; empty before it answers."""
    try:
        told = httpx.get(f"{service.url()}/status", timeout=5).json()
    except (AssertionError, httpx.HTTPError):
        return {}
    return {shard["shard"]: shard["durable_through"] for shard in told["shards"]}


def kill_at_random(home, chance, kills):
    """Kill the service ``kills`` times; after each, everything acknowledged before must be in the log."""
    lost = []
    for number in range(kills):
        with Process(home) as service:
            if number % 4:  # every fourth dies while it starts
                acknowledged(service)
                time.sleep(chance.uniform(0.05, 0.8))  # the moment is the point
                told = acknowledged(service)
            else:
                time.sleep(chance.uniform(0.2, 1.0))
                told = {}
            service.process.kill()
            service.process.wait()
        for shard, through in told.items():
            kept = records(home, shard)
            if through and max((record.recv_ns for record in kept), default=0) < through:
                lost.append((number, shard))
    return lost


def check_log(home):
    """Frames are numbered without a gap over all segments of each shard."""
    for shard in SHARDS:
        following = None
        for record in records(home, shard):
            if following is not None:
                assert record.number == following, (shard, record.offset)
            following = record.number + len(record.frames)
        for path in (home.segments_dir / shard).glob("*.wal.zst"):
            assert verify_segment(path).sealed


def trades_of(home):
    """(count, distinct ids, first, last) of each symbol's trades."""
    with closing(connect(home)) as session:
        return session.execute(
            "SELECT symbol, count(*), count(DISTINCT trade_id), min(trade_id::BIGINT), max(trade_id::BIGINT)"
            " FROM trades GROUP BY symbol ORDER BY symbol"
        ).fetchall()


def drill(home, vendor, kills):
    """Kills, one orderly run, landing, refill; then the tape must be there."""
    lost = kill_at_random(home, random.Random(SEED), kills)
    assert lost == []
    with Process(home) as service:
        until(lambda: len([t for t in acknowledged(service).values() if t]) == len(SHARDS), 30)
        time.sleep(1.5)
        assert service.end() == 0, service.log
    check_log(home)
    landed = land(home, run_id="drill")
    assert landed.failed == ()
    assert landed.rejected == 0
    before = trades_of(home)
    assert all(count == distinct for _, count, distinct, _, _ in before), before
    again = land(home, run_id="again")
    assert (again.segments, trades_of(home)) == (0, before)
    refilled = refill(home, run_id="refill", settle=dt.timedelta(0), patient=False)
    after = trades_of(home)
    holes = len(landed.holes)
    print(
        f"seed {SEED}: {kills} kills, {holes} holes, {len(refilled.repairs)} of trades repaired with "
        f"{refilled.rows} rows in {refilled.seconds:.1f} s; {sum(row[1] for row in before)} trades captured, "
        f"{sum(row[1] for row in after)} whole"
    )
    for symbol, count, distinct, first, last in after:
        assert count == distinct == last - first + 1, (symbol, count, distinct, last - first + 1)
    with closing(connect(home)) as session:
        (ordinals,) = session.execute(
            "SELECT count(*) - count(DISTINCT (symbol, session, ordinal)) FROM depth"
        ).fetchone()
        still = session.execute("SELECT * FROM holes WHERE dataset = 'trades' AND state = 'open'").fetchall()
    assert ordinals == 0
    assert still == []
    assert any(record.kind is Kind.MARK for record in records(home, SHARDS[0]))


@pytest.mark.timeout(300)
def test_kills_at_random_moments_lose_nothing_acknowledged(home, vendor):
    """Eight kills: acknowledged and lost 0, duplicates 0, unmarked holes 0."""
    drill(home, vendor, 8)


@pytest.mark.chaos
@pytest.mark.timeout(3 * 3600)
def test_two_hundred_kills_lose_nothing_acknowledged(home, vendor):
    """MDC_CAPTURE_KILLS of them."""
    drill(home, vendor, KILLS)
