"""Trying an upgrade of a run: what it would do, told exactly and at a constant price."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from lms.courses.models import PublishedVersion
from lms.learning import upgrades
from lms.learning.progress import parse_rules, percent_of
from tenants.session import Database
from tests.factories.cohorts import Cohort, audited
from tests.factories.courses import LESSON


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(database.events, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(database.events, "before_cursor_execute", note)


def test_a_dry_run_tells_and_changes_nothing(cohort: Cohort) -> None:
    falling = cohort.enroll(done=[0])
    completing = cohort.enroll(done=[1, 2, 3])
    cohort.enroll(done=[0, 1, 2, 3], state="completed")
    second = cohort.next_version(without=[0])

    answer = cohort.upgrade(second, dry_run=True)

    assert answer.status_code == 200
    assert answer.json["dry_run"] is True
    assert answer.json["counts"] == {
        "moving": 2,
        "staying": 0,
        "completed": 1,
        "completing": 1,
        "falling": 1,
        "rising": 1,
    }
    assert [
        (one["enrollment_id"], one["percent_before"], one["percent_after"], one["completes"])
        for one in answer.json["effects"]
    ] == [(str(falling), 25, 0, False), (str(completing), 75, 100, True)]
    assert answer.headers["ETag"] == '"1"'
    assert cohort.version_of_run() == cohort.first.version_id
    for enrollment_id, percent in ((falling, 25), (completing, 75)):
        enrollment = cohort.read(enrollment_id)
        assert (enrollment.state, enrollment.percent) == ("active", percent)
        assert (enrollment.version_id, enrollment.version) == (cohort.first.version_id, 1)
    assert audited(cohort) == []
    really = cohort.upgrade(second).json
    assert really == {**answer.json, "dry_run": False}


def test_it_tells_what_changed_between_the_versions(cohort: Cohort) -> None:
    second = cohort.next_version(without=[0], added=1, title="Another title")

    diff = cohort.upgrade(second, dry_run=True).json["diff"]

    assert diff["magnitude"] == "major"
    lessons = diff["lessons"]
    lineages = [str(lineage) for lineage in cohort.first.lineage_ids]
    assert [one["lineage_id"] for one in lessons["removed"]] == lineages[:1]
    assert [one["title"] for one in lessons["added"]] == [LESSON["title"]]
    assert [(one["lineage_id"], one["members"]) for one in lessons["changed"]] == [
        (lineages[1], ["title"])
    ]


def test_only_the_first_are_listed_and_all_are_counted(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrades, "MOST_EFFECTS", 2)
    enrolled = [cohort.enroll() for _ in range(4)]

    upgrade = cohort.upgrade(cohort.next_version(added=1), dry_run=True).json

    assert upgrade["counts"]["moving"] == 4
    assert [one["enrollment_id"] for one in upgrade["effects"]] == [
        str(one) for one in enrolled[:2]
    ]


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_number_of_statements_does_not_grow_with_the_run(
    make_cohort: Callable[..., Cohort], dry_run: bool
) -> None:
    counts = []
    for learners in (1, 12):
        cohort = make_cohort()
        for _ in range(learners):
            cohort.enroll(done=[0, 1, 2])
            cohort.enroll(done=[3])
        second = cohort.next_version(without=[3], added=0)
        with counted(cohort.database) as statements:
            assert cohort.apply(second, dry_run=dry_run).counts.completing == learners
        counts.append(len(statements))
    assert counts[0] == counts[1]


@settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    without=st.sets(st.integers(1, 3)),
    added=st.integers(0, 3),
    weight=st.integers(1, 1000),
    done=st.sets(st.integers(0, 3)),
)
def test_the_percent_is_that_of_progress(
    cohort: Cohort, without: set[int], added: int, weight: int, done: set[int]
) -> None:
    enrollment_id = cohort.enroll(done=sorted(done))
    target = cohort.next_version(
        of=cohort.first.version_id, without=sorted(without), added=added, weight=weight
    )

    effect = next(
        one
        for one in cohort.apply(target, dry_run=True).effects
        if one.enrollment_id == enrollment_id
    )

    with cohort.database.transaction(cohort.scope) as session:
        rules = parse_rules(session.get_one(PublishedVersion, target).rules)
        completed = {cohort.first.lineage_ids[number] for number in done}
    assert effect.percent_after == percent_of(rules, completed)
