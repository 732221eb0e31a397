"""Storms against the running API and its workers: many who want few seats, many who leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import httpx

from tests.e2e.academy import Member, OnlineAcademy, run_members
from tests.e2e.test_two_cohorts import write_course
from tests.factories.money import together

STUDENTS = 200
SEATS = 10
LEAVING = 20
AT_ONCE = 50
"""Threads; each lets some of the students ask, one after the other."""


def free_run(academy: OnlineAcademy, capacity: int) -> tuple[Member, str]:
    """A run without a price; gives who teaches it, and the run."""
    teacher = academy.person("instructor")
    course = write_course(teacher)
    members = run_members(course["version_id"], "Open day", price=0, capacity=capacity)
    return teacher, teacher.post(f"/courses/{course['id']}/runs", members, expect=201)["id"]


def ask(student: Member, run_id: str) -> str:
    """Want a seat or else a place in the waiting list; gives the enrollment's state."""
    body = {"payment": {"method": "free"}, "wait": True}
    while True:
        try:
            answer = student.try_post(f"/runs/{run_id}/enrollments", body)
        except httpx.TransportError:
            continue
        if answer.status_code != 503:
            break
    assert answer.status_code in (201, 202), answer.text
    return answer.json()["enrollment"]["state"]


def test_ten_of_two_hundred_have_a_seat_and_the_others_wait_in_order(
    online: Callable[[], OnlineAcademy],
) -> None:
    academy = online()
    teacher, run_id = free_run(academy, SEATS)
    students = [academy.person() for _ in range(STUDENTS)]

    def some(thread: int) -> list[str]:
        return [ask(student, run_id) for student in students[thread::AT_ONCE]]

    states = [state for found in together(AT_ONCE, some) for state in found]

    assert Counter(states) == {"active": SEATS, "waitlisted": STUDENTS - SEATS}
    seats = teacher.get(f"/runs/{run_id}")["seats"]
    assert seats == {
        "capacity": SEATS,
        "taken": SEATS,
        "waitlisted": STUDENTS - SEATS,
        "available": 0,
    }
    waiting = [
        one
        for start in (1, 101)
        for one in teacher.get(f"/runs/{run_id}/waitlist", from_position=str(start), limit="100")[
            "items"
        ]
    ]
    since = [one["enrollment"]["waitlisted_at"] for one in waiting]
    assert (len(since), since) == (STUDENTS - SEATS, sorted(since))
    academy.assert_books_balance()


def test_twenty_who_leave_at_once_make_room_for_exactly_twenty(
    online: Callable[[], OnlineAcademy],
) -> None:
    academy = online()
    teacher, run_id = free_run(academy, LEAVING)
    seated = [academy.person() for _ in range(LEAVING)]
    ids = [student.enroll(run_id, "free")["id"] for student in seated]
    waiting = [academy.person() for _ in range(LEAVING + 10)]
    for student in waiting:
        assert ask(student, run_id) == "waitlisted"
    order = [
        one["enrollment"]["id"]
        for one in teacher.get(f"/runs/{run_id}/waitlist", limit="100")["items"]
    ]

    together(LEAVING, lambda number: seated[number].post(f"/enrollments/{ids[number]}/withdraw"))

    academy.eventually(lambda: teacher.get(f"/runs/{run_id}")["seats"]["waitlisted"] == 10)
    assert teacher.get(f"/runs/{run_id}")["seats"]["taken"] == LEAVING
    states = [teacher.enrollment(enrollment_id)["state"] for enrollment_id in order]
    assert states == ["active"] * LEAVING + ["waitlisted"] * 10
    academy.assert_books_balance()
