"""Load on one API: requests played back by wrk, and what they cost."""

from __future__ import annotations

import os
import re
import shutil
import signal
import string
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from bench.report import ROOT, UnmeasurableError
from lms.embedded.process import free_port, spawn

START_SECONDS = 60.0
STOP_SECONDS = 20.0
IDLE_SECONDS = 30.0
CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of load showed.

    Attributes:
        requests: answered.
        seconds: measured.
        rps: requests per second.
        p50_ms: median of the answers' times.
        p99_ms: 99th percentile.
        errors: answers with a status of 400 and more, broken connections and time-outs.
        web_ms: CPU of the API's processes per request.
        postgres_ms: CPU of PostgreSQL per request.
        bytes: of an answer on average, headers included.
    """

    requests: int
    seconds: float
    rps: float
    p50_ms: float
    p99_ms: float
    errors: int
    web_ms: float
    postgres_ms: float
    bytes: int


@dataclass(slots=True)
class Server:
    """A started API."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    postmaster: Path

    def web_cpu(self) -> float:
        """CPU seconds that its processes have used so far."""
        parent = psutil.Process(self.process.pid)
        return sum(_cpu(one) for one in (parent, *parent.children(recursive=True)))

    def postgres_cpu(self) -> float:
        """CPU seconds that its PostgreSQL has used so far; see `postgres_cpu`."""
        return postgres_cpu(self.postmaster)

    def memory(self) -> float:
        """Memory of its processes in MiB, what they share counted once (Linux's PSS)."""
        parent = psutil.Process(self.process.pid)
        tree = (parent, *parent.children(recursive=True))
        return sum(one.memory_full_info().pss for one in tree) / 2**20


def postgres_cpu(postmaster: Path) -> float:
    """CPU seconds that a PostgreSQL server has used so far, ended backends included.

    Args:
        postmaster: its data folder; `postmaster.pid` in it names the server's process.
    """
    pid = int((postmaster / "postmaster.pid").read_text().split()[0])
    parent = psutil.Process(pid)
    while True:
        ended = _cpu_of_ended(parent)
        running = sum(_cpu(one) for one in parent.children())
        if ended == _cpu_of_ended(parent):  # else one ended meanwhile, and was counted nowhere
            return ended + running


def _cpu_of_ended(parent: psutil.Process) -> float:
    times = parent.cpu_times()
    return times.children_user + times.children_system


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system


@contextmanager
def serving(
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    postmaster: Path,
    logs: Path,
    health_path: str = "/readyz",
) -> Iterator[Server]:
    """Start an API and wait until it is ready; it stops afterwards.

    Args:
        name: for its log and messages.
        command: what to run; `$PORT` in it becomes a free port.
        environment: added to this process's own.
        postmaster: PostgreSQL's data folder.
        logs: folder of the log.
        health_path: answers 200 once it is ready.

    Raises:
        UnmeasurableError: it does not start.
    """
    port = str(free_port())
    argv = [string.Template(word).safe_substitute(PORT=port) for word in command]
    with (logs / f"{name}.log").open("ab") as log:
        process = spawn(
            argv,
            # The server's parent hands SIGTERM on to its workers; killed, it would leave them.
            death_signal=signal.SIGTERM,
            output=log,
            env={**os.environ, **environment, "PGAPPNAME": name},
            cwd=ROOT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(process, url + health_path, logs / f"{name}.log")
        yield Server(name, url, process, postmaster)
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the parent to end, then kill what is left of its group, its workers included."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, trust_env=False, timeout=2).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise UnmeasurableError(f"The API did not start; see {log}.")


def play(
    server: Server,
    requests: Sequence[bytes],
    seconds: int,
    connections: int = CONNECTIONS,
    *,
    once: bool = False,
) -> Round:
    """Send requests for some seconds and measure.

    Args:
        server: to whom.
        requests: raw, sent in this order and round again.
        seconds: how long.
        connections: how many at a time.
        once: whether a repeated request would be another, cheaper one: an answer that is replayed.

    Raises:
        UnmeasurableError: with `once`, there were too few requests for the time.
    """
    with tempfile.NamedTemporaryFile(prefix="bench-requests-") as file:
        for request in requests:
            file.write(b"%08d" % len(request) + request)
        file.flush()
        web, postgres = server.web_cpu(), server.postgres_cpu()
        output = _wrk(server.url, Path(file.name), seconds, connections)
        _wait_until_idle(server)
        web, postgres = server.web_cpu() - web, server.postgres_cpu() - postgres
    count, microseconds, p50, p99, bad, broken, size = output
    # Each connection may have sent one more, which was not answered in time.
    if once and count + connections > len(requests):
        raise UnmeasurableError(
            f"{server.name} answered {count:,} requests, and there were only {len(requests):,}"
            " different ones: the rest were replays. Measure for fewer seconds."
        )
    answered = max(1, count)
    return Round(
        requests=count,
        seconds=microseconds / 1e6,
        rps=count / (microseconds / 1e6),
        p50_ms=p50 / 1000,
        p99_ms=p99 / 1000,
        errors=bad + broken,
        web_ms=1000 * web / answered,
        postgres_ms=1000 * postgres / answered,
        bytes=size // answered,
    )


def _wait_until_idle(server: Server) -> None:
    """Wait until the requests that wrk left unanswered are done, so that no later round meets them.

    Raises:
        UnmeasurableError: the server keeps working.
    """
    deadline = time.monotonic() + IDLE_SECONDS
    before = server.web_cpu()
    while time.monotonic() < deadline:
        time.sleep(0.2)
        now = server.web_cpu()
        if now - before <= 0.02:
            return
        before = now
    raise UnmeasurableError(f"{server.name} does not come to rest; see its log.")


def _wrk(url: str, requests: Path, seconds: int, connections: int) -> list[int]:
    script = str(Path(__file__).with_name("wrk.lua"))
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency"]
    done = subprocess.run(
        ["wrk", *options, "-s", script, url],
        env={**os.environ, "BENCH_REQUESTS": str(requests)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"^RESULT (.*)$", done.stdout, re.MULTILINE)
    if found is None:
        raise UnmeasurableError(f"wrk failed:\n{done.stdout}{done.stderr}")
    return [int(word) for word in found[1].split()]


def require_wrk() -> None:
    """Make sure that wrk is there.

    Raises:
        UnmeasurableError: with how to install it.
    """
    if shutil.which("wrk") is None:
        raise UnmeasurableError(
            "wrk is not installed. On Debian and Ubuntu: apt-get install wrk; on macOS: brew"
            " install wrk."
        )
