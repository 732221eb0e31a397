"""The dispatcher: few at a time, fairly, and again when something was lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
import redis
from sqlalchemy import text
from structlog.testing import capture_logs

from jobs.connection import connect, queue_of
from jobs.dispatch import LOST_AFTER_SECONDS, Bell, Dispatcher
from lms.core.ids import new_id
from lms.core.queue import CHECK_UPLOAD, enqueue
from tenants.ddl import head_revision, served_revisions
from tenants.engines import create_admin_engine
from tenants.session import PLATFORM, OrganizationScope
from tests.factories.jobs import Stack, until


@pytest.fixture
def connection(stack: Stack) -> Iterator[redis.Redis]:
    connection = connect(stack.settings.redis_url, socket_timeout=5)
    connection.flushall()
    yield connection
    connection.close()


@pytest.fixture
def dispatcher(stack: Stack, connection: redis.Redis) -> Dispatcher:
    return Dispatcher(stack.database, connection, served_revisions())


def add_work(
    stack: Stack, organization_id: UUID, count: int = 1, *, state: str = "waiting", fence: int = 0
) -> list[UUID]:
    ids = [new_id() for _ in range(count)]
    lease = "now() - interval '1 s'" if state == "running" else "NULL"
    with stack.database.transaction(PLATFORM) as session:
        session.execute(
            text(
                "INSERT INTO platform.work (id, organization_id, queue, kind, subject_id, state,"
                " fence, lease_until)"
                f" VALUES (:id, :organization_id, 'media', 'test', :id, :state, :fence, {lease})"
            ),
            [
                {"id": id_, "organization_id": organization_id, "state": state, "fence": fence}
                for id_ in ids
            ],
        )
    return ids


def queued(connection: redis.Redis) -> list[UUID]:
    """Ids of work in the RQ queue `media`, in order."""
    return [UUID(job_id.partition("_")[0]) for job_id in queue_of(connection, "media").job_ids]


def take_first(connection: redis.Redis) -> None:
    """Dequeue, as a worker does when it begins."""
    queue_of(connection, "media").pop_job_id()


def add_backlog(stack: Stack, organization_id: UUID, count: int) -> None:
    """Insert as many rows of waiting work in one statement."""
    with stack.database.transaction(PLATFORM) as session:
        session.execute(
            text(
                "INSERT INTO platform.work (id, organization_id, queue, kind, subject_id)"
                " SELECT id, :organization_id, 'media', 'test', id"
                " FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, :count)) made"
            ),
            {"organization_id": organization_id, "count": count},
        )


def test_behind_ten_thousand_jobs_of_one_organization_anothers_first_is_next(
    stack: Stack,
    dispatcher: Dispatcher,
    connection: redis.Redis,
    new_organization: Callable[[], UUID],
) -> None:
    large, small = new_organization(), new_organization()
    add_backlog(stack, large, 10_000)
    dispatcher.tick()
    assert len(queued(connection)) == 2
    (latecomer,) = add_work(stack, small)
    take_first(connection)
    dispatcher.tick()
    assert queued(connection)[-1] == latecomer


def test_organizations_take_turns_however_much_one_of_them_asks_for(
    stack: Stack,
    dispatcher: Dispatcher,
    connection: redis.Redis,
    new_organization: Callable[[], UUID],
) -> None:
    large, small = new_organization(), new_organization()
    add_backlog(stack, large, 10_000)
    asked = add_work(stack, small, 3)
    handed_out: list[UUID] = []
    for _ in range(6):
        dispatcher.tick()
        handed_out.append(queued(connection)[0])
        finish_first(stack, connection)
    assert [work_id in asked for work_id in handed_out].count(True) == 3


def finish_first(stack: Stack, connection: redis.Redis) -> None:
    """Do what was handed out first."""
    work_id = queued(connection)[0]
    take_first(connection)
    with stack.database.transaction(PLATFORM) as session:
        session.execute(
            text("UPDATE platform.work SET state = 'done' WHERE id = :id"), {"id": work_id}
        )


def test_only_a_few_are_handed_out_at_a_time(
    stack: Stack,
    dispatcher: Dispatcher,
    connection: redis.Redis,
    new_organization: Callable[[], UUID],
) -> None:
    add_work(stack, new_organization(), 50)
    for _ in range(3):
        dispatcher.tick()
    assert len(queued(connection)) == 2


def test_a_job_carries_ids_and_nothing_else(
    stack: Stack,
    dispatcher: Dispatcher,
    connection: redis.Redis,
    new_organization: Callable[[], UUID],
) -> None:
    organization_id = new_organization()
    (work_id,) = add_work(stack, organization_id)
    dispatcher.tick()
    (job,) = queue_of(connection, "media").jobs
    assert job.id == f"{work_id}_1"
    assert list(job.args or ()) == [str(work_id), str(organization_id)]
    assert job.result_ttl == 0
    assert job.retries_left is None


def test_reading_through_a_large_upload_is_bounded_by_its_lease_and_not_by_rq(
    stack: Stack,
    dispatcher: Dispatcher,
    connection: redis.Redis,
    new_organization: Callable[[], UUID],
) -> None:
    with stack.database.transaction(OrganizationScope(new_organization())) as session:
        enqueue(session, stack.doorbell, CHECK_UPLOAD, new_id())
    dispatcher.tick()
    (job,) = queue_of(connection, "media").jobs
    assert job.timeout == -1


def age_handouts(stack: Stack) -> None:
    with stack.database.transaction(PLATFORM) as session:
        session.execute(
            text(
                "UPDATE platform.work"
                " SET handed_out_at = handed_out_at - make_interval(secs => :seconds)"
            ),
            {"seconds": LOST_AFTER_SECONDS + 1},
        )


def test_what_a_flushed_redis_forgot_is_handed_out_again(
    stack: Stack,
    dispatcher: Dispatcher,
    connection: redis.Redis,
    new_organization: Callable[[], UUID],
) -> None:
    (work_id,) = add_work(stack, new_organization())
    dispatcher.tick()
    connection.flushall()
    dispatcher.tick()
    assert queued(connection) == []
    age_handouts(stack)
    dispatcher.tick()
    assert queue_of(connection, "media").job_ids == [f"{work_id}_2"]


def test_what_still_waits_in_the_queue_is_not_handed_out_twice(
    stack: Stack,
    dispatcher: Dispatcher,
    connection: redis.Redis,
    new_organization: Callable[[], UUID],
) -> None:
    (work_id,) = add_work(stack, new_organization())
    dispatcher.tick()
    age_handouts(stack)
    dispatcher.tick()
    assert queue_of(connection, "media").job_ids == [f"{work_id}_1"]


def test_work_whose_lease_ran_out_is_handed_out_again(
    stack: Stack,
    dispatcher: Dispatcher,
    connection: redis.Redis,
    new_organization: Callable[[], UUID],
) -> None:
    (work_id,) = add_work(stack, new_organization(), state="running", fence=1)
    dispatcher.tick()
    assert queued(connection) == [work_id]


@pytest.mark.parametrize("kind", ["expired", "lost"])
def test_a_locked_row_of_one_organization_holds_up_no_other(
    stack: Stack,
    dispatcher: Dispatcher,
    connection: redis.Redis,
    new_organization: Callable[[], UUID],
    kind: str,
) -> None:
    if kind == "expired":
        (locked,) = add_work(stack, new_organization(), state="running", fence=1)
    else:
        (locked,) = add_work(stack, new_organization())
        dispatcher.tick()
        connection.flushall()
        age_handouts(stack)
    (other,) = add_work(stack, new_organization())
    with stack.database.transaction(PLATFORM) as session:
        session.execute(
            text("SELECT 1 FROM platform.work WHERE id = :id FOR UPDATE"), {"id": locked}
        )
        dispatcher.tick()
        assert queued(connection) == [other]
    dispatcher.tick()
    assert set(queued(connection)) == {other, locked}


def test_work_of_an_organization_at_an_unserved_revision_waits_for_its_migration(
    stack: Stack,
    dispatcher: Dispatcher,
    connection: redis.Redis,
    new_organization: Callable[[], UUID],
) -> None:
    organization_id = new_organization()
    (handed_out,) = add_work(stack, organization_id)
    dispatcher.tick()
    connection.flushall()
    age_handouts(stack)
    set_revision(stack, organization_id, "9999_of_tomorrow")
    with capture_logs() as logs:
        dispatcher.tick()
        dispatcher.tick()
    assert queued(connection) == []
    assert logs == []
    set_revision(stack, organization_id, head_revision())
    dispatcher.tick()
    assert queued(connection) == [handed_out]


def set_revision(stack: Stack, organization_id: UUID, revision: str) -> None:
    with create_admin_engine(stack.postgres.admin_url).begin() as connection:
        connection.execute(
            text("UPDATE platform.organizations SET revision = :revision WHERE id = :id"),
            {"revision": revision, "id": organization_id},
        )


def test_what_is_due_later_waits(
    stack: Stack,
    dispatcher: Dispatcher,
    connection: redis.Redis,
    new_organization: Callable[[], UUID],
) -> None:
    (work_id,) = add_work(stack, new_organization())
    set_due = text("UPDATE platform.work SET due_at = now() + :delay * interval '1 s'")
    with stack.database.transaction(PLATFORM) as session:
        session.execute(set_due, {"delay": 60})
    dispatcher.tick()
    assert queued(connection) == []
    with stack.database.transaction(PLATFORM) as session:
        session.execute(set_due, {"delay": -1})
    dispatcher.tick()
    assert queued(connection) == [work_id]


def test_the_process_lives_through_a_redis_that_goes_away_and_stops_when_asked(
    stack: Stack, new_organization: Callable[[], UUID]
) -> None:
    process = stack.start("jobs.dispatch")
    organization_id = new_organization()
    (first,) = add_work(stack, organization_id)

    def has(work_id: UUID) -> bool:
        with connect(stack.settings.redis_url, socket_timeout=5) as client:
            return work_id in queued(client)

    until(lambda: has(first), 20)
    stack.redis.kill()
    (second,) = add_work(stack, organization_id)
    stack.redis.start()
    until(lambda: has(second) and has(first), 30)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_the_process_lives_through_a_tick_that_postgresql_refuses(
    stack: Stack, connection: redis.Redis, new_organization: Callable[[], UUID]
) -> None:
    (work_id,) = add_work(stack, new_organization())
    with create_admin_engine(stack.postgres.admin_url).begin() as owner:
        owner.execute(text("LOCK TABLE platform.work"))
        process = stack.start("jobs.dispatch")
        until(lambda: "tick_failed" in stack.logs(), 30)
    until(lambda: work_id in queued(connection), 30)
    assert process.poll() is None


def test_the_bell_is_heard_at_once(stack: Stack, connection: redis.Redis) -> None:
    bell = Bell(connection)
    bell.wait(0.01)
    stack.doorbell.ring("media")
    began = time.monotonic()
    bell.wait(30)
    bell.close()
    assert time.monotonic() - began < 10


def test_the_organizations_own_role_sees_only_its_own_rows(
    stack: Stack, new_organization: Callable[[], UUID]
) -> None:
    mine, other = new_organization(), new_organization()
    add_work(stack, mine)
    add_work(stack, other)
    with stack.database.transaction(OrganizationScope(mine)) as session:
        rows = session.execute(text("SELECT organization_id FROM platform.work")).scalars().all()
    assert rows == [mine]
