"""The files of an embedded PostgreSQL: makes them, and ends a server that was left on them."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from lms.embedded.process import Account, explain, spawn, tail

SUPERUSER = "postgres"

DATA = "data"
PASSWORD = "password"  # noqa: S105 - the file's name
LOG = "postgres.log"

_INITDB_SECONDS = 180.0
_STOP_SECONDS = 60.0


def make_cluster(directory: Path, initdb: Path, account: Account, *, fast: bool) -> None:
    """Make an empty database cluster and its superuser's random password.

    It is made beside its final place, so that a start that is killed half-way leaves nothing there.

    Args:
        directory: gets `DATA`, `PASSWORD` (mode 0600) and `LOG`.
        initdb: PostgreSQL's program.
        account: as whom it runs, and who will own the data.
        fast: do not wait for the disk.

    Raises:
        EmbeddedError: initdb failed.
    """
    fresh = directory / f"{DATA}.new"
    password = directory / f"{PASSWORD}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    password.unlink(missing_ok=True)
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(24))
    _give(account, fresh, password)
    argv = [
        str(initdb),
        f"--pgdata={fresh}",
        f"--username={SUPERUSER}",
        f"--pwfile={password}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        # Sorts the same on every machine, whatever its C library.
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        *(["--no-sync"] if fast else []),
    ]
    process = spawn_tool(argv, account, directory / LOG, signal.SIGTERM, {})
    try:
        status = process.wait(_INITDB_SECONDS)
    except BaseException:
        end(process, [signal.SIGTERM])
        raise
    if status != 0:
        raise explain("The database could not be made", tail(directory / LOG))
    _give(Account(os.geteuid(), os.getegid()), password)
    password.rename(directory / PASSWORD)
    fresh.rename(directory / DATA)


def _give(account: Account, *paths: Path) -> None:
    for path in paths:
        os.chown(path, account.uid, account.gid)


def spawn_tool(
    argv: Sequence[str], account: Account, log: Path, death_signal: int, env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start one of PostgreSQL's programs with a new log and an environment of only what it needs.

    Args:
        argv: the program and its arguments.
        account: as whom it runs.
        log: takes its output; what was in it is lost.
        death_signal: what it gets when this process is gone.
        env: what to add to the environment.
    """
    log.touch(mode=0o600)
    with log.open("wb") as output:
        return spawn(
            argv,
            death_signal=death_signal,
            output=output,
            env={"LC_ALL": "C", "PATH": os.defpath, "TZ": "UTC", **env},
            account=account,
        )


def end(process: subprocess.Popen[bytes], signals: Sequence[int]) -> None:
    """Send one signal after the other, each with a minute's time, last SIGKILL, until it ended."""
    for number in (*signals, signal.SIGKILL):
        process.send_signal(number)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return


def end_orphan(data: Path) -> int | None:
    """End a server that a killed owner left on its data. For the holder of the folder's lock only.

    Args:
        data: the data folder.

    Returns:
        The process id in postmaster.pid when it is now another program's, otherwise None.
    """
    try:
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, IndexError, ValueError):
        return None
    if os.fsencode(data) not in words:
        return pid
    # Its owner's death has asked it already; ask again, then insist.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return None
        deadline = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < deadline:
            if not _runs(pid):
                return None
            time.sleep(0.05)
    return None


def _runs(pid: int) -> bool:
    try:
        # "pid (name) state ...": a zombie has ended, only its parent has not noticed yet.
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")
