"""The root of the command line: fast, lazy, and helpful about a misspelt command."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from mdc_resources.cli.main import Root, app
from tests.cli.running import run_process

HEAVY = (
    "pandas",
    "duckdb",
    "dagster",
    "pyarrow",
    "exchange_calendars",
    "pandera",
    "numpy",
    "sqlalchemy",
    "rich",
    "structlog",
)


def test_help_takes_under_three_tenths_of_a_second():
    """CPU time of the whole process, the best of five: a busy machine does not decide."""
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run_process("--help").code == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.3


def test_help_imports_nothing_heavy():
    """The command table carries the help lines, so no command's module is loaded."""
    code = (
        "import sys\nfrom mdc_resources.cli.main import main\n"
        "try: main()\nfinally: print([m for m in sys.modules], file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    loaded = set(eval(ran.stderr.splitlines()[-1]))
    assert not loaded & {*HEAVY, "mdc_resources.config", "mdc_resources.cli.backfill"}


def test_help_lists_every_command_with_a_line():
    """Nothing is hidden, and every command says what it does."""
    text = CliRunner().invoke(app, ["--help"]).stdout
    for name, entry in Root.table.items():
        assert f"{name} " in text
        assert entry.help in text


@pytest.mark.parametrize("name", list(Root.table))
def test_every_command_of_the_table_loads_and_has_help(name):
    """No entry of the table points at a module or an attribute that is not there."""
    ran = CliRunner().invoke(app, [name, "--help"])
    assert ran.exit_code == 0
    assert "Usage:" in ran.stdout


@pytest.mark.parametrize(
    ("noun", "verbs"),
    [
        ("universe", ["list", "grow"]),
        ("symbols", ["add", "remove", "list", "import", "export"]),
        ("lake", ["status", "snapshots", "verify", "rebuild"]),
        ("providers", ["list", "check"]),
        ("sandbox", ["serve"]),
        ("config", ["show", "check"]),
    ],
)
def test_nouns_have_their_verbs(noun, verbs):
    """The verbs are exactly those of the specification."""
    for verb in verbs:
        assert CliRunner().invoke(app, [noun, verb, "--help"]).exit_code == 0


def test_a_misspelt_command_is_a_usage_error_that_names_the_nearest():
    """Exit 2, and the word that was probably meant."""
    ran = CliRunner().invoke(app, ["backfil"])
    assert ran.exit_code == 2
    assert "backfill" in ran.stderr


def test_version_prints_the_package_version():
    """One line, exit 0."""
    from mdc_resources import __version__

    assert CliRunner().invoke(app, ["--version"]).stdout == f"mdc {__version__}\n"


def test_config_may_stand_after_the_command(pristine):
    """People type the home last; it is the same option."""
    first = CliRunner().invoke(app, ["--config", str(pristine), "universe", "list", "--json"])
    last = CliRunner().invoke(app, ["universe", "list", "--json", f"--config={pristine}"])
    assert first.stdout == last.stdout
    assert first.exit_code == last.exit_code == 0
