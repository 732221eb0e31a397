"""Comparing versions over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from lms.core.ids import new_id
from lms.courses import outline
from tenants.session import Database, OrganizationScope
from tests.factories.courses import Content, add_media, make_draft, make_published
from tests.factories.statements import counted
from tests.lms.courses.conftest import Api

NOTHING: dict[str, list[Any]] = {"added": [], "removed": [], "moved": [], "changed": []}


@pytest.fixture
def published(instructor: Api, database: Database, acme: UUID) -> Content:
    return make_published(database, acme, instructor.person, outline=[["video", "text"], ["text"]])


def new_draft(api: Api, of: Content) -> str:
    return api.post(f"/courses/{of.course_id}/versions", {"label": "Spring revision"}).json["id"]


def modules_of(api: Api, version_id: str) -> list[dict[str, Any]]:
    return api.get(f"/course-versions/{version_id}/modules").json["items"]


def lessons_of(api: Api, module: dict[str, Any]) -> list[dict[str, Any]]:
    return api.get(f"/modules/{module['id']}/lessons").json["items"]


def test_a_draft_that_was_not_touched_equals_what_it_was_copied_from(
    instructor: Api, published: Content
) -> None:
    draft = new_draft(instructor, published)

    found = instructor.get(f"/course-versions/{draft}/diff")

    assert found.status_code == 200
    assert found.json == {
        "base": {
            "id": str(published.version_id),
            "number": 1,
            "label": "",
            "state": "published",
        },
        "target": {"id": draft, "number": 2, "label": "Spring revision", "state": "draft"},
        "magnitude": "none",
        "modules": NOTHING,
        "lessons": NOTHING,
    }


def test_a_drafts_edits_are_told_by_lineage(instructor: Api, published: Content) -> None:
    draft = new_draft(instructor, published)
    first, second = modules_of(instructor, draft)
    video, text = lessons_of(instructor, first)
    instructor.patch(f"/modules/{first['id']}", {"title": "The grind"})
    instructor.patch(f"/lessons/{text['id']}", {"title": "Beans", "weight": 2})
    instructor.delete(f"/lessons/{lessons_of(instructor, second)[0]['id']}")
    added = instructor.post(
        f"/modules/{second['id']}/lessons", {"kind": "link", "title": "Read on"}
    ).json
    order = [(second, [added, text]), (first, [video])]
    instructor.put(
        f"/course-versions/{draft}/order",
        {
            "modules": [
                {"id": module["id"], "lesson_ids": [lesson["id"] for lesson in lessons]}
                for module, lessons in order
            ]
        },
    )

    found = instructor.get(f"/course-versions/{draft}/diff").json

    assert found["magnitude"] == "major"
    modules, lessons = found["modules"], found["lessons"]
    (moved_module,) = modules["moved"]
    assert moved_module["lineage_id"] in {first["lineage_id"], second["lineage_id"]}
    assert {moved_module["before"]["position"], moved_module["after"]["position"]} == {1, 2}
    assert modules["changed"] == [
        {"lineage_id": first["lineage_id"], "title": "The grind", "members": ["title"]}
    ]
    assert lessons["added"] == [{"lineage_id": added["lineage_id"], "title": "Read on"}]
    assert [one["lineage_id"] for one in lessons["removed"]] == [str(published.lineage_ids[2])]
    assert lessons["moved"] == [
        {
            "lineage_id": text["lineage_id"],
            "title": "Beans",
            "before": {"module_lineage_id": first["lineage_id"], "position": 2},
            "after": {"module_lineage_id": second["lineage_id"], "position": 2},
        }
    ]
    assert lessons["changed"] == [
        {"lineage_id": text["lineage_id"], "title": "Beans", "members": ["title", "weight"]}
    ]


def test_a_replaced_file_is_a_change_of_its_lesson(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_draft(database, acme, instructor.person, outline=[["document"]])
    with database.transaction(OrganizationScope(acme)) as session:
        add_media(session, made.lesson_ids[0], instructor.person.id, kind="document")
    instructor.post(f"/course-versions/{made.version_id}/publish")
    draft = new_draft(instructor, made)
    (lesson,) = lessons_of(instructor, modules_of(instructor, draft)[0])
    content = instructor.get(f"/course-versions/{draft}/outline").json
    (file,) = content["modules"][0]["lessons"][0]["media"]
    assert instructor.delete(f"/media-files/{file['media_file_id']}").status_code == 204
    with database.transaction(OrganizationScope(acme)) as session:
        add_media(session, UUID(lesson["id"]), instructor.person.id, kind="document")

    found = instructor.get(f"/course-versions/{draft}/diff").json

    assert [one["members"] for one in found["lessons"]["changed"]] == [["media"]]


def test_a_published_version_is_compared_with_the_one_before_it(
    instructor: Api, published: Content
) -> None:
    draft = new_draft(instructor, published)
    (module, _) = modules_of(instructor, draft)
    instructor.post(f"/modules/{module['id']}/lessons", {"kind": "link", "title": "Read on"})
    assert instructor.post(f"/course-versions/{draft}/publish").status_code == 200

    found = instructor.get(f"/course-versions/{draft}/diff").json

    assert found["base"]["number"] == 1
    assert found["target"]["state"] == "published"
    assert [one["title"] for one in found["lessons"]["added"]] == ["Read on"]


def test_the_base_is_what_it_was_copied_from_and_not_the_latest(
    instructor: Api, published: Content
) -> None:
    second = new_draft(instructor, published)
    instructor.post(f"/course-versions/{second}/publish")
    third = instructor.post(
        f"/courses/{published.course_id}/versions", {"base_version_id": str(published.version_id)}
    ).json["id"]

    found = instructor.get(f"/course-versions/{third}/diff").json

    assert found["base"]["id"] == str(published.version_id)


def test_any_version_of_the_course_may_be_named_also_a_later_one(
    instructor: Api, published: Content
) -> None:
    draft = new_draft(instructor, published)
    (module, _) = modules_of(instructor, draft)
    instructor.delete(f"/modules/{module['id']}")

    found = instructor.get(f"/course-versions/{published.version_id}/diff?base={draft}").json

    assert (found["base"]["id"], found["target"]["id"]) == (draft, str(published.version_id))
    assert [one["lineage_id"] for one in found["modules"]["added"]] == [module["lineage_id"]]
    assert len(found["lessons"]["added"]) == 2


def test_a_courses_first_version_has_nothing_to_be_compared_with(
    instructor: Api, published: Content
) -> None:
    refused = instructor.get(f"/course-versions/{published.version_id}/diff")

    assert (refused.status_code, refused.json["code"]) == (409, "no_base_version")


@pytest.mark.parametrize("theirs", [True, False])
def test_a_base_that_is_not_a_version_of_the_course_is_refused(
    instructor: Api, published: Content, database: Database, acme: UUID, theirs: bool
) -> None:
    other = make_published(database, acme, instructor.person).version_id if theirs else new_id()

    refused = instructor.get(f"/course-versions/{published.version_id}/diff?base={other}")

    assert refused.status_code == 422
    assert refused.json["errors"][0]["pointer"] == "base"


def test_versions_are_compared_by_those_who_teach_the_course(
    instructor: Api, colleague: Api, student: Api, admin: Api, published: Content
) -> None:
    path = f"/course-versions/{new_draft(instructor, published)}/diff"

    assert student.get(path).status_code == 403
    assert colleague.get(path).status_code == 404
    assert admin.get(path).status_code == 200


def test_comparing_drafts_renders_nothing(
    instructor: Api, published: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = new_draft(instructor, published)
    monkeypatch.delattr(outline, "to_html")

    assert instructor.get(f"/course-versions/{draft}/diff").json["magnitude"] == "none"


@pytest.mark.parametrize("publish", [True, False])
def test_comparing_takes_as_many_statements_for_many_lessons_as_for_few(
    instructor: Api, database: Database, acme: UUID, app: Flask, publish: bool
) -> None:
    counts = []
    for kinds in ([["text"]], [["video", "text"] * 3] * 4):
        made = make_published(database, acme, instructor.person, outline=kinds)
        draft = new_draft(instructor, made)
        if publish:
            instructor.post(f"/course-versions/{draft}/publish")
        with counted(app) as sent:
            assert instructor.get(f"/course-versions/{draft}/diff").status_code == 200
        counts.append(len(sent))

    assert counts[0] == counts[1] <= 8
