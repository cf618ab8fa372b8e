import os
import signal
import socket
import subprocess
import sys

import pytest

from chuizi.local import binaries, running, services
from chuizi.local.state import BASE_DIR, LocalError, runtime_path
from chuizi.local.valkey import Valkey
from tests.chuizi.local.conftest import ask
from tests.gateways import free_port


def test_addresses_in_the_environment_mean_that_nothing_is_started(state):
    given = {"DATABASE_URL": "postgres://else/where", "CELERY_BROKER_URL": "redis://elsewhere/0"}
    with services.start(state, given, claim=services.claim(state)) as local:
        assert local.environment == given
        assert local.dead() is None
        assert local.postgres is None
        assert local.broker is None
    assert not (state / "postgres").exists()
    assert not (state / "broker").exists()


def test_one_address_in_the_environment_starts_the_other_service(state):
    given = {"DATABASE_URL": "postgres://else/where"}
    with services.start(state, given, claim=services.claim(state)) as local:
        assert local.environment["DATABASE_URL"] == "postgres://else/where"
        assert local.environment["CELERY_BROKER_URL"].startswith("redis+socket:///tmp/")
        assert local.broker.is_alive()


def test_our_own_addresses_from_make_env_are_no_reason_not_to_start(postgres):
    given = {"DATABASE_URL": postgres.url, "CELERY_BROKER_URL": Valkey(postgres.state).url}
    with services.start(postgres.state, given, claim=services.claim(postgres.state), fast=True) as local:
        assert ask(local.postgres, "select 1") == 1
        assert local.broker.is_alive()


def test_a_service_that_dies_is_named_and_stopping_cleans_up(postgres):
    with services.start(postgres.state, {}, claim=services.claim(postgres.state), fast=True) as local:
        assert local.dead() is None
        os.kill(local.broker.child.pid, signal.SIGKILL)
        local.broker.child.wait(5)
        assert local.dead() == "Valkey"
    assert not runtime_path(postgres.state).exists()
    services.claim(postgres.state).give_back()


def test_a_second_process_on_the_same_state_is_told_who_has_it(state, monkeypatch):
    monkeypatch.setattr(services, "TAKE_SECONDS", 0.2)
    with holder(state) as other:
        with pytest.raises(LocalError, match=rf"Process {other.pid} is already running"):
            services.claim(state)
        other.kill()
        other.wait()
        services.claim(state).give_back()


def holder(state) -> subprocess.Popen[bytes]:
    script = (
        "import pathlib, time; from chuizi.local.state import Claim;"
        f"claim = Claim(pathlib.Path({str(state)!r})); print(claim.take(), flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=BASE_DIR, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"None\n"
    return process


def test_test_runs_get_services_and_state_of_their_own_each(state, monkeypatch):
    for name in (services.TEST_RUN, "DATABASE_URL", "CELERY_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CHUIZI_STATE_DIR", str(state))
    (state / "test").mkdir()
    with holder(state / "test") as other:
        with services.for_tests() as local:
            assert local.state == state / "test-2"
            assert local.environment["CHUIZI_STATE_DIR"] == str(state / "test-2")
            assert local.environment["SECRET_KEY"] == os.environ["SECRET_KEY"]
            assert ask(local.postgres, "select current_setting('fsync')") == "off"
            monkeypatch.setenv(services.TEST_RUN, local.environment[services.TEST_RUN])
            with services.for_tests() as worker:
                assert worker.postgres is None
                assert worker.broker is None
            assert local.dead() is None
        other.kill()


def test_a_taken_port_is_explained_with_its_holder():
    free = free_port()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free + 1))
        listener.listen()
        with pytest.raises(LocalError, match=rf"Port {free + 1} is taken by .*set PORT to another"):
            running.choose_ports({"PORT": str(free + 1)})
        with pytest.raises(LocalError, match=rf"Port {free + 1} is taken by .*set SANDBOX_PORT to another"):
            running.choose_ports({"PORT": str(free), "SANDBOX_PORT": str(free + 1)})


def test_the_sandbox_moves_on_from_a_port_that_is_taken():
    free = free_port()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free + 1))
        listener.listen()
        assert running.choose_ports({"PORT": str(free)}) == (free, free + 2)


@pytest.mark.parametrize("package", ["honcho", "psutil"])
def test_an_installation_for_production_is_told_what_to_install(package):
    start = "runpy.run_module('chuizi.local', run_name='__main__')"
    without = f"import runpy, sys; sys.modules[{package!r}] = None; {start}"
    done = subprocess.run([sys.executable, "-c", without], cwd=BASE_DIR, capture_output=True, text=True)
    assert done.returncode == 1
    [sentence] = done.stderr.splitlines()
    assert f"{package} is not installed" in sentence
    assert "requirements-local.txt" in sentence


def test_the_servers_are_missed_in_the_same_words():
    with pytest.raises(LocalError, match=r"pgserver is not installed: .* requirements-local\.txt"):
        binaries._package("no_pgserver")
