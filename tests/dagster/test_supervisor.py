"""``mdc up``: everything answers, what is killed comes back, and a signal stops all of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess

import httpx
import pytest

from mdc_assets import services, supervisor
from mdc_assets.instance import open_instance
from mdc_assets.launch import REPORTER
from mdc_resources import config
from mdc_resources.domain.errors import ConfigError, UsageError
from tests.dagster.conftest import BARS, follow, key_of
from tests.dagster.serving import alive, up, wait_for
from tests.homes import KEYS

SERVICES = ("code-server", "webserver", "daemon")


def with_port(home, port, **more):
    """The same home with its web UI elsewhere."""
    return config.load(home.config_file, environ={**KEYS, "MDC__DAGSTER__PORT": str(port), **more})


def test_a_taken_port_is_refused_before_anything_starts(home):
    """The message names the setting and how to change it."""
    with socket.socket() as other:
        other.bind((services.LOOPBACK, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=str(port)) as raised:
            supervisor.serve(with_port(home, port))
    assert raised.value.key == "dagster.port"
    assert not (home.state_dir / services.WORKSPACE).exists()


def test_an_address_of_another_machine_is_refused(home):
    """Not a traceback of the web server later."""
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1"):
        supervisor.serve(with_port(home, services.free_port(), MDC__DAGSTER__HOST="192.0.2.1"))


def test_the_web_ui_is_on_loopback_unless_said_otherwise(home):
    """It has no login."""
    assert services.url_of(home) == "http://127.0.0.1:3333"


def test_a_sandbox_home_serves_its_vendor_and_a_real_one_does_not(home, tmp_path):
    """The demo's home works after `mdc up` alone; where the vendor runs already it is left to it."""
    free = services.free_port()
    here = with_port(home, services.free_port(), MDC__SANDBOX__PORT=str(free))
    with open_instance(here) as instance:
        names = [service.name for service in services.services_of(here, instance, code_port=1)]
        real = with_port(home, 3333, MDC__LAKE__SANDBOX="false")
        others = [service.name for service in services.services_of(real, instance, code_port=1)]
        with socket.socket() as vendor:
            vendor.bind((services.LOOPBACK, free))
            vendor.listen()
            shared = [service.name for service in services.services_of(here, instance, code_port=1)]
    assert names == ["sandbox", *SERVICES]
    assert others == shared == list(SERVICES)


def test_a_probe_of_nothing_is_false():
    """No exception reaches the supervisor's loop."""
    port = services.free_port()
    assert not services.http_answers(f"http://127.0.0.1:{port}/")
    assert not services.code_server_answers(port)


def test_a_failing_chore_is_told_and_stops_nothing(home):
    """A locked database must not take the web UI down."""
    said = []
    with open_instance(home) as instance:
        it = supervisor.Supervisor(home, instance, [], said.append)

        def broken():
            raise OSError("disk on fire")

        it._chore(broken, 1.0, 10.0)
        it._chore(broken, 1.0, 10.5)
        it._chore(broken, 1.0, 11.0)
        it.tick(12.0)
    assert said.count("broken failed: OSError: disk on fire") == 2


def test_new_members_become_keys_while_the_home_is_served(home):
    """`mdc symbols add` needs no restart: the supervisor makes the keys."""
    said = []
    with open_instance(home) as instance:
        it = supervisor.Supervisor(home, instance, [], said.append)
        follow(home, "NVDA", "KO")
        it.register_members()
        assert instance.get_dynamic_partitions("us_00") == ["AAPL", "MSFT", "NVDA", "KO"]
        it.register_members()
    assert said == ["2 new symbols: NVDA, KO"]


@pytest.mark.slow
def test_what_is_killed_comes_back_and_a_signal_stops_everything(home, tmp_path):
    """kill -9 of each process in turn; the UI, the location and the daemon recover; SIGTERM ends all."""
    with up(home, tmp_path) as served:
        assert httpx.get(f"{served.url}/server_info", timeout=30).status_code == 200
        wait_for(served.location_loads)
        with pytest.raises(UsageError, match="served already"):
            supervisor.serve(with_port(home, services.free_port()))
        for name in SERVICES:
            victim = served.pid(name)
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda name=name, victim=victim: served.pid(name) != victim)
        wait_for(served.location_loads)
        pids = [served.pid(name) for name in SERVICES]
        served.process.terminate()
        assert served.process.wait(timeout=60) == 0
    assert not any(alive(pid) for pid in pids)
    assert served.text().rstrip().endswith("stopped")


@pytest.mark.slow
def test_the_code_behind_the_proxy_is_watched_too(home, tmp_path):
    """Under `dagster dev` a killed code server never comes back; here the proxy is restarted."""
    with up(home, tmp_path) as served:
        wait_for(served.location_loads)
        proxy = served.pid("code-server")
        inner = subprocess.run(
            ["pgrep", "-P", str(proxy)], capture_output=True, text=True, check=True
        ).stdout.split()
        os.kill(int(inner[-1]), signal.SIGKILL)
        wait_for(lambda: served.pid("code-server") != proxy)
        wait_for(served.location_loads)


@pytest.mark.slow
def test_a_queued_backfill_runs_and_a_killed_worker_is_retried(home, tmp_path, served):
    """`--submit`, the daemon, a run worker killed while it fetches: the data ends complete."""
    import datetime as dt

    from mdc_resources.domain.datasets import Dataset
    from mdc_resources.ingest import Want

    want = Want(
        Dataset.BARS_1D, (key_of("AAPL", "2024-01-02").symbol,), dt.date(2024, 1, 2), dt.date(2024, 1, 12)
    )
    with up(home, tmp_path), open_instance(home) as instance:
        served.fault("*", "slow", times=1, params={"seconds": 20.0})
        (first,) = REPORTER.submit(home, want)
        wait_for(lambda: ".dagster/mdc/pid" in instance.get_run_by_id(first).tags)
        os.kill(int(instance.get_run_by_id(first).tags[".dagster/mdc/pid"]), signal.SIGKILL)
        wait_for(lambda: instance.get_run_by_id(first).is_finished, seconds=60)
        wait_for(lambda: len(instance.get_materialized_partitions(BARS)) == 9)
