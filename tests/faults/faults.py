"""What can go wrong with a stand, done on purpose. Nothing here knows what the product is doing."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Literal

import psutil
from sqlalchemy import text

from jobs.connection import connect, queue_of
from lms.embedded.postgres import StopMode
from tenants.session import PLATFORM
from tests.faults.proxy import Mode
from tests.faults.stand import Role, Stand

OPEN_WORK = text("""
    SELECT id, organization_id, queue FROM platform.work
     WHERE state = :state AND (state = 'running' OR handed_out_at IS NOT NULL)
""")


class Faults:
    """Strikes a stand. Each method returns whether there was anything to strike.

    Args:
        stand: the victim.
        rng: chooses between victims that are alike.
    """

    def __init__(self, stand: Stand, rng: random.Random) -> None:
        self._stand = stand
        self._rng = rng
        self._healers: list[threading.Timer] = []
        self._frozen: list[psutil.Process] = []
        self._deliveries = 0
        self._spoilings = 0
        self._storage = threading.Lock()

    def kill(self, role: Role) -> bool:
        """Kill -9 one process of a role."""
        return self._kill_one(self._stand.processes(role))

    def kill_program(self, name: str) -> bool:
        """Kill -9 one program that a work-horse runs, by the beginning of its file name."""
        return self._kill_one(self._stand.programs(name))

    def freeze(self, role: Role, seconds: float, *, with_children: bool = False) -> bool:
        """Stop one process of a role (SIGSTOP) and let it go on (SIGCONT) later; does not wait.

        Args:
            role: whose.
            seconds: how long; longer than the lease, and others take over its work.
            with_children: freeze all below it too, as when its machine is suspended.
        """
        found = self._stand.processes(role)
        if not found:
            return False
        return self.freeze_process(self._rng.choice(found), seconds, with_children=with_children)

    def freeze_process(
        self, process: psutil.Process, seconds: float, *, with_children: bool = False
    ) -> bool:
        """Freeze a given process; see `freeze`."""
        try:
            victims = [process, *(process.children(recursive=True) if with_children else ())]
        except psutil.NoSuchProcess:
            return False
        frozen = [victim for victim in victims if _signalled(victim, "suspend")]
        self._frozen += frozen
        self._later(seconds, lambda: [_signalled(victim, "resume") for victim in frozen])
        return bool(frozen)

    def kill_redis(self, seconds: float) -> bool:
        """Kill Redis with all that it holds, and start an empty one after a while."""
        self._stand.redis.kill()
        time.sleep(seconds)
        self._stand.redis.start()
        return True

    def flush_redis(self) -> bool:
        """Let Redis forget everything."""
        with connect(self._stand.redis.url, socket_timeout=5) as client:
            client.flushall()
        return True

    def stop_postgres(self, mode: StopMode, seconds: float) -> bool:
        """Stop PostgreSQL and start it again after a while."""
        self._stand.postgres.stop(mode)
        time.sleep(seconds)
        self._stand.postgres.start()
        return True

    def spoil_storage(self, mode: Mode, seconds: float) -> bool:
        """Spoil all traffic with the store for a while, or until the next spoiling; no waiting."""
        with self._storage:
            self._spoilings += 1
            number, self._stand.proxy.mode = self._spoilings, mode

        def heal() -> None:
            # The next spoiling lasts its own time.
            with self._storage:
                if number == self._spoilings:
                    self._stand.proxy.mode = "pass"

        self._later(seconds, heal)
        return True

    def deliver_again(self, state: Literal["waiting", "running"]) -> bool:
        """Put a row of work that was handed out, or that runs, on its RQ queue twice more."""
        rows = self._stand.rows(PLATFORM, OPEN_WORK, state=state)
        if not rows:
            return False
        row = self._rng.choice(rows)
        with connect(self._stand.redis.url, socket_timeout=5) as client:
            queue = queue_of(client, row.queue)
            for _ in range(2):
                self._deliveries += 1
                queue.enqueue_call(
                    "jobs.horse.run",
                    args=(str(row.id), str(row.organization_id)),
                    job_id=f"{row.id}_again_{self._deliveries}",
                    timeout=-1,
                    result_ttl=0,
                    failure_ttl=60,
                )
        return True

    def heal(self) -> None:
        """End all that still lasts: frozen processes go on, the store answers, servers run."""
        for healer in self._healers:
            healer.cancel()
            healer.join()
        self._healers.clear()
        for process in self._frozen:
            _signalled(process, "resume")
        self._frozen.clear()
        self._stand.proxy.mode = "pass"
        self._stand.postgres.start()
        self._stand.redis.start()

    def _kill_one(self, found: list[psutil.Process]) -> bool:
        return bool(found) and _signalled(self._rng.choice(found), "kill")

    def _later(self, seconds: float, step: Callable[[], object]) -> None:
        healer = threading.Timer(seconds, step)
        healer.daemon = True
        healer.start()
        self._healers.append(healer)


def kill_process(process: psutil.Process) -> bool:
    """Kill -9 a given process; False when it has ended."""
    return _signalled(process, "kill")


def _signalled(process: psutil.Process, how: Literal["kill", "suspend", "resume"]) -> bool:
    """Signal a process, unless its id is another's by now."""
    try:
        getattr(process, how)()
    except psutil.NoSuchProcess:
        return False
    return True
