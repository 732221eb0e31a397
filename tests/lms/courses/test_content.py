from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from lms.core.ids import new_id
from lms.courses import policy
from tenants.session import Database, OrganizationScope
from tests.factories.courses import Content, add_media, make_draft, make_published
from tests.lms.courses.conftest import Api

TEXT = {"kind": "text", "title": "Where flavour comes from"}


@pytest.fixture
def draft(instructor: Api, database: Database, acme: UUID) -> Content:
    return make_draft(database, acme, instructor.person)


def order_of(api: Api, version_id: UUID) -> list[list[str]]:
    modules = api.get(f"/course-versions/{version_id}/modules").json["items"]
    return [
        [lesson["id"] for lesson in api.get(f"/modules/{module['id']}/lessons").json["items"]]
        for module in modules
    ]


def order(*modules: tuple[UUID, list[UUID]]) -> dict[str, Any]:
    return {
        "modules": [
            {"id": str(module), "lesson_ids": [str(lesson) for lesson in lessons]}
            for module, lessons in modules
        ]
    }


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


@pytest.mark.parametrize(
    ("kind", "completion"),
    [
        ("text", {"rule": "viewed"}),
        ("video", {"rule": "watched", "percent": 90}),
        ("live_session", {"rule": "marked_by_staff"}),
    ],
)
def test_the_kind_decides_how_a_lesson_is_completed_by_default(
    instructor: Api, draft: Content, kind: str, completion: dict[str, Any]
) -> None:
    made = instructor.post(
        f"/modules/{draft.module_ids[0]}/lessons", {"kind": kind, "title": "A lesson"}
    )

    assert made.status_code == 201
    assert made.json["completion"] == completion
    assert (made.json["required"], made.json["weight"]) == (True, 1)


@pytest.mark.parametrize(
    ("completion", "pointer"),
    [
        ({}, "/completion/rule"),
        ({"rule": "guessed"}, "/completion/rule"),
        ({"rule": "dwell"}, "/completion/seconds"),
        ({"rule": "dwell", "seconds": 0}, "/completion/seconds"),
        ({"rule": "dwell", "seconds": 86401}, "/completion/seconds"),
        ({"rule": "dwell", "seconds": "60"}, "/completion/seconds"),
        ({"rule": "viewed", "seconds": 60}, "/completion/seconds"),
        ({"rule": "dwell", "seconds": 60, "percent": 50}, "/completion/percent"),
        ({"rule": "watched", "percent": 50}, "/completion/rule"),
        ({"rule": "viewed", "by": "owl"}, "/completion/by"),
    ],
)
def test_a_completion_rule_that_makes_no_sense_is_refused_with_its_pointer(
    instructor: Api, draft: Content, completion: dict[str, Any], pointer: str
) -> None:
    refused = instructor.post(
        f"/modules/{draft.module_ids[0]}/lessons", {**TEXT, "completion": completion}
    )

    assert refused.status_code == 422
    assert pointer in {error["pointer"] for error in refused.json["errors"]}


@pytest.mark.parametrize(
    "completion",
    [
        {"rule": "viewed"},
        {"rule": "dwell", "seconds": 1},
        {"rule": "dwell", "seconds": 86400},
        {"rule": "marked_by_learner"},
        {"rule": "marked_by_staff"},
    ],
)
def test_a_text_may_be_completed_by_every_rule_but_watching(
    instructor: Api, draft: Content, completion: dict[str, Any]
) -> None:
    made = instructor.post(
        f"/modules/{draft.module_ids[0]}/lessons", {**TEXT, "completion": completion}
    )

    assert made.json["completion"] == completion


@pytest.mark.parametrize("percent", [0, 101])
def test_watched_is_between_one_and_a_hundred_percent(
    instructor: Api, draft: Content, percent: int
) -> None:
    refused = instructor.post(
        f"/modules/{draft.module_ids[0]}/lessons",
        {"kind": "video", "title": "V", "completion": {"rule": "watched", "percent": percent}},
    )

    assert refused.status_code == 422


def test_a_patch_that_makes_a_watched_video_a_text_is_refused(
    instructor: Api, draft: Content
) -> None:
    made = instructor.post(
        f"/modules/{draft.module_ids[0]}/lessons", {"kind": "video", "title": "V"}
    ).json

    refused = instructor.patch(f"/lessons/{made['id']}", {"kind": "text"})

    assert refused.status_code == 422
    assert refused.json["errors"][0]["pointer"] == "/completion/rule"


def test_a_patch_changes_only_what_it_names(instructor: Api, draft: Content) -> None:
    path = f"/lessons/{draft.lesson_ids[0]}"
    before = instructor.get(path).json

    changed = instructor.patch(path, {"weight": 5}, etag='"1"')

    assert changed.json == {**before, "weight": 5}
    assert changed.headers["ETag"] == '"2"'


def test_a_put_replaces_the_whole_lesson_and_keeps_its_place(
    instructor: Api, draft: Content
) -> None:
    path = f"/lessons/{draft.lesson_ids[1]}"
    before = instructor.get(path).json

    replaced = instructor.put(path, {"kind": "link", "title": "Read on"})

    assert replaced.json == {
        **before,
        "kind": "link",
        "title": "Read on",
        "content": "",
        "content_html": "",
        "estimated_seconds": 0,
    }


def test_a_module_is_sequential_when_it_is_said_to_be(instructor: Api, draft: Content) -> None:
    path = f"/course-versions/{draft.version_id}/modules"
    made = instructor.post(path, {"title": "The water"}).json
    assert made["sequential"] is False

    changed = instructor.patch(f"/modules/{made['id']}", {"sequential": True}).json

    assert changed == {**made, "sequential": True}
    again = instructor.post(path, {"title": "The milk", "sequential": True}).json
    assert again["sequential"] is True


def test_a_lesson_is_open_from_the_start_until_it_is_given_a_date(
    instructor: Api, draft: Content
) -> None:
    path = f"/lessons/{draft.lesson_ids[0]}"
    before = instructor.get(path).json
    assert before["availability"] is None

    week_two = {"after": "run_start", "days": 7}
    assert instructor.patch(path, {"availability": week_two}).json["availability"] == week_two
    assert instructor.get(path).json["availability"] == week_two
    assert instructor.patch(path, {"availability": None}).json == before


def test_a_lesson_is_made_and_replaced_with_its_availability(
    instructor: Api, draft: Content
) -> None:
    three_days_in = {"after": "activation", "days": 3}
    made = instructor.post(
        f"/modules/{draft.module_ids[0]}/lessons", {**TEXT, "availability": three_days_in}
    )
    assert made.json["availability"] == three_days_in

    replaced = instructor.put(f"/lessons/{made.json['id']}", TEXT)

    assert replaced.json["availability"] is None


@pytest.mark.parametrize(
    ("availability", "pointer"),
    [
        ({"after": "run_start"}, "/availability/days"),
        ({"days": 7}, "/availability/after"),
        ({"after": "payday", "days": 7}, "/availability/after"),
        ({"after": "run_start", "days": -1}, "/availability/days"),
        ({"after": "run_start", "days": 1001}, "/availability/days"),
        ({"after": "run_start", "days": 1.5}, "/availability/days"),
        ({"after": "run_start", "days": 7, "hours": 1}, "/availability/hours"),
        ("run_start", "/availability"),
    ],
)
def test_an_availability_that_makes_no_sense_is_refused_with_its_pointer(
    instructor: Api, draft: Content, availability: Any, pointer: str
) -> None:
    refused = instructor.patch(f"/lessons/{draft.lesson_ids[0]}", {"availability": availability})

    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("method", "body"), [("PUT", TEXT), ("PATCH", {"title": "T"}), ("DELETE", None)]
)
def test_writing_a_lesson_needs_the_etag_of_what_was_read(
    instructor: Api, draft: Content, method: str, body: dict[str, str] | None
) -> None:
    path = f"/lessons/{draft.lesson_ids[0]}"
    instructor.patch(path, {"title": "Changed meanwhile"})

    assert instructor.call(method, path, body).status_code == 428
    assert instructor.call(method, path, body, etag='"1"').status_code == 412
    assert instructor.call(method, path, body, etag='"2"').status_code in (200, 204)


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


def test_deleting_a_lesson_deletes_its_media_files(
    instructor: Api, draft: Content, database: Database, acme: UUID
) -> None:
    with database.transaction(OrganizationScope(acme)) as session:
        file = add_media(session, draft.lesson_ids[0], instructor.person.id, kind="document")

    assert instructor.delete(f"/lessons/{draft.lesson_ids[0]}").status_code == 204

    assert instructor.get(f"/media-files/{file.id}").status_code == 404


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


def test_a_lesson_is_read_as_markdown_and_as_html(instructor: Api, draft: Content) -> None:
    path = f"/lessons/{draft.lesson_ids[0]}"

    changed = instructor.patch(path, {"content": "Weigh **each** dose <script>now</script>."})

    assert changed.json["content"] == "Weigh **each** dose <script>now</script>."
    assert changed.json["content_html"] == (
        "<p>Weigh <strong>each</strong> dose &lt;script&gt;now&lt;/script&gt;.</p>\n"
    )
    assert instructor.get(path).json == changed.json


def test_html_cannot_be_sent(instructor: Api, draft: Content) -> None:
    refused = instructor.patch(f"/lessons/{draft.lesson_ids[0]}", {"content_html": "<p>x</p>"})

    assert refused.status_code == 422


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
