"""Finding lessons in all of a version."""

from __future__ import annotations

from urllib.parse import quote
from uuid import UUID

import pytest
from flask import Flask

from tenants.session import Database
from tests.factories.courses import Content, make_draft, make_published
from tests.factories.statements import counted
from tests.lms.courses.conftest import Api

TITLES = ("The Grind", "100% Arabica", "snake_case")


@pytest.fixture
def draft(instructor: Api, database: Database, acme: UUID) -> Content:
    made = make_draft(database, acme, instructor.person, outline=[["text", "text"], ["text"]])
    for lesson_id, title in zip(made.lesson_ids, TITLES, strict=True):
        instructor.patch(f"/lessons/{lesson_id}", {"title": title})
    return made


def found(api: Api, draft: Content, title: str) -> list[str]:
    answer = api.get(f"/course-versions/{draft.version_id}/lessons?title={quote(title)}")
    assert answer.status_code == 200
    return [lesson["title"] for lesson in answer.json["items"]]


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("grind", ["The Grind"]),
        ("GRIND", ["The Grind"]),
        ("he gr", ["The Grind"]),
        ("a", ["100% Arabica", "snake_case"]),
        ("nothing", []),
        ("%", ["100% Arabica"]),
        ("_", ["snake_case"]),
        ("0%a", []),
        ("e_gr", []),
        ("/", []),
        ("\\", []),
    ],
)
def test_lessons_are_found_by_a_part_of_their_title_taken_literally(
    instructor: Api, draft: Content, title: str, expected: list[str]
) -> None:
    assert found(instructor, draft, title) == expected


def test_case_does_not_matter_in_any_alphabet(instructor: Api, draft: Content) -> None:
    instructor.patch(f"/lessons/{draft.lesson_ids[0]}", {"title": "Über Röstung"})

    assert found(instructor, draft, "über RÖST") == ["Über Röstung"]


def test_the_slash_is_no_wildcard_either(instructor: Api, draft: Content) -> None:
    instructor.patch(f"/lessons/{draft.lesson_ids[0]}", {"title": "Dose/yield"})

    assert found(instructor, draft, "e/y") == ["Dose/yield"]


def test_without_a_title_all_lessons_of_the_version_are_listed_in_their_order(
    instructor: Api, draft: Content
) -> None:
    path = f"/course-versions/{draft.version_id}"
    (one, two), (a, b, c) = draft.module_ids, draft.lesson_ids
    modules = [
        {"id": str(two), "lesson_ids": [str(c), str(a)]},
        {"id": str(one), "lesson_ids": [str(b)]},
    ]
    instructor.put(f"{path}/order", {"modules": modules})

    first = instructor.get(f"{path}/lessons?limit=1").json
    rest = instructor.get(f"{path}/lessons?limit=2&cursor={first['next_cursor']}").json

    listed = [*first["items"], *rest["items"]]
    assert [lesson["id"] for lesson in listed] == [str(c), str(a), str(b)]
    assert rest["next_cursor"] is None


def test_a_lesson_is_listed_as_it_is_read(instructor: Api, draft: Content) -> None:
    (lesson, *_) = instructor.get(f"/course-versions/{draft.version_id}/lessons").json["items"]

    assert instructor.get(f"/lessons/{lesson['id']}").json == lesson


def test_lessons_of_other_versions_are_not_found(
    instructor: Api, draft: Content, database: Database, acme: UUID
) -> None:
    other = make_published(database, acme, instructor.person, lesson={"title": "The Grind too"})

    assert found(instructor, draft, "grind") == ["The Grind"]
    assert set(found(instructor, other, "grind")) == {"The Grind too"}


def test_a_cursor_of_another_list_is_refused(instructor: Api, draft: Content) -> None:
    modules = f"/modules/{draft.module_ids[0]}/lessons?limit=1"
    cursor = instructor.get(modules).json["next_cursor"]

    refused = instructor.get(f"/course-versions/{draft.version_id}/lessons?cursor={cursor}")

    assert (refused.status_code, refused.json["code"]) == (422, "invalid_cursor")


def test_lessons_are_found_by_those_who_teach_the_course(
    colleague: Api, student: Api, admin: Api, draft: Content
) -> None:
    path = f"/course-versions/{draft.version_id}/lessons?title=grind"

    assert student.get(path).status_code == 403
    assert colleague.get(path).status_code == 404
    assert admin.get(path).status_code == 200


def test_finding_lessons_takes_the_same_statements_however_many_there_are(
    instructor: Api, draft: Content, app: Flask
) -> None:
    counts = []
    for limit in (1, 100):
        with counted(app) as sent:
            instructor.get(f"/course-versions/{draft.version_id}/lessons?limit={limit}")
        counts.append(len(sent))

    assert counts[0] == counts[1]
