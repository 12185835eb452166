"""Failover carried out: the backup carries the symbols, both logs say when, the primary comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdc_resources.domain.errors import ConfigError
from mdc_resources.wal import marks
from mdc_streaming.plan import plans
from tests.streaming.capturing import capturing, coinbase, home_at, marked, until
from tests.streaming.server import Exchange

_RULE = """
backups = ["coinbase-advanced"]
silence = "1s"
failover_silence = "1s"
failover_errors = 3
probe = "1s"
"""


def _stream(primary: str, backup: str) -> str:
    return (
        coinbase(primary, "BTC-USD", "ETH-USD", more=_RULE)
        + f'[stream.coinbase-advanced]\nenabled = false\nws_url = "{backup}"\n'
    )


@pytest.mark.parametrize("how", ["silent", "down"])
def test_a_backup_stands_in_and_the_primary_comes_back(tmp_path: Path, how: str) -> None:
    """Silence or errors switch; the backup's log confirms the symbols; good probes switch back."""
    with Exchange() as primary, Exchange(advanced=True) as backup:
        home = home_at(tmp_path, _stream(primary.url, backup.url))
        with capturing(home) as running:
            running.ready()
            assert [shard["shard"] for shard in running.status()["shards"]] == ["coinbase-0"]
            if how == "silent":
                primary.mute = True
            else:
                primary.status = 503
                primary.drop_all()
            until(lambda: len(running.status()["shards"]) == 2, 15, "switched")
            until(lambda: running.shard("coinbase-advanced-0")["confirmed"] == 2)
            assert running.shard()["failed_over"] is True
            assert running.shard()["wanted"] == 0
            assert running.status()["failover"]["rules"][0]["active"] == "coinbase-advanced"
            tried = len(primary.opened)
            until(lambda: len(primary.opened) > tried, 15, "probed")
            primary.mute, primary.status = False, None
            until(lambda: len(running.status()["shards"]) == 1, 20, "switched back")
            running.ready()
            reasons = [switch["reason"] for switch in running.status()["failover"]["switches"]]
            assert len(reasons) == 2
            assert reasons[1] == "recovered"
    assert [len(mark.pairs) for mark in marked(home, marks.Wanted)] == [2, 0, 2]
    assert len(marked(home, marks.Wanted, "coinbase-advanced-0")[0].pairs) == 2
    assert marked(home, marks.Stopped, "coinbase-advanced-0")
    assert [mark.probe for mark in marked(home, marks.Opened)][-2:] == [True, False]


def test_a_backup_of_another_market_is_refused(tmp_path: Path) -> None:
    """Failover happens only within one market: a mistake in the settings, named at the start."""
    stream = coinbase("ws://127.0.0.1:9", more='backups = ["kraken"]') + "[stream.kraken]\nenabled = false\n"
    home = home_at(tmp_path, stream)
    with pytest.raises(ConfigError, match="kraken measures kraken, coinbase measures coinbase") as caught:
        plans(home)
    assert caught.value.key == "stream.coinbase.backups"


def test_a_backup_without_a_section_is_refused(tmp_path: Path) -> None:
    """Its address and settings have to be known before it is needed."""
    home = home_at(tmp_path, coinbase("ws://127.0.0.1:9", more='backups = ["coinbase-advanced"]'))
    with pytest.raises(ConfigError, match="cannot stand in for coinbase"):
        plans(home)
