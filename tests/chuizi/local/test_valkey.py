import os
import signal

import pytest
import redis

from chuizi.local import processes
from chuizi.local.postgres import Postgres
from chuizi.local.state import runtime_path
from chuizi.local.valkey import Valkey


def client(broker: Valkey) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(broker.socket), socket_timeout=5)


def test_a_stopped_broker_keeps_its_queue_and_leaves_no_process(broker):
    broker.start()
    with client(broker) as connection:
        connection.rpush("celery", "task")
    broker.stop()
    assert processes.working_in(broker.folder, program="valkey-server") == []
    broker.start()
    with client(broker) as connection:
        assert connection.lrange("celery", 0, -1) == [b"task"]


def test_celery_reads_the_url_as_the_socket(broker):
    from kombu import Connection

    broker.start()
    with Connection(broker.url) as connection:
        connection.connect()
        queue = connection.SimpleQueue("settlement")
        queue.put({"n": 1})
        assert queue.get(timeout=5).payload == {"n": 1}
        queue.close()


def test_only_we_can_open_the_socket(broker):
    broker.start()
    assert broker.socket.stat().st_mode & 0o077 == 0


def test_a_killed_broker_starts_again_with_its_queue(broker):
    broker.start()
    with client(broker) as connection:
        connection.rpush("celery", "task")
    os.kill(broker.child.pid, signal.SIGKILL)
    broker.child.wait(5)
    assert not broker.is_alive()
    again = Valkey(broker.state)
    again.start()
    with client(again) as connection:
        assert connection.lrange("celery", 0, -1) == [b"task"]
    again.stop()


def test_a_broker_left_running_is_replaced(broker):
    broker.start()
    again = Valkey(broker.state)
    again.start()
    assert broker.child.wait(5) is not None
    assert again.is_alive()
    again.stop()


def test_a_queue_file_that_cannot_be_read_is_put_aside(broker):
    broker.start()
    broker.stop()
    (broker.folder / "appendonlydir" / "appendonly.aof.manifest").write_text("not a manifest\n")
    broker.start()
    with client(broker) as connection:
        assert connection.dbsize() == 0
    assert len(list(broker.folder.glob("appendonlydir.unreadable-*"))) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root meets folders of other users")
def test_the_two_services_share_a_runtime_folder_that_others_cannot_list(postgres: Postgres, broker: Valkey):
    postgres.start()
    broker.start()
    assert runtime_path(postgres.state).stat().st_mode & 0o777 == 0o711
