"""Duplicating modules and lessons within a draft."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from lms.core.errors import NotFoundError
from lms.courses import policy
from lms.courses.operations import content, duplicating
from tenants.session import Database, OrganizationScope
from tests.factories.courses import Content, add_media, make_draft, make_published
from tests.factories.statements import counted
from tests.lms.courses.conftest import Api, wait_until_blocked

OWN = ("id", "lineage_id", "module_id", "media_file_id", "lessons", "media")
"""What a duplicate has for itself."""


@pytest.fixture
def draft(instructor: Api, database: Database, acme: UUID) -> Content:
    return make_draft(
        database,
        acme,
        instructor.person,
        outline=[["video", "text"], ["text"]],
        lesson={
            "weight": 3,
            "required": False,
            "preview": True,
            "availability": {"after": "activation", "days": 7},
        },
    )


def outline_of(api: Api, draft: Content) -> list[dict[str, Any]]:
    return api.get(f"/course-versions/{draft.version_id}/outline").json["modules"]


def shared(node: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in node.items() if name not in OWN}


def test_a_duplicated_lesson_stands_right_behind_its_original(
    instructor: Api, draft: Content
) -> None:
    made = instructor.post(f"/lessons/{draft.lesson_ids[0]}/duplicate")

    assert made.status_code == 201
    assert made.headers["ETag"] == '"1"'
    assert instructor.get(f"/lessons/{made.json['id']}").json == made.json
    first, second = outline_of(instructor, draft)
    assert [lesson["id"] for lesson in first["lessons"]] == [
        str(draft.lesson_ids[0]),
        made.json["id"],
        str(draft.lesson_ids[1]),
    ]
    assert [lesson["id"] for lesson in second["lessons"]] == [str(draft.lesson_ids[2])]


def test_a_duplicated_lesson_is_like_its_original_and_shares_its_video(
    instructor: Api, draft: Content
) -> None:
    instructor.post(f"/lessons/{draft.lesson_ids[0]}/duplicate")

    original, duplicate, _ = outline_of(instructor, draft)[0]["lessons"]
    assert shared(duplicate) == shared(original)
    assert duplicate["lineage_id"] not in {original["lineage_id"], str(draft.lineage_ids[1])}
    (file,), (shared_file,) = original["media"], duplicate["media"]
    assert file["media_file_id"] != shared_file["media_file_id"]
    assert shared(file) == shared(shared_file)
    assert file["video_id"] is not None


def test_a_duplicate_of_a_duplicate_stands_between_it_and_the_next(
    instructor: Api, draft: Content
) -> None:
    path = f"/lessons/{draft.lesson_ids[0]}/duplicate"
    second = instructor.post(path).json["id"]
    first = instructor.post(path).json["id"]
    between = instructor.post(f"/lessons/{first}/duplicate").json["id"]

    lessons = outline_of(instructor, draft)[0]["lessons"]

    ends = str(draft.lesson_ids[0]), str(draft.lesson_ids[1])
    assert [lesson["id"] for lesson in lessons] == [ends[0], first, between, second, ends[1]]


def test_lessons_that_move_up_get_a_new_etag_and_others_keep_theirs(
    instructor: Api, draft: Content
) -> None:
    version = f"/course-versions/{draft.version_id}"
    seen = instructor.get(version).headers["ETag"]

    instructor.post(f"/lessons/{draft.lesson_ids[0]}/duplicate")

    tags = [instructor.get(f"/lessons/{one}").headers["ETag"] for one in draft.lesson_ids]
    assert tags == ['"1"', '"2"', '"1"']
    assert instructor.get(version).headers["ETag"] != seen


def test_deleting_the_original_leaves_the_duplicate_its_video(
    instructor: Api, draft: Content
) -> None:
    made = instructor.post(f"/lessons/{draft.lesson_ids[0]}/duplicate").json

    assert instructor.delete(f"/lessons/{draft.lesson_ids[0]}").status_code == 204

    lesson = outline_of(instructor, draft)[0]["lessons"][0]
    assert lesson["id"] == made["id"]
    assert instructor.get(f"/videos/{lesson['media'][0]['video_id']}").status_code == 200
    assert instructor.post(f"/course-versions/{draft.version_id}/publish").status_code == 200


def test_a_duplicated_module_stands_right_behind_its_original_with_all_that_is_in_it(
    instructor: Api, draft: Content, database: Database, acme: UUID
) -> None:
    with database.transaction(OrganizationScope(acme)) as session:
        add_media(session, draft.lesson_ids[1], instructor.person.id, kind="document")
    instructor.patch(f"/modules/{draft.module_ids[0]}", {"sequential": True})

    made = instructor.post(f"/modules/{draft.module_ids[0]}/duplicate")

    assert made.status_code == 201
    assert made.headers["ETag"] == '"1"'
    assert instructor.get(f"/modules/{made.json['id']}").json == made.json
    original, duplicate, last = outline_of(instructor, draft)
    assert [original["id"], duplicate["id"], last["id"]] == [
        str(draft.module_ids[0]),
        made.json["id"],
        str(draft.module_ids[1]),
    ]
    assert shared(duplicate) == shared(original)
    pairs = list(zip(original["lessons"], duplicate["lessons"], strict=True))
    assert [shared(new) for _, new in pairs] == [shared(old) for old, _ in pairs]
    for old, new in pairs:
        files = zip(old["media"], new["media"], strict=True)
        assert all(shared(theirs) == shared(ours) for theirs, ours in files)
    nodes = [original, duplicate, last, *original["lessons"], *duplicate["lessons"]]
    assert len({node["id"] for node in nodes}) == len({node["lineage_id"] for node in nodes}) == 7


def test_the_original_module_and_its_lessons_keep_their_etags(
    instructor: Api, draft: Content
) -> None:
    instructor.post(f"/modules/{draft.module_ids[0]}/duplicate")

    tags = [instructor.get(f"/modules/{one}").headers["ETag"] for one in draft.module_ids]
    assert tags == ['"1"', '"2"']
    assert instructor.get(f"/lessons/{draft.lesson_ids[0]}").headers["ETag"] == '"1"'


def test_an_empty_module_may_be_duplicated(instructor: Api, draft: Content) -> None:
    path = f"/course-versions/{draft.version_id}/modules"
    empty = instructor.post(path, {"title": "To come"}).json["id"]

    assert instructor.post(f"/modules/{empty}/duplicate").json["title"] == "To come"


@pytest.mark.parametrize(("what", "limit"), [("MAX_MODULES", 2), ("MAX_LESSONS", 4)])
def test_a_module_is_not_duplicated_beyond_a_versions_limits(
    instructor: Api, draft: Content, monkeypatch: pytest.MonkeyPatch, what: str, limit: int
) -> None:
    monkeypatch.setattr(policy, what, limit)

    refused = instructor.post(f"/modules/{draft.module_ids[0]}/duplicate")

    assert (refused.status_code, refused.json["code"]) == (409, "version_full")
    assert refused.json["limit"] == limit
    assert len(outline_of(instructor, draft)) == 2


def test_a_module_is_duplicated_up_to_the_limit(
    instructor: Api, draft: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "MAX_MODULES", 3)
    monkeypatch.setattr(policy, "MAX_LESSONS", 5)

    assert instructor.post(f"/modules/{draft.module_ids[0]}/duplicate").status_code == 201


def test_a_lesson_is_not_duplicated_beyond_a_versions_limit(
    instructor: Api, draft: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "MAX_LESSONS", 3)

    refused = instructor.post(f"/lessons/{draft.lesson_ids[0]}/duplicate")

    assert (refused.status_code, refused.json["code"]) == (409, "version_full")


def test_nothing_is_duplicated_in_a_published_version(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_published(database, acme, instructor.person)

    refusals = [
        instructor.post(f"/modules/{made.module_ids[0]}/duplicate"),
        instructor.post(f"/lessons/{made.lesson_ids[0]}/duplicate"),
    ]

    assert {(refused.status_code, refused.json["code"]) for refused in refusals} == {
        (409, "version_published")
    }


def test_content_is_duplicated_by_those_who_teach_the_course(
    colleague: Api, student: Api, admin: Api, draft: Content
) -> None:
    paths = [
        f"/modules/{draft.module_ids[0]}/duplicate",
        f"/lessons/{draft.lesson_ids[0]}/duplicate",
    ]

    for person, status in ((student, 403), (colleague, 404), (admin, 201)):
        assert {person.post(path).status_code for path in paths} == {status}


def test_a_lesson_that_was_deleted_meanwhile_is_not_duplicated(
    instructor: Api, draft: Content, database: Database, acme: UUID, thread: ThreadPoolExecutor
) -> None:
    actor, lesson_id = instructor.person.actor, draft.lesson_ids[0]

    def duplicate() -> None:
        with database.transaction(OrganizationScope(acme)) as session:
            duplicating.duplicate_lesson(session, actor, lesson_id)

    with database.transaction(OrganizationScope(acme)) as session:
        content.delete_lesson(session, actor, lesson_id, expected=None)
        late = thread.submit(duplicate)
        wait_until_blocked(database, acme, late)

    with pytest.raises(NotFoundError):
        late.result(timeout=10)


def test_a_module_that_was_deleted_meanwhile_is_not_duplicated(
    instructor: Api, draft: Content, database: Database, acme: UUID, thread: ThreadPoolExecutor
) -> None:
    actor, module_id = instructor.person.actor, draft.module_ids[0]

    def duplicate() -> None:
        with database.transaction(OrganizationScope(acme)) as session:
            duplicating.duplicate_module(session, actor, module_id)

    with database.transaction(OrganizationScope(acme)) as session:
        content.delete_module(session, actor, module_id, expected=None)
        late = thread.submit(duplicate)
        wait_until_blocked(database, acme, late)

    with pytest.raises(NotFoundError):
        late.result(timeout=10)


def test_duplicates_asked_for_at_the_same_time_get_places_of_their_own(
    instructor: Api, draft: Content, database: Database, acme: UUID, thread: ThreadPoolExecutor
) -> None:
    def duplicate(_: int) -> int:
        with database.transaction(OrganizationScope(acme)) as session:
            duplicating.duplicate_lesson(session, instructor.person.actor, draft.lesson_ids[0])
        return 1

    assert sum(thread.map(duplicate, range(6))) == 6

    items = instructor.get(f"/modules/{draft.module_ids[0]}/lessons").json["items"]
    assert [lesson["position"] for lesson in items] == list(range(1, 9))


def test_duplicating_takes_as_many_statements_for_many_lessons_as_for_few(
    instructor: Api, database: Database, acme: UUID, app: Flask
) -> None:
    counts = []
    for outline in ([["text"]], [["video", "text"] * 6]):
        made = make_draft(database, acme, instructor.person, outline=outline)
        with counted(app) as sent:
            instructor.post(f"/modules/{made.module_ids[0]}/duplicate")
        counts.append(len(sent))

    assert counts[0] == counts[1]
