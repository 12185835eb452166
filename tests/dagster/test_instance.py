"""``dagster.yaml``: one text, rendered from the settings; and the definitions that load beside it."""

from __future__ import annotations

import hashlib
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
from mdc_assets import priorities
from mdc_assets.definition_set import build
from mdc_assets.launch import LOCATION, MODULE
from mdc_resources import config
from mdc_resources.config import Settings
from mdc_resources.dagster_resources import NoPickles
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ConfigError, UsageError

PROJECT = Path(__file__).resolve().parents[2]
URL = "postgresql+psycopg2://me:pw@db/dagster"


def make(tmp_path, text=""):
    """A home without a lake."""
    (tmp_path / "mdc.toml").write_text(text, encoding="utf-8")
    return config.load(tmp_path / "mdc.toml", environ={})


def former(url):
    """What the first release wrote."""
    text = (Path(__file__).parent / "former" / "1.yaml").read_text(encoding="utf-8")
    sqlite = "# Storage: SQLite beside this file. [dagster] storage_url in mdc.toml asks for PostgreSQL.\n"
    postgres = f"storage:\n  postgres:\n    postgres_url:\n      env: {instances.STORAGE_URL_ENV}\n"
    return text.replace("@storage@\n", postgres if url else sqlite)


def merge(into, more):
    """Nested mappings united, lists joined."""
    for key, value in more.items():
        if isinstance(value, dict):
            merge(into.setdefault(key, {}), value)
        else:
            into[key] = [*into.get(key, []), *value] if isinstance(value, list) else value


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
    assert found["concurrency"]["pools"] == {"granularity": "run", "default_limit": 2}
    assert found["concurrency"]["runs"]["max_concurrent_runs"] == 4
    assert found["retention"]["sensor"]["purge_after_days"]["skipped"] == 2


def test_dagster_takes_the_file_as_it_is(instance):
    """No unknown key: the instance opens with monitoring and retries on."""
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_max_runtime_seconds == 14400
    assert instance.run_retries_enabled
    assert not instance.telemetry_enabled


def test_dagster_reads_what_the_queue_needs(instance):
    """Limits, pools and patience with a code server that is down, through Dagster's own eyes."""
    found = instance.get_concurrency_config()
    assert found.pool_config.pool_granularity.value == "run"
    assert found.run_queue_config.max_concurrent_runs == 4
    limits = {
        (one["key"], one["value"]): one["limit"] for one in found.run_queue_config.tag_concurrency_limits
    }
    assert limits == {(priorities.PAUSED, priorities.ON): 0, (priorities.BACKGROUND, priorities.ON): 1}
    assert limits[priorities.BACKGROUND, priorities.ON] < found.pool_config.default_pool_limit
    assert found.run_queue_config.max_user_code_failure_retries > 1000


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


@pytest.mark.parametrize("url", ["", URL], ids=["sqlite", "postgres"])
def test_what_a_former_release_wrote_is_brought_up_to_date(tmp_path, url):
    """Unchanged since, to the byte: the limits of the queue come with an upgrade."""
    home = make(tmp_path, f'[dagster]\nstorage_url = "{url}"\n' if url else "")
    path = instances.ensure(home)
    path.write_text(former(url), encoding="utf-8")
    assert instances.lacking(home) == {}
    instances.ensure(home)
    assert path.read_text(encoding="utf-8") == instances.render(home.settings)


def test_a_former_file_that_a_person_changed_is_kept_and_told_what_it_lacks(tmp_path):
    """One number is enough to make it theirs."""
    home = make(tmp_path)
    path = instances.ensure(home)
    text = former("").replace("max_retries: 2", "max_retries: 1")
    path.write_text(text, encoding="utf-8")
    instances.ensure(home)
    assert path.read_text(encoding="utf-8") == text
    lines = "\n".join(instances.lacking(home).values())
    assert all(word in lines for word in ("mdc/paused", "mdc/background", "granularity: run", "run_queue"))


def test_the_lines_it_lacks_are_what_dagster_takes(home):
    """Added as they are, nothing lacks any more and the instance opens with them."""
    path = home.dagster_home / instances.CONFIG_NAME
    path.write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    merged = {}
    for lines in instances.lacking(home).values():
        merge(merged, yaml.safe_load(lines))
    path.write_text(yaml.safe_dump(merged), encoding="utf-8")
    assert instances.lacking(home) == {}
    with instances.open_instance(home, silent=True) as opened:
        assert len(opened.get_concurrency_config().run_queue_config.tag_concurrency_limits) == 2


@pytest.mark.parametrize(
    "text", ["", "concurrency: 3\n", "concurrency: {runs: {tag_concurrency_limits: null}}\n", "- a\n"]
)
def test_a_file_of_any_shape_can_be_judged(tmp_path, text):
    """A doctor must finish."""
    home = make(tmp_path)
    instances.ensure(home).write_text(text, encoding="utf-8")
    assert len(instances.lacking(home)) == 4


def test_the_rendering_of_today_is_no_former_one():
    """Who changes the template adds the old digests to FORMER, and here the old text and the new digest."""
    digests = {hashlib.sha256(former(url).encode()).hexdigest() for url in ("", URL)}
    assert digests == instances.FORMER
    today = hashlib.sha256(instances.render(Settings()).encode()).hexdigest()
    assert today == "be92a4f1049c83b4e03ac10e75fa05af31e5c14cca830fc1ba091cc03bc28e7d"


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
    code = f"from {MODULE} import defs; print(*defs.resolve_all_asset_keys())"
    environ = {**os.environ, "MDC_CONFIG": str(home.config_file)}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert ran.stdout.count("us_00") == 4


def test_assets_follow_the_settings(tmp_path):
    """Shards come from mdc.toml alone: there is no lake here."""
    home = make(
        tmp_path,
        "[universes.us]\nshards = 2\n[universes.crypto]\ncalendar = '24/7'\nasset_class = 'crypto'\n",
    )
    keys = {key for key in build(home).resolve_all_asset_keys() if key.path[0] in set(Dataset)}
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
