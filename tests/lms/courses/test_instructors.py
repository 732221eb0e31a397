"""Who teaches a course beside its owner."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from lms.core.clock import now
from lms.core.ids import new_id
from lms.core.models import AuditEvent
from lms.users.models import User
from tenants.session import Database, OrganizationScope
from tests.factories.courses import Content, make_published, make_run
from tests.factories.people import make_user
from tests.lms.courses.conftest import Api


@pytest.fixture
def course(instructor: Api, database: Database, acme: UUID) -> Content:
    return make_published(database, acme, instructor.person)


@pytest.fixture
def path(course: Content) -> str:
    return f"/courses/{course.course_id}/instructors"


def place(path: str, api: Api) -> str:
    return f"{path}/{api.person.id}"


def add(by: Api, path: str, whom: Api) -> Any:
    return by.put(place(path, whom), None, etag=None)


def remove(by: Api, path: str, whom: Api) -> Any:
    return by.delete(place(path, whom), etag=None)


def events(database: Database, acme: UUID, course: Content) -> list[AuditEvent]:
    query = select(AuditEvent).where(
        AuditEvent.subject_id == course.course_id, AuditEvent.action.like("%_instructor")
    )
    with database.transaction(OrganizationScope(acme)) as session:
        return list(session.scalars(query.order_by(AuditEvent.id)))


def test_a_course_is_taught_by_its_owner_alone_at_first(instructor: Api, path: str) -> None:
    listed = instructor.get(path).json

    owner = {"id": str(instructor.person.id), "name": "Mara Lindqvist", "is_owner": True}
    assert listed == {"items": [owner], "next_cursor": None}


def test_who_is_added_is_listed_and_teaches_from_then_on(
    instructor: Api, colleague: Api, course: Content, path: str
) -> None:
    assert colleague.get(f"/courses/{course.course_id}").status_code == 404

    added = add(instructor, path, colleague)

    assert added.status_code == 200
    assert (added.json["id"], added.json["is_owner"]) == (str(colleague.person.id), False)
    assert added.json in colleague.get(path).json["items"]
    assert colleague.patch(f"/courses/{course.course_id}", {"title": "Ours"}).status_code == 200
    assert colleague.get(f"/lessons/{course.lesson_ids[0]}").status_code == 200
    assert colleague.post(f"/courses/{course.course_id}/versions", {}).status_code == 201


def test_who_is_removed_finds_nothing_of_the_course_any_more(
    instructor: Api, colleague: Api, course: Content, path: str, database: Database, acme: UUID
) -> None:
    run_id = make_run(database, acme, instructor.person, course, state="draft")
    add(instructor, path, colleague)
    theirs = [
        f"/courses/{course.course_id}",
        f"/courses/{course.course_id}/versions",
        f"/course-versions/{course.version_id}",
        f"/course-versions/{course.version_id}/outline",
        f"/lessons/{course.lesson_ids[0]}",
        f"/runs/{run_id}",
        path,
    ]
    assert {colleague.get(one).status_code for one in theirs} == {200}

    assert remove(instructor, path, colleague).status_code == 204

    assert {colleague.get(one).status_code for one in theirs} == {404}
    assert [one["is_owner"] for one in instructor.get(path).json["items"]] == [True]


def test_adding_twice_changes_nothing_and_is_on_record_once(
    instructor: Api, colleague: Api, course: Content, path: str, database: Database, acme: UUID
) -> None:
    first, again = add(instructor, path, colleague), add(instructor, path, colleague)

    assert (again.status_code, again.json) == (200, first.json)
    assert len(events(database, acme, course)) == 1


def test_adding_and_removing_is_on_record(
    instructor: Api,
    admin: Api,
    colleague: Api,
    course: Content,
    path: str,
    database: Database,
    acme: UUID,
) -> None:
    add(instructor, path, colleague)
    remove(admin, path, colleague)

    added, removed = events(database, acme, course)
    whom = {"instructor_id": str(colleague.person.id)}
    assert (added.action, added.actor_id) == ("course.add_instructor", instructor.person.id)
    assert (added.before, added.after) == (None, whom)
    assert (removed.action, removed.actor_id) == ("course.remove_instructor", admin.person.id)
    assert (removed.before, removed.after) == (whom, None)


def test_the_owner_cannot_be_removed(instructor: Api, admin: Api, path: str) -> None:
    for who in (instructor, admin):
        refused = remove(who, path, instructor)
        assert (refused.status_code, refused.json["code"]) == (409, "owner_not_removable")


def test_adding_the_owner_changes_nothing(instructor: Api, admin: Api, path: str) -> None:
    assert add(admin, path, instructor).json["is_owner"] is True


def test_a_co_instructor_chooses_nobody(
    instructor: Api, colleague: Api, admin: Api, path: str
) -> None:
    add(instructor, path, colleague)

    refusals = [add(colleague, path, admin), remove(colleague, path, colleague)]

    assert {(refused.status_code, refused.json["code"]) for refused in refusals} == {
        (403, "not_course_owner")
    }


def test_strangers_find_no_course_and_students_are_refused(
    colleague: Api, student: Api, path: str
) -> None:
    for stranger, status in ((colleague, 404), (student, 403)):
        answers = [
            stranger.get(path),
            add(stranger, path, stranger),
            remove(stranger, path, stranger),
        ]
        assert {answer.status_code for answer in answers} == {status}


def test_an_admin_may_co_teach_by_name(instructor: Api, admin: Api, path: str) -> None:
    assert add(instructor, path, admin).status_code == 200


def test_only_active_instructors_and_admins_are_added(
    instructor: Api,
    student: Api,
    colleague: Api,
    path: str,
    client: FlaskClient,
    database: Database,
    acme: UUID,
    globex: UUID,
) -> None:
    with database.transaction(OrganizationScope(acme)) as session:
        session.execute(
            update(User).where(User.id == colleague.person.id).values(deactivated_at=now())
        )
    foreign = Api(client, make_user(database, globex, "instructor"))

    refusals = [add(instructor, path, whom) for whom in (student, colleague, foreign)]
    refusals.append(instructor.put(f"{path}/{new_id()}", None, etag=None))

    assert {(refused.status_code, refused.json["code"]) for refused in refusals} == {
        (404, "instructor_not_found")
    }


def test_who_does_not_teach_the_course_cannot_be_removed(
    instructor: Api, colleague: Api, path: str
) -> None:
    refused = remove(instructor, path, colleague)

    assert (refused.status_code, refused.json["code"]) == (404, "instructor_not_found")


def test_the_list_is_paged(instructor: Api, colleague: Api, admin: Api, path: str) -> None:
    for whom in (colleague, admin):
        add(instructor, path, whom)

    page = instructor.get(f"{path}?limit=2").json
    rest = instructor.get(f"{path}?limit=2&cursor={page['next_cursor']}").json

    listed = [one["id"] for one in (*page["items"], *rest["items"])]
    assert listed == [str(api.person.id) for api in (instructor, colleague, admin)]
    assert rest["next_cursor"] is None
