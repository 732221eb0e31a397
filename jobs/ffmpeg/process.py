"""Run one child process under limits, and never leave it behind.

The child leads its own session and process group, so all it starts can be killed at once; it dies
when this process dies (Linux); it gets no secrets from our environment.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from jobs.ffmpeg.limits import ProcessLimits

_LAUNCHER = Path(__file__).with_name("launch.py")
_KEPT_OUTPUT_BYTES = 64 * 1024
_CHUNK_BYTES = 64 * 1024
_PIPE_CHUNKS = 32  # a Linux pipe holds one chunk, or 16 where it was enlarged; two pipes
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "TMPDIR")
"""All that a child sees of our environment: it reads hostile input and needs no secrets."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a child process ended.

    Attributes:
        returncode: its exit status; negative: the signal that ended it.
        stderr: the last 64 KiB of its standard error.
        cpu_seconds: user and system time, seconds.
        timed_out: whether the wall-clock limit ended it.
    """

    returncode: int
    stderr: str
    cpu_seconds: float
    timed_out: bool


def idle() -> None:
    """Do nothing at a tick."""


def ignore(_line: str) -> None:
    """Do nothing with a line of output."""


def run(
    command: Sequence[str],
    *,
    limits: ProcessLimits,
    cwd: Path,
    tick_seconds: float,
    on_tick: Callable[[], None] = idle,
    on_line: Callable[[str], None] = ignore,
) -> Finished:
    """Run a command to its end and report how it ended.

    Args:
        command: the program and its arguments; no shell.
        limits: bounds on memory, CPU, file size and time.
        cwd: the directory it works in.
        tick_seconds: `on_tick` is called at least this often, seconds, also while the command
            prints nothing.
        on_tick: may raise to abort.
        on_line: called with each line of standard output, without its end; may raise to abort.

    Returns:
        Exit status, the end of standard error, CPU time.

    Raises:
        Whatever a callback raises, after the whole process group was killed and reaped.
    """
    child = _Child(command, limits, cwd)
    try:
        child.pump(tick_seconds, on_tick, on_line)
    finally:
        # Also on KeyboardInterrupt and on a worker's own time-out: nothing outlives this call.
        child.destroy()
    return child.finished()


@dataclass(slots=True)
class _Lines:
    """Splits standard output into lines; a line longer than any of ours keeps its end only."""

    on_line: Callable[[str], None]
    rest: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> None:
        self.rest += data
        *lines, last = self.rest.split(b"\n")
        self.rest = last[-_KEPT_OUTPUT_BYTES:]
        for line in lines:
            self.on_line(line.decode(errors="replace"))


@dataclass(slots=True)
class _Tail:
    """Keeps the end of standard error."""

    kept: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> None:
        self.kept = (self.kept + data)[-_KEPT_OUTPUT_BYTES:]


class _Child:
    """A started process with its pipes, its clock and its end."""

    def __init__(self, command: Sequence[str], limits: ProcessLimits, cwd: Path) -> None:
        self._limits = limits
        self._process = subprocess.Popen(  # noqa: S603 - argument list, no shell
            [
                sys.executable,
                "-I",
                "-S",
                str(_LAUNCHER),
                str(os.getpid()),
                str(limits.memory_bytes),
                str(limits.cpu_seconds),
                str(limits.file_bytes),
                *command,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            start_new_session=True,
        )
        self._deadline = time.monotonic() + limits.wall_seconds
        self._timed_out = False
        self._stderr = _Tail()
        self._cpu_seconds = 0.0

    def pump(
        self, tick_seconds: float, on_tick: Callable[[], None], on_line: Callable[[str], None]
    ) -> None:
        """Read the pipes, keep the clock, until the process has ended and its pipes are empty."""
        lines = _Lines(on_line)
        # A quarter early, so that a busy machine still keeps the promised interval.
        interval = 0.75 * tick_seconds
        next_tick = time.monotonic() + interval
        with selectors.DefaultSelector() as selector:
            for pipe, feed in ((self._stdout, lines.feed), (self._stderr_pipe, self._stderr.feed)):
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ, feed)
            while not self._has_ended():
                self._read(selector, self._patience(selector, next_tick))
                if time.monotonic() >= next_tick:
                    next_tick = time.monotonic() + interval
                    on_tick()
                self._enforce_deadline()
            # What the ended process left in its pipes; bounded, as a grandchild may write on.
            for _ in range(_PIPE_CHUNKS):
                if not self._read(selector, 0.0):
                    return

    @property
    def _stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101 - we asked for a pipe
        return self._process.stdout

    @property
    def _stderr_pipe(self) -> IO[bytes]:
        assert self._process.stderr is not None  # noqa: S101 - we asked for a pipe
        return self._process.stderr

    def _patience(self, selector: selectors.BaseSelector, next_tick: float) -> float:
        """Return how long to wait for output, seconds."""
        wait = min(next_tick, self._deadline) - time.monotonic()
        if not selector.get_map():
            # Both pipes are closed: the end follows at once and no event announces it.
            wait = min(wait, 0.01)
        # At most a second, in case a grandchild keeps the pipes open after the end.
        return max(0.0, min(wait, 1.0))

    def _read(self, selector: selectors.BaseSelector, patience: float) -> bool:
        """Wait for output, take one chunk from each pipe, return whether there was any."""
        events = selector.select(patience)
        for key, _ in events:
            data = os.read(key.fd, _CHUNK_BYTES)
            if data:
                key.data(data)
            else:
                selector.unregister(key.fileobj)
        return bool(events)

    def _has_ended(self) -> bool:
        """Look whether the process ended, leaving it to be reaped: its id stays ours."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, options) is not None

    def _enforce_deadline(self) -> None:
        """Ask to stop when the time is over, and do not ask twice."""
        if time.monotonic() < self._deadline:
            return
        if self._timed_out:
            self._signal_group(signal.SIGKILL)
        else:
            self._signal_group(signal.SIGTERM)
        self._timed_out = True
        self._deadline = time.monotonic() + self._limits.grace_seconds

    def _signal_group(self, number: int) -> None:
        """Signal the process and all it started. It is not reaped yet, so the id is ours."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def destroy(self) -> None:
        """Kill what is left of the group, reap the process, close the pipes."""
        if self._process.returncode is not None:
            return
        self._signal_group(signal.SIGKILL)
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._cpu_seconds = usage.ru_utime + usage.ru_stime
        self._stdout.close()
        self._stderr_pipe.close()

    def finished(self) -> Finished:
        """Report the end."""
        return Finished(
            returncode=self._process.returncode,
            stderr=self._stderr.kept.decode(errors="replace"),
            cpu_seconds=self._cpu_seconds,
            timed_out=self._timed_out,
        )
