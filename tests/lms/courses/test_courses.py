from __future__ import annotations

from uuid import UUID

import pytest

from lms.core.ids import new_id
from lms.courses.queries import teaches
from tenants.session import Database, OrganizationScope
from tests.factories.courses import make_draft, make_published, make_run
from tests.factories.people import make_user
from tests.lms.courses.conftest import Api

TITLE = {"title": "Espresso from Bean to Cup"}


def test_a_created_course_belongs_to_its_creator_by_name(instructor: Api) -> None:
    created = instructor.post("/courses", {**TITLE, "summary": "Dose, grind, pull."})

    assert created.status_code == 201
    assert created.headers["ETag"] == '"1"'
    assert created.json["instructor"] == {
        "id": str(instructor.person.id),
        "name": "Mara Lindqvist",
    }
    assert instructor.get(f"/courses/{created.json['id']}").json == created.json


def test_the_creator_teaches_the_course_from_the_start(
    instructor: Api, colleague: Api, database: Database, acme: UUID
) -> None:
    course_id = UUID(instructor.post("/courses", TITLE).json["id"])

    with database.transaction(OrganizationScope(acme)) as session:
        assert teaches(session, instructor.person.id, course_id)
        assert not teaches(session, colleague.person.id, course_id)


def test_an_admin_may_create_a_course_for_an_instructor(instructor: Api, admin: Api) -> None:
    created = admin.post("/courses", {**TITLE, "instructor_id": str(instructor.person.id)})

    assert created.json["instructor"]["id"] == str(instructor.person.id)
    assert instructor.get(f"/courses/{created.json['id']}").status_code == 200


def test_an_instructor_cannot_create_a_course_for_somebody_else(
    instructor: Api, colleague: Api
) -> None:
    refused = instructor.post("/courses", {**TITLE, "instructor_id": str(colleague.person.id)})

    assert refused.status_code == 403


def test_a_student_cannot_become_the_instructor_of_a_course(admin: Api, student: Api) -> None:
    refused = admin.post("/courses", {**TITLE, "instructor_id": str(student.person.id)})

    assert refused.status_code == 422
    assert refused.json["errors"][0]["pointer"] == "/instructor_id"


def test_students_cannot_create_courses(student: Api) -> None:
    assert student.post("/courses", TITLE).status_code == 403


@pytest.mark.parametrize(
    "body",
    [{}, {"title": "  "}, {**TITLE, "language": "not a tag"}, {**TITLE, "state": "published"}],
)
def test_a_course_of_the_wrong_form_is_refused(instructor: Api, body: dict[str, str]) -> None:
    assert instructor.post("/courses", body).status_code == 422


def test_an_instructor_lists_only_courses_they_teach(instructor: Api, colleague: Api) -> None:
    own = instructor.post("/courses", TITLE).json["id"]
    other = colleague.post("/courses", TITLE).json["id"]

    listed = [course["id"] for course in instructor.get("/courses").json["items"]]

    assert own in listed
    assert other not in listed


def test_a_course_of_a_colleague_is_not_found(instructor: Api, colleague: Api) -> None:
    path = f"/courses/{colleague.post('/courses', TITLE).json['id']}"

    assert instructor.get(path).status_code == 404
    assert instructor.patch(path, TITLE).status_code == 404
    assert instructor.delete(path).status_code == 404


def test_an_admin_sees_and_edits_every_course(instructor: Api, admin: Api) -> None:
    path = f"/courses/{instructor.post('/courses', TITLE).json['id']}"

    assert admin.patch(path, {"title": "Espresso"}).json["title"] == "Espresso"


def test_students_see_a_course_once_it_has_a_scheduled_run(
    instructor: Api, student: Api, database: Database, acme: UUID
) -> None:
    made = make_published(database, acme, instructor.person)
    path = f"/courses/{made.course_id}"
    assert student.get(path).status_code == 404
    make_run(database, acme, instructor.person, made, state="draft")
    assert student.get(path).status_code == 404

    make_run(database, acme, instructor.person, made)

    assert student.get(path).status_code == 200
    assert str(made.course_id) in catalog_of(student)


def catalog_of(api: Api) -> set[str]:
    """Ids of all courses that the person is shown; other tests leave many."""
    found: set[str] = set()
    page = api.get("/courses").json
    while True:
        found |= {one["id"] for one in page["items"]}
        if page["next_cursor"] is None:
            return found
        page = api.get(f"/courses?cursor={page['next_cursor']}").json


def test_another_organization_finds_nothing(
    instructor: Api, database: Database, globex: UUID
) -> None:
    course_id = instructor.post("/courses", TITLE).json["id"]
    stranger = Api(instructor.client, make_user(database, globex, "admin"), host="globex.localhost")

    assert stranger.get(f"/courses/{course_id}").status_code == 404
    assert (
        Api(instructor.client, instructor.person, host="globex.localhost")
        .get(f"/courses/{course_id}")
        .status_code
        == 401
    )


def test_a_course_changes_only_where_the_patch_says_so(instructor: Api) -> None:
    course = instructor.post("/courses", {**TITLE, "summary": "Old"}).json

    changed = instructor.patch(f"/courses/{course['id']}", {"summary": "New"}, etag=None)

    assert changed.json == {**course, "summary": "New"}
    assert changed.headers["ETag"] == '"2"'


def test_an_edit_of_a_stale_course_is_refused(instructor: Api) -> None:
    path = f"/courses/{instructor.post('/courses', TITLE).json['id']}"
    instructor.patch(path, {"title": "First"}, etag='"1"')

    late = instructor.patch(path, {"title": "Second"}, etag='"1"')

    assert late.status_code == 412
    assert late.json["current_etag"] == '"2"'


def test_courses_are_paged(instructor: Api) -> None:
    made = [instructor.post("/courses", TITLE).json["id"] for _ in range(3)]

    first = instructor.get("/courses?limit=2").json
    second = instructor.get(f"/courses?limit=2&cursor={first['next_cursor']}").json

    assert [course["id"] for course in first["items"] + second["items"]] == made
    assert second["next_cursor"] is None


def test_a_course_with_only_a_draft_is_deleted_with_it(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_draft(database, acme, instructor.person, outline=[["video"]])

    assert instructor.delete(f"/courses/{made.course_id}").status_code == 204

    assert instructor.get(f"/courses/{made.course_id}").status_code == 404
    assert instructor.get(f"/lessons/{made.lesson_ids[0]}").status_code == 404


def test_deleting_a_course_in_use_says_what_holds_it(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_published(database, acme, instructor.person)
    make_run(database, acme, instructor.person, made)

    refused = instructor.delete(f"/courses/{made.course_id}")

    assert refused.status_code == 409
    assert refused.json["code"] == "course_in_use"
    assert (refused.json["runs"], refused.json["published_versions"]) == (1, 1)


def test_an_unknown_course_is_not_found(admin: Api) -> None:
    assert admin.get(f"/courses/{new_id()}").status_code == 404
