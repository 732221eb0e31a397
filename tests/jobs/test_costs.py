"""CPU time is accounted to the organization whose job used it, however the job ended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import text

from jobs.context import HandBackError, JobContext
from jobs.costs import accounted
from lms.compose import create_storage
from lms.config import Settings
from lms.core.queue import Doorbell
from tenants.session import PLATFORM, Database, OrganizationScope

SECONDS = 0.2
BURN = f"import time\nwhile time.process_time() < {SECONDS}: pass"
NOWHERE = "postgresql+psycopg://app@127.0.0.1:9/none"


@pytest.fixture
def context(
    database: Database, settings: Settings, make_organization: Callable[..., UUID]
) -> JobContext:
    return JobContext(
        database=database,
        storage=create_storage(settings),
        settings=settings,
        doorbell=Doorbell(settings.redis_url),
        scope=OrganizationScope(make_organization()),
        should_stop=lambda: False,
    )


def burn() -> None:
    subprocess.run([sys.executable, "-c", BURN], check=True)


def usage(context: JobContext) -> list[float]:
    """Seconds of each day that the organization has an account of."""
    query = text("SELECT seconds FROM platform.cpu_usage WHERE organization_id = :id")
    with context.database.transaction(PLATFORM) as session:
        return list(session.scalars(query, {"id": context.scope.id}))


def test_what_children_use_is_added_to_the_days_account(context: JobContext) -> None:
    for _ in range(2):
        with accounted(context):
            burn()
    (seconds,) = usage(context)
    assert seconds >= 2 * SECONDS


@pytest.mark.parametrize("error", [HandBackError("stopping"), OSError("disk full")])
def test_what_was_used_in_vain_counts_too(context: JobContext, error: Exception) -> None:
    with pytest.raises(type(error)), accounted(context):
        burn()
        raise error
    (seconds,) = usage(context)
    assert seconds >= SECONDS


def test_work_without_children_makes_no_account(context: JobContext) -> None:
    with accounted(context):
        sum(range(1_000_000))
    assert usage(context) == []


def test_a_database_that_is_away_costs_the_account_and_not_the_job(
    context: JobContext, make_database: Callable[..., Database]
) -> None:
    nowhere = Database(NOWHERE, served_revisions=frozenset())
    with accounted(replace(context, database=nowhere)):
        burn()
    nowhere.dispose()
    assert usage(context) == []
