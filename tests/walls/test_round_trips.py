"""How often representative requests ask PostgreSQL: speed is designed, so it is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, event

from lms.core.ids import new_id
from tenants.session import Database
from tests.factories.money import Academy
from tests.factories.statements import counted
from tests.factories.twins import World

FRAME = 1
"""Statements around every request: the host's look-up, whose cache is off in tests."""


def send(
    client: FlaskClient, world: World, role: str, method: str, path: str, body: Any = None
) -> Any:
    headers = {
        "Authorization": f"Bearer {world.acme.tokens[role]}",
        "Idempotency-Key": str(uuid4()),
    }
    options = {} if body is None else {"json": body}
    return client.open(
        f"/api/v1{path}",
        method=method,
        base_url=f"http://{world.acme.host}",
        headers=headers,
        **options,
    )


@pytest.mark.parametrize(
    ("role", "path", "statements"),
    [
        ("student", "/me", 1),
        ("student", "/courses", 1),
        ("instructor", "/courses", 1),
        ("student", "/runs", 2),
        ("student", "/runs/{run_id}", 1),
        ("student", "/enrollments", 1),
        ("student", "/course-versions/{version_id}/outline", 1),
        ("student", "/enrollments/{enrollment_id}/progress", 2),
        ("instructor", "/runs/{run_id}/progress", 3),
        ("student", "/me/transcript", 1),
        ("instructor", "/users/{user_id}/transcript", 2),
        ("student", "/wallet", 1),
        ("student", "/wallet/transactions", 1),
        ("admin", "/users", 1),
    ],
)
def test_reads_ask_a_fixed_number_of_times(
    app: Flask, client: FlaskClient, world: World, role: str, path: str, statements: int
) -> None:
    path = path.format(**world.shared.as_dict())
    with counted(app) as seen:
        answer = send(client, world, role, "GET", path)
    assert answer.status_code == 200
    assert len(seen) - FRAME == statements, seen


def test_a_list_asks_no_more_often_when_it_is_longer(
    app: Flask, client: FlaskClient, world: World
) -> None:
    counts = []
    for limit in (1, 100):
        with counted(app) as seen:
            assert send(client, world, "admin", "GET", f"/courses?limit={limit}").status_code == 200
        counts.append(len(seen))
    assert counts[0] == counts[1]


def test_a_progress_report_asks_a_fixed_number_of_times(
    app: Flask, client: FlaskClient, world: World
) -> None:
    ids = world.shared
    path = f"/enrollments/{ids.enrollment_id}/lessons/{ids.lesson_id}/progress"
    with counted(app) as seen:
        answer = send(client, world, "student", "PUT", path, {"watched": [[0, 3]]})
    assert answer.status_code == 200, answer.text
    assert len(seen) - FRAME == 1, seen


@contextmanager
def round_trips(app: Flask, folder: Path) -> Iterator[Callable[[], int]]:
    """Count how often the app waits for PostgreSQL, in libpq's own trace of its connections.

    PostgreSQL ends each answer that is waited for with ReadyForQuery, however many statements were
    sent together.
    """
    engine = app.extensions["edge"].database.events
    with (folder / "trace").open("w+b") as trace:

        def begin(connection: Any, _record: object, _proxy: object) -> None:
            connection.pgconn.trace(trace.fileno())

        def end(connection: Any, _record: object) -> None:
            connection.pgconn.untrace()

        event.listen(engine, "checkout", begin)
        event.listen(engine, "checkin", end)
        try:
            yield lambda: (folder / "trace").read_bytes().count(b"ReadyForQuery")
        finally:
            event.remove(engine, "checkout", begin)
            event.remove(engine, "checkin", end)


@pytest.mark.parametrize(
    ("role", "method", "path", "body", "waits"),
    [
        ("student", "GET", "/me", None, 1),
        ("student", "GET", "/courses", None, 1),
        ("student", "GET", "/course-versions/{version_id}/outline", None, 1),
        (
            "student",
            "PUT",
            "/enrollments/{enrollment_id}/lessons/{lesson_id}/progress",
            {"watched": [[0, 2]]},
            1,
        ),
    ],
)
def test_admission_takes_one_round_trip_with_the_beginning_of_the_transaction(
    app: Flask,
    client: FlaskClient,
    world: World,
    tmp_path: Path,
    role: str,
    method: str,
    path: str,
    body: Any,
    waits: int,
) -> None:
    path = path.format(**world.shared.as_dict())
    for _ in range(6):  # preparing a statement is a round trip of its own; each connection does it
        send(client, world, role, method, path, body)
    with round_trips(app, tmp_path) as count:
        answer = send(client, world, role, method, path, body)
    assert answer.status_code == 200, answer.text
    host, admission, commit = 1, 1, 1
    assert count() == host + admission + waits + commit


def test_a_purchase_with_a_coupon_waits_no_more_often_than_one_without(
    app: Flask,
    database: Database,
    admin_engine: Engine,
    make_organization: Callable[..., UUID],
    tmp_path: Path,
) -> None:
    slug = f"trips-{new_id().hex[-12:]}"
    academy = Academy(app, database, admin_engine, make_organization(slug), slug)
    waits = []
    for code in (None, academy.coupon(max_uses_per_learner=10)):
        person, run_ids = academy.person(money=10 * 4900), [academy.run() for _ in range(7)]
        for run_id in run_ids[1:]:  # until psycopg has prepared the statements
            academy.enroll(person, run_id, coupon=code)
        with round_trips(app, tmp_path) as count:
            assert academy.enroll(person, run_ids[0], coupon=code).status_code == 201
            waits.append(count())
    host, admission, purchase, commit = 1, 1, 1, 1
    assert waits == [host + admission + purchase + commit] * 2
