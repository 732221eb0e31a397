from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.ffmpeg import process
from jobs.ffmpeg.limits import ProcessLimits

ROOMY = ProcessLimits(
    memory_bytes=2 * 1024**3, cpu_seconds=60, file_bytes=1024**3, wall_seconds=60, grace_seconds=1
)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def run(
    command: list[str],
    tmp_path: Path,
    *,
    limits: ProcessLimits = ROOMY,
    tick_seconds: float = 5,
    on_tick: Callable[[], None] = lambda: None,
    on_line: Callable[[str], None] = lambda _line: None,
) -> process.Finished:
    return process.run(
        command,
        limits=limits,
        cwd=tmp_path,
        tick_seconds=tick_seconds,
        on_tick=on_tick,
        on_line=on_line,
    )


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie that nobody has reaped yet does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def await_death(pid: int, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} lives on"
        time.sleep(0.02)


class Abort(Exception):
    pass


def test_the_end_of_a_process_is_reported(tmp_path: Path) -> None:
    lines: list[str] = []
    code = "import sys; print('one'); print('two'); sys.stderr.write('why'); sys.exit(3)"
    finished = run(python(code), tmp_path, on_line=lines.append)
    assert (finished.returncode, finished.stderr, finished.timed_out) == (3, "why", False)
    assert lines == ["one", "two"]
    assert finished.cpu_seconds > 0


def test_a_program_that_does_not_exist_ends_with_127(tmp_path: Path) -> None:
    finished = run(["/nonexistent/ffmpeg"], tmp_path)
    assert finished.returncode == 127
    assert "/nonexistent/ffmpeg" in finished.stderr


def test_only_the_end_of_a_flood_on_standard_error_is_kept(tmp_path: Path) -> None:
    finished = run(python("import sys; sys.stderr.write('x' * 10_000_000 + 'end')"), tmp_path)
    assert finished.stderr.endswith("end")
    assert len(finished.stderr) == 64 * 1024


def test_ticks_come_while_the_process_is_silent(tmp_path: Path) -> None:
    ticks: list[float] = []

    def tick() -> None:
        ticks.append(time.monotonic())
        if len(ticks) == 3:
            raise Abort

    with pytest.raises(Abort):
        run(["sleep", "60"], tmp_path, tick_seconds=0.1, on_tick=tick)
    assert len(ticks) == 3


def test_a_failing_callback_kills_the_whole_group(tmp_path: Path) -> None:
    pids: list[int] = []

    def tick() -> None:
        if len(pids) == 2:
            raise Abort

    with pytest.raises(Abort):
        run(
            ["sh", "-c", "sleep 60 & echo $!; echo $$; wait"],
            tmp_path,
            tick_seconds=0.05,
            on_tick=tick,
            on_line=lambda line: pids.append(int(line)),
        )
    for pid in pids:
        await_death(pid)


def test_what_a_process_leaves_running_is_killed_when_it_ends(tmp_path: Path) -> None:
    pids: list[int] = []
    run(
        ["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!"],
        tmp_path,
        on_line=lambda line: pids.append(int(line)),
    )
    await_death(pids[0])


def test_a_process_dies_with_the_worker(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from jobs.ffmpeg import process
from jobs.ffmpeg.limits import ProcessLimits
process.run(
    ["sh", "-c", "echo $$; exec sleep 60"],
    limits=ProcessLimits(2**31, 60, 2**30, 60),
    cwd=Path({str(tmp_path)!r}),
    tick_seconds=5,
    on_line=lambda line: print(line, flush=True),
)
"""
    worker = subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True)
    with worker:
        assert worker.stdout is not None
        pid = int(worker.stdout.readline())
        assert is_alive(pid)
        os.kill(worker.pid, signal.SIGKILL)
    await_death(pid)


def test_a_process_that_ignores_the_request_to_stop_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    limits = replace(ROOMY, wall_seconds=1, grace_seconds=0.2)
    finished = run(python(code), tmp_path, limits=limits)
    assert (finished.returncode, finished.timed_out) == (-signal.SIGKILL, True)


def test_a_process_may_stop_politely_when_its_time_is_over(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "time.sleep(60)"
    )
    limits = replace(ROOMY, wall_seconds=1, grace_seconds=30)
    finished = run(python(code), tmp_path, limits=limits)
    assert (finished.returncode, finished.timed_out) == (7, True)


def test_memory_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    limits = replace(ROOMY, memory_bytes=256 * 1024**2)
    finished = run(python("bytearray(512 * 1024 ** 2)"), tmp_path, limits=limits)
    assert finished.returncode == 1
    assert "MemoryError" in finished.stderr


def test_computing_beyond_the_limit_ends_the_process(tmp_path: Path) -> None:
    limits = replace(ROOMY, cpu_seconds=1)
    finished = run(python("while True: pass"), tmp_path, limits=limits)
    assert finished.returncode == -signal.SIGXCPU


def test_a_file_beyond_the_limit_ends_the_process(tmp_path: Path) -> None:
    limits = replace(ROOMY, file_bytes=1000)
    finished = run(["sh", "-c", "exec head -c 5000 /dev/zero > big"], tmp_path, limits=limits)
    assert finished.returncode == -signal.SIGXFSZ
    assert (tmp_path / "big").stat().st_size == 1000


def test_secrets_in_the_environment_stay_with_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://owner:secret@db/lms")
    lines: list[str] = []
    run(["env"], tmp_path, on_line=lines.append)
    assert lines
    assert not any("secret" in line for line in lines)
