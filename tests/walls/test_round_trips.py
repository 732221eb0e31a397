"""How often representative requests ask PostgreSQL: speed is designed, so it is counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from tests.factories.twins import World

FRAME = 3
"""Statements around every signed-in request: host (its cache is off in tests), binding, actor."""


@contextmanager
def counted(app: Flask) -> Iterator[list[str]]:
    """Collect the statements that the app sends."""
    statements: list[str] = []
    engine = app.extensions["edge"].database.events

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


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
        ("student", "/courses", 2),
        ("instructor", "/courses", 2),
        ("student", "/runs", 2),
        ("student", "/runs/{run_id}", 1),
        ("student", "/enrollments", 1),
        ("student", "/course-versions/{version_id}/outline", 1),
        ("student", "/enrollments/{enrollment_id}/progress", 2),
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
    assert len(seen) - FRAME == 2, seen
