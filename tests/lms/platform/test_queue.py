"""How the queue stands, by organization and in all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, text
from werkzeug.test import TestResponse

from lms.core.clock import now
from lms.core.ids import new_id
from tenants.session import PLATFORM, Database
from tests.factories.accounts import PLATFORM_HOST, super_admin

ADD_WORK = text("""
    INSERT INTO platform.work (id, organization_id, queue, kind, subject_id, state, due_at,
                               lease_until)
    VALUES (:id, :organization_id, :queue, 'test', :id, :state, :due_at,
            CASE WHEN :state = 'running' THEN now() + interval '1 hour' END)
""")
ADD_CPU = text("""
    INSERT INTO platform.cpu_usage (organization_id, day, seconds)
    VALUES (:organization_id, :day, :seconds)
""")
NOTHING = {
    "waiting": 0,
    "scheduled": 0,
    "running": 0,
    "failed": 0,
    "oldest_waiting_since": None,
    "cpu_seconds": 0.0,
}
Get = Callable[..., Any]


@pytest.fixture
def get(client: FlaskClient, database: Database) -> Get:
    headers = super_admin(client, database)

    def call(path: str, **query: Any) -> TestResponse:
        return client.get(
            f"/api/v1/platform{path}",
            base_url=PLATFORM_HOST,
            headers=headers,
            query_string=query,
        )

    return call


@pytest.fixture
def organization_id(make_organization: Callable[..., UUID]) -> UUID:
    return make_organization()


@pytest.fixture
def add_work(database: Database) -> Callable[..., None]:
    def add(
        organization_id: UUID,
        state: str,
        *,
        minutes: float = -1,
        queue: str = "media",
        count: int = 1,
    ) -> None:
        """Add work that is due in so many minutes."""
        rows = [
            {
                "id": new_id(),
                "organization_id": organization_id,
                "queue": queue,
                "state": state,
                "due_at": now() + timedelta(minutes=minutes),
            }
            for _ in range(count)
        ]
        with database.transaction(PLATFORM) as session:
            session.execute(ADD_WORK, rows)

    return add


@pytest.fixture
def add_cpu(database: Database) -> Callable[..., None]:
    def add(organization_id: UUID, seconds: float, *, days_ago: int = 0) -> None:
        day = (now() - timedelta(days=days_ago)).date()
        values = {"organization_id": organization_id, "day": day, "seconds": seconds}
        with database.transaction(PLATFORM) as session:
            session.execute(ADD_CPU, values)

    return add


@pytest.fixture
def shown(get: Get, organization_id: UUID) -> Callable[..., dict[str, Any]]:
    """What the list shows of the test's organization, beside its name."""

    def find(**query: Any) -> dict[str, Any]:
        cursor: dict[str, str] = {}
        while True:
            page = get("/queue", limit=100, **query, **cursor).json
            for one in page["items"]:
                if one.pop("organization_id") == str(organization_id):
                    assert one.pop("slug").startswith("org-")
                    return one
            cursor = {"cursor": page["next_cursor"]}
            assert page["next_cursor"], "the organization is not in the list"

    return find


def test_an_organization_without_work_is_shown_with_nothing(
    shown: Callable[..., dict[str, Any]],
) -> None:
    assert shown() == NOTHING


def test_what_waits_is_due_runs_and_failed_is_counted_and_what_is_done_is_not(
    shown: Callable[..., dict[str, Any]], add_work: Callable[..., None], organization_id: UUID
) -> None:
    add_work(organization_id, "waiting", count=3)
    add_work(organization_id, "waiting", minutes=+5, count=2)
    add_work(organization_id, "running")
    add_work(organization_id, "failed", count=4)
    add_work(organization_id, "done", count=5)
    found = shown()
    counts = ("waiting", "scheduled", "running", "failed")
    assert [found[name] for name in counts] == [3, 2, 1, 4]


def test_the_oldest_that_waits_is_the_one_that_has_been_due_for_longest(
    shown: Callable[..., dict[str, Any]], add_work: Callable[..., None], organization_id: UUID
) -> None:
    for minutes in (-2, -30, +30):
        add_work(organization_id, "waiting", minutes=minutes)
    add_work(organization_id, "failed", minutes=-60)
    since = datetime.fromisoformat(shown()["oldest_waiting_since"])
    assert timedelta(minutes=30) <= now() - since < timedelta(minutes=32)


def test_a_queue_can_be_counted_by_itself(
    shown: Callable[..., dict[str, Any]], add_work: Callable[..., None], organization_id: UUID
) -> None:
    add_work(organization_id, "waiting", queue="media")
    add_work(organization_id, "waiting", queue="default", count=2)
    assert [shown(queue=queue)["waiting"] for queue in ("media", "default")] == [1, 2]
    assert shown()["waiting"] == 3


def test_cpu_time_is_summed_over_the_days_that_are_asked_for(
    shown: Callable[..., dict[str, Any]], add_cpu: Callable[..., None], organization_id: UUID
) -> None:
    for days_ago, seconds in ((0, 1.5), (6, 10.0), (7, 100.0)):
        add_cpu(organization_id, seconds, days_ago=days_ago)
    assert [shown(days=days)["cpu_seconds"] for days in (1, 7, 8)] == [1.5, 11.5, 111.5]


def test_totals_are_the_sums_of_all_pages(
    get: Get,
    add_work: Callable[..., None],
    add_cpu: Callable[..., None],
    make_organization: Callable[..., UUID],
) -> None:
    # Of the queue on which nothing comes due by itself meanwhile.
    before = get("/queue/totals", queue="media").json
    for organization_id in (make_organization(), make_organization()):
        add_work(organization_id, "waiting", count=2)
        add_work(organization_id, "failed")
        add_cpu(organization_id, 3.0)
    after = get("/queue/totals", queue="media").json
    assert after["waiting"] - before["waiting"] == 4
    assert after["failed"] - before["failed"] == 2
    assert after["cpu_seconds"] - before["cpu_seconds"] == pytest.approx(6.0)
    assert after["oldest_waiting_since"] is not None


def test_pages_lead_through_all_organizations_once(get: Get) -> None:
    first = get("/queue", limit=1).json
    seen = [first["items"][0]["organization_id"]]
    cursor = first["next_cursor"]
    while cursor:
        page = get("/queue", limit=50, cursor=cursor).json
        seen += [one["organization_id"] for one in page["items"]]
        cursor = page["next_cursor"]
    listed = get("/organizations", limit=1).json["items"][0]["id"]
    assert seen[0] == listed
    assert seen == sorted(set(seen))


@contextmanager
def statements(app: Flask) -> Iterator[list[str]]:
    """Collect those about the queue."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "platform.work" in statement:
            found.append(statement)

    engine = app.extensions["edge"].database.events
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_however_many_organizations_are_on_a_page_it_is_one_statement(
    get: Get, app: Flask, make_organization: Callable[..., UUID]
) -> None:
    for _ in range(3):
        make_organization()
    with statements(app) as asked:
        assert len(get("/queue", limit=100).json["items"]) >= 3
    assert len(asked) == 1


@pytest.mark.parametrize(
    "query", [{"days": 0}, {"days": 367}, {"days": "x"}, {"queue": "mail"}, {"state": "failed"}]
)
@pytest.mark.parametrize("path", ["/queue", "/queue/totals"])
def test_questions_that_make_no_sense_are_refused(
    get: Get, path: str, query: dict[str, Any]
) -> None:
    assert get(path, **query).status_code == 422
