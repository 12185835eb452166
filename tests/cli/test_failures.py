"""How commands end: one line for a deliberate error, a private log for a defect, no secret anywhere."""

from __future__ import annotations

import errno
import stat

import pytest
import typer
from typer.testing import CliRunner

from mdc_resources.cli import failures
from mdc_resources.cli.context import Invocation
from mdc_resources.cli.lazy import _config_first
from mdc_resources.cli.main import app
from mdc_resources.domain import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("x"), 2),
        (errors.ConfigError("x", key="a.b"), 2),
        (errors.TransportError("x"), 3),
        (errors.BadCredentials("x"), 3),
        (errors.DataError("x"), 4),
        (errors.LakeMarkerMissing("x"), 5),
        (errors.StorageFailed("x"), 5),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 5),
        (OSError(errno.EROFS, "Read-only file system", "/x"), 5),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 2),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_each_class_of_error_has_its_exit_code(error, code, capsys):
    """And one line on stderr, nothing on stdout."""
    assert failures.report(error, None) == code
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err.startswith("error: ")
    assert len(seen.err.splitlines()) == 1


def test_a_hint_is_a_line_of_its_own(capsys):
    """What was wrong, then what to do."""
    failures.report(errors.UsageError("no such thing", hint="Try another"), None)
    assert capsys.readouterr().err == "error: no such thing\n  Try another\n"


@pytest.mark.parametrize("text", ["a\nb", "a\r\nerror: forged", "a\x1b[31mb", "a\x00b", "a\u2028b"])
def test_a_message_is_one_printable_line(text, capsys):
    """Input in a message cannot forge lines or steer the terminal."""
    failures.report(errors.UsageError(text), None)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].isprintable()


@pytest.mark.parametrize("error", [typer.Exit(3), typer.Abort(), typer.BadParameter("x"), BrokenPipeError()])
def test_the_command_librarys_own_errors_pass_through(error):
    """They are no defects."""
    with pytest.raises(type(error)):
        failures.report(error, None)


def test_a_defect_names_a_private_log_with_the_traceback(mdc, capsys, monkeypatch):
    """Exit 70; the log lies in the home, mode 600, without the secrets of the environment."""
    from mdc_resources import config

    monkeypatch.setenv("MY_API_KEY", "SEKRET_998877")
    invocation = Invocation(opened=config.load(mdc.toml))
    defect = RuntimeError("boom SEKRET_998877 postgresql://me:hunter22@host/db")
    assert failures.report(defect, invocation) == 70
    said = capsys.readouterr().err
    assert "RuntimeError" in said
    assert "Traceback" not in said
    (log,) = (mdc.root / "state").glob("mdc-defect-*.log")
    assert str(log) in said
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    text = log.read_text()
    assert "RuntimeError: boom" in text
    assert "SEKRET_998877" not in text
    assert "hunter22" not in text


def test_a_defect_before_a_home_is_known_is_logged_too(capsys):
    """In the system's folder for temporary files."""
    assert failures.report(KeyError("x"), None) == 70
    path = capsys.readouterr().err.rpartition("Details: ")[2].strip()
    import pathlib

    assert "KeyError" in pathlib.Path(path).read_text()
    pathlib.Path(path).unlink()


def test_a_wrong_option_is_exit_2():
    """As everywhere."""
    ran = CliRunner().invoke(app, ["coverage", "--nope"])
    assert ran.exit_code == 2


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["a", "--config", "x", "b"], ["--config", "x", "a", "b"]),
        (["a", "--config=x"], ["--config=x", "a"]),
        (["a", "--", "--config", "x"], ["a", "--", "--config", "x"]),
        (["a", "--config"], ["a", "--config"]),
        ([], []),
    ],
)
def test_config_moves_to_the_front_but_not_from_behind_a_double_dash(given, expected):
    """What follows -- is data."""
    assert _config_first(given) == expected


def test_no_reporter_installed_says_what_still_works(monkeypatch):
    """--direct needs none."""
    import importlib.metadata

    from mdc_resources.cli.reporters import load_reporter

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: [])
    with pytest.raises(errors.UsageError, match="--direct"):
        load_reporter()
