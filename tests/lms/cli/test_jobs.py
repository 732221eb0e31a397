"""`lms jobs`: the queue as an operator sees it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from click.testing import Result
from sqlalchemy import text

from lms.core.ids import new_id
from tenants.session import PLATFORM, Database

Run = Callable[..., Result]
ADD = text("""
    INSERT INTO platform.work
           (id, organization_id, queue, kind, subject_id, state, attempts, error)
    VALUES (:id, :organization_id, 'media', 'transcode_video', :id, :state, 4, :error)
""")


@pytest.fixture
def organization_id(make_organization: Callable[..., UUID]) -> UUID:
    return make_organization()


@pytest.fixture
def slug(organization_id: UUID) -> str:
    return f"org-{organization_id.hex[-12:]}"


@pytest.fixture
def add(database: Database, organization_id: UUID) -> Callable[..., UUID]:
    def insert(state: str = "failed", error: str | None = "no space\nleft") -> UUID:
        job_id = new_id()
        values = {
            "id": job_id,
            "organization_id": organization_id,
            "state": state,
            "error": error,
        }
        with database.transaction(PLATFORM) as session:
            session.execute(ADD, values)
        return job_id

    return insert


def state_of(database: Database, job_id: UUID) -> str:
    with database.transaction(PLATFORM) as session:
        query = text("SELECT state FROM platform.work WHERE id = :id")
        return session.execute(query, {"id": job_id}).scalar_one()


def test_work_is_listed_newest_first_a_line_each_with_its_error(
    run: Run, add: Callable[..., UUID], slug: str
) -> None:
    first, second = add(), add("waiting", None)
    result = run("jobs", "list", "--organization", slug)
    assert result.exit_code == 0, result.output
    headings, *lines = result.stdout.splitlines()
    assert headings.split()[:4] == ["ID", "KIND", "STATE", "ATTEMPTS"]
    assert [line.split()[0] for line in lines] == [str(second), str(first)]
    assert lines[1].split()[1:4] == ["transcode_video", "failed", "4/4"]
    assert lines[1].endswith("no space left")


def test_a_list_is_filtered_and_as_long_as_asked_for(
    run: Run, add: Callable[..., UUID], slug: str
) -> None:
    failed = add()
    for _ in range(3):
        add("done")
    listed = run("jobs", "list", "--organization", slug, "--state", "failed", "--queue", "media")
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:]] == [str(failed)]
    few = run("jobs", "list", "--organization", slug, "--limit", "2")
    assert len(few.stdout.splitlines()) == 1 + 2


def test_a_failed_job_is_tried_again_on_record_and_only_once(
    run: Run, add: Callable[..., UUID], database: Database, organization_id: UUID
) -> None:
    job_id = add()
    result = run("jobs", "retry", str(job_id))
    assert result.exit_code == 0, result.output
    assert state_of(database, job_id) == "waiting"
    with database.transaction(PLATFORM) as session:
        query = text("SELECT actor_id, action FROM platform.audit_events WHERE organization_id=:id")
        assert session.execute(query, {"id": organization_id}).all() == [(None, "job.retry")]
    again = run("jobs", "retry", str(job_id))
    assert again.exit_code == 1
    assert again.stderr == "Error: The job is waiting; only a failed job can be tried again.\n"


def test_an_unknown_job_is_one_plain_line(run: Run) -> None:
    result = run("jobs", "retry", str(new_id()))
    assert (result.exit_code, result.stderr) == (1, "Error: There is no such job.\n")


def test_the_queue_is_shown_by_organization_without_idle_ones_and_with_the_sum(
    run: Run,
    add: Callable[..., UUID],
    slug: str,
    database: Database,
    organization_id: UUID,
    make_organization: Callable[..., UUID],
) -> None:
    idle = make_organization()
    add()
    add("waiting")
    with database.transaction(PLATFORM) as session:
        session.execute(
            text("INSERT INTO platform.cpu_usage VALUES (:id, CURRENT_DATE, 12.34)"),
            {"id": organization_id},
        )
    result = run("jobs", "queue", "--days", "2")
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line.split() for line in result.stdout.splitlines()}
    assert lines[slug][1:5] == ["1", "0", "0", "1"]
    assert lines[slug][-1] == "12.3"
    assert f"org-{idle.hex[-12:]}" not in lines
    assert list(lines)[-1] == "TOTAL"
    assert int(lines["TOTAL"][4]) >= 1
