"""``mdc init``: a complete private home, never at the cost of something that is there."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mdc_resources import config
from mdc_resources.cli.main import app
from mdc_resources.lake import Lake
from tests.cli.running import run_process


def init(*words, **environ):
    """Run ``mdc init`` in this process."""
    return CliRunner().invoke(app, ["init", *map(str, words)], env=environ)


def mode_of(path):
    """Permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_home_has_everything_and_passes_its_own_checks(pristine):
    """Config, secrets file, lake with marker, Dagster instance; `config check` is content."""
    for name in (
        "mdc.toml",
        ".env",
        "lake/MARKER",
        "lake/catalog.sqlite",
        "dagster_home/dagster.yaml",
        "raw",
        "state",
    ):
        assert (pristine / name).exists(), name
    checked = CliRunner().invoke(app, ["--config", str(pristine), "config", "check"])
    assert checked.exit_code == 0, checked.output


def test_folders_are_private_and_the_secrets_file_is_0600(pristine):
    """Nobody else reads a home."""
    assert mode_of(pristine / ".env") == 0o600
    for name in ("", "lake", "raw", "state", "dagster_home"):
        assert mode_of(pristine / name) == 0o700, name


def test_the_written_config_is_commented_toml_without_secrets(pristine):
    """It explains itself, loads as it is, and holds no literal secret."""
    text = (pristine / "mdc.toml").read_text()
    assert text.count("#") > 10
    assert tomllib.loads(text)["lake"]["sandbox"] is True
    assert "SECRET" not in "".join(line.split("#")[0] for line in text.splitlines())


def test_env_names_an_absolute_dagster_home(pristine):
    """Dagster refuses a relative one."""
    from dotenv import dotenv_values

    named = dotenv_values(pristine / ".env")["DAGSTER_HOME"]
    assert Path(named).is_absolute()
    assert named == str(pristine / "dagster_home")


def test_a_sandbox_home_points_every_vendor_at_the_local_server(pristine):
    """No request can leave the machine, and the lake takes synthetic rows only."""
    home = config.load(pristine / "mdc.toml")
    urls = [settings.base_url for settings in home.settings.providers.values()]
    assert urls
    assert all(url.startswith("http://127.0.0.1:") for url in urls)
    lake = Lake.open(home.lake_dir)
    try:
        assert lake.sandbox
    finally:
        lake.close()


def test_a_real_home_has_no_base_url_and_a_real_lake(tmp_path):
    """The same template without the sandbox; a vendor that needs a key is off."""
    assert init(tmp_path / "real").exit_code == 0
    home = config.load(tmp_path / "real" / "mdc.toml")
    assert all(settings.base_url is None for settings in home.settings.providers.values())
    assert not home.settings.providers["alpaca"].enabled
    assert not home.settings.lake.sandbox


def test_running_it_again_changes_nothing(pristine, tmp_path):
    """Not one byte: what a person edited stays."""
    first = tmp_path / "home"
    init(first, "--sandbox")
    (first / "mdc.toml").write_text((first / "mdc.toml").read_text() + "\n# mine\n")
    before = {
        path: path.read_bytes() for path in first.rglob("*") if path.is_file() and "catalog" not in path.name
    }
    again = init(first, "--sandbox", "--json")
    assert again.exit_code == 0
    assert all(step["existed"] for step in json.loads(again.stdout)["steps"])
    after = {
        path: path.read_bytes() for path in first.rglob("*") if path.is_file() and "catalog" not in path.name
    }
    assert {p: c for p, c in after.items() if p in before} == before


def test_a_missing_piece_is_added_and_the_rest_kept(tmp_path):
    """An interrupted init is finished by the next one."""
    root = tmp_path / "home"
    init(root, "--sandbox")
    (root / ".env").unlink()
    config_before = (root / "mdc.toml").read_bytes()
    assert init(root, "--sandbox").exit_code == 0
    assert (root / ".env").exists()
    assert (root / "mdc.toml").read_bytes() == config_before


def test_dry_run_makes_nothing(tmp_path):
    """It says what it would make."""
    ran = init(tmp_path / "home", "--dry-run")
    assert ran.exit_code == 0
    assert "would make" in ran.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_root_directory_is_refused():
    """Never a home in /."""
    ran = init("/")
    assert ran.exit_code == 2
    assert "cannot be a home" in ran.stderr


def test_a_folder_with_something_else_in_it_is_refused(tmp_path):
    """The message names what it found; nothing is written."""
    (tmp_path / "thesis.tex").write_text("x")
    ran = init(tmp_path)
    assert ran.exit_code == 2
    assert "thesis.tex" in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_refused(tmp_path):
    """A home is a folder."""
    (tmp_path / "home").write_text("x")
    assert init(tmp_path / "home").exit_code == 2


def test_a_home_inside_dagster_home_is_refused(tmp_path, monkeypatch):
    """Dagster cleans up below its home."""
    (tmp_path / "dg").mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dg"))
    ran = init(tmp_path / "dg" / "home")
    assert ran.exit_code == 2
    assert "DAGSTER_HOME" in ran.stderr
    assert list((tmp_path / "dg").iterdir()) == []


def test_a_home_inside_any_dagster_instance_is_refused(tmp_path):
    """Also where the variable is not set, the file gives it away."""
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}")
    ran = init(tmp_path / "home")
    assert ran.exit_code == 2
    assert "Dagster instance" in ran.stderr


def test_a_real_home_does_not_turn_into_a_sandbox(tmp_path):
    """Synthetic rows must not get near real data."""
    init(tmp_path / "home")
    ran = init(tmp_path / "home", "--sandbox")
    assert ran.exit_code == 2
    assert "real data" in ran.stderr


def test_what_the_command_creates_is_private_under_any_umask(tmp_path):
    """Databases and logs too, not only what init makes."""
    previous = os.umask(0o000)
    try:
        ran = run_process("init", str(tmp_path / "home"), "--sandbox")
    finally:
        os.umask(previous)
    assert ran.code == 0, ran.err
    secret = [path for path in (tmp_path / "home").rglob("*") if path.suffix in (".sqlite", ".env")]
    assert secret
    assert all(mode_of(path) & 0o077 == 0 for path in secret)


@pytest.mark.parametrize("inside", ["", "sub/folder"])
def test_the_config_is_found_upward_from_the_working_directory(tmp_path, monkeypatch, inside):
    """From the home and from below it."""
    root = tmp_path / "home"
    init(root, "--sandbox")
    (root / inside).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(root / inside)
    assert CliRunner().invoke(app, ["universe", "list"]).exit_code == 0


def test_without_a_home_every_command_says_how_to_make_one(tmp_path):
    """Exit 2 and `mdc init`."""
    ran = CliRunner().invoke(app, ["universe", "list"])
    assert ran.exit_code == 2
    assert "mdc init" in ran.stderr


def test_mdc_config_names_a_home(pristine, monkeypatch):
    """The environment variable does what the option does."""
    monkeypatch.setenv("MDC_CONFIG", str(pristine))
    assert CliRunner().invoke(app, ["universe", "list"]).exit_code == 0
