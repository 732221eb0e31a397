"""The API as it is served: a process of its own, one worker, a few threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from http.client import HTTPConnection
from pathlib import Path

from lms.config import Settings
from lms.embedded.process import LOOPBACK, free_port, spawn

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
STOP_SECONDS = 20.0


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables that a process reads these settings from."""
    values = {field.name.upper(): getattr(settings, field.name) for field in fields(settings)}
    written = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
        if value is not None
    }
    return {"PATH": os.environ.get("PATH", os.defpath), **written}


@contextmanager
def serving(settings: Settings, log: Path, *, threads: int) -> Iterator[int]:
    """Serve the API on a free port; yields the port.

    Args:
        settings: of the process.
        log: takes its output.
        threads: requests that it serves at the same time.
    """
    port = free_port()
    with log.open("wb") as output:
        process = spawn(
            [
                *(sys.executable, "-m", "granian", "--interface", "wsgi", "--host", LOOPBACK),
                *("--port", str(port), "--workers", "1", "--blocking-threads", str(threads)),
                *("--no-ws", "wsgi:app"),
            ],
            # It hands SIGTERM on to its workers; killed, it would leave them behind.
            death_signal=signal.SIGTERM,
            output=output,
            env=environment(settings),
            cwd=ROOT,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _is_ready(port):
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.1)
        yield port
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


def _is_ready(port: int) -> bool:
    connection = HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
