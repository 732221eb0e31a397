"""Starts programs that never outlive us, and picks the user and the port that a server gets."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import random
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from lms.embedded import launch

LOOPBACK = "127.0.0.1"

_LAUNCHER = Path(launch.__file__).resolve()
_UNPRIVILEGED = "nobody"
# Below the range from which Linux takes the ports of outgoing connections (32768 and up), so that
# none of those takes a server's port while the server restarts.
_PORTS = range(15_000, 32_000)
_TAIL_BYTES = 4_000


class EmbeddedError(Exception):
    """An embedded server cannot run; the message says why and what to do next."""


@dataclass(frozen=True)
class Account:
    """The system user as which a server runs.

    Attributes:
        uid: user id, or `launch.KEEP` to stay who we are.
        gid: group id, or `launch.KEEP`.
        pass_locked_folders: whether the server needs the right to pass folders that are closed to
            this user, as when everything is under /root.
    """

    uid: int = launch.KEEP
    gid: int = launch.KEEP
    pass_locked_folders: bool = False


OURSELVES = Account()


def account_for(*paths: Path, owned: Path | None = None) -> Account:
    """Choose as whom a server runs: as ourselves, or, for root, as somebody with fewer rights.

    PostgreSQL refuses to run as root, and a Redis without rights can do less harm.

    Args:
        paths: existing files and folders that the server must reach.
        owned: the server's data folder; if it exists, its owner is the one who runs the server.

    Raises:
        EmbeddedError: the data belongs to another user, or the machine has no unprivileged user.
    """
    owner = owned.stat() if owned is not None and owned.exists() else None
    if os.geteuid() != 0:
        if owner is not None and owner.st_uid != os.geteuid():
            raise EmbeddedError(
                f"{owned} belongs to another user (uid {owner.st_uid}). Run as that user, or move "
                "the folder away to start with an empty database."
            )
        return OURSELVES
    if owner is not None and owner.st_uid != 0:
        uid, gid = owner.st_uid, owner.st_gid
    else:
        try:
            entry = pwd.getpwnam(_UNPRIVILEGED)
        except KeyError:
            raise EmbeddedError(
                f"PostgreSQL does not run as root, and this machine has no user "
                f'"{_UNPRIVILEGED}" to run it as. Run this as an ordinary user.'
            ) from None
        uid, gid = entry.pw_uid, entry.pw_gid
    locked = not all(_can_reach(path.resolve(), uid) for path in paths)
    return Account(uid, gid, pass_locked_folders=locked)


def _can_reach(path: Path, uid: int) -> bool:
    for step in (path, *path.parents):
        status = step.stat()
        needed = stat.S_IXUSR if status.st_uid == uid else stat.S_IXOTH
        if not status.st_mode & needed:
            return False
    return True


def _new_spawner() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


# The kernel reports a parent's death when the *thread* that forked ends. One thread that lives as
# long as this process starts all children, whoever asks for them.
_spawner = _new_spawner()


def _renew_spawner() -> None:
    global _spawner  # noqa: PLW0603 - a fork leaves the thread behind
    _spawner = _new_spawner()


os.register_at_fork(after_in_child=_renew_spawner)


def spawn(
    argv: Sequence[str],
    *,
    death_signal: int,
    output: IO[bytes],
    env: Mapping[str, str],
    cwd: Path = Path("/"),
    account: Account = OURSELVES,
    stdin: bytes = b"",
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own.

    Args:
        argv: the program and its arguments.
        death_signal: what the kernel sends it when this process is gone, however it went.
        output: the open file that takes its standard output and error.
        env: its whole environment.
        cwd: its working folder.
        account: as whom it runs.
        stdin: what it reads, at most a pipe's buffer (64 KiB).

    Returns:
        The running process. If the program could not be started at all, it exits with status
        `launch.NOT_STARTED` and the reason in `output`.
    """
    flags = (os.getpid(), death_signal, account.uid, account.gid, int(account.pass_locked_folders))
    command = [sys.executable, "-I", "-S", str(_LAUNCHER), *map(str, flags), *argv]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - an argument list of ours, no shell
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )

    process = _spawner.submit(start).result()
    if process.stdin is not None:
        # One that has ended already says why by its status and output.
        with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(stdin)
    return process


def package_folder(package: str) -> Path:
    """Return the folder of an installed package, without importing it.

    Raises:
        EmbeddedError: it is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(
            f"The Python package {package} is not installed. Install the locked requirements: "
            "pip install --require-hashes -r requirements.lock"
        )
    return Path(spec.submodule_search_locations[0]).resolve()


def free_port() -> int:
    """Return a TCP port on the loopback address on which nobody listens just now.

    Raises:
        EmbeddedError: none of many tries was free.
    """
    for port in random.sample(_PORTS, 200):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise EmbeddedError(f"No port on {LOOPBACK} can be opened: {error}") from error
                continue
            return port
    raise EmbeddedError(
        f"No free port on {LOOPBACK} from {_PORTS.start} to {_PORTS.stop}: stop what holds them."
    )


def tail(path: Path, lines: int = 12) -> str:
    """Return the last lines of a log, or an empty text when there is none."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


# What servers say when they fail, and what a person can do about it; the first that is found.
_ADVICE: Mapping[str, str] = {
    r"error while loading shared libraries: (?P<name>[^\s:]+)": (
        "The system library {name} is missing: install the system's package that has it (for "
        "libz.so.1 on Debian: apt-get install zlib1g)."
    ),
    r"No space left on device|Disk quota exceeded": (
        "The disk is full: free some space and try again."
    ),
    r"incompatible with server": (
        "Its data was made by another version of PostgreSQL: move the folder away to start with "
        "an empty database, or migrate it."
    ),
    r"cannot start .*not permitted": (
        "Root may not hand its right to pass closed folders to the server here: put the project "
        "into a folder that everybody may enter (such as /opt), or do not use root."
    ),
    r"could not look up effective user ID (?P<uid>\d+)": (
        "The user {uid} has no name on this machine, and PostgreSQL insists on one: run this as "
        "a user that is in /etc/passwd."
    ),
    r"Permission denied": (
        "The folder belongs to another user, perhaps after a run as root, or lies in one that the "
        "server's user may not enter: run as that user, give the folder to yours with chown, or "
        "put the project into a folder that everybody may enter (such as /opt)."
    ),
    r"Cannot allocate memory": ("The machine is out of memory: stop something else and try again."),
}


def explain(what: str, output: str) -> EmbeddedError:
    """Turn a server's last words into a message that says what to do.

    Args:
        what: what failed, as the beginning of a sentence ("PostgreSQL did not start").
        output: the last lines that it wrote.
    """
    for pattern, advice in _ADVICE.items():
        found = re.search(pattern, output)
        if found:
            return EmbeddedError(f"{what}. {advice.format(**found.groupdict())}\n{output}")
    return EmbeddedError(f"{what}. Its last words:\n{output}")
