"""Inside a work-horse, the process that RQ forks for each job: what it inherits, and its one call.

A module of its own because RQ finds `run` by name, and the module that `python -m jobs.worker`
runs is called `__main__`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from types import FrameType
from uuid import UUID

from jobs.context import JobContext
from jobs.run import run_work
from lms.compose import create_database, create_storage
from lms.config import Settings
from lms.core.queue import Doorbell
from lms.core.storage.base import Storage
from tenants.session import STILL_SETTLING, OrganizationScope


@dataclass(slots=True)
class _Inherited:
    """What the worker prepares before it forks.

    Attributes:
        settings: the installation's.
        storage: made once, because the S3 client takes most of a second.
        worker_pid: the worker; when it dies, nobody restarts us and the job must go elsewhere.
        stop_requested: whether the worker passed on a request to stop.
    """

    settings: Settings
    storage: Storage
    worker_pid: int
    stop_requested: bool = False

    def should_stop(self) -> bool:
        return self.stop_requested or os.getppid() != self.worker_pid


_inherited: list[_Inherited] = []
"""One entry: RQ hands a job's function nothing but its arguments."""


def prepare(settings: Settings) -> None:
    """Make what all horses share; called in the worker, before any fork."""
    _inherited[:] = [_Inherited(settings, create_storage(settings), os.getpid())]


def request_stop(_number: int, _frame: FrameType | None) -> None:
    """Handle SIGTERM in a horse: long jobs hand themselves back soon, short ones finish."""
    for inherited in _inherited:
        inherited.stop_requested = True


def run(work_id: str, organization_id: str) -> None:
    """Do one row of work. RQ calls this by name, with ids only.

    The pool of connections is made here, after the fork, and closed at the end.
    """
    (inherited,) = _inherited
    database = create_database(inherited.settings, pool_size=2)
    try:
        context = JobContext(
            database=database,
            storage=inherited.storage,
            settings=inherited.settings,
            doorbell=Doorbell(inherited.settings.redis_url),
            scope=OrganizationScope(UUID(organization_id), STILL_SETTLING),
            should_stop=inherited.should_stop,
        )
        run_work(context, UUID(work_id))
    finally:
        database.dispose()
