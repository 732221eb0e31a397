"""Asking for what every organization needs once a day, whatever happens there."""

from __future__ import annotations

import time
from datetime import timedelta

import structlog
from sqlalchemy import text

from lms.core import clock, queue
from tenants.session import PLATFORM, STILL_SETTLING, Database

log = structlog.get_logger()

KINDS = (queue.FORGET_KEYS, queue.COLLECT_MEDIA)
"""The subject of each is the organization itself."""

FIRST_SECONDS = 3600.0
"""After a start, so that a dispatcher that starts again and again does not ask each time."""

DAY = timedelta(days=1)

FIND_ORGANIZATIONS = text("""
    SELECT id FROM platform.organizations WHERE state = ANY(:states) ORDER BY id
""")


class Daily:
    """Asks when its time has come.

    Several dispatchers, or one that was started again, ask more often than once a day: the work is
    repeatable, and what is open is not asked for twice.

    Args:
        database: entered as the platform.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._next = time.monotonic() + FIRST_SECONDS

    def ask_when_due(self) -> None:
        """Ask if it is time.

        Raises:
            DatabaseUnavailableError, sqlalchemy.exc.DBAPIError: to be tried again.
        """
        if time.monotonic() < self._next:
            return
        ask_for_all(self._database)
        self._next = time.monotonic() + DAY.total_seconds()


def ask_for_all(database: Database) -> None:
    """Ask for the daily work of every organization that still settles money.

    It is spread over the day, so that money and seats never wait behind thousands of them.

    Args:
        database: entered as the platform.
    """
    with database.transaction(PLATFORM) as session:
        states = {"states": list(STILL_SETTLING)}
        found = session.execute(FIND_ORGANIZATIONS, states).scalars().all()
        began = clock.now()
        due_at = {one: began + DAY * number / len(found) for number, one in enumerate(found)}
        for kind in KINDS:
            queue.enqueue_for(session, kind, due_at)
    log.info("daily_work_asked_for", organizations=len(found))
