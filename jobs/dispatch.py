"""The dispatcher process: `python -m jobs.dispatch`.

PostgreSQL holds the queue; this process hands due rows to RQ a few at a time, fairly between
organizations, and hands out again what was lost. It looks about once a second, and at once when
the doorbell rings. Once a day it asks for what every organization needs. It may be killed and
started anywhere: what it marked but did not push is handed out again. Redis may be away: it waits,
and nothing is lost.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from uuid import UUID

import redis
import structlog
from redis.client import PubSub
from rq import Queue, Worker
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from jobs.connection import QUEUES, connect, queue_of
from jobs.daily import Daily
from lms.compose import create_database
from lms.config import Settings
from lms.core.queue import DOORBELL
from lms.http import logs
from tenants.ddl import served_revisions
from tenants.errors import DatabaseUnavailableError
from tenants.session import PLATFORM, Database

log = structlog.get_logger()

TICK_SECONDS = 1.0
LOST_AFTER_SECONDS = 5.0
MINIMUM_WORKERS = 1
MAX_SECONDS = {"media": -1, "default": 600}
"""RQ's own limit on a job. What may take long keeps a lease and has limits of its own instead."""

# Rows that somebody else holds are left for a later look: one of them must not hold up the others.
EXPIRE = text("""
    WITH expired AS (
        SELECT id FROM platform.work
         WHERE state = 'running' AND lease_until < clock_timestamp()
           FOR UPDATE SKIP LOCKED
    )
    UPDATE platform.work w
       SET state = 'waiting', lease_until = NULL, handed_out_at = NULL
      FROM expired
     WHERE w.id = expired.id
    RETURNING w.id
""")
HANDED_OUT = text("""
    SELECT w.id, w.handout, o.revision = ANY(:served) AS served
      FROM platform.work w JOIN platform.organizations o ON o.id = w.organization_id
     WHERE w.queue = :queue AND w.state = 'waiting'
       AND w.handed_out_at < clock_timestamp() - make_interval(secs => :seconds)
""")
TAKE_BACK = text("""
    WITH lost AS (
        SELECT id FROM platform.work
         WHERE id = :id AND handout = :handout AND state = 'waiting'
           FOR UPDATE SKIP LOCKED
    )
    UPDATE platform.work w SET handed_out_at = NULL
      FROM lost
     WHERE w.id = lost.id
    RETURNING w.id
""")
# Looks at the first few rows of each organization, so a long backlog of one costs little.
HAND_OUT = text("""
    WITH RECURSIVE waiting AS (
        (SELECT organization_id AS id FROM platform.work
          WHERE queue = :queue AND state = 'waiting' AND handed_out_at IS NULL
          ORDER BY organization_id LIMIT 1)
        UNION ALL
        SELECT (SELECT w.organization_id FROM platform.work w
                 WHERE w.queue = :queue AND w.state = 'waiting' AND w.handed_out_at IS NULL
                   AND w.organization_id > waiting.id
                 ORDER BY w.organization_id LIMIT 1)
          FROM waiting WHERE waiting.id IS NOT NULL
    ), busy AS (
        SELECT organization_id, count(*) AS jobs FROM platform.work
         WHERE queue = :queue
           AND (state = 'running' OR state = 'waiting' AND handed_out_at IS NOT NULL)
         GROUP BY organization_id
    ), due AS (
        SELECT first.id, first.due_at,
               row_number() OVER (
                   PARTITION BY waiting.id ORDER BY first.due_at, first.id
               ) + COALESCE(busy.jobs, 0) AS turn
          FROM waiting
          JOIN platform.organizations o
            ON o.id = waiting.id AND o.state <> 'provisioning' AND o.revision = ANY(:served)
          LEFT JOIN busy ON busy.organization_id = waiting.id
         CROSS JOIN LATERAL (
               SELECT w.id, w.due_at FROM platform.work w
                WHERE w.organization_id = waiting.id AND w.queue = :queue
                  AND w.state = 'waiting' AND w.handed_out_at IS NULL
                  AND w.due_at <= clock_timestamp()
                ORDER BY w.due_at, w.id LIMIT :room
         ) first
    ), chosen AS (
        SELECT id, turn FROM due ORDER BY turn, due_at, id LIMIT :room
    ), locked AS (
        SELECT w.id, chosen.turn
          FROM platform.work w JOIN chosen ON chosen.id = w.id
         WHERE w.state = 'waiting' AND w.handed_out_at IS NULL
           FOR UPDATE OF w SKIP LOCKED
    )
    UPDATE platform.work w
       SET handed_out_at = clock_timestamp(), handout = w.handout + 1
      FROM locked
     WHERE w.id = locked.id
    RETURNING w.id, w.organization_id, w.handout, locked.turn, w.due_at
""")


class Dispatcher:
    """One look at both queues: `tick`.

    Args:
        database: entered as the platform.
        connection: Redis, for RQ.
        served_revisions: tenant revisions that the workers' code can serve; work of organizations
            at any other waits for their migration.
    """

    def __init__(
        self, database: Database, connection: redis.Redis, served_revisions: frozenset[str]
    ) -> None:
        self._database = database
        self._served = sorted(served_revisions)
        self._queues = {name: queue_of(connection, name) for name in QUEUES}

    def tick(self) -> int:
        """Put expired leases back, find what was lost, hand out what is due.

        Returns:
            How many jobs were handed out.

        Raises:
            DatabaseUnavailableError, redis.RedisError, sqlalchemy.exc.DBAPIError: to be tried
                again; nothing is lost.
        """
        self._expire_leases()
        return sum(self._serve(queue) for queue in self._queues.values())

    def _expire_leases(self) -> None:
        with self._database.transaction(PLATFORM) as session:
            expired = session.execute(EXPIRE).scalars().all()
        for work_id in expired:
            log.warning("lease_expired", work_id=str(work_id))

    def _serve(self, queue: Queue) -> int:
        queued = queue.get_job_ids()
        self._take_back_lost(queue.name, set(queued))
        workers = max(MINIMUM_WORKERS, Worker.count(queue=queue))
        room = 2 * workers - len(queued)
        if room <= 0:
            return 0
        with self._database.transaction(PLATFORM) as session:
            rows = session.execute(
                HAND_OUT, {"queue": queue.name, "room": room, "served": self._served}
            ).all()
        # Marked and committed first: a crash in between costs a repeat, never a job.
        for row in sorted(rows, key=lambda row: (row.turn, row.due_at, row.id)):
            self._push(queue, row.id, row.organization_id, row.handout)
        return len(rows)

    def _take_back_lost(self, queue_name: str, queued: set[str]) -> None:
        """Free rows whose RQ job vanished: Redis forgot it, or a worker died while dequeuing."""
        with self._database.transaction(PLATFORM) as session:
            rows = session.execute(
                HANDED_OUT,
                {"queue": queue_name, "seconds": LOST_AFTER_SECONDS, "served": self._served},
            ).all()
            lost = [
                row
                for row in rows
                if job_id(row.id, row.handout) not in queued
                and session.execute(TAKE_BACK, {"id": row.id, "handout": row.handout}).scalar()
            ]
        for row in lost:
            # A worker leaves the work of an organization that is being migrated: nothing was lost.
            if row.served:
                log.warning("handout_lost", work_id=str(row.id), handout=row.handout)

    def _push(self, queue: Queue, work_id: UUID, organization_id: UUID, handout: int) -> None:
        queue.enqueue_call(
            "jobs.horse.run",
            args=(str(work_id), str(organization_id)),
            job_id=job_id(work_id, handout),
            timeout=MAX_SECONDS[queue.name],
            result_ttl=0,
            failure_ttl=60,
            description=f"work {work_id}",
        )


def job_id(work_id: UUID, handout: int) -> str:
    """Return the RQ job's id of one handing-out of a row."""
    return f"{work_id}_{handout}"


class Bell:
    """Listens to the doorbell; without Redis it just waits.

    Args:
        connection: Redis; its time-out is longer than any wait.
    """

    def __init__(self, connection: redis.Redis) -> None:
        self._connection = connection
        self._subscription: PubSub | None = None

    def wait(self, seconds: float) -> None:
        """Return when somebody rang, or after so many seconds."""
        deadline = time.monotonic() + seconds
        try:
            if self._subscription is None:
                self._subscription = self._connection.pubsub(ignore_subscribe_messages=True)
                self._subscription.subscribe(DOORBELL)
            while (left := deadline - time.monotonic()) > 0:
                if self._subscription.get_message(timeout=left) is not None:
                    self._drain(self._subscription)
                    return
        except redis.RedisError as error:
            log.warning("doorbell_unheard", error=str(error))
            self.close()
            time.sleep(max(0.0, deadline - time.monotonic()))

    def _drain(self, subscription: PubSub) -> None:
        """Take further rings as one."""
        while subscription.get_message(timeout=0) is not None:
            pass

    def close(self) -> None:
        """Hang up."""
        if self._subscription is not None:
            with suppress(redis.RedisError):
                self._subscription.close()
            self._subscription = None


def serve(settings: Settings, stop: threading.Event) -> None:
    """Dispatch until `stop` is set."""
    database = create_database(settings, pool_size=1)
    connection = connect(settings.redis_url, socket_timeout=5.0)
    dispatcher, daily = Dispatcher(database, connection, served_revisions()), Daily(database)
    bell = Bell(connection)
    log.info("dispatching", queues=QUEUES)
    try:
        while not stop.is_set():
            try:
                dispatcher.tick()
                daily.ask_when_due()
            except (DatabaseUnavailableError, DBAPIError, redis.RedisError) as error:
                log.warning("tick_failed", error=f"{type(error).__name__}: {error}")
                stop.wait(TICK_SECONDS)
            else:
                bell.wait(TICK_SECONDS)
    finally:
        bell.close()
        connection.close()
        database.dispose()


def main(_arguments: Sequence[str] = ()) -> None:
    """Run until SIGTERM or SIGINT."""
    settings = Settings.from_environment()
    logs.configure(settings.log_format)
    stop = threading.Event()

    def request_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, request_stop)
    serve(settings, stop)


if __name__ == "__main__":
    main()
