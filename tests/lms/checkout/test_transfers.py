"""Going over to another run of a course: seat, payment and progress go along."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from lms.checkout.reconcile.operations import reconcile
from lms.core.clock import now
from lms.core.queue import CANCEL_RUN, OFFER_SEATS
from lms.courses.models import Lesson
from lms.courses.operations import content, versions
from tests.factories.courses import LESSON, Content, make_published, make_run
from tests.factories.money import Academy, together
from tests.factories.people import Person

PRICE = 4900
BECAUSE = "Moved to the evening cohort."


@dataclass
class Cohorts:
    """Two runs of one course with four lessons, and who teaches it."""

    academy: Academy
    teacher: Person
    course: Content
    day: UUID
    evening: UUID

    def next_version(self, *, without: int = 0, added: int = 0) -> UUID:
        """Publish a copy of the version without its last lessons, and with new ones."""
        actor, scope = self.teacher.actor, self.academy.scope
        with self.academy.database.transaction(scope) as session:
            version_id = versions.create_draft(
                session, actor, self.course.course_id, label="", base_version_id=None
            ).id
        with self.academy.database.transaction(scope) as session:
            lessons = session.scalars(
                select(Lesson).where(Lesson.version_id == version_id).order_by(Lesson.position)
            ).all()
            for _ in range(added):
                content.create_lesson(session, actor, lessons[0].module_id, LESSON)
            for lesson in lessons[len(lessons) - without :]:
                content.delete_lesson(session, actor, lesson.id, expected=None)
        with self.academy.database.transaction(scope) as session:
            versions.publish_version(session, actor, version_id, expected=None)
        return version_id

    def run(self, version_id: UUID | None = None, **members: Any) -> UUID:
        members = {"version_id": version_id or self.course.version_id, **members}
        academy = self.academy
        return make_run(
            academy.database, academy.organization_id, self.teacher, self.course, **members
        )

    def enroll(self, person: Person, run_id: UUID | None = None, **options: Any) -> str:
        method = "wallet" if options.pop("paid", False) else "free"
        answer = self.academy.enroll(person, run_id or self.day, method, **options)
        assert answer.status_code == 201, answer.text
        return answer.get_json()["enrollment"]["id"]

    def learn(self, person: Person, enrollment_id: str, lessons: int) -> None:
        """Let the learner open the first lessons."""
        for lesson_id in self.course.lesson_ids[:lessons]:
            answer = self.academy.app.test_client().put(
                f"/api/v1/enrollments/{enrollment_id}/lessons/{lesson_id}/progress",
                base_url=f"http://{self.academy.slug}.localhost",
                headers=person.headers,
                json={"viewed": True},
            )
            assert answer.status_code == 200, answer.text

    def transfer(
        self, enrollment_id: str, run_id: UUID | None = None, *, by: Person | None = None
    ) -> TestResponse:
        body = {"run_id": str(run_id or self.evening), "reason": BECAUSE}
        path = f"/enrollments/{enrollment_id}/transfer"
        return self.academy.post(path, by or self.teacher, body)


@pytest.fixture
def cohorts(academy: Academy) -> Cohorts:
    teacher = academy.person("instructor")
    course = make_published(
        academy.database, academy.organization_id, teacher, outline=[["text"] * 4]
    )
    made = Cohorts(academy, teacher, course, course.version_id, course.version_id)
    made.day, made.evening = made.run(), made.run()
    return made


def test_the_learner_goes_on_in_the_other_run(cohorts: Cohorts) -> None:
    person = cohorts.academy.person()
    first_id = cohorts.enroll(person)
    cohorts.learn(person, first_id, 2)

    answer = cohorts.transfer(first_id)

    assert answer.status_code == 201, answer.text
    second = answer.get_json()
    assert (second["state"], second["run_id"], second["percent"]) == (
        "active",
        str(cohorts.evening),
        50,
    )
    assert second["transferred_from_id"] == first_id
    first = cohorts.academy.get(f"/enrollments/{first_id}", person).get_json()
    assert (first["state"], first["percent"], first["payment_id"]) == ("transferred", 50, None)
    assert second["activated_at"] == first["activated_at"]
    seats = [cohorts.academy.seats_taken(run_id) for run_id in (cohorts.day, cohorts.evening)]
    assert seats == [0, 1]
    cohorts.learn(person, second["id"], 3)
    assert cohorts.academy.get(f"/enrollments/{second['id']}", person).get_json()["percent"] == 75
    cohorts.academy.assert_books_balance()


def test_both_histories_and_the_log_tell_of_it(cohorts: Cohorts) -> None:
    person = cohorts.academy.person()
    first_id = cohorts.enroll(person)
    second_id = cohorts.transfer(first_id).get_json()["id"]
    for enrollment_id, last in ((first_id, "transferred"), (second_id, "transferred_in")):
        path = f"/enrollments/{enrollment_id}/changes"
        change = cohorts.academy.get(path, person).get_json()["items"][-1]
        assert (change["reason"], change["actor_id"]) == (last, str(cohorts.teacher.id))
        events = cohorts.academy.rows(
            "SELECT after ->> 'reason' AS reason FROM audit_events"
            " WHERE subject_id = :id AND action = 'enrollment.transfer'",
            id=UUID(enrollment_id),
        )
        assert events == [{"reason": BECAUSE}]


def test_progress_counts_in_the_version_of_the_other_run(cohorts: Cohorts) -> None:
    person = cohorts.academy.person()
    first_id = cohorts.enroll(person)
    cohorts.learn(person, first_id, 2)
    later = cohorts.run(cohorts.next_version(added=1))
    assert cohorts.transfer(first_id, later).get_json()["percent"] == 40


def test_who_has_done_all_that_the_other_version_requires_is_completed(cohorts: Cohorts) -> None:
    person = cohorts.academy.person()
    first_id = cohorts.enroll(person)
    cohorts.learn(person, first_id, 2)
    shorter = cohorts.run(cohorts.next_version(without=2))
    second = cohorts.transfer(first_id, shorter).get_json()
    assert (second["state"], second["percent"]) == ("completed", 100)
    assert second["completed_at"] is not None


def test_the_payment_goes_along(cohorts: Cohorts) -> None:
    academy = cohorts.academy
    person = academy.person(money=2 * PRICE)
    day, evening = cohorts.run(price=PRICE), cohorts.run(price=2 * PRICE)
    first_id = cohorts.enroll(person, day, paid=True)

    assert cohorts.transfer(first_id, evening).status_code == 403
    second = cohorts.transfer(first_id, evening, by=academy.person("admin")).get_json()

    assert second["payment_id"] is not None
    assert academy.balance(person) == PRICE
    academy.assert_books_balance()
    withdrawal = academy.post(f"/enrollments/{second['id']}/withdraw", person).get_json()
    assert withdrawal["refund"]["amount"]["amount"] == PRICE
    assert academy.balance(person) == 2 * PRICE
    academy.assert_books_balance()


def test_only_admins_transfer_to_a_seat_that_costs_more_than_was_paid(cohorts: Cohorts) -> None:
    first_id = cohorts.enroll(cohorts.academy.person())
    paid = cohorts.run(price=PRICE)
    answer = cohorts.transfer(first_id, paid)
    assert (answer.status_code, answer.get_json()["required"]) == (403, "admin")
    assert cohorts.transfer(first_id, paid, by=cohorts.academy.person("admin")).status_code == 201


def test_the_refund_policy_stays_the_one_under_which_it_was_paid(cohorts: Cohorts) -> None:
    academy = cohorts.academy
    person = academy.person(money=PRICE)
    day, evening = cohorts.run(price=PRICE), cohorts.run(price=PRICE)
    first_id = cohorts.enroll(person, day, paid=True)
    academy.execute_as_owner(
        "UPDATE course_runs SET starts_at = now() - interval '1 hour' WHERE id = :id", id=day
    )
    second = cohorts.transfer(first_id, evening).get_json()
    quote = academy.get(f"/payments/{second['payment_id']}/refund-quote", person).get_json()
    assert (quote["amount"]["amount"], quote["nothing_because"]) == (0, "after_last_step")


def test_the_other_runs_cancellation_gives_the_payment_back(cohorts: Cohorts) -> None:
    academy = cohorts.academy
    person = academy.person(money=PRICE)
    day, evening = cohorts.run(price=PRICE), cohorts.run(price=PRICE)
    first_id = cohorts.enroll(person, day, paid=True)
    second_id = cohorts.transfer(first_id, evening).get_json()["id"]
    admin, body = academy.person("admin"), {"reason": "The instructor has fallen ill."}

    academy.post(f"/runs/{day}/cancel", admin, body)
    assert academy.work(CANCEL_RUN, day) == []
    academy.post(f"/runs/{evening}/cancel", admin, body)
    academy.do_work(CANCEL_RUN, evening)

    assert academy.get(f"/enrollments/{second_id}", person).get_json()["state"] == "withdrawn"
    assert academy.balance(person) == PRICE
    academy.assert_books_balance()


def test_who_was_transferred_may_enroll_in_the_earlier_run_again(cohorts: Cohorts) -> None:
    academy = cohorts.academy
    person = academy.person(money=2 * PRICE)
    day, evening = cohorts.run(price=PRICE), cohorts.run(price=PRICE)
    cohorts.transfer(cohorts.enroll(person, day, paid=True), evening)
    assert cohorts.enroll(person, day, paid=True)
    assert academy.balance(person) == 0
    academy.assert_books_balance()


def test_books_with_a_transferred_payment_reconcile(cohorts: Cohorts) -> None:
    academy = cohorts.academy
    person = academy.person(money=PRICE)
    day, evening = cohorts.run(price=PRICE), cohorts.run(price=PRICE)
    cohorts.transfer(cohorts.enroll(person, day, paid=True), evening)
    report = reconcile(partial(academy.database.transaction, academy.scope), provider=None)
    assert [one for one in report.findings if one.check.startswith("payment")] == []


def test_the_seat_that_is_left_is_offered_to_who_waits_for_it(cohorts: Cohorts) -> None:
    academy = cohorts.academy
    day = cohorts.run(capacity=1)
    first_id = cohorts.enroll(academy.person(), day)
    body = {"payment": {"method": "free"}, "wait": True}
    waiting = academy.post(f"/runs/{day}/enrollments", academy.person(), body).get_json()
    cohorts.transfer(first_id)
    academy.do_work(OFFER_SEATS, day)
    admin = academy.person("admin")
    path = f"/enrollments/{waiting['enrollment']['id']}"
    assert academy.get(path, admin).get_json()["state"] == "active"


def test_a_full_run_takes_nobody(cohorts: Cohorts) -> None:
    evening = cohorts.run(capacity=1)
    cohorts.enroll(cohorts.academy.person(), evening)
    person = cohorts.academy.person()
    first_id = cohorts.enroll(person)
    answer = cohorts.transfer(first_id, evening)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"], problem["capacity"]) == (409, "run_full", 1)
    path = f"/enrollments/{first_id}"
    assert cohorts.academy.get(path, person).get_json()["state"] == "active"


def test_what_is_not_possible_says_why(cohorts: Cohorts) -> None:
    academy = cohorts.academy
    person = academy.person()
    first_id = cohorts.enroll(person)
    other_course = academy.run(price=0, teacher=cohorts.teacher)
    draft = cohorts.run(state="draft")
    assert cohorts.transfer(first_id, cohorts.day).get_json()["reason"] == "same_run"
    assert cohorts.transfer(first_id, other_course).get_json()["reason"] == "other_course"
    assert cohorts.transfer(first_id, UUID(first_id)).status_code == 404
    not_open = cohorts.transfer(first_id, draft).get_json()
    assert (not_open["reason"], not_open["run_state"]) == ("run_not_open", "draft")
    there_id = cohorts.enroll(person, cohorts.evening)
    there = cohorts.transfer(first_id).get_json()
    assert (there["code"], there["reason"]) == ("transfer_not_possible", "already_enrolled")
    assert there["enrollment_id"] == there_id


def test_only_who_is_active_is_transferred(cohorts: Cohorts) -> None:
    academy = cohorts.academy
    first_id = cohorts.enroll(academy.person())
    academy.post(f"/enrollments/{first_id}/suspend", cohorts.teacher, {"reason": "Paused."})
    answer = cohorts.transfer(first_id)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "transition_not_allowed")


def test_more_time_goes_along(cohorts: Cohorts) -> None:
    academy, today = cohorts.academy, now()
    day, evening = (cohorts.run(access_ends_at=today + timedelta(days=days)) for days in (100, 200))
    first_id = cohorts.enroll(academy.person(), day)
    until = today + timedelta(days=300)
    body = {"until": until.isoformat(), "reason": "Was ill."}
    academy.post(f"/enrollments/{first_id}/extend", cohorts.teacher, body)
    second = cohorts.transfer(first_id, evening).get_json()
    assert datetime.fromisoformat(second["access_ends_at"]) == until


def test_who_does_not_teach_the_course_transfers_nobody(cohorts: Cohorts) -> None:
    person = cohorts.academy.person()
    first_id = cohorts.enroll(person)
    assert cohorts.transfer(first_id, by=cohorts.academy.person("instructor")).status_code == 404
    assert cohorts.transfer(first_id, by=person).status_code == 403
    assert cohorts.transfer(first_id, by=cohorts.academy.person("admin")).status_code == 201


def test_learners_who_change_places_do_not_wait_for_one_another(cohorts: Cohorts) -> None:
    pairs = [
        (cohorts.enroll(cohorts.academy.person(), run_id), other)
        for _ in range(6)
        for run_id, other in (
            (cohorts.day, cohorts.evening),
            (cohorts.evening, cohorts.day),
        )
    ]
    answers = together(len(pairs), lambda number: cohorts.transfer(*pairs[number]))
    assert [answer.status_code for answer in answers] == [201] * len(pairs)
    assert cohorts.academy.seats_taken(cohorts.day) == 6
    cohorts.academy.assert_books_balance()
