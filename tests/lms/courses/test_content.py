"""Modules of a draft, how full it may be, and who writes its content when."""

from __future__ import annotations

from uuid import UUID

import pytest

from lms.courses import policy
from tenants.session import Database
from tests.factories.courses import Content, make_published
from tests.lms.courses.conftest import Api
from tests.lms.courses.drafting import TEXT, order, order_of


def test_modules_are_appended_in_order(instructor: Api, draft: Content) -> None:
    path = f"/course-versions/{draft.version_id}/modules"

    made = instructor.post(path, {"title": "The water"})

    assert made.status_code == 201
    listed = instructor.get(path).json["items"]
    assert [module["id"] for module in listed] == [*map(str, draft.module_ids), made.json["id"]]
    assert made.json["lineage_id"] == made.json["id"]


def test_modules_are_paged_in_their_order(instructor: Api, draft: Content) -> None:
    path = f"/course-versions/{draft.version_id}"
    first, second = draft.module_ids
    lessons = draft.lesson_ids
    instructor.put(f"{path}/order", order((second, [lessons[2]]), (first, [*lessons[:2]])))

    page = instructor.get(f"{path}/modules?limit=1").json
    rest = instructor.get(f"{path}/modules?limit=1&cursor={page['next_cursor']}").json

    assert [page["items"][0]["id"], rest["items"][0]["id"]] == [str(second), str(first)]
    assert rest["next_cursor"] is None


def test_a_foreign_cursor_is_refused(instructor: Api, draft: Content) -> None:
    refused = instructor.get(f"/course-versions/{draft.version_id}/modules?cursor=nonsense")

    assert (refused.status_code, refused.json["code"]) == (422, "invalid_cursor")


def test_a_module_is_sequential_when_it_is_said_to_be(instructor: Api, draft: Content) -> None:
    path = f"/course-versions/{draft.version_id}/modules"
    made = instructor.post(path, {"title": "The water"}).json
    assert made["sequential"] is False

    changed = instructor.patch(f"/modules/{made['id']}", {"sequential": True}).json

    assert changed == {**made, "sequential": True}
    again = instructor.post(path, {"title": "The milk", "sequential": True}).json
    assert again["sequential"] is True


@pytest.mark.parametrize(("method", "body"), [("PATCH", {"title": "T"}), ("DELETE", None)])
def test_writing_a_module_needs_the_etag_of_what_was_read(
    instructor: Api, draft: Content, method: str, body: dict[str, str] | None
) -> None:
    path = f"/modules/{draft.module_ids[0]}"
    instructor.patch(path, {"title": "Changed meanwhile"})

    assert instructor.call(method, path, body).status_code == 428
    assert instructor.call(method, path, body, etag='"1"').status_code == 412
    assert instructor.call(method, path, body, etag='"2"').status_code in (200, 204)


def test_deleting_a_module_deletes_its_lessons(instructor: Api, draft: Content) -> None:
    assert instructor.delete(f"/modules/{draft.module_ids[0]}").status_code == 204

    assert instructor.get(f"/modules/{draft.module_ids[0]}").status_code == 404
    assert instructor.get(f"/lessons/{draft.lesson_ids[0]}").status_code == 404
    assert order_of(instructor, draft.version_id) == [[str(draft.lesson_ids[2])]]


def test_a_full_version_takes_no_more_modules(
    instructor: Api, draft: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "MAX_MODULES", 2)

    refused = instructor.post(f"/course-versions/{draft.version_id}/modules", {"title": "Third"})

    assert (refused.status_code, refused.json["code"]) == (409, "version_full")


def test_a_full_version_takes_no_more_lessons(
    instructor: Api, draft: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "MAX_LESSONS", 3)

    refused = instructor.post(f"/modules/{draft.module_ids[0]}/lessons", TEXT)

    assert (refused.status_code, refused.json["code"]) == (409, "version_full")


def test_a_published_version_refuses_every_write(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_published(database, acme, instructor.person)
    module, lesson = f"/modules/{made.module_ids[0]}", f"/lessons/{made.lesson_ids[0]}"
    version = f"/course-versions/{made.version_id}"

    refusals = [
        instructor.post(f"{version}/modules", {"title": "Late"}),
        instructor.patch(module, {"title": "Late"}),
        instructor.delete(module),
        instructor.post(f"{module}/lessons", TEXT),
        instructor.put(lesson, TEXT),
        instructor.patch(lesson, {"title": "Late"}),
        instructor.delete(lesson),
        instructor.put(f"{version}/order", {"modules": []}),
    ]

    assert {(refused.status_code, refused.json["code"]) for refused in refusals} == {
        (409, "version_published")
    }
    assert instructor.get(lesson).headers["ETag"] == '"1"'


def test_content_is_for_those_who_teach_the_course(
    instructor: Api, colleague: Api, student: Api, admin: Api, draft: Content
) -> None:
    module, lesson = f"/modules/{draft.module_ids[0]}", f"/lessons/{draft.lesson_ids[0]}"
    version = f"/course-versions/{draft.version_id}"

    for stranger, status in ((student, 403), (colleague, 404)):
        answers = [
            stranger.get(f"{version}/modules"),
            stranger.post(f"{version}/modules", {"title": "Mine"}),
            stranger.get(module),
            stranger.patch(module, {"title": "Mine"}),
            stranger.delete(module),
            stranger.get(f"{module}/lessons"),
            stranger.post(f"{module}/lessons", TEXT),
            stranger.get(lesson),
            stranger.put(lesson, TEXT),
            stranger.patch(lesson, {"title": "Mine"}),
            stranger.delete(lesson),
            stranger.put(f"{version}/order", {"modules": []}),
        ]
        assert {answer.status_code for answer in answers} == {status}
    assert admin.patch(lesson, {"title": "Edited"}).status_code == 200
