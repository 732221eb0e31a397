"""The pure comparison of two outlines, over arbitrary versions of one course."""

from __future__ import annotations

from copy import deepcopy
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lms.core.ids import new_id
from lms.courses.diffing import (
    LESSON_MEMBERS,
    MODULE_MEMBERS,
    Changes,
    Named,
    VersionDiff,
    diff,
)

UNTIMED = settings(deadline=None)
Outline = dict[str, Any]

LINEAGES = [str(new_id()) for _ in range(8)]
"""Few, so that two versions have many of them in common."""

MODULE = {"title": "The grind", "summary": "", "sequential": False}
LESSON = {
    "kind": "text",
    "title": "Dialling in",
    "content": "One step at a time.",
    "estimated_seconds": 60,
    "required": True,
    "preview": False,
    "weight": 1,
    "completion": {"rule": "viewed"},
    "availability": None,
    "media": [],
}
FILE = {
    "kind": "document",
    "content_type": "application/pdf",
    "file_name": "recipe.pdf",
    "size": 1000,
    "video_id": None,
    "duration_seconds": None,
}

lesson_members = st.fixed_dictionaries(
    {
        "title": st.sampled_from(["Dialling in", "The water"]),
        "required": st.booleans(),
        "weight": st.integers(1, 3),
        "completion": st.sampled_from([{"rule": "viewed"}, {"rule": "dwell", "seconds": 60}]),
    }
)


@st.composite
def outlines(draw: st.DrawFn) -> Outline:
    """A version: some of the lineages as modules, some as lessons, in any order."""
    modules = draw(st.lists(st.sampled_from(LINEAGES), unique=True, min_size=1, max_size=4))
    made = [
        {**MODULE, "lineage_id": lineage, "title": draw(st.sampled_from("AB")), "lessons": []}
        for lineage in modules
    ]
    for lineage in draw(st.lists(st.sampled_from(LINEAGES), unique=True)):
        lesson = {**LESSON, **draw(lesson_members), "lineage_id": lineage}
        draw(st.sampled_from(made))["lessons"].append(lesson)
    return {"modules": made}


def outline(*modules: list[str]) -> Outline:
    """A version of modules, named in their order, with lessons of these titles."""
    return {
        "modules": [
            {
                **MODULE,
                "lineage_id": str(UUID(int=number)),
                "lessons": [
                    {**LESSON, "lineage_id": str(lineage_of(title)), "title": title}
                    for title in titles
                ],
            }
            for number, titles in enumerate(modules, start=1)
        ]
    }


def lineage_of(title: str) -> UUID:
    return UUID(int=1000 + ord(title))


def compare(base: Outline, target: Outline, assets: dict[str, str] | None = None) -> VersionDiff:
    return diff(base, target, assets or {})


def lineages(found: tuple[Any, ...]) -> set[UUID]:
    return {one.lineage_id for one in found}


def moved_titles(found: VersionDiff) -> list[str]:
    return [one.title for one in found.lessons.moved]


def both(found: VersionDiff) -> tuple[Changes, Changes]:
    return found.modules, found.lessons


@UNTIMED
@given(outlines())
def test_a_version_does_not_differ_from_itself(version: Outline) -> None:
    found = compare(version, deepcopy(version))

    assert found.magnitude == "none"
    assert all(changes.is_empty for changes in both(found))


@UNTIMED
@given(outlines(), outlines())
def test_what_is_added_one_way_is_removed_the_other_way(one: Outline, other: Outline) -> None:
    there, back = compare(one, other), compare(other, one)

    for forth, reverse in zip(both(there), both(back), strict=True):
        assert forth.added == reverse.removed
        assert forth.removed == reverse.added


@UNTIMED
@given(outlines(), outlines())
def test_changes_and_their_magnitude_are_the_same_both_ways(one: Outline, other: Outline) -> None:
    there, back = compare(one, other), compare(other, one)

    assert there.magnitude == back.magnitude
    for forth, reverse in zip(both(there), both(back), strict=True):
        assert {(change.lineage_id, change.members) for change in forth.changed} == {
            (change.lineage_id, change.members) for change in reverse.changed
        }
        assert len(forth.moved) == len(reverse.moved)


@UNTIMED
@given(outlines(), outlines())
def test_everything_is_added_or_removed_or_in_both(one: Outline, other: Outline) -> None:
    old = {lesson["lineage_id"] for module in one["modules"] for lesson in module["lessons"]}
    new = {lesson["lineage_id"] for module in other["modules"] for lesson in module["lessons"]}

    lessons = compare(one, other).lessons

    assert {str(lineage) for lineage in lineages(lessons.added)} == new - old
    assert {str(lineage) for lineage in lineages(lessons.removed)} == old - new
    in_both = {str(lineage) for lineage in lineages(lessons.moved) | lineages(lessons.changed)}
    assert in_both <= old & new


@UNTIMED
@given(outlines(), outlines())
def test_those_that_did_not_move_stand_in_the_order_in_which_they_stood(
    one: Outline, other: Outline
) -> None:
    moved = lineages(compare(one, other).lessons.moved)
    old = {module["lineage_id"]: module["lessons"] for module in one["modules"]}
    for module in other["modules"]:
        before = [lesson["lineage_id"] for lesson in old.get(module["lineage_id"], [])]
        after = [lesson["lineage_id"] for lesson in module["lessons"]]
        stayed = [lineage for lineage in after if UUID(lineage) not in moved and lineage in before]
        assert stayed == sorted(stayed, key=before.index)


def test_an_added_lesson_is_named_and_those_behind_it_did_not_move() -> None:
    found = compare(outline(["b", "c"]), outline(["a", "b", "c"]))

    assert found.lessons == Changes((Named(lineage_of("a"), "a"),), (), (), ())


def test_of_a_lesson_that_jumps_ahead_nobody_else_is_said_to_have_moved() -> None:
    found = compare(outline(["a", "b", "c", "d"]), outline(["d", "a", "b", "c"]))

    (moved,) = found.lessons.moved
    assert (moved.title, moved.before.position, moved.after.position) == ("d", 4, 1)
    assert found.magnitude == "minor"


def test_a_lesson_in_another_module_moved() -> None:
    found = compare(outline(["a", "b"], ["c"]), outline(["b"], ["c", "a"]))

    (moved,) = found.lessons.moved
    assert moved.title == "a"
    assert moved.before.module_lineage_id == UUID(int=1)
    assert moved.after.module_lineage_id == UUID(int=2)
    assert (moved.before.position, moved.after.position) == (1, 2)


def test_lessons_of_a_module_that_moved_did_not_move() -> None:
    base = outline(["a"], ["b"])
    target = {"modules": [base["modules"][1], base["modules"][0]]}

    found = compare(base, target)

    assert len(found.modules.moved) == 1
    assert moved_titles(found) == []


def test_a_lesson_saved_from_a_removed_module_moved() -> None:
    base = outline(["a"], ["b"])
    target = outline(["a", "b"])

    found = compare(base, target)

    assert lineages(found.modules.removed) == {UUID(int=2)}
    assert moved_titles(found) == ["b"]
    assert found.lessons.removed == ()


@pytest.mark.parametrize("member", MODULE_MEMBERS)
def test_each_member_of_a_module_is_compared(member: str) -> None:
    target = outline(["a"])
    target["modules"][0][member] = "Another"

    found = compare(outline(["a"]), target)

    assert [change.members for change in found.modules.changed] == [(member,)]
    assert found.magnitude == "minor"


@pytest.mark.parametrize(
    ("member", "value", "magnitude"),
    [
        ("kind", "link", "minor"),
        ("title", "Another", "minor"),
        ("content", "Another", "minor"),
        ("estimated_seconds", 61, "minor"),
        ("preview", True, "minor"),
        ("availability", {"after": "run_start", "days": 7}, "minor"),
        ("media", [{**FILE, "media_file_id": "1"}], "minor"),
        ("availability", {"after": "activation", "days": 7}, "minor"),
        ("required", False, "major"),
        ("weight", 2, "major"),
        ("completion", {"rule": "dwell", "seconds": 60}, "major"),
    ],
)
def test_each_member_of_a_lesson_is_compared_and_some_decide(
    member: str, value: Any, magnitude: str
) -> None:
    target = outline(["a"])
    target["modules"][0]["lessons"][0][member] = value

    found = compare(outline(["a"]), target)

    assert [change.members for change in found.lessons.changed] == [(member,)]
    assert found.magnitude == magnitude


def test_versions_from_before_lessons_could_be_locked_lock_none() -> None:
    earlier = outline(["a"])
    del earlier["modules"][0]["sequential"]
    del earlier["modules"][0]["lessons"][0]["availability"]

    assert compare(earlier, outline(["a"])).magnitude == "none"
    assert compare(outline(["a"]), earlier).magnitude == "none"


def test_every_member_that_is_compared_is_tried_here() -> None:
    assert set(LESSON_MEMBERS) == set(LESSON)


@pytest.mark.parametrize(("required", "magnitude"), [(True, "major"), (False, "minor")])
def test_a_lesson_more_or_less_is_major_when_it_is_required(required: bool, magnitude: str) -> None:
    fewer, more = outline(["a"]), outline(["a", "b"])
    more["modules"][0]["lessons"][1]["required"] = required

    assert compare(fewer, more).magnitude == magnitude
    assert compare(more, fewer).magnitude == magnitude


def test_a_file_that_was_copied_with_its_lesson_is_the_same() -> None:
    base, target = outline(["a"]), outline(["a"])
    base["modules"][0]["lessons"][0]["media"] = [{**FILE, "media_file_id": "old"}]
    target["modules"][0]["lessons"][0]["media"] = [{**FILE, "media_file_id": "new"}]

    assert compare(base, target, {"old": "asset", "new": "asset"}).magnitude == "none"


def test_a_file_that_was_replaced_is_another_one_under_the_same_name() -> None:
    base, target = outline(["a"]), outline(["a"])
    base["modules"][0]["lessons"][0]["media"] = [{**FILE, "media_file_id": "old"}]
    target["modules"][0]["lessons"][0]["media"] = [{**FILE, "media_file_id": "new"}]

    found = compare(base, target, {"old": "asset", "new": "another asset"})

    assert [change.members for change in found.lessons.changed] == [("media",)]


def test_the_html_that_a_version_was_published_with_is_not_compared() -> None:
    base, target = outline(["a"]), outline(["a"])
    target["modules"][0]["lessons"][0]["content_html"] = "<p>One step at a time.</p>\n"

    assert compare(base, target).magnitude == "none"
