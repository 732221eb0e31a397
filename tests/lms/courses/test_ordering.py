"""The order of a draft's modules and lessons, set whole in one call."""

from __future__ import annotations

from uuid import UUID

import pytest

from lms.core.ids import new_id
from tenants.session import Database, OrganizationScope
from tests.factories.courses import Content, add_media, make_draft
from tests.lms.courses.conftest import Api
from tests.lms.courses.drafting import TEXT, order, order_of


def test_lessons_may_change_their_place_and_their_module(instructor: Api, draft: Content) -> None:
    one, two = draft.module_ids
    a, b, c = draft.lesson_ids
    path = f"/course-versions/{draft.version_id}"
    seen = instructor.get(path).headers["ETag"]

    ordered = instructor.put(f"{path}/order", order((two, [b, c, a]), (one, [])), etag=seen)

    assert ordered.status_code == 200
    assert ordered.headers["ETag"] == instructor.get(path).headers["ETag"] != seen
    assert order_of(instructor, draft.version_id) == [[str(b), str(c), str(a)], []]
    moved = instructor.get(f"/lessons/{a}")
    assert moved.json["module_id"] == str(two)
    assert moved.headers["ETag"] == '"2"'


def test_a_lesson_that_changes_its_module_stays_the_same_lesson_with_its_files(
    instructor: Api, draft: Content, database: Database, acme: UUID
) -> None:
    one, two = draft.module_ids
    a, b, c = draft.lesson_ids
    with database.transaction(OrganizationScope(acme)) as session:
        file = add_media(session, a, instructor.person.id, kind="document")
    before = instructor.get(f"/lessons/{a}").json

    instructor.put(f"/course-versions/{draft.version_id}/order", order((one, [b]), (two, [a, c])))

    assert instructor.get(f"/lessons/{a}").json == {**before, "module_id": str(two)}
    outline = instructor.get(f"/course-versions/{draft.version_id}/outline").json
    (moved, _) = outline["modules"][1]["lessons"]
    assert [media["media_file_id"] for media in moved["media"]] == [str(file.id)]


def test_what_stays_in_its_place_keeps_its_etag(instructor: Api, draft: Content) -> None:
    one, two = draft.module_ids
    a, b, c = draft.lesson_ids

    instructor.put(f"/course-versions/{draft.version_id}/order", order((one, [a]), (two, [c, b])))

    assert instructor.get(f"/lessons/{a}").headers["ETag"] == '"1"'
    assert instructor.get(f"/modules/{one}").headers["ETag"] == '"1"'


def test_an_order_must_name_everything_exactly_once(instructor: Api, draft: Content) -> None:
    one, two = draft.module_ids
    a, b, c = draft.lesson_ids
    stranger = new_id()
    path = f"/course-versions/{draft.version_id}/order"

    missing = instructor.put(path, order((one, [a]), (two, [c])))
    twice = instructor.put(path, order((one, [a, b]), (two, [c, a])))
    unknown = instructor.put(path, order((one, [a, b]), (two, [c]), (stranger, [])))
    refusals = [missing, twice, unknown]

    assert [refused.status_code for refused in refusals] == [422, 422, 422]
    assert {refused.json["code"] for refused in refusals} == {"order_mismatch"}
    assert missing.json["missing"] == [str(b)]
    assert twice.json["named_twice"] == [str(a)]
    assert unknown.json["unknown"] == [str(stranger)]
    assert order_of(instructor, draft.version_id) == [[str(a), str(b)], [str(c)]]


def test_lessons_of_another_version_cannot_be_pulled_in(
    instructor: Api, draft: Content, database: Database, acme: UUID
) -> None:
    other = make_draft(database, acme, instructor.person)
    one, two = draft.module_ids
    a, b, c = draft.lesson_ids

    refused = instructor.put(
        f"/course-versions/{draft.version_id}/order",
        order((one, [a, b, other.lesson_ids[0]]), (two, [c])),
    )

    assert refused.status_code == 422
    assert instructor.get(f"/lessons/{other.lesson_ids[0]}").status_code == 200


@pytest.mark.parametrize("change", ["add module", "add lesson", "delete module", "delete lesson"])
def test_an_order_made_before_the_content_changed_is_refused(
    instructor: Api, draft: Content, change: str
) -> None:
    path = f"/course-versions/{draft.version_id}"
    seen = instructor.get(path).headers["ETag"]
    module, lesson = draft.module_ids[1], draft.lesson_ids[0]
    done = {
        "add module": lambda: instructor.post(f"{path}/modules", {"title": "New"}),
        "add lesson": lambda: instructor.post(f"/modules/{module}/lessons", TEXT),
        "delete module": lambda: instructor.delete(f"/modules/{module}"),
        "delete lesson": lambda: instructor.delete(f"/lessons/{lesson}"),
    }[change]()
    assert done.status_code in (201, 204)

    one, two = draft.module_ids
    a, b, c = draft.lesson_ids
    late = instructor.put(f"{path}/order", order((two, [c]), (one, [b, a])), etag=seen)

    assert late.status_code == 412


def test_setting_the_order_needs_an_etag(instructor: Api, draft: Content) -> None:
    path = f"/course-versions/{draft.version_id}/order"

    assert instructor.put(path, {"modules": []}, etag=None).status_code == 428
