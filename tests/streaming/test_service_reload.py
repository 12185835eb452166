"""SIGHUP: symbols come and go on the open connection, mistakes change nothing, nobody is interrupted."""

from __future__ import annotations

from pathlib import Path

from mdc_resources.config import Home
from mdc_resources.wal import marks
from tests.streaming.capturing import QUICK, capturing, coinbase, home_at, marked, until
from tests.streaming.server import Exchange


def _rewrite(home: Home, stream: str) -> None:
    home.config_file.write_text(QUICK + stream, encoding="utf-8")


def test_an_added_symbol_is_subscribed_on_the_open_connection(tmp_path: Path) -> None:
    """One connection before and after; the new symbol is wanted and confirmed, the old one never left."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url, "BTC-USD"))
        with capturing(home) as running:
            running.ready()
            _rewrite(home, coinbase(server.url, "BTC-USD", "ETH-USD"))
            running.call(running.service.reload)
            until(lambda: running.shard()["confirmed"] == 2)
            assert running.status()["reload"]["reloads"] == 1
        assert len(server.opened) == 1
    assert [len(mark.pairs) for mark in marked(home, marks.Wanted)] == [1, 2]
    assert marked(home, marks.Confirmed)[1].pairs == (("trades", "COINBASE:ETH-USD"),)
    assert not marked(home, marks.Ended)


def test_a_removed_symbol_is_unsubscribed_on_the_open_connection(tmp_path: Path) -> None:
    """It is told to the server, marked as ended on purpose, and the others go on."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url, "BTC-USD", "ETH-USD"))
        with capturing(home) as running:
            running.ready()
            _rewrite(home, coinbase(server.url, "BTC-USD"))
            running.call(running.service.reload)
            until(lambda: server.subscribed[1] == {"BTC-USD"})
            until(lambda: running.shard()["confirmed"] == 1)
        assert len(server.opened) == 1
    assert marked(home, marks.Ended)[0].pairs == (("trades", "COINBASE:ETH-USD"),)


def test_settings_that_cannot_be_used_change_nothing(tmp_path: Path) -> None:
    """Refused as a whole, named on /status; what was captured goes on, and the next good ones count."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home) as running:
            running.ready()
            for wrong, named in (
                ("[stream.coinbas]\nsymbols = []\n", "no feed"),
                ("[stream.coinbase]\nsymbol = 1\n", "unknown key"),
                (coinbase(server.url, "BTC-USD").replace("COINBASE:", "KRAKEN:"), "not a symbol of"),
                (coinbase(server.url, datasets='["trades"]', more='backups = ["kraken"]'), "stand in"),
            ):
                before = running.status()["reload"]["refused"]
                _rewrite(home, wrong)
                running.call(running.service.reload)
                until(lambda: running.status()["reload"]["refused"] == before + 1)  # noqa: B023
                assert named in running.status()["reload"]["error"]
            assert running.shard()["confirmed"] == 1
            _rewrite(home, coinbase(server.url, "BTC-USD", "ETH-USD"))
            running.call(running.service.reload)
            until(lambda: running.shard()["confirmed"] == 2)
            assert running.status()["reload"]["error"] is None
        assert len(server.opened) == 1


def test_a_new_address_is_moved_to_without_a_hole(tmp_path: Path) -> None:
    """The successor is confirmed at the new address before the old connection is closed."""
    with Exchange() as server, Exchange() as other:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home) as running:
            running.ready()
            _rewrite(home, coinbase(other.url))
            running.call(running.service.reload)
            until(lambda: running.shard()["ends"].get("reload"))
            until(lambda: (server.open, other.open) == (0, 1))
            assert "disconnect" not in running.shard()["holes"]


def test_a_shard_comes_and_goes_with_its_section(tmp_path: Path) -> None:
    """A second shard is opened by a reload and sealed by the next; the first is not touched."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url, "BTC-USD", "ETH-USD"))
        with capturing(home) as running:
            running.ready()
            _rewrite(
                home, coinbase(server.url, "BTC-USD", "ETH-USD", "LTC-USD", "ADA-USD", more="shards = 2")
            )
            running.call(running.service.reload)
            until(lambda: len(running.status()["shards"]) == 2)
            running.ready()
            _rewrite(home, coinbase(server.url, "BTC-USD", "ETH-USD"))
            running.call(running.service.reload)
            until(lambda: [shard["shard"] for shard in running.status()["shards"]] == ["coinbase-0"])
            running.ready()
    assert marked(home, marks.Stopped, "coinbase-1")
    assert len(marked(home, marks.Started, "coinbase-0")) == 1
