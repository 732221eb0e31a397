"""The pure part of progress, over arbitrary versions, completions and intervals."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from lms.core.ids import new_id
from lms.learning.progress import (
    Activity,
    LessonRule,
    fulfils,
    next_of,
    parse_rules,
    percent_of,
    watched_percent,
)

UNTIMED = settings(deadline=None)

lesson_rules = st.builds(
    LessonRule,
    required=st.booleans(),
    weight=st.integers(1, 1000),
    completion=st.just("viewed"),
)
versions = st.dictionaries(st.uuids(), lesson_rules, max_size=20)


@st.composite
def versions_with_completions(draw: st.DrawFn) -> tuple[dict[UUID, LessonRule], list[UUID]]:
    rules = draw(versions)
    return rules, draw(st.permutations(list(rules)))


@UNTIMED
@given(versions, st.sets(st.uuids()))
def test_percent_stays_between_0_and_100_whatever_is_completed(
    rules: dict[UUID, LessonRule], strangers: set[UUID]
) -> None:
    assert 0 <= percent_of(rules, strangers | set(rules)) <= 100


@UNTIMED
@given(versions_with_completions())
def test_percent_never_falls_while_lessons_are_completed(
    version: tuple[dict[UUID, LessonRule], list[UUID]],
) -> None:
    rules, order = version
    percents = [percent_of(rules, set(order[:count])) for count in range(len(order) + 1)]
    assert percents == sorted(percents)


@UNTIMED
@given(versions_with_completions())
def test_percent_is_100_exactly_when_all_required_lessons_of_at_least_one_are_completed(
    version: tuple[dict[UUID, LessonRule], list[UUID]],
) -> None:
    rules, order = version
    required = {lineage for lineage, rule in rules.items() if rule.required}
    for count in range(len(order) + 1):
        completed = set(order[:count])
        done = bool(required) and required <= completed
        assert (percent_of(rules, completed) == 100) == done


def test_percent_is_0_without_required_lessons() -> None:
    optional = new_id()
    assert percent_of({optional: LessonRule(False, 5, "viewed")}, {optional}) == 0


def test_percent_rounds_down() -> None:
    first, *others = [new_id() for _ in range(3)]
    rules = dict.fromkeys([first, *others], LessonRule(True, 1, "viewed"))
    assert percent_of(rules, {first, others[0]}) == 66


def test_percent_weighs_lessons() -> None:
    light, heavy = new_id(), new_id()
    rules = {light: LessonRule(True, 1, "viewed"), heavy: LessonRule(True, 3, "viewed")}
    assert percent_of(rules, {heavy}) == 75


@UNTIMED
@given(st.integers(0, 150), st.integers(1, 100), st.integers(1, 150))
def test_watched_completes_by_seconds_of_the_video_alone(
    watched: int, percent: int, duration: int
) -> None:
    rule = LessonRule(True, 1, "watched", percent, float(duration))
    completes = fulfils(rule, Activity(viewed=True, marked=True, watched_seconds=watched))
    assert completes == (100 * watched >= percent * duration)


def test_watching_without_a_known_duration_completes_nothing() -> None:
    rule = LessonRule(True, 1, "watched", 1, None)
    assert not fulfils(rule, Activity(watched_seconds=10_000))


def test_the_last_broken_second_of_a_video_is_not_needed_for_all_of_it() -> None:
    rule = LessonRule(True, 1, "watched", 100, 20.48)
    assert fulfils(rule, Activity(watched_seconds=20))
    assert watched_percent(20, 20.48) == 100


def test_the_watched_percent_rounds_down_and_is_absent_without_a_video() -> None:
    assert watched_percent(2, 3.0) == 66
    assert watched_percent(2, None) is None


def test_dwelling_completes_at_its_seconds() -> None:
    rule = LessonRule(True, 1, "dwell", 60)
    assert not fulfils(rule, Activity(viewed=True, dwell_seconds=59))
    assert fulfils(rule, Activity(dwell_seconds=60))


def test_staffs_mark_is_not_a_learners_activity() -> None:
    rule = LessonRule(True, 1, "marked_by_staff")
    everything = Activity(viewed=True, marked=True, dwell_seconds=9999, watched_seconds=9999)
    assert not fulfils(rule, everything)


def test_the_next_lesson_is_the_first_open_required_one() -> None:
    following = next_of(["a", "b", "c"], required={"a", "c"}, completed={"a"})
    assert following == "c"


def test_the_next_lesson_is_an_optional_one_when_all_required_ones_are_done() -> None:
    following = next_of(["a", "b", "c"], required={"a", "c"}, completed={"a", "c"})
    assert following == "b"


def test_there_is_no_next_lesson_when_everything_is_done() -> None:
    assert next_of(["a"], required={"a"}, completed={"a"}) is None


def test_rules_are_read_as_they_are_published() -> None:
    lineage = new_id()
    stored = {
        "lessons": {
            str(lineage): {
                "required": True,
                "weight": 2,
                "completion": {"rule": "watched", "percent": 90},
                "kind": "video",
                "duration_seconds": 21.3,
            }
        },
        "required_weight": 2,
    }
    assert parse_rules(stored) == {lineage: LessonRule(True, 2, "watched", 90, 21.3)}
