"""Every installed feed passes every check of the conformance suite, and the docs say so."""

from __future__ import annotations

from decimal import Decimal
from importlib.metadata import entry_points

import pytest

from mdc_resources.domain.errors import ConfigError
from mdc_resources.providers.decoding.bodies import NumberText
from mdc_resources.providers.live import GROUP, feed, feed_names
from tests.feeds.bench import bench_of
from tests.feeds.conformance import Check, checks
from tests.feeds.matrix import PAGE, PASSED, declared, outcome, published
from tests.feeds.speed import measure
from tests.feeds.tapes import TAPES, plain, render, tape_of

ALL = (
    "alpaca",
    "binance",
    "coinbase",
    "coinbase-advanced",
    "finnhub",
    "kraken",
    "kraken-v1",
    "polygon",
    "tiingo",
)


@pytest.mark.parametrize("check", checks(), ids=lambda check: check.number)
@pytest.mark.parametrize("name", feed_names())
def test_feed_conformance(name: str, check: Check) -> None:
    """The numbered check holds for the feed, or does not apply for the reason that the docs give."""
    found = outcome(check, name)
    assert found == published().get((name, check.number)), "run python -m tests.feeds.matrix"
    if found != PASSED:
        pytest.skip(f"{check.number} does not apply to {name}: {found}")


def test_the_checks_are_numbered_without_a_gap_and_say_what_they_ask() -> None:
    """LC-01 and on, each with a docstring."""
    assert [check.number for check in checks()] == [
        f"LC-{number:02}" for number in range(1, len(checks()) + 1)
    ]
    assert all(check.run.__doc__ for check in checks())


def test_the_page_shows_what_the_feeds_declare() -> None:
    """Markets, sources, keys, silence and limits, as the code has them."""
    assert declared() in PAGE.read_text(encoding="utf-8")


def test_all_feeds_are_installed_and_have_a_tape() -> None:
    """The nine of the project; names are found without importing one of them."""
    assert set(ALL) <= set(feed_names())
    assert {path.stem for path in TAPES.glob("*.json")} == set(ALL)
    assert len(entry_points(group=GROUP)) >= len(ALL)


def test_an_unknown_feed_is_named_with_the_nearest_one() -> None:
    """``krakn`` is a ConfigError that proposes ``kraken``."""
    with pytest.raises(ConfigError, match="Did you mean 'kraken'") as caught:
        feed("krakn")
    assert caught.value.key == "stream.krakn"


def test_sources_are_unique_and_feeds_of_one_market_can_stand_in_for_each_other() -> None:
    """Two feeds never write under one name; their markets say which are the same."""
    specs = [feed(name).spec for name in ALL]
    assert len({spec.source for spec in specs}) == len(specs)
    markets = {spec.name: spec.market for spec in specs}
    assert markets["alpaca"] == markets["tiingo"] == "iex"
    assert markets["polygon"] == markets["finnhub"] == "us-consolidated"
    assert markets["kraken"] == markets["kraken-v1"] == "kraken"
    assert markets["coinbase"] == markets["coinbase-advanced"] == "coinbase"


def test_tapes_keep_their_numbers() -> None:
    """A tape's frame goes out with the characters that stand in the file; expectations are integers."""
    content = {"p": NumberText("105944.20"), "q": [NumberText("1e5"), None, True], "s": "1.50"}
    assert render(content) == b'{"p":105944.20,"q":[1e5,null,true],"s":"1.50"}'
    assert render("no json") == b"no json"
    assert plain({"ts": NumberText("1771602705335689322")}) == {"ts": 1771602705335689322}
    raw = b"".join(step.raw for step in tape_of("kraken").frames)
    assert b'"qty":0.13600000' in raw
    assert Decimal("0.13600000") == Decimal("0.136")


@pytest.mark.parametrize("name", feed_names())
def test_every_feed_can_be_measured(name: str) -> None:
    """The measure decodes the tape without a rejection, and is a number."""
    speed = measure(bench_of(name), frames=200)
    assert speed.frames > 0
    assert speed.events >= speed.frames
