"""What a job is handed: whose data, which services, and how to keep hold of its claim."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import structlog
from sqlalchemy.orm import Session

from jobs import claims
from jobs.claims import Claim, LostLeaseError
from lms.config import Settings
from lms.core.queue import Doorbell
from lms.core.storage.base import Storage
from tenants.errors import DatabaseUnavailableError, OrganizationMigratingError
from tenants.session import Database, OrganizationScope

log = structlog.get_logger()
T = TypeVar("T")

PATIENCE_SECONDS = 120.0
"""How long the end of a job waits for a database that restarts."""

AWAY = (DatabaseUnavailableError, OrganizationMigratingError)
"""What passes by itself: no reason to throw work away, nor to count it as failed."""


class HandBackError(Exception):
    """This worker is asked to stop: the job goes back to be done elsewhere."""


@dataclass(frozen=True, slots=True)
class JobContext:
    """Everything a handler may use.

    Attributes:
        database: this process's own pool, made after the fork.
        storage: the store of bytes.
        settings: the installation's.
        doorbell: for enqueueing further work.
        scope: the organization; entered also while it is suspended, because accepted work and
            money are seen through.
        should_stop: whether this worker was asked to stop or has lost its parent.
    """

    database: Database
    storage: Storage
    settings: Settings
    doorbell: Doorbell
    scope: OrganizationScope
    should_stop: Callable[[], bool]

    @contextmanager
    def holding(self, claim: Claim) -> Iterator[Session]:
        """Open a short transaction that is void unless the claim is still ours.

        Yields:
            The organization's session; the row of work is locked and its lease renewed.

        Raises:
            LostLeaseError: another worker holds it.
        """
        with self.database.transaction(self.scope) as session:
            claims.renew(session, claim)
            yield session

    def patiently(self, step: Callable[[], T]) -> T:
        """Run a repeatable step, waiting out a database or a migration for a while.

        Raises:
            DatabaseUnavailableError: the database stayed away for two minutes.
            OrganizationMigratingError: the organization's schema stayed unserved for as long.
            HandBackError: this worker must stop, and it is still so.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return step()
            except AWAY as error:
                if self.should_stop():
                    raise HandBackError("stopping while the database is away") from error
                if time.monotonic() > deadline:
                    raise
                log.warning("database_away", reason=type(error).__name__)
                time.sleep(1.0)


class Lease:
    """Keeps one claim alive through long work.

    Args:
        context: the job's.
        claim: what to keep.
    """

    def __init__(self, context: JobContext, claim: Claim) -> None:
        self._context = context
        self._claim = claim
        self._interval = claim.lease_seconds / 4
        self._next = time.monotonic() + self._interval

    def tick(self, effect: Callable[[Session], None] | None = None) -> None:
        """Renew when a quarter of the lease has passed; call it about every second.

        A database that is away, or a schema that is being migrated, is no reason to throw an hour's
        work away: nobody can claim it meanwhile, and the fence protects the end.

        Args:
            effect: written in the renewal's transaction (progress).

        Raises:
            LostLeaseError: another worker has it by now.
            HandBackError: this worker must stop.
        """
        if self._context.should_stop():
            raise HandBackError(f"stopping in the middle of work {self._claim.work_id}")
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._interval
        try:
            with self._context.holding(self._claim) as session:
                if effect is not None:
                    effect(session)
        except AWAY:
            log.warning("lease_not_renewed", work_id=str(self._claim.work_id))

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renew from a thread while the block waits for the network.

        Raises:
            LostLeaseError: at the end of the block, when the claim was lost inside it.
        """
        ended, lost = threading.Event(), threading.Event()

        def renew() -> None:
            while not ended.wait(self._interval):
                try:
                    with self._context.holding(self._claim):
                        pass
                except LostLeaseError:
                    lost.set()
                    return
                except AWAY:
                    log.warning("lease_not_renewed", work_id=str(self._claim.work_id))

        keeper = threading.Thread(target=renew, name="lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ended.set()
            keeper.join()
        if lost.is_set():
            raise LostLeaseError(f"lost work {self._claim.work_id} while waiting for storage")
