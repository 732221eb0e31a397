"""Lessons of a draft: how they are completed, when they open, and what a change of one names."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tenants.session import Database, OrganizationScope
from tests.factories.courses import Content, add_media
from tests.lms.courses.conftest import Api
from tests.lms.courses.drafting import TEXT


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


def test_deleting_a_lesson_deletes_its_media_files(
    instructor: Api, draft: Content, database: Database, acme: UUID
) -> None:
    with database.transaction(OrganizationScope(acme)) as session:
        file = add_media(session, draft.lesson_ids[0], instructor.person.id, kind="document")

    assert instructor.delete(f"/lessons/{draft.lesson_ids[0]}").status_code == 204

    assert instructor.get(f"/media-files/{file.id}").status_code == 404


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
