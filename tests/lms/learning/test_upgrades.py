"""Upgrading a run to a newer version of its course, and what that does to those who are in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select, text

from lms.checkout.orders import Order
from lms.checkout.purchase import enroll
from lms.core.clock import now
from lms.core.ids import new_id
from lms.courses.models import CourseRun, Lesson, PublishedVersion
from lms.courses.operations import content, versions
from lms.enrollments.models import Enrollment
from lms.learning import upgrades
from lms.learning.models import LessonProgress
from lms.learning.operations import Report, record_progress
from lms.learning.progress import parse_rules, percent_of
from lms.learning.upgrades import Upgrade, upgrade_run
from tenants.session import Database, OrganizationScope
from tests.factories.archives import content_of, lesson, manifest_of, packed
from tests.factories.courses import LESSON, Content, make_published, make_run
from tests.factories.learning import set_enrollment_state
from tests.factories.people import Person, make_user
from tests.lms.courses.conftest import Api, wait_until_blocked

ACME = "http://acme.localhost"
DEADLINE = 20.0


@dataclass
class Cohort:
    """A run of a course of four lessons, and a way to teach its next version."""

    app: Flask
    database: Database
    organization_id: UUID
    teacher: Person
    first: Content
    run_id: UUID
    learners: dict[UUID, Person] = field(default_factory=dict[UUID, Person])

    @property
    def scope(self) -> OrganizationScope:
        return OrganizationScope(self.organization_id)

    def next_version(
        self,
        *,
        of: UUID | None = None,
        without: Sequence[int] = (),
        added: int = 0,
        **changes: Any,
    ) -> UUID:
        """Publish a copy of a version, of the latest unless told, with other lessons.

        Args:
            of: what is copied.
            without: numbers of lessons of the first version that are removed.
            added: how many are added.
            changes: of the first of the lessons that stay.
        """
        actor = self.teacher.actor
        with self.database.transaction(self.scope) as session:
            version_id = versions.create_draft(
                session, actor, self.first.course_id, label="", base_version_id=of
            ).id
        removed = {self.first.lineage_ids[number] for number in without}
        with self.database.transaction(self.scope) as session:
            lessons = session.scalars(
                select(Lesson).where(Lesson.version_id == version_id).order_by(Lesson.position)
            ).all()
            kept = [lesson for lesson in lessons if lesson.lineage_id not in removed]
            for lesson in lessons:
                if lesson not in kept:
                    content.delete_lesson(session, actor, lesson.id, expected=None)
            if changes:
                content.update_lesson(session, actor, kept[0].id, changes, expected=None)
            for _ in range(added):
                content.create_lesson(session, actor, lessons[0].module_id, LESSON)
        with self.database.transaction(self.scope) as session:
            versions.publish_version(session, actor, version_id, expected=None)
        return version_id

    def enroll(
        self,
        *,
        done: Sequence[int] = (),
        opened: Sequence[int] = (),
        state: str = "active",
        percent: int | None = None,
        version_id: UUID | None = None,
    ) -> UUID:
        """Put a learner into the run who has completed, or only opened, lessons by number."""
        enrollment_id, person = new_id(), self.person()
        self.learners[enrollment_id] = person
        if percent is None:
            percent = 100 * len(done) // len(self.first.lesson_ids)
        with self.database.transaction(self.scope) as session:
            session.add(
                Enrollment(
                    id=enrollment_id,
                    user_id=person.id,
                    run_id=self.run_id,
                    version_id=version_id or self.first.version_id,
                    state=state,
                    awaiting="payment" if state == "pending" else None,
                    waitlisted_at=now() if state == "waitlisted" else None,
                    percent=percent,
                    activated_at=now(),
                    completed_at=now() if state == "completed" else None,
                )
            )
            session.flush()
            for number in (*done, *opened):
                session.add(
                    LessonProgress(
                        enrollment_id=enrollment_id,
                        lesson_lineage_id=self.first.lineage_ids[number],
                        completed_at=now() if number in done else None,
                        completed_how="viewed" if number in done else None,
                    )
                )
        return enrollment_id

    def person(self, account_type: Any = "student") -> Person:
        return make_user(self.database, self.organization_id, account_type, app=self.app)

    def upgrade(
        self, target_id: UUID, *, policy: str = "all", dry_run: bool = False, **options: Any
    ) -> Any:
        """Ask over HTTP; by the teacher, unless the options name a `person`; or an `etag`."""
        headers = dict(options.get("person", self.teacher).headers)
        if "etag" in options:
            headers["If-Match"] = options["etag"]
        return self.app.test_client().post(
            f"/api/v1/runs/{options.get('run_id', self.run_id)}/upgrade",
            base_url=ACME,
            headers=headers,
            json={"target_version_id": str(target_id), "policy": policy, "dry_run": dry_run},
        )

    def report(self, enrollment_id: UUID, lesson_id: UUID | str) -> Any:
        """Let the learner report that they opened a lesson."""
        return self.app.test_client().put(
            f"/api/v1/enrollments/{enrollment_id}/lessons/{lesson_id}/progress",
            base_url=ACME,
            headers=self.learners[enrollment_id].headers,
            json={"viewed": True},
        )

    def read_lesson(self, enrollment_id: UUID, lesson_id: UUID | str) -> Any:
        """Let the learner open a lesson."""
        return self.app.test_client().get(
            f"/api/v1/enrollments/{enrollment_id}/lessons/{lesson_id}",
            base_url=ACME,
            headers=self.learners[enrollment_id].headers,
        )

    def apply(self, target_id: UUID, *, dry_run: bool = False, policy: Any = "all") -> Upgrade:
        """Call the operation itself."""
        with self.database.transaction(self.scope) as session:
            return upgrade_run(
                session,
                self.teacher.actor,
                self.run_id,
                target_version_id=target_id,
                policy=policy,
                dry_run=dry_run,
                expected=None,
            )

    def read(self, enrollment_id: UUID) -> Enrollment:
        with self.database.transaction(self.scope) as session:
            return session.get_one(Enrollment, enrollment_id)

    def version_of_run(self) -> UUID:
        with self.database.transaction(self.scope) as session:
            return session.get_one(CourseRun, self.run_id).version_id

    def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        with self.database.transaction(self.scope) as session:
            return [dict(row) for row in session.execute(text(sql), values).mappings()]


@pytest.fixture
def make_cohort(
    app: Flask, client: FlaskClient, database: Database, acme: UUID, teacher: Person
) -> Callable[..., Cohort]:
    del client

    def make(lessons: int = 4) -> Cohort:
        first = make_published(database, acme, teacher, outline=[["text"] * lessons])
        run_id = make_run(database, acme, teacher, first)
        return Cohort(app, database, acme, teacher, first, run_id)

    return make


@pytest.fixture
def cohort(make_cohort: Callable[..., Cohort]) -> Cohort:
    return make_cohort()


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


# --- what it does


def test_the_run_and_everybody_in_it_move(cohort: Cohort) -> None:
    enrollment_id = cohort.enroll(done=[0, 1])
    second = cohort.next_version(added=1)

    answer = cohort.upgrade(second)

    assert answer.status_code == 200, answer.text
    assert answer.headers["ETag"] == '"2"'
    assert cohort.version_of_run() == second
    enrollment = cohort.read(enrollment_id)
    assert (enrollment.version_id, enrollment.percent, enrollment.version) == (second, 40, 2)
    assert answer.json == {
        "run_id": str(cohort.run_id),
        "dry_run": False,
        "policy": "all",
        "from_version": {"id": str(cohort.first.version_id), "number": 1},
        "to_version": {"id": str(second), "number": 2},
        "diff": answer.json["diff"],
        "counts": {
            "moving": 1,
            "staying": 0,
            "completed": 0,
            "completing": 0,
            "falling": 1,
            "rising": 0,
        },
        "effects": [
            {
                "enrollment_id": str(enrollment_id),
                "user_id": str(enrollment.user_id),
                "state": "active",
                "percent_before": 50,
                "percent_after": 40,
                "completes": False,
            }
        ],
    }


@pytest.mark.parametrize(
    ("done", "change", "percent"),
    [
        ([0, 1], {"without": [3]}, 66),
        ([0, 1], {"without": [0]}, 33),
        ([0, 1], {"added": 4}, 25),
        ([0], {"without": [3], "added": 1}, 25),
        ([0], {"weight": 7}, 70),
        ([0, 1], {"required": False}, 33),
        ([0, 1], {"title": "Another title"}, 50),
        ([0, 1], {"completion": {"rule": "dwell", "seconds": 60}}, 50),
        ([], {"added": 1}, 0),
    ],
)
def test_progress_is_carried_by_lineage(
    cohort: Cohort, done: list[int], change: dict[str, Any], percent: int
) -> None:
    enrollment_id = cohort.enroll(done=done)

    cohort.apply(cohort.next_version(**change))

    assert cohort.read(enrollment_id).percent == percent


def test_progress_is_carried_to_a_version_that_was_edited_in_an_archive(cohort: Cohort) -> None:
    enrollment_id = cohort.enroll(done=(0, 1))
    api = Api(cohort.app.test_client(), cohort.teacher)
    archive = api.get(f"/course-versions/{cohort.first.version_id}/archive").data
    edited = content_of(archive)
    (module,) = edited["modules"]
    module["lessons"][0]["title"] = "Renamed elsewhere"
    module["lessons"].append(lesson(title="Added elsewhere"))
    path = f"/courses/{cohort.first.course_id}/versions/import"
    second = api.upload(path, packed(edited, manifest_of(archive))).json["draft"]["id"]
    assert api.post(f"/course-versions/{second}/publish").status_code == 200

    assert cohort.upgrade(UUID(second)).status_code == 200

    assert cohort.read(enrollment_id).percent == 2 * 100 // 5


def test_a_lesson_that_was_only_opened_is_not_done(cohort: Cohort) -> None:
    enrollment_id = cohort.enroll(done=[0], opened=[1])

    cohort.apply(cohort.next_version(without=[3]))

    assert cohort.read(enrollment_id).percent == 33


def test_what_was_done_in_a_removed_lesson_stays_in_history_and_counts_when_it_is_back(
    cohort: Cohort,
) -> None:
    enrollment_id = cohort.enroll(done=[0])
    cohort.apply(cohort.next_version(without=[0]))
    assert cohort.read(enrollment_id).percent == 0
    history = cohort.rows(
        "SELECT completed_how FROM lesson_progress WHERE enrollment_id = :id", id=enrollment_id
    )
    assert history == [{"completed_how": "viewed"}]
    back = cohort.next_version(of=cohort.first.version_id)

    cohort.apply(back)

    assert cohort.read(enrollment_id).percent == 25


def test_an_active_one_that_reaches_100_by_it_is_completed(cohort: Cohort) -> None:
    enrollment_id = cohort.enroll(done=[0, 1, 2])
    second = cohort.next_version(without=[3])

    upgrade = cohort.upgrade(second).json

    assert upgrade["counts"]["completing"] == 1
    assert upgrade["effects"][0]["completes"] is True
    enrollment = cohort.read(enrollment_id)
    assert (enrollment.state, enrollment.percent, enrollment.version_id) == (
        *("completed", 100),
        second,
    )
    assert enrollment.completed_at is not None
    with cohort.database.transaction(cohort.scope) as session:
        published = session.get_one(PublishedVersion, second)
    assert enrollment.completed_rules_hash == published.content_hash
    changes = cohort.rows(
        "SELECT from_state, to_state, reason, actor_id FROM enrollment_changes"
        " WHERE enrollment_id = :id",
        id=enrollment_id,
    )
    assert changes == [
        {
            "from_state": "active",
            "to_state": "completed",
            "reason": "all_required_lessons_done",
            "actor_id": cohort.teacher.id,
        }
    ]


def test_one_that_was_reopened_with_everything_done_stays_open(cohort: Cohort) -> None:
    enrollment_id = cohort.enroll(done=[0, 1, 2, 3], state="completed")
    set_enrollment_state(cohort.database, cohort.organization_id, enrollment_id, "active")

    upgrade = cohort.apply(cohort.next_version(without=[3]))

    assert (upgrade.counts.moving, upgrade.counts.completing) == (1, 0)
    enrollment = cohort.read(enrollment_id)
    assert (enrollment.state, enrollment.percent) == ("active", 100)


def test_one_that_was_reopened_and_reaches_100_by_it_is_completed_again(cohort: Cohort) -> None:
    enrollment_id = cohort.enroll(done=[0, 1, 2], state="completed")
    set_enrollment_state(cohort.database, cohort.organization_id, enrollment_id, "active")

    cohort.apply(cohort.next_version(without=[3]))

    assert cohort.read(enrollment_id).state == "completed"


def test_a_suspended_one_that_reaches_100_by_it_stays_suspended(cohort: Cohort) -> None:
    enrollment_id = cohort.enroll(done=[0, 1, 2], state="suspended")

    upgrade = cohort.apply(cohort.next_version(without=[3]))

    assert upgrade.counts.completing == 0
    enrollment = cohort.read(enrollment_id)
    assert (enrollment.state, enrollment.percent) == ("suspended", 100)


def test_a_version_without_required_lessons_completes_nobody(
    make_cohort: Callable[..., Cohort],
) -> None:
    cohort = make_cohort(lessons=1)
    enrollment_id = cohort.enroll(opened=[0])

    cohort.apply(cohort.next_version(required=False))

    enrollment = cohort.read(enrollment_id)
    assert (enrollment.state, enrollment.percent) == ("active", 0)


def test_a_completed_one_keeps_its_version_percent_and_date(cohort: Cohort) -> None:
    enrollment_id = cohort.enroll(done=[0, 1, 2, 3], state="completed")
    before = cohort.read(enrollment_id)

    counts = cohort.apply(cohort.next_version(added=1)).counts

    assert (counts.moving, counts.completed) == (0, 1)
    after = cohort.read(enrollment_id)
    assert (after.version_id, after.percent, after.completed_at, after.version) == (
        *(before.version_id, 100),
        before.completed_at,
        before.version,
    )
    assert cohort.version_of_run() != cohort.first.version_id


@pytest.mark.parametrize("state", ["withdrawn", "expired", "cancelled", "transferred"])
def test_what_has_ended_stays_as_it_was(cohort: Cohort, state: str) -> None:
    enrollment_id = cohort.enroll(done=[0], state=state)

    assert cohort.apply(cohort.next_version(added=1)).counts.moving == 0

    enrollment = cohort.read(enrollment_id)
    assert (enrollment.version_id, enrollment.percent) == (cohort.first.version_id, 25)


@pytest.mark.parametrize("state", ["pending", "waitlisted", "active", "suspended"])
def test_whoever_is_still_to_learn_goes_along(cohort: Cohort, state: str) -> None:
    enrollment_id = cohort.enroll(state=state)
    second = cohort.next_version(added=1)

    cohort.apply(second, policy="not_started")

    enrollment = cohort.read(enrollment_id)
    assert (enrollment.version_id, enrollment.state) == (second, state)


def test_not_started_moves_those_without_any_progress_alone(cohort: Cohort) -> None:
    fresh, opened, begun = cohort.enroll(), cohort.enroll(opened=[0]), cohort.enroll(done=[0])
    second = cohort.next_version(added=1)

    counts = cohort.apply(second, policy="not_started").counts

    assert (counts.moving, counts.staying) == (1, 2)
    assert cohort.read(fresh).version_id == second
    for stayed in (opened, begun):
        assert cohort.read(stayed).version_id == cohort.first.version_id
    assert cohort.read(begun).percent == 25
    assert cohort.version_of_run() == second


def test_who_stayed_behind_is_moved_by_naming_the_runs_own_version(cohort: Cohort) -> None:
    begun = cohort.enroll(done=[0])
    second = cohort.next_version(added=1)
    cohort.apply(second, policy="not_started")

    answer = cohort.upgrade(second)

    assert (answer.status_code, answer.json["counts"]["moving"]) == (200, 1)
    enrollment = cohort.read(begun)
    assert (enrollment.version_id, enrollment.percent) == (second, 20)
    assert answer.headers["ETag"] == '"2"'


def test_enrollments_of_another_run_stay(cohort: Cohort) -> None:
    other_run = make_run(cohort.database, cohort.organization_id, cohort.teacher, cohort.first)
    here, cohort.run_id = cohort.run_id, other_run
    elsewhere = cohort.enroll(done=[0])
    cohort.run_id = here

    cohort.apply(cohort.next_version(added=1))

    assert cohort.read(elsewhere).version_id == cohort.first.version_id


def test_who_moved_learns_on_in_the_new_version(cohort: Cohort) -> None:
    enrollment_id = cohort.enroll(done=[0, 1, 2])
    second = cohort.next_version(without=[3], added=1)
    cohort.apply(second)
    with cohort.database.transaction(cohort.scope) as session:
        user_id = session.get_one(Enrollment, enrollment_id).user_id
        added = session.scalars(
            select(Lesson.id).where(
                Lesson.version_id == second,
                Lesson.lineage_id.not_in(cohort.first.lineage_ids),
            )
        ).one()
        actor = Person(user_id, "", {}, "student", new_id()).actor
        recorded = record_progress(session, actor, enrollment_id, added, Report(viewed=True))

    assert (recorded.enrollment.state, recorded.enrollment.percent) == ("completed", 100)


@pytest.mark.parametrize("removed", [True, False])
def test_who_still_has_the_old_version_open_is_led_to_the_lesson_in_the_new_one(
    cohort: Cohort, removed: bool
) -> None:
    enrollment_id = cohort.enroll()
    second = cohort.next_version(without=[0] if removed else [3])
    cohort.apply(second)

    refused = cohort.report(enrollment_id, cohort.first.lesson_ids[0])

    assert (refused.status_code, refused.json["code"]) == (409, "lesson_of_another_version")
    assert refused.json["version_id"] == str(second)
    read = cohort.read_lesson(enrollment_id, cohort.first.lesson_ids[0])
    assert (read.status_code, read.json["lesson_id"]) == (409, refused.json["lesson_id"])
    if removed:
        assert refused.json["lesson_id"] is None
    else:
        assert cohort.report(enrollment_id, refused.json["lesson_id"]).status_code == 200


def test_a_lesson_of_another_course_stays_unknown(
    cohort: Cohort, make_cohort: Callable[..., Cohort]
) -> None:
    enrollment_id = cohort.enroll()

    for lesson_id in (make_cohort().first.lesson_ids[0], uuid4()):
        assert cohort.report(enrollment_id, lesson_id).status_code == 404


def test_a_report_that_waited_for_the_upgrade_is_led_on_too(cohort: Cohort) -> None:
    enrollment_id = cohort.enroll()
    second = cohort.next_version(without=[3])
    with ThreadPoolExecutor(1) as pool:
        with cohort.database.transaction(cohort.scope) as session:
            upgrade_run(
                session,
                cohort.teacher.actor,
                cohort.run_id,
                target_version_id=second,
                policy="all",
                dry_run=False,
                expected=None,
            )
            waiting = pool.submit(cohort.report, enrollment_id, cohort.first.lesson_ids[0])
            wait_until_blocked(cohort.database, cohort.organization_id, waiting)
        refused = waiting.result(DEADLINE)
    assert (refused.status_code, refused.json["code"]) == (409, "lesson_of_another_version")
    assert refused.json["version_id"] == str(second)


# --- trying it


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


# --- who may, and when it is refused


def test_those_who_teach_it_and_admins_may(cohort: Cohort) -> None:
    second = cohort.next_version(added=1)

    assert cohort.upgrade(second, person=cohort.person()).status_code == 403
    assert cohort.upgrade(second, person=cohort.person("instructor")).status_code == 404
    assert cohort.upgrade(second, run_id=uuid4()).status_code == 404
    assert cohort.version_of_run() == cohort.first.version_id
    assert cohort.upgrade(second, person=cohort.person("admin")).status_code == 200


@pytest.mark.parametrize("dry_run", [True, False])
def test_only_a_published_version_of_the_course_is_a_target(
    cohort: Cohort, make_cohort: Callable[..., Cohort], dry_run: bool
) -> None:
    with cohort.database.transaction(cohort.scope) as session:
        actor = cohort.teacher.actor
        draft_id = versions.create_draft(
            session, actor, cohort.first.course_id, label="", base_version_id=None
        ).id
    for target_id in (draft_id, uuid4(), make_cohort().first.version_id):
        refused = cohort.upgrade(target_id, dry_run=dry_run)
        assert (refused.status_code, refused.json["code"]) == (409, "version_not_published")


def test_an_archived_version_is_no_target(cohort: Cohort) -> None:
    second = cohort.next_version(added=1)
    with cohort.database.transaction(cohort.scope) as session:
        versions.archive_version(session, cohort.teacher.actor, second, expected=None)

    refused = cohort.upgrade(second)

    assert (refused.json["code"], refused.json["state"]) == ("version_not_published", "archived")


def test_an_older_version_is_refused(cohort: Cohort) -> None:
    cohort.enroll()
    cohort.apply(cohort.next_version(added=1))

    refused = cohort.upgrade(cohort.first.version_id)

    assert (refused.status_code, refused.json["code"]) == (409, "version_not_newer")
    assert (refused.json["number"], refused.json["present_number"]) == (1, 2)


def test_the_same_version_is_refused_when_everybody_has_it(cohort: Cohort) -> None:
    cohort.enroll()

    refused = cohort.upgrade(cohort.first.version_id)

    assert (refused.status_code, refused.json["code"]) == (409, "version_not_newer")


def test_a_cancelled_run_stays_as_it_is(cohort: Cohort) -> None:
    second = cohort.next_version(added=1)
    cancelled = cohort.app.test_client().post(
        f"/api/v1/runs/{cohort.run_id}/cancel",
        base_url=ACME,
        headers=cohort.person("admin").headers,
        json={"reason": "Too few learners."},
    )
    assert cancelled.status_code == 202

    refused = cohort.upgrade(second)

    assert (refused.status_code, refused.json["code"]) == (409, "run_state_not_allowed")


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_run_that_changed_since_it_was_read_is_not_upgraded(
    cohort: Cohort, dry_run: bool
) -> None:
    second = cohort.next_version(added=1)

    assert cohort.upgrade(second, etag='"7"', dry_run=dry_run).status_code == 412
    assert cohort.upgrade(second, etag='"1"', dry_run=dry_run).status_code == 200


def test_an_upgrade_is_on_record(cohort: Cohort) -> None:
    cohort.enroll(done=[0, 1, 2])
    cohort.enroll(done=[0])
    second = cohort.next_version(without=[3])

    cohort.apply(second)

    (event_,) = audited(cohort)
    assert event_["actor_id"] == cohort.teacher.id
    assert event_["before"] == {"version_id": str(cohort.first.version_id)}
    assert event_["after"] == {
        "version_id": str(second),
        "policy": "all",
        "moved": 2,
        "stayed": 0,
        "completed": 1,
    }


# --- at the same time


def test_who_is_just_enrolling_is_waited_for_and_goes_along(cohort: Cohort) -> None:
    second, person = cohort.next_version(added=1), cohort.person()
    order = Order(payment_id=new_id(), run_id=cohort.run_id, method="free")
    with ThreadPoolExecutor(1) as pool:
        with cohort.database.transaction(cohort.scope) as session:
            purchase, _ = enroll(session, person.actor, order)
            waiting = pool.submit(cohort.apply, second)
            wait_until_blocked(cohort.database, cohort.organization_id, waiting)
        assert waiting.result(DEADLINE).counts.moving == 1
    assert cohort.read(purchase.enrollment.id).version_id == second


def test_who_enrolls_meanwhile_gets_the_new_version(cohort: Cohort) -> None:
    second, person = cohort.next_version(added=1), cohort.person()

    def buy() -> UUID:
        order = Order(payment_id=new_id(), run_id=cohort.run_id, method="free")
        with cohort.database.transaction(cohort.scope) as session:
            return enroll(session, person.actor, order)[0].enrollment.id

    with ThreadPoolExecutor(1) as pool:
        with cohort.database.transaction(cohort.scope) as session:
            upgrade_run(
                session,
                cohort.teacher.actor,
                cohort.run_id,
                target_version_id=second,
                policy="all",
                dry_run=False,
                expected=None,
            )
            waiting = pool.submit(buy)
            wait_until_blocked(cohort.database, cohort.organization_id, waiting)
        enrollment_id = waiting.result(DEADLINE)
    assert cohort.read(enrollment_id).version_id == second


def test_a_report_that_is_just_recorded_counts(cohort: Cohort) -> None:
    enrollment_id = cohort.enroll(done=[0])
    second = cohort.next_version(added=1)
    user_id = cohort.read(enrollment_id).user_id
    actor = Person(user_id, "", {}, "student", new_id()).actor
    with ThreadPoolExecutor(1) as pool:
        with cohort.database.transaction(cohort.scope) as session:
            lesson_id = cohort.first.lesson_ids[1]
            record_progress(session, actor, enrollment_id, lesson_id, Report(viewed=True))
            waiting = pool.submit(cohort.apply, second)
            wait_until_blocked(cohort.database, cohort.organization_id, waiting)
        waiting.result(DEADLINE)
    assert cohort.read(enrollment_id).percent == 40


def audited(cohort: Cohort) -> list[dict[str, Any]]:
    return cohort.rows(
        "SELECT actor_id, before, after FROM audit_events"
        " WHERE action = 'course_run.upgrade' AND subject_id = :id",
        id=cohort.run_id,
    )
