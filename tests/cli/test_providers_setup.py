"""``mdc providers setup``: tried first, written whole with mode 600, never shown."""

from __future__ import annotations

import os
import pty
import select
import stat
import subprocess
import sys
import time

import pytest

from mdc_resources.cli.dotenv_file import read_values

LONG = "SEKRET" * 1000
KEY, BAD = "SEKRET_good_0123456789", "bad_SEKRET_0123456789"


def dotenv(mdc):
    """What .env says."""
    return read_values((mdc.root / ".env").read_text())


@pytest.fixture
def fresh(mdc):
    """A home without any key; polygon and alpaca are asked at the sandbox."""
    (mdc.root / ".env").write_text(f"# mine\nDAGSTER_HOME={mdc.root}/dagster_home\n# ALPACA_KEY_ID=\n")
    mdc.edit(
        "[providers.alpaca] ",
        f'[providers.polygon]\nbase_url = "{mdc.server.url}/polygon"\nenabled = false\n\n[providers.alpaca] ',
    )
    return mdc


def test_a_good_key_is_tried_written_and_the_provider_enabled(fresh):
    """One request; .env keeps its other lines and gets mode 600; the value is shown nowhere."""
    (fresh.root / ".env").chmod(0o644)
    before = fresh.requests()
    ran = fresh("providers", "setup", "polygon", "--stdin", stdin=f"POLYGON_API_KEY={KEY}\n")
    assert ran.code == 0, ran.out + ran.err
    assert fresh.requests() == before + 1
    text = (fresh.root / ".env").read_text()
    assert text.startswith("# mine\nDAGSTER_HOME=")
    assert text.endswith(f"# ALPACA_KEY_ID=\nPOLYGON_API_KEY={KEY}\n")
    assert stat.S_IMODE((fresh.root / ".env").stat().st_mode) == 0o600
    assert "SEKRET" not in ran.out + ran.err
    assert "enabled = true" in fresh.toml.read_text().split("[providers.polygon]")[1].split("[")[0]
    assert fresh("providers", "list", "--json").json[0]["provider"] in ("yahoo", "polygon", "alpaca")
    assert "POLYGON_API_KEY written to .env; enabled in mdc.toml" in ran.out


def test_a_refused_key_changes_nothing(fresh):
    """Exit 3, both files byte for byte as before, nothing echoed."""
    before = fresh.files()
    ran = fresh("providers", "setup", "polygon", "--stdin", stdin=f"POLYGON_API_KEY={BAD}\n")
    assert ran.code == 3
    assert "NOT SET UP" in ran.out
    after = fresh.files()
    assert (after[".env"], after["mdc.toml"]) == (before[".env"], before["mdc.toml"])
    assert "SEKRET" not in ran.out + ran.err
    assert not list(fresh.root.glob(".env.*"))


def test_no_check_writes_without_asking(fresh):
    """No request at all, even where the vendor would refuse."""
    before = fresh.requests()
    ran = fresh(
        "providers", "setup", "polygon", "--stdin", "--no-check", "--json", stdin=f"POLYGON_API_KEY={BAD}"
    )
    assert ran.code == 0
    assert fresh.requests() == before
    assert dotenv(fresh)["POLYGON_API_KEY"] == BAD
    assert ran.json == [{
        "provider": "polygon", "ok": True, "written": ["POLYGON_API_KEY"], "enabled": True,
        "checked": "no", "message": "enabled in mdc.toml",
    }]  # fmt: skip


def test_dry_run_names_what_it_would_ask_for(fresh):
    """Nothing is asked, sent or changed."""
    before, sent = fresh.files(), fresh.requests()
    ran = fresh("providers", "setup", "polygon", "yahoo", "--dry-run")
    assert ran.code == 0
    assert "polygon: would ask for POLYGON_API_KEY; would be enabled in mdc.toml" in ran.out
    assert "yahoo: lacks no credential" in ran.out
    assert (fresh.files(), fresh.requests()) == (before, sent)


def test_without_names_every_enabled_provider_that_lacks_one_is_done(fresh):
    """Both of alpaca's, in one try; polygon is not enabled and stays out."""
    lines = f"# from my notes\nALPACA_KEY_ID={KEY}1\n\nALPACA_SECRET_KEY={KEY}2\n"
    ran = fresh("providers", "setup", "--stdin", "--json", stdin=lines)
    assert [done["provider"] for done in ran.json] == ["alpaca"]
    assert ran.json[0]["checked"] == "works"
    assert (fresh.root / ".env").read_text().count("ALPACA_KEY_ID") == 1
    again = fresh("providers", "setup", "--stdin", stdin="")
    assert (again.code, again.out) == (0, "")
    assert "lacks a credential" in again.err


def test_half_a_pair_is_not_written(fresh):
    """It could not be tried, and half a pair is of no use."""
    before = fresh.files()[".env"]
    ran = fresh("providers", "setup", "alpaca", "--stdin", stdin=f"ALPACA_KEY_ID={KEY}\n")
    assert ran.code == 3
    assert "no value for ALPACA_SECRET_KEY" in ran.out
    assert fresh.files()[".env"] == before


def test_values_of_the_environment_are_taken_where_asked(fresh, monkeypatch):
    """What the environment says is written, so that it need not say it any more."""
    monkeypatch.setenv("POLYGON_API_KEY", KEY)
    assert fresh("providers", "setup", "polygon", "--from-env").code == 0
    assert dotenv(fresh)["POLYGON_API_KEY"] == KEY


def test_a_key_is_never_asked_for_without_a_terminal(fresh):
    """A script is told how to give it."""
    ran = fresh("providers", "setup", "polygon", stdin=KEY)
    assert ran.code == 2
    assert "--from-env" in ran.err
    assert KEY not in ran.out + ran.err


@pytest.mark.parametrize(
    "line",
    [
        "just-a-key-SEKRET",
        "POLYGON_API_KEY=SEKRET\x07b",
        "POLYGON_API_KEY=SEKRET\u00e9",
        f"POLYGON_API_KEY={LONG}",
    ],
    ids=["no-name", "control", "non-ascii", "too-long"],
)
def test_what_cannot_be_a_key_is_refused_and_not_repeated(fresh, line):
    """Exit 2; nothing written."""
    before = fresh.files()[".env"]
    ran = fresh("providers", "setup", "polygon", "--stdin", stdin=line)
    assert ran.code == 2, ran.out + ran.err
    assert "SEKRET" not in ran.out + ran.err
    assert fresh.files()[".env"] == before


def test_a_link_to_a_file_elsewhere_stays_a_link(fresh, tmp_path):
    """Some keep their secrets in a folder of their own."""
    real = tmp_path / "vault.env"
    (fresh.root / ".env").rename(real)
    (fresh.root / ".env").symlink_to(real)
    assert fresh("providers", "setup", "polygon", "--stdin", stdin=f"POLYGON_API_KEY={KEY}").code == 0
    assert (fresh.root / ".env").is_symlink()
    assert f"POLYGON_API_KEY={KEY}" in real.read_text()


def test_a_config_that_cannot_be_edited_gets_its_lines_told(fresh):
    """The key is written all the same, and the config is left to a person."""
    fresh.edit("[providers.polygon]\n", "[providers]\npolygon.enabled = false\n[providers.stock]\n")
    fresh.edit("[providers.stock]\n", "[providers.files]\n")
    text = fresh.toml.read_text()
    ran = fresh("providers", "setup", "polygon", "--no-check", "--stdin", stdin=f"POLYGON_API_KEY={KEY}")
    assert ran.code == 0, ran.err
    assert "by hand: [providers.polygon] / enabled = true" in ran.out
    assert fresh.toml.read_text() == text
    assert dotenv(fresh)["POLYGON_API_KEY"] == KEY


@pytest.mark.parametrize(("key", "code"), [(KEY, 0), (BAD, 3)], ids=["good", "bad"])
def test_openfigi_is_set_up_though_it_is_no_provider(fresh, key, code):
    """Its optional key is tried with one mapping job; no section is added for it."""
    text = fresh.toml.read_text()
    ran = fresh("providers", "setup", "openfigi", "--stdin", stdin=f"OPENFIGI_API_KEY={key}")
    assert ran.code == code, ran.out + ran.err
    assert dotenv(fresh).get("OPENFIGI_API_KEY") == (KEY if code == 0 else None)
    assert fresh.toml.read_text() == text
    assert "SEKRET" not in ran.out + ran.err


def test_an_unknown_provider_is_named_with_the_nearest(fresh):
    """As everywhere."""
    ran = fresh("providers", "setup", "poligon", "--stdin", stdin="")
    assert ran.code == 2
    assert "polygon" in ran.err


def test_a_prompt_hides_what_is_typed(fresh):
    """On a real terminal: the value is echoed nowhere and is written."""
    master, slave = pty.openpty()
    script = "from mdc_resources.cli.main import main; main()"
    words = ["--config", str(fresh.root), "providers", "setup", "polygon"]
    ran = subprocess.Popen(
        [sys.executable, "-c", script, *words],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    said, typed, deadline = b"", False, time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.2)[0]:
            try:
                chunk = os.read(master, 65536)
            except OSError:  # how a terminal ends
                break
            said += chunk
            if b"POLYGON_API_KEY: " in said and not typed:
                os.write(master, f"{KEY}\n".encode())
                typed = True
        elif ran.poll() is not None:
            break
    assert ran.wait(30) == 0, said
    os.close(master)
    assert typed
    assert b"SEKRET" not in said
    assert dotenv(fresh)["POLYGON_API_KEY"] == KEY
