"""Keeping hold of a claim through long work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import pytest
from sqlalchemy import text

from jobs import claims
from jobs.claims import Claim, LostLeaseError
from jobs.context import HandBackError, JobContext, Lease
from lms.compose import create_storage
from lms.config import Settings
from lms.core.ids import new_id
from lms.core.queue import Doorbell
from tenants.session import Database, OrganizationScope
from tests.factories.jobs import until

ADD = text("""
    INSERT INTO platform.work (id, organization_id, queue, kind, subject_id)
    VALUES (:id, :organization_id, 'default', 'test', :id)
""")
UNTIL = text("SELECT lease_until FROM platform.work WHERE id = :id")
TAKE_OVER = text("UPDATE platform.work SET fence = fence + 1 WHERE id = :id")


@pytest.fixture
def context(database: Database, settings: Settings, acme: UUID) -> JobContext:
    return JobContext(
        database=database,
        storage=create_storage(settings),
        settings=settings,
        doorbell=Doorbell(settings.redis_url),
        scope=OrganizationScope(acme),
        should_stop=lambda: False,
    )


@pytest.fixture
def claim_for(context: JobContext) -> Callable[[float], Claim]:
    def make(seconds: float) -> Claim:
        work_id = new_id()
        with context.database.transaction(context.scope) as session:
            session.execute(ADD, {"id": work_id, "organization_id": context.scope.id})
            claim = claims.claim(session, context.scope.id, work_id, lease_seconds=seconds)
        assert claim is not None
        return claim

    return make


def lease_until(context: JobContext, claim: Claim) -> datetime:
    with context.database.transaction(context.scope) as session:
        return session.execute(UNTIL, {"id": claim.work_id}).scalar_one()


def take_over(context: JobContext, claim: Claim) -> None:
    with context.database.transaction(context.scope) as session:
        session.execute(TAKE_OVER, {"id": claim.work_id})


def test_a_lease_is_kept_while_the_network_is_waited_for(
    context: JobContext, claim_for: Callable[[float], Claim]
) -> None:
    claim = claim_for(2)
    at_first = lease_until(context, claim)
    with Lease(context, claim).kept():
        until(lambda: lease_until(context, claim) > at_first, 15)


def test_a_lease_that_was_lost_meanwhile_ends_the_wait_with_an_error(
    context: JobContext, claim_for: Callable[[float], Claim]
) -> None:
    claim = claim_for(0.4)
    with pytest.raises(LostLeaseError), Lease(context, claim).kept():
        take_over(context, claim)
        until(lambda: "lease" not in {thread.name for thread in threading.enumerate()}, 15)


def test_a_tick_renews_only_after_a_quarter_of_the_lease(
    context: JobContext, claim_for: Callable[[float], Claim]
) -> None:
    slow, quick = claim_for(60), claim_for(60)
    take_over(context, slow)
    Lease(context, slow).tick()
    take_over(context, quick)
    with pytest.raises(LostLeaseError):
        Lease(context, replace(quick, lease_seconds=-1)).tick()


def test_a_tick_hands_back_when_the_worker_must_stop(
    context: JobContext, claim_for: Callable[[float], Claim]
) -> None:
    stopping = replace(context, should_stop=lambda: True)
    with pytest.raises(HandBackError):
        Lease(stopping, claim_for(60)).tick()


def test_a_database_that_is_away_does_not_end_long_work(
    context: JobContext, claim_for: Callable[[float], Claim], settings: Settings
) -> None:
    nowhere = "postgresql+psycopg://app@127.0.0.1:9/none"
    database = Database(nowhere, served_revisions=frozenset())
    away = replace(context, database=database)
    Lease(away, replace(claim_for(60), lease_seconds=-1)).tick()
    database.dispose()


def test_a_migration_in_the_middle_does_not_end_long_work(
    context: JobContext, claim_for: Callable[[float], Claim], settings: Settings
) -> None:
    claim = replace(claim_for(60), lease_seconds=-1)
    database = Database(settings.database_url, served_revisions=frozenset())
    Lease(replace(context, database=database), claim).tick()
    database.dispose()
