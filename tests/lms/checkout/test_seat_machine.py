"""Seats and waiting lists under every sequence of steps, against a plain model of them."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lms.core.clock import now
from lms.core.queue import EXPIRE_ENROLLMENT, OFFER_SEATS
from tests.factories.money import Academy
from tests.factories.people import Person
from tests.lms.checkout.waiting import PRICE, accept, ask, let_hold_run_out

LEARNERS = 6
STEPS = 40
SHORT_EXAMPLES = 25
LONG_EXAMPLES = 100
RICH = 1_000_000
BECAUSE = {"reason": "Asked for."}
ENDS = {
    "active": "withdrawn",
    "suspended": "withdrawn",
    "offered": "cancelled",
    "waiting": "cancelled",
}
STANDS = {
    "active": ("active", None),
    "suspended": ("suspended", None),
    "completed": ("completed", None),
    "offered": ("pending", "offer"),
    "waiting": ("waitlisted", None),
    "withdrawn": ("withdrawn", None),
    "cancelled": ("cancelled", None),
    "expired": ("expired", None),
}
"""What the model calls it, and how the enrollment says it."""

OUTSIDE = (None, "withdrawn", "cancelled", "expired")
"""Who may enroll, for the first time or again."""

STEPS_OF_STAFF = {
    "suspend": ("active", "suspended"),
    "reinstate": ("suspended", "active"),
    "reopen": ("completed", "active"),
    "decline": ("waiting", "cancelled"),
}

learners = st.integers(0, LEARNERS - 1)


class SeatMachine(RuleBasedStateMachine):
    """One run, a few learners, and what each of them is in it."""

    def __init__(self, academy: Academy, met: Counter[str]) -> None:
        super().__init__()
        self.academy, self.met = academy, met
        self.capacity = 1
        self.run_id: UUID = academy.run(price=PRICE, capacity=self.capacity)
        self.admin: Person = academy.person("admin")
        self.people = [academy.person(money=RICH) for _ in range(LEARNERS)]
        self.ids: list[str | None] = [None] * LEARNERS
        self.states: list[str | None] = [None] * LEARNERS
        self.line: list[int] = []

    # --- the model

    @property
    def taken(self) -> int:
        seated = ("active", "suspended", "completed", "offered")
        return sum(state in seated for state in self.states)

    def any_in(self, *states: str | None) -> bool:
        return any(state in states for state in self.states)

    def one_in(self, number: int, *states: str | None) -> int:
        """One of the learners who are in these states."""
        those = [one for one, state in enumerate(self.states) if state in states]
        return those[number % len(those)]

    def put(self, number: int, state: str) -> None:
        self.met[f"{self.states[number]} -> {state}"] += 1
        self.states[number] = state

    def ask_staff(self, number: int, step: str, **body: Any) -> Any:
        path = f"/enrollments/{self.ids[number]}/{step}"
        return self.academy.post(path, self.admin, {**body, **BECAUSE})

    # --- what learners do

    @precondition(lambda self: self.any_in(*OUTSIDE))
    @rule(number=learners, wait=st.sampled_from((True, True, True, False)))
    def want_a_seat(self, number: int, wait: bool) -> None:
        number = self.one_in(number, *OUTSIDE)
        answer = ask(self.academy, self.people[number], self.run_id, wait=wait)
        if self.taken + len(self.line) < self.capacity:
            assert answer.status_code == 201, answer.text
            self.put(number, "active")
        elif wait:
            assert answer.status_code == 202, answer.text
            self.put(number, "waiting")
            self.line.append(number)
        else:
            assert answer.get_json()["code"] == "run_full"
            return
        self.ids[number] = answer.get_json()["enrollment"]["id"]

    @precondition(lambda self: self.any_in(*ENDS, "completed"))
    @rule(number=learners)
    def want_a_second_seat(self, number: int) -> None:
        number = self.one_in(number, *ENDS, "completed")
        answer = ask(self.academy, self.people[number], self.run_id)
        assert answer.get_json()["code"] == "already_enrolled"

    @precondition(lambda self: self.any_in(*ENDS))
    @rule(number=learners)
    def leave(self, number: int) -> None:
        number = self.one_in(number, *ENDS)
        state = self.states[number] or ""
        path = f"/enrollments/{self.ids[number]}/withdraw"
        answer = self.academy.post(path, self.people[number])
        assert answer.status_code == 200, answer.text
        if state == "waiting":
            self.line.remove(number)
        self.put(number, ENDS[state])

    @precondition(lambda self: self.any_in("offered"))
    @rule(number=learners)
    def accept_an_offer(self, number: int) -> None:
        number = self.one_in(number, "offered")
        answer = accept(self.academy, self.people[number], self.ids[number] or "")
        assert answer.status_code == 201, answer.text
        self.put(number, "active")

    # --- what staff do

    @rule(number=learners, step=st.sampled_from(tuple(STEPS_OF_STAFF)))
    def change(self, number: int, step: str) -> None:
        before, after = STEPS_OF_STAFF[step]
        if self.any_in(before):
            number = self.one_in(number, before)
            answer = self.ask_staff(number, step)
            assert answer.status_code == 200, answer.text
            if before == "waiting":
                self.line.remove(number)
            self.put(number, after)

    @precondition(lambda self: self.any_in("active"))
    @rule(number=learners)
    def complete(self, number: int) -> None:
        number = self.one_in(number, "active")
        self.academy.execute_as_owner(
            "UPDATE enrollments SET state = 'completed', completed_at = now() WHERE id = :id",
            id=self.ids[number],
        )
        self.put(number, "completed")

    @rule(number=learners)
    def what_is_not_possible_is_refused(self, number: int) -> None:
        if self.ids[number] is None:
            return
        state, person = self.states[number], self.people[number]
        for step, (before, _after) in STEPS_OF_STAFF.items():
            if state != before:
                assert self.ask_staff(number, step).status_code == 409
        if state != "offered":
            answer = accept(self.academy, person, self.ids[number] or "")
            assert answer.get_json()["code"] == "offer_not_open"
        if state not in ENDS:
            answer = self.academy.post(f"/enrollments/{self.ids[number]}/withdraw", person)
            assert answer.get_json()["code"] == "transition_not_allowed"

    @rule(number=learners)
    def extend(self, number: int) -> None:
        if self.ids[number] is None:
            return
        until = (now() + timedelta(days=2)).isoformat()
        answer = self.ask_staff(number, "extend", until=until)
        if self.states[number] == "offered":
            assert answer.status_code in (200, 422), answer.text  # it may have that time already
        else:
            assert answer.get_json()["code"] == "nothing_to_extend"

    @precondition(lambda self: self.capacity < LEARNERS // 2)
    @rule()
    def make_room_for_one_more(self) -> None:
        self.capacity += 1
        answer = self.academy.app.test_client().patch(
            f"/api/v1/runs/{self.run_id}",
            base_url=f"http://{self.academy.slug}.localhost",
            headers=self.admin.headers,
            json={"capacity": self.capacity},
        )
        assert answer.status_code == 200, answer.text

    # --- what happens by itself

    @precondition(lambda self: self.any_in("offered"))
    @rule(number=learners)
    def an_offer_lapses(self, number: int) -> None:
        number = self.one_in(number, "offered")
        let_hold_run_out(self.academy, self.ids[number] or "")
        self.academy.do_work(EXPIRE_ENROLLMENT, self.ids[number] or "")
        self.put(number, "expired")

    @precondition(lambda self: bool(self.line) and self.taken < self.capacity)
    @rule()
    def seats_are_offered(self) -> None:
        self.academy.do_work(OFFER_SEATS, self.run_id)
        while self.line and self.taken < self.capacity:
            self.put(self.line.pop(0), "offered")

    # --- what always holds

    @invariant()
    def everybody_is_where_the_model_says(self) -> None:
        rows: list[dict[str, Any]] = self.academy.rows(
            "SELECT id, state, awaiting, percent FROM enrollments WHERE run_id = :id",
            id=self.run_id,
        )
        found = {str(row["id"]): (row["state"], row["awaiting"]) for row in rows}
        for enrollment_id, state in zip(self.ids, self.states, strict=True):
            if enrollment_id is not None and state is not None:
                assert found[enrollment_id] == STANDS[state]

    @invariant()
    def seats_are_counted(self) -> None:
        (seats,) = self.academy.rows(
            "SELECT capacity, taken, waitlisted FROM run_seats WHERE run_id = :id", id=self.run_id
        )
        assert seats == {
            "capacity": self.capacity,
            "taken": self.taken,
            "waitlisted": len(self.line),
        }
        assert self.taken <= self.capacity

    @invariant()
    def nobody_is_overtaken(self) -> None:
        answer = self.academy.get(f"/runs/{self.run_id}/waitlist", self.admin).get_json()
        assert [one["enrollment"]["id"] for one in answer["items"]] == [
            self.ids[number] for number in self.line
        ]

    @invariant()
    def a_free_seat_is_looked_after_while_somebody_waits(self) -> None:
        if self.line and self.taken < self.capacity:
            assert len(self.academy.work(OFFER_SEATS, self.run_id)) == 1

    def teardown(self) -> None:
        self.academy.assert_books_balance()


def drive(academy: Academy, examples: int, *, derandomize: bool) -> Counter[str]:
    met: Counter[str] = Counter()
    run_state_machine_as_test(
        lambda: SeatMachine(academy, met),
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            derandomize=derandomize,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
    return met


def test_seats_are_whose_the_model_says(academy: Academy) -> None:
    met = drive(academy, SHORT_EXAMPLES, derandomize=True)
    assert {"None -> active", "None -> waiting", "waiting -> cancelled"} <= set(met), dict(met)


@pytest.mark.long
def test_seats_are_whose_the_model_says_after_many_steps(
    academy: Academy, capsys: pytest.CaptureFixture[str]
) -> None:
    met = drive(academy, LONG_EXAMPLES, derandomize=False)
    with capsys.disabled():
        print(f"\n{dict(met)}")
    assert {"offered -> active", "offered -> expired", "offered -> cancelled"} <= set(met)
