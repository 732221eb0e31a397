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
SHORT_EXAMPLES = 12
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

    def are_in(self, number: int, *states: str) -> bool:
        return self.states[number] in states

    def any_offered(self) -> bool:
        return "offered" in self.states

    def one_offered(self, number: int) -> int:
        offered = [one for one, state in enumerate(self.states) if state == "offered"]
        return offered[number % len(offered)]

    def put(self, number: int, state: str) -> None:
        self.met[f"{self.states[number]} -> {state}"] += 1
        self.states[number] = state

    def path(self, number: int, step: str) -> str:
        return f"/enrollments/{self.ids[number]}/{step}"

    # --- what learners do

    @rule(number=learners, wait=st.sampled_from((True, True, True, False)))
    def want_a_seat(self, number: int, wait: bool) -> None:
        answer = ask(self.academy, self.people[number], self.run_id, wait=wait)
        if self.are_in(number, *ENDS, "completed"):
            assert answer.get_json()["code"] == "already_enrolled"
            return
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

    @rule(number=learners)
    def leave(self, number: int) -> None:
        if self.ids[number] is not None:
            self.leave_as(number)

    def leave_as(self, number: int) -> None:
        answer = self.academy.post(self.path(number, "withdraw"), self.people[number])
        state = self.states[number] or ""
        if state not in ENDS:
            assert answer.get_json()["code"] == "transition_not_allowed"
            return
        assert answer.status_code == 200, answer.text
        if state == "waiting":
            self.line.remove(number)
        self.put(number, ENDS[state])

    @precondition(lambda self: self.any_offered())
    @rule(number=learners)
    def accept_an_offer(self, number: int) -> None:
        number = self.one_offered(number)
        answer = accept(self.academy, self.people[number], self.ids[number] or "")
        assert answer.status_code == 201, answer.text
        self.put(number, "active")

    @precondition(lambda self: self.any_offered())
    @rule(number=learners)
    def give_an_offer_back(self, number: int) -> None:
        self.leave_as(self.one_offered(number))

    @rule(number=learners)
    def accept_what_may_be_no_offer(self, number: int) -> None:
        if self.ids[number] is None:
            return
        answer = accept(self.academy, self.people[number], self.ids[number] or "")
        if self.are_in(number, "offered"):
            assert answer.status_code == 201, answer.text
            self.put(number, "active")
        else:
            assert answer.get_json()["code"] == "offer_not_open"

    # --- what staff do

    @rule(number=learners, step=st.sampled_from(("suspend", "reinstate", "reopen")))
    def change(self, number: int, step: str) -> None:
        if self.ids[number] is None:
            return
        before, after = {
            "suspend": ("active", "suspended"),
            "reinstate": ("suspended", "active"),
            "reopen": ("completed", "active"),
        }[step]
        answer = self.academy.post(self.path(number, step), self.admin, BECAUSE)
        if self.are_in(number, before):
            assert answer.status_code == 200, answer.text
            self.put(number, after)
        else:
            assert answer.get_json()["code"] == "transition_not_allowed"

    @rule(number=learners)
    def complete(self, number: int) -> None:
        if self.are_in(number, "active"):
            self.academy.execute_as_owner(
                "UPDATE enrollments SET state = 'completed', completed_at = now() WHERE id = :id",
                id=self.ids[number],
            )
            self.put(number, "completed")

    @rule(number=learners)
    def decline(self, number: int) -> None:
        if self.ids[number] is None:
            return
        answer = self.academy.post(self.path(number, "decline"), self.admin, BECAUSE)
        if self.are_in(number, "waiting"):
            assert answer.status_code == 200, answer.text
            self.line.remove(number)
            self.put(number, "cancelled")
        else:
            assert answer.get_json()["code"] == "nothing_to_approve"

    @rule(number=learners)
    def extend(self, number: int) -> None:
        if self.ids[number] is None:
            return
        body = {"until": (now() + timedelta(days=2)).isoformat(), **BECAUSE}
        answer = self.academy.post(self.path(number, "extend"), self.admin, body)
        is_open = self.are_in(number, "active", "suspended", "completed", "offered")
        assert answer.status_code == (200 if is_open else 409), answer.text

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

    @precondition(lambda self: self.any_offered())
    @rule(number=learners)
    def an_offer_lapses(self, number: int) -> None:
        number = self.one_offered(number)
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
        assert [one["id"] for one in answer["items"]] == [self.ids[number] for number in self.line]

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
    assert {"None -> active", "None -> waiting", "waiting -> offered"} <= set(met)


@pytest.mark.long
def test_seats_are_whose_the_model_says_after_many_steps(
    academy: Academy, capsys: pytest.CaptureFixture[str]
) -> None:
    met = drive(academy, LONG_EXAMPLES, derandomize=False)
    with capsys.disabled():
        print(f"\n{dict(met)}")
    assert {"offered -> active", "offered -> expired", "offered -> cancelled"} <= set(met)
