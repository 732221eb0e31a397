"""Our own servers, workers and dispatchers as processes, and ways to kill them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from lms.config import Settings
from lms.core.queue import Doorbell
from lms.core.storage.base import Storage
from lms.embedded.postgres import EmbeddedPostgres
from lms.embedded.redis import EmbeddedRedis
from tenants.session import Database

T = TypeVar("T")
LEASE_SECONDS = 3.0
REPOSITORY = Path(__file__).parents[2]


def until(condition: Callable[[], T | None], seconds: float, *, every: float = 0.05) -> T:
    """Poll every so many seconds until the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(every)
    raise AssertionError(f"not so within {seconds} s")


@dataclass
class Stack:
    """PostgreSQL, Redis, storage, and the processes started on them."""

    folder: Path
    postgres: EmbeddedPostgres
    redis: EmbeddedRedis
    settings: Settings
    database: Database
    storage: Storage
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def doorbell(self) -> Doorbell:
        return Doorbell(self.settings.redis_url)

    def start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `python -m module arguments` on these servers."""
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": self.settings.database_url,
            "REDIS_URL": self.settings.redis_url,
            "SECRET_KEY": self.settings.secret_key,
            "STORAGE_PATH": str(self.settings.storage_path),
            "SCRATCH_PATH": str(self.settings.scratch_path),
            "LEASE_SECONDS": str(LEASE_SECONDS),
            "LOG_FORMAT": "console",
        }
        with (self.folder / f"{module}.{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=REPOSITORY,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def stop_processes(self) -> None:
        """Kill what is left, horses included."""
        for process in self.processes:
            kill_all([*children_of(process.pid), process.pid])
            process.wait()
        self.processes.clear()

    def logs(self) -> str:
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-6000:]}"
            for path in sorted(self.folder.glob("*.log"))
        )


def children_of(pid: int) -> list[int]:
    """Process ids of a process's children, their children included."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [found for child in listed for found in (int(child), *children_of(int(child)))]


def kill_all(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
