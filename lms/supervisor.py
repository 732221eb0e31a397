"""Starts and watches the processes of one machine: API, workers, dispatcher; stops them all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from lms.embedded.process import spawn, tail

_GRACE_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 30.0
# A child that ran for this long was well: the next death starts the back-off anew.
_WELL_SECONDS = 60.0
_PROBE_SECONDS = 0.1
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SupervisorError(Exception):
    """Something cannot be started; the message says why and what to do next."""


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


class Supervisor:
    """Child processes that are restarted when they die, and that all end with us.

    Each child leads a session of its own, so Ctrl-C in a terminal reaches us alone and we stop the
    children in order. Should we be killed, the kernel sends each child SIGTERM. Leaving the `with`
    block, also by an exception, stops all of them.

    Args:
        log_dir: gets one `<name>.log` for each child, begun anew by `start`; made if missing.
        say: takes the one-line reports for people; by default they go to standard error.
        first_pause_s: seconds before the first restart; doubles with each death.
        longest_pause_s: what that pause grows to at most.
        grace_s: seconds that a child has to end by itself after SIGTERM.
    """

    def __init__(
        self,
        log_dir: Path,
        *,
        say: Callable[[str], None] = _say,
        first_pause_s: float = 1.0,
        longest_pause_s: float = _LONGEST_PAUSE_SECONDS,
        grace_s: float = _GRACE_SECONDS,
    ) -> None:
        self._log_dir = log_dir
        self._say = say
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._grace_s = grace_s
        self._children: dict[str, _Child] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop_all()

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Start a child, and start it again whenever it dies.

        Args:
            name: for messages and the log file's name; one child each.
            argv: the program and its arguments.
            env: its whole environment.

        Raises:
            SupervisorError: its log file or its process cannot be made.
        """
        if name in self._children:
            raise ValueError(f"there is already a child named {name}")
        log = self._log_dir / f"{name}.log"
        child = _Child(
            name,
            argv=argv,
            env=env,
            log=log,
            say=self._say,
            first_pause_s=self._first_pause_s,
            longest_pause_s=self._longest_pause_s,
        )
        self._children[name] = child
        try:
            self._log_dir.mkdir(parents=True, exist_ok=True)
            log.write_bytes(b"")
            child.start()
        except OSError as error:
            del self._children[name]
            raise SupervisorError(f"{name} did not start: {error}") from error

    def wait_ready(self, name: str, probe: Callable[[], bool], timeout_s: float) -> None:
        """Wait until a child that was just started works.

        Args:
            name: which child.
            probe: says whether it works; called again and again.
            timeout_s: how many seconds to wait at most.

        Raises:
            SupervisorError: it died or took too long; with the last lines of its log.
        """
        child = self._children[name]
        deadline = time.monotonic() + timeout_s
        while not probe():
            if child.last_status is not None:
                raise _not_ready(child, f"{name} ended with {_describe(child.last_status)}")
            if time.monotonic() > deadline:
                raise _not_ready(child, f"{name} was not ready after {timeout_s:g} s")
            time.sleep(_PROBE_SECONDS)

    def pid(self, name: str) -> int | None:
        """The process id of a child; None while it waits for its restart."""
        return self._children[name].pid

    def stop_all(self) -> None:
        """Stop every child, the last started first: SIGTERM, then SIGKILL to all it started."""
        while self._children:
            _, child = self._children.popitem()
            child.stop(self._grace_s)


class _Child:
    """One supervised process, and the thread that waits for its end."""

    def __init__(
        self,
        name: str,
        *,
        argv: Sequence[str],
        env: Mapping[str, str],
        log: Path,
        say: Callable[[str], None],
        first_pause_s: float,
        longest_pause_s: float,
    ) -> None:
        self.log = log
        self.last_status: int | None = None
        self._name = name
        self._argv = argv
        self._env = env
        self._say = say
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        # Held while a process is started, so that a stop never misses a newborn one.
        self._birth = threading.Lock()
        self._watcher = threading.Thread(target=self._watch, name=f"watch-{name}", daemon=True)

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        self._spawn()
        self._watcher.start()

    def stop(self, grace_s: float) -> None:
        with self._birth:
            self._stopping.set()
            process = self._process
        if process is not None:
            process.terminate()
            try:
                process.wait(grace_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _kill_session(process.pid)
        if self._watcher.is_alive():
            self._watcher.join()

    def _spawn(self) -> None:
        with self._birth, self.log.open("ab") as log:
            if not self._stopping.is_set():
                self._process = spawn(
                    self._argv, death_signal=signal.SIGTERM, output=log, env=self._env
                )

    def _watch(self) -> None:
        pause = self._first_pause_s
        while True:
            born = time.monotonic()
            process = self._process
            if process is not None:
                status = process.wait()
                if self._stopping.is_set():
                    return
                self.last_status = status
                # A dead worker's job would otherwise run on beside its successor's.
                _kill_session(process.pid)
                reason = f"ended with {_describe(status)}"
            else:
                reason = "could not be started"
            if time.monotonic() - born > _WELL_SECONDS:
                pause = self._first_pause_s
            self._say(f"{self._name} {reason}; starting it again in {pause:g} s (log: {self.log})")
            if self._stopping.wait(pause):
                return
            pause = min(pause * 2, self._longest_pause_s)
            self._process = None
            with contextlib.suppress(OSError):
                self._spawn()


def _not_ready(child: _Child, what: str) -> SupervisorError:
    last = tail(child.log)
    return SupervisorError(
        f"{what}. The end of {child.log}:\n{last}" if last else f"{what}, without a word."
    )


def _describe(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"


def _kill_session(leader: int) -> None:
    """Kill what a child started and left, whatever process groups it made.

    An RQ work-horse leads its own group, so killing the child's group would miss it.
    """
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # "pid (name) state ppid pgrp session ...": the name may hold anything.
            session = int(stat.read_text().rpartition(")")[2].split()[3])
            if session == leader:
                os.kill(int(stat.parent.name), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            continue


@contextlib.contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into KeyboardInterrupt, and ignore the next ones.

    So `finally` blocks run whoever asks us to stop, and an impatient second Ctrl-C does not cut
    them short and leave processes behind. A SIGHUP that is ignored (nohup) stays ignored. Only for
    the main thread.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    kept = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else set()
    before = {number: signal.signal(number, stop) for number in _STOP_SIGNALS if number not in kept}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def require_free_port(host: str, port: int) -> None:
    """Check that a server could listen on a port.

    Args:
        host: the address that it would listen on.
        port: the TCP port.

    Raises:
        SupervisorError: it is in use, or not ours to use.
    """
    other = "Stop what uses it, or choose another one: make run PORT=8010 DATA=another-folder"
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SupervisorError(
                f"Port {port} on {host} is already in use, perhaps by another `make run`. {other}"
            ) from error
        raise SupervisorError(
            f"Port {port} on {host} cannot be used: {error.strerror or error}. {other}"
        ) from error


def require_disk(path: Path, needed: int) -> None:
    """Check that a disk has room.

    Args:
        path: a file or folder, not necessarily made yet, on that disk.
        needed: bytes.

    Raises:
        SupervisorError: there is less.
    """
    there = next(step for step in (path.absolute(), *path.absolute().parents) if step.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise SupervisorError(
            f"The disk that holds {path} has {free // 2**20} MiB free, and {needed // 2**20} MiB "
            "are needed. Free some space and try again."
        )
