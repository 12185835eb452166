"""``mdc config``: what is in force, where it comes from, what is wrong, and never a secret."""

from __future__ import annotations

import pytest

CANARY = "SEKRET_4f1c9ab2"


def findings(ran):
    """(level, key) of each."""
    return [(finding["level"], finding["key"]) for finding in ran.json["findings"]]


def test_show_tells_the_origin_of_each_value(mdc, monkeypatch):
    """Default, file, .env and environment are told apart; the last wins."""
    monkeypatch.setenv("MDC__PROVIDERS__YAHOO__BASE_URL", "http://127.0.0.1:1/x")
    (mdc.root / ".env").open("a").write("MDC__DAGSTER__PORT=4444\n")
    shown = mdc("config", "show", "--origin", "--json").json
    assert shown["providers.yahoo.base_url"] == {"value": "http://127.0.0.1:1/x", "origin": "environment"}
    assert shown["dagster.port"] == {"value": 4444, "origin": str(mdc.root / ".env")}
    assert shown["lake.snapshot_days"]["origin"] == str(mdc.toml)
    assert shown["transport.max_attempts"]["origin"] == "default"


def test_show_prints_plain_values_as_json(mdc):
    """Key to value."""
    assert mdc("config", "show", "--json").json["universes.us.calendar"] == "XNYS"


def test_show_never_prints_a_secret(mdc, monkeypatch):
    """Not from the environment, not from .env, not from inside a URL."""
    monkeypatch.setenv("ALPACA_SECRET_KEY", CANARY)
    (mdc.root / ".env").open("a").write(f"OTHER_TOKEN={CANARY}\n")
    mdc.edit("[universes.us]", "[universes.us]\n# x\n")
    mdc.edit('root = "lake"', f'root = "lake"\ncatalog_url = "postgresql+psycopg2://me:{CANARY}@host/db"')
    for words in (["show"], ["show", "--origin"], ["show", "--json"], ["check"], ["check", "--json"]):
        ran = mdc("config", *words)
        assert CANARY not in ran.out + ran.err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("snapshot_days = 90", "snapshot_dais = 90", "snapshot_days"),
        ("snapshot_days = 90", 'snapshot_days = "x"', "lake.snapshot_days"),
        ("snapshot_days = 90", "snapshot_days = 0", "lake.snapshot_days"),
        ("[lake]", "[lak]", "lake"),
        ("[providers.yahoo]", "[providers.yahoo]\nraank = 1", "rank"),
        ("[lake]", "[lake]\n[lake]", "not valid TOML"),
        ("snapshot_days = 90", "snapshot_days = 90\nsnapshot_days = 91", "not valid TOML"),
        ('settle = "30m"                 #', 'settle = "soon" #', "settle"),
        ('asset_class = "equity"', 'asset_class = "house"', "asset_class"),
        ("shards = 1 ", "shards = 0 ", "shards"),
        ("port = 3333", "port = 99999", "dagster.port"),
    ],
    ids=[
        "typo",
        "type",
        "bound",
        "section",
        "provider-key",
        "section-twice",
        "key-twice",
        "duration",
        "enum",
        "shards",
        "port",
    ],
)
def test_a_wrong_setting_stops_every_command_and_names_the_key(mdc, old, new, said):
    """Exit 2 for all of them; nothing is fetched."""
    mdc.edit(old, new)
    before = mdc.requests()
    for words in (
        ["config", "check"],
        ["backfill", "AAPL", "--start", "2024-01-02", "--end", "2024-01-03", "--direct"],
        ["doctor"],
    ):
        ran = mdc(*words)
        assert ran.code == 2, words
        assert said in ran.err
    assert mdc.requests() == before


def test_an_empty_config_lacks_only_providers(mdc):
    """All else has defaults."""
    mdc.toml.write_text("")
    ran = mdc("config", "check", "--json")
    assert ran.code == 1
    assert ("error", "providers") in findings(ran)


def test_an_unknown_provider_names_the_nearest(mdc):
    """yahooo is answered with yahoo."""
    mdc.append("\n[providers.yahooo]\nrank = 77\n")
    ran = mdc("config", "check")
    assert ran.code == 1
    assert "providers.yahooo" in ran.out
    assert "'yahoo'" in ran.out


def test_two_providers_of_one_rank_are_a_warning(mdc):
    """Who is asked first is no chance (see ingest/rotation.py), but seldom meant."""
    mdc.edit("rank = 20", "rank = 10")
    ran = mdc("config", "check", "--json")
    assert ran.code == 0
    assert ("warning", "providers.stooq.rank") in findings(ran)


def test_providers_of_different_venues_may_share_a_rank(mdc):
    """They are never asked for the same symbol: binance has rank 10 as yahoo has."""
    mdc.append("\n[providers.binance]\n[providers.kraken]\n")
    assert not [key for _, key in findings(mdc("config", "check", "--json")) if key.endswith(".rank")]


def test_no_enabled_provider_is_an_error(mdc):
    """Nothing could be fetched."""
    mdc.toml.write_text(mdc.toml.read_text().replace("enabled = true", "enabled = false"))
    assert ("error", "providers") in findings(mdc("config", "check", "--json"))


@pytest.mark.parametrize("key", ["api_key", "secret", "token", "password", "key"])
def test_a_literal_secret_is_refused_without_repeating_it(mdc, key):
    """It belongs into .env; the message says so and does not print it."""
    mdc.edit("[providers.yahoo]", f'[providers.yahoo]\n{key} = "{CANARY}"')
    ran = mdc("config", "check")
    assert ran.code == 1
    assert f"providers.yahoo.{key}: holds a secret" in ran.out
    assert CANARY not in ran.out + ran.err
    fetched = mdc("backfill", "AAPL", "--start", "2024-01-02", "--end", "2024-01-03", "--direct")
    assert fetched.code == 2
    assert CANARY not in fetched.out + fetched.err


def test_a_key_in_the_place_of_its_variable_is_refused(mdc):
    """key_env names a variable; a pasted key is no name of one, and is not printed."""
    mdc.edit("[providers.alpaca]", f'[providers.alpaca]\nkey_env = "{CANARY.lower()}+/="')
    assert mdc("config", "check").code == 1
    for words in (["config", "check"], ["providers", "list"], ["providers", "list", "--json"], ["doctor"]):
        ran = mdc(*words)
        assert CANARY.lower() not in ran.out + ran.err


@pytest.mark.parametrize("root", ["/", "dagster_home/lake", "."])
def test_a_lake_in_the_wrong_place_is_refused(mdc, root):
    """Not the root of the machine, not inside DAGSTER_HOME, not the home itself."""
    mdc.edit('root = "lake"', f'root = "{root}"')
    checked = mdc("config", "check", "--json")
    assert ("error", "lake.root") in findings(checked)
    ran = mdc("backfill", "AAPL", "--start", "2024-01-02", "--end", "2024-01-03", "--direct")
    assert ran.code == 2
    assert "lake.root" in ran.err


def test_missing_credentials_are_a_warning_that_names_the_variables(mdc):
    """The provider is left out, the rest works: exit 0."""
    dotenv = mdc.root / ".env"
    dotenv.write_text("".join(line for line in dotenv.open() if not line.startswith("ALPACA")))
    ran = mdc("config", "check", "--json")
    assert ran.code == 0
    assert findings(ran) == [("warning", "providers.alpaca")]
    assert "ALPACA_KEY_ID" in ran.json["findings"][0]["message"]


def test_an_unknown_calendar_is_an_error(mdc):
    """Before anything asks for its sessions."""
    mdc.edit('calendar = "XNYS"', 'calendar = "XXXX"')
    assert ("error", "universes.us.calendar") in findings(mdc("config", "check", "--json"))


@pytest.mark.parametrize("name", ["US", "u-s", "9us"])
def test_a_universe_name_must_fit_an_asset_key(mdc, name):
    """Lower case letters, digits and underscores."""
    mdc.append(f'\n[universes."{name}"]\ncalendar = "XLON"\n')
    assert ("error", f"universes.{name}") in findings(mdc("config", "check", "--json"))


def test_an_unknown_dataset_section_is_an_error(mdc):
    """A typo there would silently keep the defaults."""
    mdc.append('\n[datasets.bars_1h]\nsettle = "1h"\n')
    assert ("error", "datasets.bars_1h") in findings(mdc("config", "check", "--json"))


def test_an_unset_secret_file_names_the_variable(mdc, monkeypatch):
    """*_FILE that cannot be read says which, not what."""
    (mdc.root / ".env").write_text("ALPACA_KEY_ID_FILE=/nowhere/key\nALPACA_SECRET_KEY=x\n")
    ran = mdc("config", "check")
    assert ran.code != 0
    assert "ALPACA_KEY_ID_FILE" in ran.out + ran.err


@pytest.mark.parametrize(
    ("added", "key"),
    [
        ('\n[sla.daily]\ndataset = "bars_1h"\n', "sla.daily.dataset"),
        ('\n[sla.daily]\ndataset = "bars_1d"\nuniverse = "uk"\n', "sla.daily.universe"),
        ('\n[recovery]\ndatasets = ["bars1d"]\n', "recovery.datasets"),
    ],
    ids=["promise about no dataset", "promise about no universe", "recovery of no dataset"],
)
def test_what_the_archive_does_by_itself_is_checked_too(mdc, added, key):
    """A typo would be found at the first tick, at night."""
    mdc.append(added)
    ran = mdc("config", "check", "--json")
    assert ("error", key) in findings(ran)
    assert ran.code != 0


def test_a_listing_that_cannot_be_used_is_an_error(mdc):
    """It would silently change what is expected."""
    (mdc.root / "listings.toml").write_text("[FB]\nlaast = 2022-06-08\n", encoding="utf-8")
    levels = findings(mdc("config", "check", "--json"))
    assert [level for level, key in levels if "listings" in key or "FB" in key] == ["error"]
