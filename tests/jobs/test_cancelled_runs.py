"""Workers that are killed in the middle of a cancelled run: everybody is given back once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from flask import Flask

from lms.app import create_app
from tenants.engines import create_admin_engine
from tests.factories.jobs import Stack, children_of, kill_all, until
from tests.factories.money import Academy

SECONDS = 60
"""Deadline for what takes about ten."""

LEARNERS = 120
PRICE = 4900


@pytest.fixture(scope="session")
def stack_app(own_servers: Stack) -> Iterator[Flask]:
    app = create_app(own_servers.settings)
    yield app
    app.extensions["edge"].database.dispose()


@pytest.fixture
def academy(stack: Stack, stack_app: Flask, new_organization: Callable[[], UUID]) -> Academy:
    organization_id = new_organization()
    engine = create_admin_engine(stack.postgres.admin_url)
    slug = f"org-{organization_id.hex[-12:]}"
    return Academy(stack_app, stack.database, engine, organization_id, slug)


def test_a_run_is_worked_off_once_though_its_workers_are_killed(
    stack: Stack, academy: Academy
) -> None:
    admin, run_id = academy.person("admin"), academy.run(price=PRICE)
    learners = [academy.person(money=PRICE) for _ in range(LEARNERS)]
    for learner in learners:
        assert academy.enroll(learner, run_id).status_code == 201
    answer = academy.post(f"/runs/{run_id}/cancel", admin, {"reason": "Too few instructors."})
    assert answer.get_json()["enrollments_left"] == LEARNERS

    def left() -> int:
        return academy.get(f"/runs/{run_id}", admin).get_json()["enrollments_left"]

    stack.start("jobs.dispatch")
    for share in (4, 2):
        worker = stack.start("jobs.worker", "default")
        goal = LEARNERS - LEARNERS // share
        until(lambda goal=goal: left() <= goal, SECONDS)
        kill_all([*children_of(worker.pid), worker.pid])
        assert left() > 0
    stack.start("jobs.worker", "default")
    until(lambda: left() == 0, SECONDS)

    refunds = academy.rows("SELECT amount, count(*) FROM refunds GROUP BY amount")
    assert refunds == [{"amount": PRICE, "count": LEARNERS}]
    assert {academy.balance(learner) for learner in learners} == {PRICE}
    assert academy.seats_taken(run_id) == 0
    academy.assert_books_balance()
