from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import ProgrammingError

from lms.core.ids import new_id
from lms.core.models import AuditEvent
from lms.courses.models import PublishedVersion
from lms.courses.outline import rendered
from lms.courses.queries import draft_outline
from tenants.session import Database, OrganizationScope
from tests.factories.courses import add_media, make_draft, make_published
from tests.lms.courses.conftest import Api

WEEK_TWO = {"after": "run_start", "days": 7}


def lineage(outline: dict[str, Any]) -> list[tuple[str, list[str]]]:
    return [
        (module["lineage_id"], [lesson["lineage_id"] for lesson in module["lessons"]])
        for module in outline["modules"]
    ]


def ids(outline: dict[str, Any]) -> set[str]:
    lessons = [lesson for module in outline["modules"] for lesson in module["lessons"]]
    media = [file["media_file_id"] for lesson in lessons for file in lesson["media"]]
    return {one["id"] for one in [*outline["modules"], *lessons]} | set(media)


def test_the_first_draft_is_empty_and_has_number_one(instructor: Api) -> None:
    course_id = instructor.post("/courses", {"title": "Espresso"}).json["id"]

    draft = instructor.post(f"/courses/{course_id}/versions", {"label": "First"})

    assert draft.status_code == 201
    assert draft.json["number"] == 1
    assert draft.json["label"] == "First"
    assert draft.json["state"] == "draft"
    assert draft.json["base_version_id"] is None
    modules = instructor.get(f"/course-versions/{draft.json['id']}/modules").json["items"]
    assert modules == []


def test_a_course_has_one_draft_at_most(instructor: Api, database: Database, acme: UUID) -> None:
    made = make_draft(database, acme, instructor.person)

    refused = instructor.post(f"/courses/{made.course_id}/versions", {})

    assert refused.status_code == 409
    assert refused.json["code"] == "draft_exists"
    assert refused.json["draft_version_id"] == str(made.version_id)


def test_a_new_draft_copies_the_latest_published_version(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_published(database, acme, instructor.person, outline=[["video", "text"], ["text"]])

    draft = instructor.post(f"/courses/{made.course_id}/versions", {})

    assert draft.json["number"] == 2
    assert draft.json["base_version_id"] == str(made.version_id)
    with database.transaction(OrganizationScope(acme)) as session:
        old = draft_outline(session, made.version_id)
        new = draft_outline(session, UUID(draft.json["id"]))
    assert lineage(new) == lineage(old)
    assert not ids(new) & ids(old)
    (video,) = new["modules"][0]["lessons"][0]["media"]
    assert video["video_id"] == old["modules"][0]["lessons"][0]["media"][0]["video_id"]


def test_a_new_draft_may_go_back_to_an_older_version(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_published(database, acme, instructor.person, outline=[["text"]])
    second = instructor.post(f"/courses/{made.course_id}/versions", {}).json["id"]
    module = instructor.get(f"/course-versions/{second}/modules").json["items"][0]
    instructor.post(f"/modules/{module['id']}/lessons", {"kind": "text", "title": "Added"})
    instructor.post(f"/course-versions/{second}/publish")
    instructor.post(f"/course-versions/{made.version_id}/archive")

    third = instructor.post(
        f"/courses/{made.course_id}/versions", {"base_version_id": str(made.version_id)}
    ).json

    assert third["number"] == 3
    with database.transaction(OrganizationScope(acme)) as session:
        outline = draft_outline(session, UUID(third["id"]))
    assert [lesson["lineage_id"] for lesson in outline["modules"][0]["lessons"]] == [
        str(made.lineage_ids[0])
    ]


def test_when_every_version_is_archived_the_newest_of_them_is_copied(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_published(database, acme, instructor.person)
    instructor.post(f"/course-versions/{made.version_id}/archive")

    draft = instructor.post(f"/courses/{made.course_id}/versions", {})

    assert draft.json["base_version_id"] == str(made.version_id)


def test_a_draft_cannot_be_based_on_another_courses_version(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_published(database, acme, instructor.person)
    other = make_published(database, acme, instructor.person)

    refused = instructor.post(
        f"/courses/{made.course_id}/versions", {"base_version_id": str(other.version_id)}
    )

    assert refused.status_code == 422
    assert refused.json["errors"][0]["pointer"] == "/base_version_id"


def test_publishing_freezes_the_outline_in_one_row(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_draft(database, acme, instructor.person, outline=[["video", "text"], ["text"]])

    published = instructor.post(f"/course-versions/{made.version_id}/publish")

    assert published.status_code == 200
    assert published.json["state"] == "published"
    assert published.json["published_at"] is not None
    with database.transaction(OrganizationScope(acme)) as session:
        row = session.get(PublishedVersion, made.version_id)
        assert row is not None
        draft = draft_outline(session, made.version_id)
        assert row.outline == {**draft, "modules": rendered(draft["modules"])}
        assert row.published_by == instructor.person.id
    version, (first, second) = row.outline["version"], row.outline["modules"]
    assert version == {"id": str(made.version_id), "course_id": str(made.course_id), "number": 1}
    assert [len(first["lessons"]), len(second["lessons"])] == [2, 1]
    video = first["lessons"][0]
    assert video["completion"] == {"rule": "watched", "percent": 90}
    assert video["media"][0].keys() == {
        "media_file_id",
        "kind",
        "content_type",
        "file_name",
        "size",
        "video_id",
        "duration_seconds",
    }
    assert video["media"][0]["duration_seconds"] == 60.0


def test_the_rules_are_frozen_by_lineage(instructor: Api, database: Database, acme: UUID) -> None:
    made = make_published(
        database, acme, instructor.person, outline=[["video", "text"]], lesson={"weight": 3}
    )

    with database.transaction(OrganizationScope(acme)) as session:
        row = session.get(PublishedVersion, made.version_id)
    assert row is not None
    assert row.rules["required_weight"] == 6
    assert row.rules["lessons"][str(made.lineage_ids[0])] == {
        "required": True,
        "weight": 3,
        "completion": {"rule": "watched", "percent": 90},
        "kind": "video",
        "duration_seconds": 60.0,
        "availability": None,
        "earlier": None,
    }


def test_when_lessons_open_is_frozen_with_them(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_draft(database, acme, instructor.person, outline=[["text"] * 3, ["text"] * 2])
    first, optional, third, *others = made.lesson_ids
    instructor.patch(f"/modules/{made.module_ids[0]}", {"sequential": True})
    instructor.patch(f"/lessons/{optional}", {"required": False})
    instructor.patch(f"/lessons/{others[0]}", {"availability": WEEK_TWO})
    instructor.post(f"/course-versions/{made.version_id}/publish")

    with database.transaction(OrganizationScope(acme)) as session:
        row = session.get_one(PublishedVersion, made.version_id)
    assert [module["sequential"] for module in row.outline["modules"]] == [True, False]
    assert row.outline["modules"][1]["lessons"][0]["availability"] == WEEK_TWO
    module_id = str(made.module_ids[0])
    (sequence,) = row.rules["sequences"].values()
    assert [step["lesson_id"] for step in sequence] == [str(first), str(third)]
    rules = [row.rules["lessons"][str(lineage)] for lineage in made.lineage_ids]
    after_first = {"module_id": module_id, "count": 1}
    assert [rule["earlier"] for rule in rules] == [None, after_first, after_first, None, None]
    assert [rule["availability"] for rule in rules] == [None, None, None, WEEK_TWO, None]


def test_a_new_draft_copies_when_lessons_open(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_draft(database, acme, instructor.person, outline=[["text"]])
    instructor.patch(f"/modules/{made.module_ids[0]}", {"sequential": True})
    instructor.patch(f"/lessons/{made.lesson_ids[0]}", {"availability": WEEK_TWO})
    instructor.post(f"/course-versions/{made.version_id}/publish")

    draft = instructor.post(f"/courses/{made.course_id}/versions", {}).json

    (module,) = instructor.get(f"/course-versions/{draft['id']}/modules").json["items"]
    (lesson,) = instructor.get(f"/modules/{module['id']}/lessons").json["items"]
    assert (module["sequential"], lesson["availability"]) == (True, WEEK_TWO)


def test_the_content_hash_can_be_recomputed_from_the_stored_row(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_published(
        database, acme, instructor.person, outline=[["video"]], lesson={"title": "Crème \N{COFFIN}"}
    )

    with database.transaction(OrganizationScope(acme)) as session:
        row = session.get(PublishedVersion, made.version_id)
    assert row is not None
    canonical = json.dumps(
        {"outline": row.outline, "rules": row.rules},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    assert row.content_hash == hashlib.sha256(canonical.encode()).hexdigest()


@pytest.mark.parametrize(
    "statement", [update(PublishedVersion).values(content_hash="x"), delete(PublishedVersion)]
)
def test_the_organizations_role_cannot_change_what_was_published(
    instructor: Api, database: Database, acme: UUID, statement: Any
) -> None:
    make_published(database, acme, instructor.person)

    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        database.transaction(OrganizationScope(acme)) as session,
    ):
        session.execute(statement)


def test_the_preflight_answers_with_every_problem_at_once(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_draft(database, acme, instructor.person, outline=[["text", "document"], []])
    lessons = f"/modules/{made.module_ids[0]}/lessons"
    bare = instructor.post(lessons, {"kind": "video", "title": "No video"}).json["id"]
    unready = instructor.post(lessons, {"kind": "video", "title": "Encoding"}).json["id"]
    with database.transaction(OrganizationScope(acme)) as session:
        owner = instructor.person.id
        add_media(session, UUID(unready), owner, video_state="processing")
        add_media(session, made.lesson_ids[1], owner, kind="document", state="awaiting_upload")

    refused = instructor.post(f"/course-versions/{made.version_id}/publish")

    assert refused.status_code == 409
    assert refused.json["code"] == "version_not_ready"
    found = {
        (problem["code"], problem.get("lesson_id") or problem.get("module_id"))
        for problem in refused.json["problems"]
    }
    assert found == {
        ("video_missing", bare),
        ("video_not_ready", unready),
        ("media_not_ready", str(made.lesson_ids[1])),
        ("empty_module", str(made.module_ids[1])),
    }
    assert all(problem["message"] for problem in refused.json["problems"])
    state = instructor.get(f"/course-versions/{made.version_id}").json["state"]
    assert state == "draft"


def test_a_version_without_lessons_is_not_ready(instructor: Api) -> None:
    course_id = instructor.post("/courses", {"title": "Espresso"}).json["id"]
    version_id = instructor.post(f"/courses/{course_id}/versions", {}).json["id"]

    refused = instructor.post(f"/course-versions/{version_id}/publish")

    assert [problem["code"] for problem in refused.json["problems"]] == ["no_lessons"]


def test_publishing_is_audited_with_the_hash_of_what_was_frozen(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_draft(database, acme, instructor.person)

    instructor.post(f"/course-versions/{made.version_id}/publish")

    with database.transaction(OrganizationScope(acme)) as session:
        row = session.get(PublishedVersion, made.version_id)
        audited = session.scalars(
            select(AuditEvent).where(
                AuditEvent.subject_id == made.version_id,
                AuditEvent.action == "course_version.publish",
            )
        ).one()
    assert row is not None
    assert audited.actor_id == instructor.person.id
    assert audited.after == {"number": 1, "content_hash": row.content_hash}


def test_a_version_is_published_once(instructor: Api, database: Database, acme: UUID) -> None:
    made = make_published(database, acme, instructor.person)

    again = instructor.post(f"/course-versions/{made.version_id}/publish")

    assert (again.status_code, again.json["code"]) == (409, "version_published")


def test_publishing_a_draft_that_changed_since_it_was_read_is_refused(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_draft(database, acme, instructor.person)
    path = f"/course-versions/{made.version_id}"
    seen = instructor.get(path).headers["ETag"]
    instructor.post(f"{path}/modules", {"title": "Meanwhile"})

    assert instructor.post(f"{path}/publish", etag=seen).status_code == 412


def test_archiving_twice_changes_nothing(instructor: Api, database: Database, acme: UUID) -> None:
    made = make_published(database, acme, instructor.person)
    path = f"/course-versions/{made.version_id}/archive"

    first, again = instructor.post(path), instructor.post(path)

    assert first.json["state"] == "archived"
    assert again.json == first.json


def test_a_draft_cannot_be_archived(instructor: Api, database: Database, acme: UUID) -> None:
    made = make_draft(database, acme, instructor.person)

    refused = instructor.post(f"/course-versions/{made.version_id}/archive")

    assert (refused.status_code, refused.json["code"]) == (409, "version_not_published")


def test_versions_are_listed_newest_first(instructor: Api, database: Database, acme: UUID) -> None:
    made = make_published(database, acme, instructor.person)
    instructor.post(f"/courses/{made.course_id}/versions", {})

    items = instructor.get(f"/courses/{made.course_id}/versions").json["items"]

    assert [version["number"] for version in items] == [2, 1]


def test_versions_are_for_those_who_teach_the_course(
    instructor: Api, colleague: Api, student: Api, admin: Api
) -> None:
    course = f"/courses/{instructor.post('/courses', {'title': 'Espresso'}).json['id']}"
    path = f"/course-versions/{instructor.post(f'{course}/versions', {}).json['id']}"

    assert student.get(path).status_code == 403
    assert colleague.get(path).status_code == 404
    assert colleague.get(f"{course}/versions").status_code == 404
    assert colleague.post(f"{path}/publish").status_code == 404
    assert admin.get(path).status_code == 200
    assert admin.get(f"/course-versions/{new_id()}").status_code == 404
