"""PostgreSQL and Redis from wheels, for machines where nothing is installed."""

from __future__ import annotations

from lms.embedded.postgres import EmbeddedPostgres
from lms.embedded.process import EmbeddedError
from lms.embedded.redis import EmbeddedRedis

__all__ = ["EmbeddedError", "EmbeddedPostgres", "EmbeddedRedis"]
