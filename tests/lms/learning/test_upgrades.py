"""Upgrading a run to a newer version of its course: who moves, who may, when it is refused."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest

from lms.checkout.orders import Order
from lms.checkout.purchase import enroll
from lms.core.ids import new_id
from lms.courses.operations import versions
from lms.learning.upgrades import upgrade_run
from tests.factories.cohorts import ACME, DEADLINE, Cohort, audited
from tests.factories.courses import make_run
from tests.lms.courses.conftest import wait_until_blocked


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
