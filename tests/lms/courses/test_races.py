"""What happens at the same time: real transactions, held open at the moment that matters."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from lms.courses.errors import CourseInUseError, DraftExistsError, VersionPublishedError
from lms.courses.models import Lesson, PublishedVersion
from lms.courses.operations import content, courses, versions
from lms.courses.queries import draft_outline
from tenants.session import Database, OrganizationScope
from tests.factories.courses import LESSON, make_draft, make_published
from tests.lms.courses.conftest import Api, wait_until_blocked


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    statements: list[str] = []

    def remember(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    event.listen(database.events, "before_cursor_execute", remember)
    try:
        yield statements
    finally:
        event.remove(database.events, "before_cursor_execute", remember)


def test_publishing_waits_for_an_edit_and_includes_it(
    instructor: Api, database: Database, acme: UUID, thread: ThreadPoolExecutor
) -> None:
    made = make_draft(database, acme, instructor.person)
    with database.transaction(OrganizationScope(acme)) as session:
        content.update_lesson(
            session,
            instructor.person.actor,
            made.lesson_ids[0],
            {"title": "Edited at the last moment"},
            expected=None,
        )
        publishing = thread.submit(publish, database, acme, instructor, made.version_id)
        wait_until_blocked(database, acme, publishing)
    publishing.result(timeout=10)

    with database.transaction(OrganizationScope(acme)) as session:
        row = session.get(PublishedVersion, made.version_id)
    assert row is not None
    assert row.outline["modules"][0]["lessons"][0]["title"] == "Edited at the last moment"


def test_an_edit_that_waited_for_a_publication_is_refused(
    instructor: Api, database: Database, acme: UUID, thread: ThreadPoolExecutor
) -> None:
    made = make_draft(database, acme, instructor.person)
    lesson_id = made.lesson_ids[0]
    with database.transaction(OrganizationScope(acme)) as session:
        versions.publish_version(session, instructor.person.actor, made.version_id, expected=None)
        editing = thread.submit(
            edit, database, acme, lambda session: hold(session, instructor, lesson_id)
        )
        adding = thread.submit(
            edit,
            database,
            acme,
            lambda session: content.create_module(
                session, instructor.person.actor, made.version_id, title="Late", summary=""
            ),
        )
        wait_until_blocked(database, acme, editing)
        wait_until_blocked(database, acme, adding)

    with pytest.raises(VersionPublishedError):
        editing.result(timeout=10)
    with pytest.raises(VersionPublishedError):
        adding.result(timeout=10)


def test_deleting_a_course_that_is_published_meanwhile_is_refused(
    instructor: Api, database: Database, acme: UUID, thread: ThreadPoolExecutor
) -> None:
    made = make_draft(database, acme, instructor.person)
    actor = instructor.person.actor
    with database.transaction(OrganizationScope(acme)) as session:
        versions.publish_version(session, actor, made.version_id, expected=None)
        deleting = thread.submit(
            edit,
            database,
            acme,
            lambda session: courses.delete_course(session, actor, made.course_id, expected=None),
        )
        wait_until_blocked(database, acme, deleting)

    with pytest.raises(CourseInUseError):
        deleting.result(timeout=10)
    assert instructor.get(f"/lessons/{made.lesson_ids[0]}").status_code == 200


def test_drafts_asked_for_at_the_same_time_become_one(
    instructor: Api, database: Database, acme: UUID, thread: ThreadPoolExecutor
) -> None:
    made = make_published(database, acme, instructor.person)

    def create(_: int) -> str:
        try:
            with database.transaction(OrganizationScope(acme)) as session:
                versions.create_draft(
                    session,
                    instructor.person.actor,
                    made.course_id,
                    label="",
                    base_version_id=None,
                )
        except DraftExistsError:
            return "draft_exists"
        return "created"

    outcomes = sorted(thread.map(create, range(8)))

    assert outcomes == ["created"] + ["draft_exists"] * 7


def test_lessons_appended_at_the_same_time_get_places_of_their_own(
    instructor: Api, database: Database, acme: UUID, thread: ThreadPoolExecutor
) -> None:
    made = make_draft(database, acme, instructor.person, outline=[[]])

    def append(_: int) -> int:
        with database.transaction(OrganizationScope(acme)) as session:
            lesson = content.create_lesson(
                session, instructor.person.actor, made.module_ids[0], LESSON
            )
            return lesson.position

    positions = sorted(thread.map(append, range(8)))

    assert positions == list(range(1, 9))


def test_editing_two_lessons_at_the_same_time_makes_nobody_wait(
    instructor: Api, database: Database, acme: UUID, thread: ThreadPoolExecutor
) -> None:
    made = make_draft(database, acme, instructor.person)
    with database.transaction(OrganizationScope(acme)) as session:
        hold(session, instructor, made.lesson_ids[0])
        other = thread.submit(
            edit, database, acme, lambda session: hold(session, instructor, made.lesson_ids[1])
        )

        assert other.result(timeout=10).id == made.lesson_ids[1]


def test_of_two_edits_of_one_lesson_that_read_the_same_state_one_is_refused(
    instructor: Api, database: Database, acme: UUID, thread: ThreadPoolExecutor
) -> None:
    made = make_draft(database, acme, instructor.person)
    with database.transaction(OrganizationScope(acme)) as session:
        hold(session, instructor, made.lesson_ids[0])
        late = thread.submit(
            edit, database, acme, lambda session: hold(session, instructor, made.lesson_ids[0])
        )
        wait_until_blocked(database, acme, late)

    with pytest.raises(StaleDataError):
        late.result(timeout=10)


def test_copying_a_version_takes_as_many_statements_for_many_lessons_as_for_few(
    instructor: Api, database: Database, acme: UUID
) -> None:
    counts = []
    for outline in ([["text"]], [["video", "text"] * 3] * 4):
        made = make_published(database, acme, instructor.person, outline=outline)
        with (
            counted(database) as statements,
            database.transaction(OrganizationScope(acme)) as session,
        ):
            versions.create_draft(
                session, instructor.person.actor, made.course_id, label="", base_version_id=None
            )
        counts.append(len(statements))

    assert counts[0] == counts[1]


def test_a_drafts_outline_takes_four_statements(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_draft(database, acme, instructor.person, outline=[["video", "text"] * 3] * 4)

    with database.transaction(OrganizationScope(acme)) as session:
        session.connection()
        with counted(database) as statements:
            draft_outline(session, made.version_id)

    assert len(statements) == 4


def publish(database: Database, organization_id: UUID, api: Api, version_id: UUID) -> None:
    with database.transaction(OrganizationScope(organization_id)) as session:
        versions.publish_version(session, api.person.actor, version_id, expected=None)


def hold(session: Session, api: Api, lesson_id: UUID) -> Lesson:
    return content.update_lesson(
        session, api.person.actor, lesson_id, {"title": "Edited"}, expected=None
    )


def edit(database: Database, organization_id: UUID, operation: Any) -> Any:
    with database.transaction(OrganizationScope(organization_id)) as session:
        return operation(session)
