"""``dagster.yaml``: one text, rendered from the settings; and the definitions that load beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from dagster import AssetKey

from mdc_assets import home as homes
from mdc_assets import instance as instances
from mdc_assets.definition_set import build
from mdc_assets.launch import LOCATION, MODULE
from mdc_resources import config
from mdc_resources.config import Settings
from mdc_resources.dagster_resources import NoPickles
from mdc_resources.domain.errors import ConfigError, UsageError

PROJECT = Path(__file__).resolve().parents[2]
URL = "postgresql+psycopg2://me:pw@db/dagster"


def make(tmp_path, text=""):
    """A home without a lake."""
    (tmp_path / "mdc.toml").write_text(text, encoding="utf-8")
    return config.load(tmp_path / "mdc.toml", environ={})


def test_the_projects_file_is_the_rendered_default():
    """What a developer reads is what ``mdc init`` writes."""
    shown = (PROJECT / "dagster_home" / instances.CONFIG_NAME).read_text(encoding="utf-8")
    assert shown == instances.render(Settings())


def test_defaults_bound_runs_and_switch_off_what_calls_home():
    """Each of these was missing in a stock instance, and cost something."""
    found = yaml.safe_load(instances.render(Settings()))
    assert found["telemetry"] == found["nux"] == {"enabled": False}
    assert found["run_monitoring"]["max_runtime_seconds"] > 0
    assert found["run_monitoring"]["free_slots_after_run_end_seconds"] > 0
    assert found["run_retries"] == {"enabled": True, "max_retries": 2, "retry_on_asset_or_op_failure": False}
    assert found["concurrency"]["runs"]["max_concurrent_runs"] == 2
    assert found["retention"]["sensor"]["purge_after_days"]["skipped"] == 2


def test_dagster_takes_the_file_as_it_is(instance):
    """No unknown key: the instance opens with monitoring and retries on."""
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_max_runtime_seconds == 14400
    assert instance.run_retries_enabled
    assert not instance.telemetry_enabled


def test_a_postgres_url_is_named_not_written(tmp_path):
    """It may hold a password: the file says which variable has it, the processes get it."""
    home = make(tmp_path, f'[dagster]\nstorage_url = "{URL}"\n')
    text = instances.ensure(home).read_text(encoding="utf-8")
    assert "pw" not in text
    assert yaml.safe_load(text)["storage"] == {
        "postgres": {"postgres_url": {"env": instances.STORAGE_URL_ENV}}
    }
    assert instances.environment(home)[instances.STORAGE_URL_ENV] == URL


def test_an_edited_file_is_kept(tmp_path):
    """It is the person's own once it exists."""
    home = make(tmp_path)
    path = instances.ensure(home)
    path.write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    instances.ensure(home)
    assert path.read_text(encoding="utf-8") == "telemetry: {enabled: false}\n"


@pytest.mark.parametrize("first", ["", f'[dagster]\nstorage_url = "{URL}"\n'], ids=["sqlite", "postgres"])
def test_a_file_that_stores_elsewhere_than_the_settings_say_is_refused(tmp_path, first):
    """Two processes with two event logs would tell two stories."""
    instances.ensure(make(tmp_path, first))
    other = f'[dagster]\nstorage_url = "{URL}"\n' if not first else ""
    with pytest.raises(ConfigError, match=r"mdc\.toml"):
        instances.ensure(make(tmp_path, other))


def test_every_process_gets_an_absolute_home_and_the_batch_settings(home):
    """Relative DAGSTER_HOME is refused by Dagster; the others make ranges affordable."""
    found = instances.environment(home)
    assert Path(found["DAGSTER_HOME"]).is_absolute()
    assert found["MDC_CONFIG"] == str(home.config_file)
    assert found["DAGSTER_EVENT_BATCH_SIZE"] == "1000"
    assert found["DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS"] == "1"


def test_opening_leaves_the_environment_as_it_was(home):
    """A command line that opens two homes mixes nothing up."""
    before = dict(os.environ)
    with instances.open_instance(home) as opened:
        assert opened.root_directory == str(home.dagster_home)
        assert os.environ["DAGSTER_HOME"] == str(home.dagster_home)
    assert dict(os.environ) == before


def test_the_home_is_named_by_the_config_or_lies_above_dagster_home(home, monkeypatch, tmp_path):
    """MDC_CONFIG, then the folder above DAGSTER_HOME, then upward."""
    with pytest.raises(ConfigError, match="mdc init"):
        homes.find_home()
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster_home))
    assert homes.find_home().root == home.root
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("MDC_CONFIG", str(make(tmp_path / "other").config_file))
    assert homes.find_home().root == tmp_path / "other"


def test_without_a_home_the_code_location_says_how_to_make_one(tmp_path):
    """What a developer sees in the UI is a sentence, not a missing key."""
    code = f"import {MODULE}"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode != 0
    assert "mdc init DIR makes a home" in ran.stderr.splitlines()[-1]


def test_the_code_location_loads_for_a_home(home):
    """The module that workspace.yaml names, in a process of its own."""
    code = f"from {MODULE} import defs; print(len(list(defs.resolve_all_asset_keys())))"
    environ = {**os.environ, "MDC_CONFIG": str(home.config_file)}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "4"


def test_assets_follow_the_settings(tmp_path):
    """Shards come from mdc.toml alone: there is no lake here."""
    home = make(
        tmp_path,
        "[universes.us]\nshards = 2\n[universes.crypto]\ncalendar = '24/7'\nasset_class = 'crypto'\n",
    )
    keys = set(build(home).resolve_all_asset_keys())
    assert {AssetKey(["bars_1d", name]) for name in ("us_00", "us_01", "crypto_00")} <= keys
    assert len(keys) == 12


def test_a_run_is_limited_by_the_datasets_setting(tmp_path):
    """``max_partitions_per_run`` is the backfill policy."""
    home = make(tmp_path, "[datasets.bars_1m]\nmax_partitions_per_run = 7\n")
    graph = build(home).resolve_asset_graph()
    assert graph.get(AssetKey(["bars_1m", "us_00"])).backfill_policy.max_partitions_per_run == 7
    assert graph.get(AssetKey(["bars_1d", "us_00"])).backfill_policy.max_partitions_per_run == 2600


def test_checks_are_reports(home):
    """None blocks: the data is in before they look."""
    specs = [spec for check in build(home).asset_checks for spec in check.check_specs]
    assert len(specs) == 8
    assert not any(spec.blocking for spec in specs)


def test_a_run_config_cannot_point_at_another_lake(home):
    """The Launchpad's schema has no field for it."""
    job = build(home).resolve_implicit_global_asset_job_def()
    assert "lake_dir" not in str(
        job.run_config_schema.run_config_schema_type.fields["resources"].config_type.fields
    )


def test_steps_cannot_pass_objects():
    """In place of the IO manager that pickles."""
    from dagster import build_input_context, build_output_context

    manager = NoPickles()
    manager.handle_output(build_output_context(step_key="a"), None)
    with pytest.raises(UsageError, match="return nothing"):
        manager.handle_output(build_output_context(step_key="a"), {"rows": 1})
    with pytest.raises(UsageError, match="lake"):
        manager.load_input(build_input_context(name="bars"))


def test_workspace_yaml_is_the_one_way_in():
    """A [tool.dagster] section would override it silently."""
    found = yaml.safe_load((PROJECT / "workspace.yaml").read_text(encoding="utf-8"))["load_from"]
    assert found == [{"python_module": {"module_name": MODULE, "location_name": LOCATION}}]
    assert "dagster" not in tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
