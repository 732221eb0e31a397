"""The runner: what becomes of a row of work when its handler returns, fails or is told to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from jobs import claims
from jobs.claims import MAX_CLAIMS, Claim
from jobs.context import PATIENCE_SECONDS, HandBackError, JobContext
from jobs.handlers import HANDLERS, Handler
from jobs.run import run_work
from lms.compose import create_storage
from lms.config import Settings
from lms.core.ids import new_id
from lms.core.queue import Doorbell
from tenants.errors import (
    DatabaseOverloadedError,
    DatabaseUnavailableError,
    OrganizationMigratingError,
)
from tenants.session import PLATFORM, Database, OrganizationScope

NOWHERE = "postgresql+psycopg://app@127.0.0.1:9/none"
ADD = text("""
    INSERT INTO platform.work (id, organization_id, queue, kind, subject_id, claims, attempts)
    VALUES (:id, :organization_id, 'default', 'test', :id, :claims, :attempts)
""")


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
def handled(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Handle kind `test` with a function; returns what the domain was told at the end."""

    def install(run: Callable[[JobContext, Claim], None]) -> list[str]:
        told: list[str] = []

        def gave_up(session: Session, claim: Claim, error: str) -> None:
            assert session.execute(text("SELECT 1")).scalar() == 1
            told.append(f"{claim.subject_id == claim.work_id} {error}")

        monkeypatch.setitem(HANDLERS, "test", Handler(run, gave_up))
        return told

    return install


def add_work(context: JobContext, *, claims: int = 0, attempts: int = 0) -> UUID:
    work_id = new_id()
    with context.database.transaction(context.scope) as session:
        session.execute(
            ADD,
            {
                "id": work_id,
                "organization_id": context.scope.id,
                "claims": claims,
                "attempts": attempts,
            },
        )
    return work_id


def row(context: JobContext, work_id: UUID) -> Row[Any]:
    with context.database.transaction(PLATFORM) as session:
        return session.execute(
            text("SELECT *, due_at > now() AS later FROM platform.work WHERE id = :id"),
            {"id": work_id},
        ).one()


def test_work_is_done_when_its_handler_returns(
    context: JobContext, handled: Callable[..., list[str]]
) -> None:
    seen: list[Claim] = []
    handled(lambda _context, claim: seen.append(claim))
    work_id = add_work(context)
    run_work(context, work_id)
    run_work(context, work_id)
    assert [claim.subject_id for claim in seen] == [work_id]
    assert row(context, work_id).state == "done"


def test_work_whose_handler_fails_is_tried_again_after_a_pause(
    context: JobContext, handled: Callable[..., list[str]]
) -> None:
    def fail(_context: JobContext, _claim: Claim) -> None:
        raise OSError("disk full")

    told = handled(fail)
    work_id = add_work(context)
    run_work(context, work_id)
    found = row(context, work_id)
    assert (found.state, found.attempts, found.later) == ("waiting", 1, True)
    assert found.error == "OSError: disk full"
    assert told == []


def test_the_domain_is_told_when_the_last_attempt_failed(
    context: JobContext, handled: Callable[..., list[str]]
) -> None:
    def fail(_context: JobContext, _claim: Claim) -> None:
        raise OSError("disk full")

    told = handled(fail)
    work_id = add_work(context, attempts=3)
    run_work(context, work_id)
    assert row(context, work_id).state == "failed"
    assert told == ["True OSError: disk full"]


def test_work_that_keeps_killing_its_workers_is_given_up_without_another_try(
    context: JobContext, handled: Callable[..., list[str]]
) -> None:
    def never(_context: JobContext, _claim: Claim) -> None:
        pytest.fail("must not be tried again")

    told = handled(never)
    work_id = add_work(context, claims=MAX_CLAIMS)
    run_work(context, work_id)
    assert row(context, work_id).state == "failed"
    assert len(told) == 1


def test_work_that_is_handed_back_waits_for_another_worker(
    context: JobContext, handled: Callable[..., list[str]]
) -> None:
    def stop(_context: JobContext, _claim: Claim) -> None:
        raise HandBackError("stopping")

    handled(stop)
    work_id = add_work(context)
    run_work(context, work_id)
    found = row(context, work_id)
    assert (found.state, found.attempts, found.later) == ("waiting", 0, False)


def test_whoever_is_to_stop_does_not_wait_for_a_database_that_is_away(
    context: JobContext, handled: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = Database(NOWHERE, served_revisions=frozenset())

    def lose_the_database(_context: JobContext, _claim: Claim) -> None:
        monkeypatch.setattr(context.database, "_engine", nowhere.events)
        raise HandBackError("stopping")

    handled(lose_the_database)
    work_id = add_work(context)
    began = time.monotonic()
    run_work(context, work_id)
    assert time.monotonic() - began < PATIENCE_SECONDS / 3
    monkeypatch.undo()
    assert row(context, work_id).state == "running"


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (DatabaseUnavailableError("PostgreSQL is not reachable"), 0),
        (DatabaseOverloadedError("canceling statement due to statement timeout"), 1),
    ],
)
def test_a_database_that_is_away_costs_no_attempt_and_one_that_is_overloaded_does(
    context: JobContext,
    handled: Callable[..., list[str]],
    error: DatabaseUnavailableError,
    attempts: int,
) -> None:
    def meet_it(_context: JobContext, _claim: Claim) -> None:
        raise error

    handled(meet_it)
    work_id = add_work(context)
    run_work(context, work_id)
    left = row(context, work_id)
    assert (left.state, left.attempts, left.later) == ("waiting", attempts, True)
    assert (left.error is not None) == bool(attempts)


def test_patience_ends_when_the_worker_is_to_stop(context: JobContext) -> None:
    def step() -> None:
        raise DatabaseUnavailableError("away")

    stopping = replace(context, should_stop=lambda: True)
    with pytest.raises(HandBackError):
        stopping.patiently(step)


def test_what_ends_during_a_migration_is_tried_until_it_is_over(context: JobContext) -> None:
    outcomes = iter([OrganizationMigratingError("acme"), None])

    def step() -> str:
        if (error := next(outcomes)) is not None:
            raise error
        return "done"

    assert context.patiently(step) == "done"


@pytest.mark.parametrize("error", [OrganizationMigratingError, DatabaseUnavailableError])
def test_work_that_meets_what_passes_by_itself_is_handed_back_and_counts_no_failure(
    context: JobContext, handled: Callable[..., list[str]], error: type[Exception]
) -> None:
    def meet(context: JobContext, _claim: Claim) -> None:
        raise error(str(context.scope.id))

    handled(meet)
    work_id = add_work(context)
    run_work(context, work_id)
    found = row(context, work_id)
    assert (found.state, found.attempts) == ("waiting", 0)


def test_a_handler_that_lost_its_lease_leaves_the_row_to_the_winner(
    context: JobContext, handled: Callable[..., list[str]]
) -> None:
    def lose(context: JobContext, claim: Claim) -> None:
        with context.database.transaction(context.scope) as session:
            claims.give_back(session, claim)
            winner = claims.claim(session, context.scope.id, claim.work_id, lease_seconds=60)
        assert winner is not None
        with context.holding(claim):
            pytest.fail("must not hold it any more")

    handled(lose)
    work_id = add_work(context)
    run_work(context, work_id)
    found = row(context, work_id)
    assert (found.state, found.fence, found.attempts) == ("running", 2, 0)


def test_work_of_an_organization_that_is_gone_is_left_alone(
    context: JobContext, handled: Callable[..., list[str]]
) -> None:
    handled(lambda _context, _claim: pytest.fail("must not run"))
    gone = JobContext(
        database=context.database,
        storage=context.storage,
        settings=context.settings,
        doorbell=context.doorbell,
        scope=OrganizationScope(new_id()),
        should_stop=context.should_stop,
    )
    run_work(gone, new_id())
