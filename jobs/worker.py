"""The worker process: `python -m jobs.worker media` or `python -m jobs.worker default`.

An RQ worker that listens to exactly one queue (RQ loses jobs when one that listens to several is
killed while dequeuing). Each job runs in a forked work-horse (`jobs.horse`). RQ's retries,
scheduler and results are not used: `platform.work` knows better.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import redis
import structlog
from rq import Worker
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer

from jobs import horse
from jobs.connection import QUEUES, WORKER_TTL, connect
from lms.config import Settings
from lms.http import logs

log = structlog.get_logger()

LONGEST_PAUSE_SECONDS = 15.0


class LmsWorker(Worker):
    """RQ's worker, which survives Redis and hands its job back when it is stopped."""

    stopping = False

    def handle_warm_shutdown_request(self) -> None:
        """Ask the horse to hand its job back or to finish: a supervisor's patience is short."""
        self.stopping = True
        if self.horse_pid:
            with suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)

    def setup_work_horse_signals(self) -> None:
        """In the horse: a stop is a request that the job sees when it suits it."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, horse.request_stop)

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """Stay with the horse while Redis is away: its work is safe in PostgreSQL."""
        try:
            super().maintain_heartbeats(job, execution)
        except redis.RedisError as error:
            log.warning("heartbeat_unheard", error=str(error))


def work(settings: Settings, queue_name: str) -> None:
    """Serve one queue until asked to stop, whatever Redis does.

    Args:
        settings: the installation's.
        queue_name: `media` or `default`.
    """
    horse.prepare(settings)
    pause = 1.0
    while True:
        began = time.monotonic()
        try:
            if _serve(settings, queue_name):
                return
            if time.monotonic() - began > LONGEST_PAUSE_SECONDS:
                pause = 1.0
            time.sleep(pause)
        except StopRequested:
            return
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _serve(settings: Settings, queue_name: str) -> bool:
    """Serve until stopped (True) or until Redis fails (False)."""
    connection = connect(settings.redis_url, socket_timeout=WORKER_TTL)
    worker: LmsWorker | None = None
    try:
        worker = LmsWorker(
            [queue_name],
            connection=connection,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL,
            job_monitoring_interval=5,
            maintenance_interval=10,
            log_job_description=False,
        )
        worker.work(logging_level="WARNING")
    except redis.RedisError as error:
        log.warning("redis_away", error=str(error))
    finally:
        connection.close()
    return worker is not None and worker.stopping


def main(arguments: Sequence[str]) -> None:
    """Serve the queue that the first argument names, until SIGTERM or SIGINT."""
    if len(arguments) != 1 or arguments[0] not in QUEUES:
        sys.exit(f"usage: python -m jobs.worker {'|'.join(QUEUES)}")
    settings = Settings.from_environment()
    logs.configure(settings.log_format)
    work(settings, arguments[0])


if __name__ == "__main__":
    main(sys.argv[1:])
