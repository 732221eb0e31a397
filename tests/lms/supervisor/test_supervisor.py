from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lms.supervisor import Supervisor, SupervisorError, require_disk, require_free_port

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""
PARENT = """
import subprocess, time
child = subprocess.Popen(["sleep", "600"], process_group=0)
print(child.pid, flush=True)
time.sleep(600)
"""
OWNER = """
import json, os, signal, sys, time
from pathlib import Path
from lms.supervisor import Supervisor, stopping_on_signals
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests under nohup would hand it down ignored
sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
try:
    with stopping_on_signals(), Supervisor(Path(sys.argv[1])) as supervisor:
        supervisor.start("one", sleeper, os.environ)
        supervisor.start("two", sleeper, os.environ)
        if sys.argv[2] == "fail":
            supervisor.start("three", [sys.executable, "-c", "raise SystemExit('no')"], os.environ)
        print(json.dumps([supervisor.pid("one"), supervisor.pid("two")]), flush=True)
        if sys.argv[2] == "fail":
            supervisor.wait_ready("three", lambda: False, 30)
        time.sleep(600)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    with Supervisor(tmp_path, say=said.append, first_pause_s=0.05, grace_s=5) as supervisor:
        yield supervisor


def wait_until(condition: Callable[[], object], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def state(pid: int | None) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def runs(pid: int | None) -> bool:
    return state(pid) not in ("Z", "X")


def command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def has_pending(pid: int, number: signal.Signals) -> bool:
    pending = Path(f"/proc/{pid}/status").read_text().partition("ShdPnd:")[2].split()[0]
    return bool(int(pending, 16) & 1 << number - 1)


def grandchild(log: Path) -> int:
    wait_until(lambda: log.exists() and log.read_text().endswith("\n"))
    return int(log.read_text())


def owner(log_dir: Path, mode: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OWNER, str(log_dir), mode],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_child_that_dies_is_started_again(supervisor: Supervisor, said: list[str]) -> None:
    supervisor.start("worker", SLEEPER, os.environ)
    first = supervisor.pid("worker")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: supervisor.pid("worker") not in (None, first))
    assert len(said) == 1
    assert said[0].startswith("worker ended with signal SIGKILL; starting it again in 0.05 s")


def test_the_pause_before_a_restart_grows(supervisor: Supervisor, said: list[str]) -> None:
    supervisor.start("worker", [sys.executable, "-c", "raise SystemExit(3)"], os.environ)
    wait_until(lambda: len(said) >= 3)
    pauses = [text.partition(" again in ")[2].partition(" s ")[0] for text in said[:3]]
    assert pauses == ["0.05", "0.1", "0.2"]
    assert "ended with status 3" in said[0]


def test_the_pause_before_a_restart_grows_no_longer_than_its_limit(
    tmp_path: Path, said: list[str]
) -> None:
    with Supervisor(
        tmp_path, say=said.append, first_pause_s=0.05, longest_pause_s=0.1
    ) as supervisor:
        supervisor.start("worker", [sys.executable, "-c", "raise SystemExit(3)"], os.environ)
        wait_until(lambda: len(said) >= 3)
    pauses = [text.partition(" again in ")[2].partition(" s ")[0] for text in said[:3]]
    assert pauses == ["0.05", "0.1", "0.1"]


def test_all_output_of_a_child_is_in_its_log(supervisor: Supervisor, tmp_path: Path) -> None:
    script = "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(1)"
    supervisor.start("api", [sys.executable, "-c", script], os.environ)
    wait_until(lambda: (tmp_path / "api.log").read_text().count("out\nerr\n") >= 2)


def test_a_child_gets_exactly_the_environment_it_is_given(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.start("env", ["/usr/bin/env"], {"COURSE": "Botany"})
    wait_until(lambda: "COURSE=Botany\n" in (tmp_path / "env.log").read_text())
    lines = set((tmp_path / "env.log").read_text().splitlines())
    assert {line.partition("=")[0] for line in lines} <= {"COURSE", "LC_CTYPE"}


def test_a_child_is_ready_when_its_probe_says_so(supervisor: Supervisor) -> None:
    answers = iter([False, False, True])
    supervisor.start("api", SLEEPER, os.environ)
    supervisor.wait_ready("api", lambda: next(answers), timeout_s=30)
    assert next(answers, None) is None


def test_a_failed_start_shows_the_end_of_the_log(supervisor: Supervisor) -> None:
    script = "raise SystemExit('the certificate is missing')"
    supervisor.start("api", [sys.executable, "-c", script], os.environ)
    with pytest.raises(SupervisorError, match=r"api ended with status 1(.|\n)*certificate is miss"):
        supervisor.wait_ready("api", lambda: False, timeout_s=30)


def test_a_child_that_is_never_ready_is_reported_in_time(supervisor: Supervisor) -> None:
    supervisor.start("api", SLEEPER, os.environ)
    with pytest.raises(SupervisorError, match=r"api was not ready after 0\.2 s"):
        supervisor.wait_ready("api", lambda: False, timeout_s=0.2)


def test_a_program_that_is_not_there_is_reported(supervisor: Supervisor) -> None:
    supervisor.start("api", ["/no/such/program"], os.environ)
    with pytest.raises(SupervisorError, match="cannot start /no/such/program"):
        supervisor.wait_ready("api", lambda: False, timeout_s=30)


def test_two_children_cannot_share_a_name(supervisor: Supervisor) -> None:
    supervisor.start("worker", SLEEPER, os.environ)
    with pytest.raises(ValueError, match="already a child named worker"):
        supervisor.start("worker", SLEEPER, os.environ)


def test_stopping_leaves_no_process_and_restarts_none(
    supervisor: Supervisor, said: list[str]
) -> None:
    pids: list[int | None] = []
    for name in ("api", "worker", "dispatcher"):
        supervisor.start(name, SLEEPER, os.environ)
        pids.append(supervisor.pid(name))
    supervisor.stop_all()
    assert None not in pids
    assert not any(map(runs, pids))
    assert said == []


def test_the_last_started_is_stopped_first(supervisor: Supervisor, tmp_path: Path) -> None:
    record = tmp_path / "order"
    script = (
        "import signal, sys, time\n"
        "def stop(*_):\n"
        "    open(sys.argv[1], 'a').write(sys.argv[2] + '\\n'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    for name in ("first", "second"):
        argv = [sys.executable, "-c", script, str(record), name]
        supervisor.start(name, argv, os.environ)
    for name in ("first", "second"):
        log = tmp_path / f"{name}.log"
        supervisor.wait_ready(name, lambda log=log: "ready" in log.read_text(), timeout_s=30)
    supervisor.stop_all()
    assert record.read_text() == "second\nfirst\n"


def test_a_child_deaf_to_sigterm_is_killed(tmp_path: Path) -> None:
    with Supervisor(tmp_path, grace_s=0.2) as supervisor:
        supervisor.start("deaf", [sys.executable, "-c", STUBBORN], os.environ)
        log = tmp_path / "deaf.log"
        supervisor.wait_ready("deaf", lambda: "deaf" in log.read_text(), timeout_s=30)
        pid = supervisor.pid("deaf")
    assert pid is not None
    assert not runs(pid)


def test_what_a_stopped_child_started_is_gone_too(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start("worker", [sys.executable, "-c", PARENT], os.environ)
    pid = grandchild(tmp_path / "worker.log")
    assert runs(pid)
    supervisor.stop_all()
    wait_until(lambda: not runs(pid))


def test_what_a_dead_child_left_is_ended_before_its_successor_starts(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.start("worker", [sys.executable, "-c", PARENT], os.environ)
    pid = grandchild(tmp_path / "worker.log")
    first = supervisor.pid("worker")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: supervisor.pid("worker") not in (None, first))
    assert not runs(pid)


def test_children_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    with owner(tmp_path, "serve") as process:
        assert process.stdout is not None
        pids = json.loads(process.stdout.readline())
        # Past the launcher, which ends by itself when its parent has gone before it is done.
        wait_until(lambda: not any("launch.py" in command(pid) for pid in pids))
        process.kill()
    assert len(pids) == 2
    wait_until(lambda: not any(map(runs, pids)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_before_the_supervisor_ends(
    tmp_path: Path, number: signal.Signals
) -> None:
    with owner(tmp_path, "serve") as process:
        assert process.stdout is not None
        pids = json.loads(process.stdout.readline())
        assert all(map(runs, pids))
        process.send_signal(number)
        assert process.stdout.readline() == "stopped\n"
        assert not any(map(runs, pids))
    assert process.returncode == 0


def test_a_second_ctrl_c_does_not_interrupt_the_stopping(tmp_path: Path) -> None:
    with owner(tmp_path, "serve") as process:
        assert process.stdout is not None
        pids = json.loads(process.stdout.readline())
        os.kill(pids[1], signal.SIGSTOP)
        wait_until(lambda: state(pids[1]) == "T")
        process.send_signal(signal.SIGINT)
        wait_until(lambda: has_pending(pids[1], signal.SIGTERM))
        process.send_signal(signal.SIGINT)
        os.kill(pids[1], signal.SIGCONT)
        assert process.stdout.readline() == "stopped\n"
        assert not any(map(runs, pids))


def test_a_start_up_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    with owner(tmp_path, "fail") as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "three ended with status 1" in errors
    assert not any(map(runs, json.loads(output.splitlines()[0])))


def test_a_port_in_use_is_named_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SupervisorError, match=rf"Port {port} .*(.|\n)*make run PORT=8010"):
            require_free_port("127.0.0.1", port)
    require_free_port("127.0.0.1", port)


def test_a_port_in_use_on_one_address_is_not_free_on_all() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(SupervisorError, match="already in use"),
    ):
        require_free_port("0.0.0.0", listener.getsockname()[1])


def test_a_disk_without_room_is_named_with_both_figures(tmp_path: Path) -> None:
    with pytest.raises(SupervisorError, match=r"MiB free, and \d+ MiB are needed"):
        require_disk(tmp_path / "not" / "yet" / "made", 2**60)
    require_disk(tmp_path / "not" / "yet" / "made", 1)
