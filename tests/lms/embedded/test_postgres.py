from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from lms.embedded.postgres import EmbeddedPostgres
from lms.embedded.process import EmbeddedError

OWNER = """
import sys, time
from pathlib import Path
from lms.embedded.postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), fast=True)
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


def connect(server: EmbeddedPostgres) -> psycopg.Connection:
    return psycopg.connect(server.admin_url.replace("+psycopg", ""), autocommit=True)


def ask(server: EmbeddedPostgres, sql: str) -> object:
    with connect(server) as connection:
        row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0]


def wait_until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def runs(pid: int) -> bool:
    return state(pid) not in ("Z", "X")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(
        tmp_path_factory.mktemp("postgres"), settings={"work_mem": "5MB"}, fast=True
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(shared: EmbeddedPostgres) -> EmbeddedPostgres:
    shared.start()
    return shared


@pytest.fixture
def note(server: EmbeddedPostgres) -> Iterator[str]:
    """A committed row; yields the question whose answer is 'kept'."""
    with connect(server) as connection:
        connection.execute("CREATE TABLE note (body text)")
        connection.execute("INSERT INTO note VALUES ('kept')")
    yield "SELECT body FROM note"
    server.start()
    with connect(server) as connection:
        connection.execute("DROP TABLE note")


def test_the_database_lms_answers_as_postgresql_18(server: EmbeddedPostgres) -> None:
    assert ask(server, "SELECT current_database()") == "lms"
    assert str(ask(server, "SHOW server_version")).startswith("18.")


def test_starting_a_running_server_changes_nothing(server: EmbeddedPostgres) -> None:
    before = server.pid
    server.start()
    assert server.pid == before


def test_settings_of_the_caller_are_added_to_ours(server: EmbeddedPostgres) -> None:
    assert ask(server, "SHOW work_mem") == "5MB"
    assert ask(server, "SHOW max_locks_per_transaction") == "256"


def test_a_stopped_server_is_gone(server: EmbeddedPostgres) -> None:
    pid = server.pid
    assert pid is not None
    server.stop()
    assert not runs(pid)
    assert not server.is_running()
    assert server.pid is None


def test_stopping_a_stopped_server_is_allowed(server: EmbeddedPostgres) -> None:
    server.stop()
    server.stop()


def test_a_restart_keeps_the_data_and_the_address(server: EmbeddedPostgres, note: str) -> None:
    address = server.admin_url
    server.restart()
    assert server.admin_url == address
    assert ask(server, note) == "kept"


def test_an_immediate_stop_loses_nothing_committed(server: EmbeddedPostgres, note: str) -> None:
    server.stop("immediate")
    server.start()
    assert ask(server, note) == "kept"


def test_a_killed_postmaster_can_be_started_again(server: EmbeddedPostgres, note: str) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not server.is_running())
    server.start()
    assert ask(server, note) == "kept"


def test_a_stale_pid_file_with_the_number_of_another_program_does_not_hinder(
    server: EmbeddedPostgres, note: str
) -> None:
    assert server.pid is not None
    pid_file = server._data / "postmaster.pid"
    # Of the server's own user: those of others it takes for gone.
    other = subprocess.Popen(["sleep", "600"], user=server._data.stat().st_uid)
    try:
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: not server.is_running())
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        server.start()
        assert ask(server, note) == "kept"
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_smart_stop_waits_for_clients(server: EmbeddedPostgres) -> None:
    client = connect(server)
    stopping = threading.Thread(target=server.stop, args=("smart",))
    stopping.start()
    with client:
        wait_until(lambda: refuses_newcomers(server))
        assert client.execute("SELECT 1").fetchone() == (1,)
    stopping.join(30)
    assert not stopping.is_alive()


def refuses_newcomers(server: EmbeddedPostgres) -> bool:
    try:
        connect(server).close()
    except psycopg.OperationalError:
        return True
    return False


def test_a_wrong_password_is_refused(server: EmbeddedPostgres) -> None:
    port = int(server.admin_url.rpartition(":")[2].partition("/")[0])
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(
            host="127.0.0.1", port=port, user="postgres", password="guess", dbname="lms"
        )


def test_only_the_owner_can_read_the_password_and_the_data(server: EmbeddedPostgres) -> None:
    assert server._password_file.stat().st_mode & 0o777 == 0o600
    assert server._data.stat().st_mode & 0o777 == 0o700


def test_it_listens_on_the_loopback_address_only(server: EmbeddedPostgres) -> None:
    port = int(server.admin_url.rpartition(":")[2].partition("/")[0])
    listening = {
        fields[1]
        for table in ("tcp", "tcp6")
        if Path(f"/proc/net/{table}").exists()
        for fields in map(str.split, Path(f"/proc/net/{table}").read_text().splitlines()[1:])
        if fields[3] == "0A" and fields[1].endswith(f":{port:04X}")
    }
    assert listening == {f"0100007F:{port:04X}"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_started_by_root_it_runs_as_somebody_else(server: EmbeddedPostgres) -> None:
    assert Path(f"/proc/{server.pid}").stat().st_uid != 0


def test_the_end_of_the_thread_that_started_it_does_not_end_it(server: EmbeddedPostgres) -> None:
    server.stop()
    starting = threading.Thread(target=server.start)
    starting.start()
    starting.join()
    server.restart()
    starting = threading.Thread(target=server.restart)
    starting.start()
    starting.join()
    assert ask(server, "SELECT pg_sleep(0.2) IS NOT NULL") is True


def test_a_folder_in_use_is_refused_plainly(server: EmbeddedPostgres) -> None:
    second = EmbeddedPostgres(server._directory, fast=True)
    with pytest.raises(EmbeddedError, match="in use by another running process"):
        second.start()
    assert server.is_running()


def test_two_servers_run_side_by_side(server: EmbeddedPostgres, tmp_path: Path) -> None:
    other = EmbeddedPostgres(tmp_path, fast=True)
    other.start()
    try:
        assert ask(server, "SHOW data_directory") != ask(other, "SHOW data_directory")
    finally:
        other.stop()


def test_a_start_that_fails_says_why_and_leaves_nothing_running(server: EmbeddedPostgres) -> None:
    server.stop()
    broken = EmbeddedPostgres(server._directory, settings={"no_such_setting": "on"}, fast=True)
    with pytest.raises(EmbeddedError, match="no_such_setting"):
        broken.start()
    assert not broken.is_running()
    server.start()
    assert ask(server, "SELECT 1") == 1


def test_a_first_start_cut_short_is_made_good_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "data.new").mkdir()
    (tmp_path / "data.new" / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(tmp_path, fast=True)
    server.start()
    try:
        assert ask(server, "SELECT 1") == 1
    finally:
        server.stop()


def test_an_address_before_the_first_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match="never started"):
        _ = EmbeddedPostgres(tmp_path).admin_url


def test_a_killed_owner_leaves_no_server_and_the_next_owner_takes_over(
    server: EmbeddedPostgres, note: str
) -> None:
    server.stop()
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(server._directory)], stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        orphan = int(owner.stdout.readline())
        owner.kill()
    wait_until(lambda: not runs(orphan))
    server.start()
    assert ask(server, note) == "kept"


def test_a_server_still_leaving_after_its_owner_was_killed_is_waited_for(
    server: EmbeddedPostgres, note: str
) -> None:
    server.stop()
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(server._directory)], stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        orphan = int(owner.stdout.readline())
        os.kill(orphan, signal.SIGSTOP)
        wait_until(lambda: state(orphan) == "T")
        owner.kill()
    waking = threading.Timer(0.5, os.kill, (orphan, signal.SIGCONT))
    waking.start()
    server.start()
    waking.join()
    assert ask(server, note) == "kept"
