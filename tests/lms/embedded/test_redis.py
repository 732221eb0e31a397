from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from lms.embedded.process import EmbeddedError
from lms.embedded.redis import EmbeddedRedis

OWNER = """
import sys, time
from pathlib import Path
from lms.embedded.redis import EmbeddedRedis
server = EmbeddedRedis(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(tmp_path)
    server.start()
    yield server
    server.stop()


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


def test_it_keeps_what_it_is_given_while_it_runs(server: EmbeddedRedis) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.set("course", "Botany")
        assert client.get("course") == b"Botany"


def test_starting_a_running_server_changes_nothing(server: EmbeddedRedis) -> None:
    before = server.pid
    server.start()
    assert server.pid == before


def test_a_killed_server_starts_again_empty_at_the_same_address(server: EmbeddedRedis) -> None:
    address = server.url
    with redis.Redis.from_url(address) as client:
        client.set("course", "Botany")
    server.kill()
    assert not server.is_running()
    server.start()
    assert server.url == address
    with redis.Redis.from_url(address) as client:
        assert client.get("course") is None


def test_a_stopped_server_is_gone(server: EmbeddedRedis) -> None:
    pid = server.pid
    assert pid is not None
    server.stop()
    assert not runs(pid)
    assert server.pid is None
    server.stop()


def test_it_writes_no_data_to_the_disk(server: EmbeddedRedis, tmp_path: Path) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.set("course", "Botany")
    server.stop()
    assert [path.name for path in tmp_path.iterdir()] == ["redis.log"]


def test_who_does_not_know_the_password_is_refused(server: EmbeddedRedis) -> None:
    port = int(server.url.rpartition(":")[2].partition("/")[0])
    with (
        redis.Redis(host="127.0.0.1", port=port, retry=Retry(NoBackoff(), 0)) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_the_list_of_processes_does_not_show_the_password(server: EmbeddedRedis) -> None:
    password = server.url.split(":")[2].partition("@")[0]
    assert len(password) > 20
    assert password not in Path(f"/proc/{server.pid}/cmdline").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_started_by_root_it_runs_as_somebody_else(server: EmbeddedRedis) -> None:
    assert Path(f"/proc/{server.pid}").stat().st_uid != 0


def test_two_servers_run_side_by_side(server: EmbeddedRedis, tmp_path: Path) -> None:
    other = EmbeddedRedis(tmp_path / "other")
    other.start()
    try:
        with redis.Redis.from_url(server.url) as client:
            client.set("course", "Botany")
        with redis.Redis.from_url(other.url) as client:
            assert client.get("course") is None
    finally:
        other.stop()


def test_a_killed_owner_leaves_no_server(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        orphan = int(owner.stdout.readline())
        owner.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while runs(orphan):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_address_before_the_first_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match="never started"):
        _ = EmbeddedRedis(tmp_path).url
