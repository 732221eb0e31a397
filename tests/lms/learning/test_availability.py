"""Which lessons are open, over arbitrary versions, completions and moments: pure computation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from lms.core.ids import new_id
from lms.learning.availability import (
    MOST_NAMED,
    Delay,
    Gate,
    Gates,
    Lock,
    Moments,
    Step,
    locks_of,
)

UNTIMED = settings(deadline=None)
START = datetime(2027, 1, 18, 8, tzinfo=UTC)
DAY = timedelta(days=1)

delays = st.builds(
    Delay, after=st.sampled_from(["run_start", "activation"]), days=st.integers(0, 9)
)
hours = st.integers(-300, 300).map(lambda count: timedelta(hours=count))
moments = st.builds(
    Moments,
    now=hours.map(lambda offset: START + offset),
    run_starts_at=st.just(START),
    activated_at=st.one_of(st.none(), hours.map(lambda offset: START + offset)),
)


@st.composite
def versions(draw: st.DrawFn) -> Gates:
    """A sequential module of up to fifteen required lessons, some of which wait for a date too."""
    module_id = new_id()
    steps = [Step(new_id(), new_id()) for _ in range(draw(st.integers(0, 15)))]
    lessons = {
        step.lineage_id: Gate(draw(st.one_of(st.none(), delays)), module_id, place)
        for place, step in enumerate(steps)
    }
    return Gates(lessons, {module_id: steps})


def steps_of(gates: Gates) -> list[Step]:
    (steps,) = gates.sequences.values()
    return list(steps)


def waiting(delay: Delay) -> tuple[UUID, Gates]:
    """One lesson that waits for a date alone."""
    lineage = new_id()
    return lineage, Gates({lineage: Gate(delay)}, {})


@st.composite
def learners(draw: st.DrawFn) -> tuple[Gates, Moments, list[UUID]]:
    """A version, a moment, and its lessons in the order in which they are done."""
    gates = draw(versions())
    return gates, draw(moments), draw(st.permutations(list(gates.lessons)))


@UNTIMED
@given(learners())
def test_completing_lessons_only_opens_others(
    learner: tuple[Gates, Moments, list[UUID]],
) -> None:
    gates, moment, order = learner
    locked = [
        set(locks_of(gates, moment, completed=set(order[:count])))
        for count in range(len(order) + 1)
    ]
    assert all(later <= earlier for earlier, later in pairwise(locked))


@UNTIMED
@given(learners(), st.integers(0, 1000))
def test_time_only_opens_lessons(learner: tuple[Gates, Moments, list[UUID]], minutes: int) -> None:
    gates, moment, order = learner
    done = set(order[: len(order) // 2])
    later = replace(moment, now=moment.now + timedelta(minutes=minutes))
    assert set(locks_of(gates, later, completed=done)) <= set(
        locks_of(gates, moment, completed=done)
    )


@UNTIMED
@given(learners())
def test_a_completed_lesson_is_open_whatever_it_waits_for(
    learner: tuple[Gates, Moments, list[UUID]],
) -> None:
    gates, moment, order = learner
    done = set(order[::2])
    assert not done & set(locks_of(gates, moment, completed=done))


@UNTIMED
@given(learners())
def test_a_lock_names_exactly_the_lessons_before_it_that_are_left(
    learner: tuple[Gates, Moments, list[UUID]],
) -> None:
    gates, moment, order = learner
    done = set(order[::2])
    for lineage, lock in locks_of(gates, moment, completed=done).items():
        before = steps_of(gates)[: gates.lessons[lineage].earlier]
        left = [step.lesson_id for step in before if step.lineage_id not in done]
        assert list(lock.lessons) == left[:MOST_NAMED]


@UNTIMED
@given(learners())
def test_once_every_date_has_come_somebody_who_goes_in_order_is_never_held_up(
    learner: tuple[Gates, Moments, list[UUID]],
) -> None:
    gates, moment, _ = learner
    late = replace(moment, now=START + 30 * DAY, activated_at=START)
    done: set[UUID] = set()
    for lineage in gates.lessons:
        assert lineage not in locks_of(gates, late, completed=done)
        done.add(lineage)


@UNTIMED
@given(delays, moments)
def test_a_delay_locks_until_its_days_are_over_and_not_a_moment_longer(
    delay: Delay, moment: Moments
) -> None:
    lineage, gates = waiting(delay)
    opening = moment.opening(delay)
    locks = locks_of(gates, moment, completed=set())
    if opening is not None and opening <= moment.now:
        assert locks == {}
    else:
        assert locks == {lineage: Lock("not_yet_available", opening, ())}


def test_the_date_comes_first_among_reasons_and_earlier_lessons_are_named_with_it() -> None:
    module_id, first, lineage = new_id(), Step(new_id(), new_id()), new_id()
    moment = Moments(START, START, START)
    gates = Gates({lineage: Gate(Delay("run_start", 7), module_id, 1)}, {module_id: [first]})
    assert locks_of(gates, moment, completed=set()) == {
        lineage: Lock("not_yet_available", START + 7 * DAY, (first.lesson_id,))
    }
    later = replace(moment, now=START + 7 * DAY)
    assert locks_of(gates, later, completed=set()) == {
        lineage: Lock("earlier_lessons", None, (first.lesson_id,))
    }


def test_a_delay_after_an_activation_that_has_not_happened_has_no_date() -> None:
    lineage, gates = waiting(Delay("activation", 0))
    locks = locks_of(gates, Moments(START, START, None), completed=set())
    assert locks == {lineage: Lock("not_yet_available", None, ())}


def test_versions_published_before_there_were_gates_have_none() -> None:
    lineage = new_id()
    rule = {"required": True, "weight": 1, "completion": {"rule": "viewed"}}
    stored = {"lessons": {str(lineage): rule}, "lineages": {str(new_id()): str(lineage)}}
    assert Gates.parse(stored) == Gates({}, {})


def test_gates_are_read_as_they_are_published() -> None:
    module_id, steps = new_id(), [Step(new_id(), new_id()) for _ in range(3)]
    first, second, third = (step.lineage_id for step in steps)
    week = {"after": "activation", "days": 7}
    stored = {
        "lessons": {
            str(first): {"availability": None, "earlier": None},
            str(second): {
                "availability": None,
                "earlier": {"module_id": str(module_id), "count": 1},
            },
            str(third): {
                "availability": week,
                "earlier": {"module_id": str(module_id), "count": 2},
            },
        },
        "sequences": {
            str(module_id): [
                {"lesson_id": str(step.lesson_id), "lineage_id": str(step.lineage_id)}
                for step in steps
            ]
        },
    }
    assert Gates.parse(stored) == Gates(
        {
            second: Gate(None, module_id, 1),
            third: Gate(Delay("activation", 7), module_id, 2),
        },
        {module_id: steps},
    )
