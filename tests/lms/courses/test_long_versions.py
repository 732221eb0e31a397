"""Fifty modules of twenty lessons cost as many statements as two of two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from flask import Flask
from sqlalchemy import event

from tenants.session import Database
from tests.factories.archives import make_long_version
from tests.factories.statements import counted
from tests.lms.courses.conftest import Api

SHORT, LONG = (2, 2), (50, 20)


@contextmanager
def found_rows(app: Flask) -> Iterator[list[int]]:
    """Collect how many rows each statement finds that the app sends."""
    rows: list[int] = []
    engine = app.extensions["edge"].database.events

    def note(_connection: object, cursor: Any, *_rest: object) -> None:
        rows.append(cursor.rowcount)

    event.listen(engine, "after_cursor_execute", note)
    try:
        yield rows
    finally:
        event.remove(engine, "after_cursor_execute", note)


def test_a_published_outline_is_one_row_of_one_statement_however_long(
    instructor: Api, database: Database, acme: UUID, app: Flask
) -> None:
    for modules, lessons in (SHORT, LONG):
        _, version_id = make_long_version(
            database, acme, instructor.person, modules=modules, lessons=lessons
        )

        with found_rows(app) as found:
            outline = instructor.get(f"/course-versions/{version_id}/outline").json

        assert [len(one["lessons"]) for one in outline["modules"]] == [lessons] * modules
        # The host's look-up is the first.
        assert found == [1, 1]


def test_a_new_draft_copies_a_long_version_in_as_many_statements_as_a_short_one(
    instructor: Api, database: Database, acme: UUID, app: Flask
) -> None:
    counts = []
    for modules, lessons in (SHORT, LONG):
        course_id, version_id = make_long_version(
            database, acme, instructor.person, modules=modules, lessons=lessons
        )

        with counted(app) as sent:
            draft = instructor.post(f"/courses/{course_id}/versions", {}).json["id"]

        counts.append(len(sent))
        old, new = (
            instructor.get(f"/course-versions/{one}/outline").json["modules"]
            for one in (version_id, draft)
        )
        assert [one["lineage_id"] for one in new] == [one["lineage_id"] for one in old]
        assert sum(len(one["lessons"]) for one in new) == modules * lessons

    assert counts[0] == counts[1] <= 12
