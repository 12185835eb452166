"""Settings: precedence, clear refusals, secrets that stay out."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdc_resources import config
from mdc_resources.domain.errors import ConfigError


def home(tmp_path: Path, text: str = "", dotenv: str = "", **environ: str) -> config.Home:
    """Load a home with this config, .env and environment."""
    (tmp_path / "mdc.toml").write_text(text, encoding="utf-8")
    if dotenv:
        (tmp_path / ".env").write_text(dotenv, encoding="utf-8")
    return config.load(tmp_path / "mdc.toml", environ=environ)


def test_an_empty_file_is_a_home_with_defaults(tmp_path: Path) -> None:
    """Everything has a default; nothing is enabled by itself."""
    settings = home(tmp_path).settings
    assert settings.universes["us"].calendar == "XNYS"
    assert settings.dataset("bars_1m").max_partitions_per_run == 260
    assert settings.dagster.host == "127.0.0.1"
    assert settings.providers == {}


def test_precedence_file_dotenv_environment(tmp_path: Path) -> None:
    """Each layer overrides the one before, key by key, and its origin is known."""
    loaded = home(
        tmp_path,
        "[providers.yahoo]\nrank = 1\nbase_url = 'http://file'\n",
        "MDC__PROVIDERS__YAHOO__RANK=2\nMDC__PROVIDERS__YAHOO__FEED=dotenv\n",
        MDC__PROVIDERS__YAHOO__RANK="3",
    )
    yahoo = loaded.settings.providers["yahoo"]
    assert (yahoo.rank, yahoo.feed, yahoo.base_url) == (3, "dotenv", "http://file")
    assert loaded.origins["providers.yahoo.rank"] == "environment"
    assert loaded.origins["providers.yahoo.feed"].endswith(".env")
    assert loaded.origins["providers.yahoo.base_url"].endswith("mdc.toml")


def test_one_dataset_key_keeps_the_others_defaults(tmp_path: Path) -> None:
    """Setting the settle delay of bars_1m leaves its run size alone."""
    settings = home(tmp_path, "[datasets.bars_1m]\nsettle = '2h'\n").settings
    assert settings.dataset("bars_1m").settle_delay.total_seconds() == 7200
    assert settings.dataset("bars_1m").max_partitions_per_run == 260
    assert settings.dataset("bars_1d").settle_delay.total_seconds() == 1800


@pytest.mark.parametrize(
    ("text", "environ", "key", "message"),
    [
        ("[lke]\nroot = 'x'", {}, "lke", "Did you mean 'lake'"),
        ("[lake]\nroots = 'x'", {}, "lake.roots", "Did you mean 'root'"),
        ("[providers.yahoo]\nrnk = 1", {}, "providers.yahoo.rnk", "Did you mean 'rank'"),
        ("[providers.yahoo.limits]\nminut = 1", {}, "providers.yahoo.limits.minut", "Did you mean 'minute'"),
        ("", {"MDC__LAK__ROOT": "x"}, "lak.root", "environment"),
        ("", {"MDC__LAKE__ROTO": "x"}, "lake.roto", "Did you mean 'root'"),
    ],
)
def test_unknown_keys_name_the_nearest(
    tmp_path: Path, text: str, environ: dict[str, str], key: str, message: str
) -> None:
    """A typo never silently means the default."""
    with pytest.raises(ConfigError, match=message) as caught:
        home(tmp_path, text, **environ)
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[providers.yahoo]\nrank = 'first'", "providers.yahoo.rank"),
        ("[providers.yahoo]\nbase_url = 'gopher://x'", "providers.yahoo.base_url"),
        ("[datasets.bars_1d]\nsettle = 'soon'", "datasets.bars_1d.settle"),
        ("[universes.us]\nshards = 0", "universes.us.shards"),
        ("[dagster]\nport = 99999", "dagster.port"),
        ("[transport]\nconnections = 64", "transport.connections"),
        ("lake = 3", "lake"),
    ],
)
def test_wrong_values_name_their_key(tmp_path: Path, text: str, key: str) -> None:
    """File, key path and what was received."""
    with pytest.raises(ConfigError, match="is not valid") as caught:
        home(tmp_path, text)
    assert caught.value.key == key


@pytest.mark.parametrize(
    "text", ["[lake", "\tx", "[lake]\nroot='a'\nroot='b'", "\xff"], ids=["open", "tab", "twice", "latin"]
)
def test_broken_toml_names_the_file(tmp_path: Path, text: str) -> None:
    """Syntax errors and duplicate keys."""
    (tmp_path / "mdc.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"mdc\.toml"):
        config.load(tmp_path / "mdc.toml", environ={})


def test_config_is_found_upward_or_named(tmp_path: Path) -> None:
    """--config, then MDC_CONFIG, then the folders above."""
    (tmp_path / "mdc.toml").write_text("")
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert config.find(cwd=deep, environ={}) == tmp_path / "mdc.toml"
    assert config.find(cwd=Path("/"), environ={"MDC_CONFIG": str(tmp_path)}) == tmp_path / "mdc.toml"
    assert config.find(tmp_path / "mdc.toml", cwd=Path("/"), environ={}) == tmp_path / "mdc.toml"
    with pytest.raises(ConfigError, match="mdc init"):
        config.find(cwd=Path("/"), environ={})
    with pytest.raises(ConfigError, match="does not exist"):
        config.find(tmp_path / "nothing.toml", environ={})


def test_secrets_come_from_environment_dotenv_or_file(tmp_path: Path) -> None:
    """And are never shown."""
    (tmp_path / "secret").write_text("SEKRET_3\n")
    loaded = home(tmp_path, "", "B=SEKRET_2\n", A="SEKRET_1", C_FILE=str(tmp_path / "secret"))
    found = [loaded.secrets.get(name) for name in ("A", "B", "C", "D")]
    assert [f and f.get_secret_value() for f in found] == ["SEKRET_1", "SEKRET_2", "SEKRET_3", None]
    assert "SEKRET" not in repr(loaded) + repr(loaded.secrets.get("A"))


def test_unreadable_secret_file_is_named(tmp_path: Path) -> None:
    """The variable, not the content."""
    with pytest.raises(ConfigError, match="C_FILE"):
        home(tmp_path, C_FILE=str(tmp_path / "gone")).secrets.get("C")
