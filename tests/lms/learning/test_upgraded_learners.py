"""What an upgrade of their run does to learners: what is carried on, and who is completed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from lms.core.ids import new_id
from lms.courses.models import Lesson, PublishedVersion
from lms.enrollments.models import Enrollment
from lms.learning.operations import Report, record_progress
from lms.learning.upgrades import upgrade_run
from tests.factories.archives import content_of, lesson, manifest_of, packed
from tests.factories.cohorts import DEADLINE, Cohort
from tests.factories.learning import set_enrollment_state
from tests.factories.people import Person
from tests.lms.courses.conftest import Api, wait_until_blocked


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
    archive = api.get(f"/course-versions/{cohort.first.version_id}/export").data
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
