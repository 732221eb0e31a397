"""How dispatcher and workers talk to Redis."""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer

QUEUES = ("media", "default")
WORKER_TTL = 30
"""Seconds; RQ's dequeue blocks for half of it, and its socket time-out is ten more."""


def connect(redis_url: str, *, socket_timeout: float) -> redis.Redis:
    """Return a client that gives up soon: the loops around it try again.

    Args:
        redis_url: `redis://` or `rediss://`.
        socket_timeout: seconds; longer than the longest blocking command.
    """
    return redis.Redis.from_url(
        redis_url,
        socket_connect_timeout=2.0,
        socket_timeout=socket_timeout,
        socket_keepalive=True,
        health_check_interval=15,
        retry=Retry(NoBackoff(), 1),
    )


def queue_of(connection: redis.Redis, name: str) -> Queue:
    """Return an RQ queue. Arguments are ids in JSON; nothing is ever unpickled."""
    return Queue(name, connection=connection, serializer=JSONSerializer)
