"""PostgreSQL goes away under load: 503 meanwhile, everything acknowledged there afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from tenants.engines import create_admin_engine
from tests.factories.jobs import until
from tests.factories.learning import LessonPlan, enroll, make_course
from tests.factories.money import Academy
from tests.faults.faults import Faults
from tests.faults.load import Heard, Load, in_threads
from tests.faults.stand import Stand, fresh_slug

PRICE = 100
RUNS_PER_RESTART = 30
"""More than a buyer can buy meanwhile."""

PURCHASE_PAUSE_SECONDS = 0.15
AWAY_SECONDS = 1.0
BETWEEN_SECONDS = 1.5
SLOWEST_SECONDS = 3 * 5.0
"""Threefold what our own time-outs add up to: 3 s to connect, 2 s for a place in the pool."""

BACK_SECONDS = 30.0


@pytest.mark.parametrize(
    "restarts", [2, pytest.param(20, marks=pytest.mark.long)], ids=lambda n: f"{n} restarts"
)
def test_a_restart_of_postgresql_costs_503s_and_loses_nothing_acknowledged(
    stand: Stand, faults: Faults, restarts: int
) -> None:
    slug = fresh_slug("shop")
    academy = Academy(
        stand.app,
        stand.database,
        create_admin_engine(stand.postgres.admin_url),
        stand.make_organization(slug),
        slug,
    )
    teacher, learner = academy.person("instructor"), academy.person()
    plan = LessonPlan({"rule": "watched", "percent": 100}, video_seconds=100_000.0)
    course = make_course(stand.database, academy.organization_id, teacher, [plan])
    enrollment_id = enroll(stand.database, academy.organization_id, course, learner)
    academy.execute_as_owner("UPDATE run_seats SET taken = 1")
    progress_path = f"/enrollments/{enrollment_id}/lessons/{course.lessons[0].id}/progress"
    runs = [
        academy.run(price=PRICE, teacher=teacher) for _ in range(RUNS_PER_RESTART * (restarts + 1))
    ]
    buyers = [academy.person(money=PRICE * len(runs)) for _ in range(2)]
    load, reported = Load(stand, slug), list[int]()
    purchased: list[list[UUID]] = [[] for _ in buyers]

    def reports() -> Iterator[tuple[str, object, None]]:
        # Every other second, so that each report is an interval of its own.
        for second in range(0, 100_000, 2):
            yield progress_path, {"watched": [[second, second + 1]]}, None
            reported.append(second)

    def purchases(acknowledged: list[UUID]) -> Iterator[tuple[str, object, str]]:
        for run_id in runs:
            yield f"/runs/{run_id}/enrollments", {"payment": {"method": "wallet"}}, str(uuid4())
            acknowledged.append(run_id)

    def buy(number: int) -> None:
        requests, buyer = purchases(purchased[number]), buyers[number]
        load.write("purchase", "POST", requests, buyer, pause=PURCHASE_PAUSE_SECONDS)

    with in_threads(
        lambda: load.read("runs", "/runs", learner),
        lambda: load.read("progress", f"/enrollments/{enrollment_id}/progress", learner),
        lambda: load.write("report", "PUT", reports(), learner, pause=0.01),
        lambda: buy(0),
        lambda: buy(1),
        stop=load.stop,
    ):
        for number in range(restarts):
            time.sleep(BETWEEN_SECONDS)
            faults.stop_postgres("fast" if number % 2 else "immediate", AWAY_SECONDS)
        before = [len(acknowledged) for acknowledged in purchased]
        until(
            lambda: all(len(now) > then for now, then in zip(purchased, before, strict=True)),
            BACK_SECONDS,
        )

    print(load.summary())
    unexpected = [h for h in load.heard if h.status not in (200, 201) and not _is_a_refusal(h)]
    assert unexpected == []
    assert {h.what for h in load.heard if h.status == 503} >= {
        *("runs", "progress", "report", "purchase")
    }
    assert max(h.seconds for h in load.heard) < SLOWEST_SECONDS
    until(stand.is_ready, BACK_SECONDS)
    stand.reconnect()
    stored = academy.get(f"/enrollments/{enrollment_id}/progress", learner).get_json()
    assert stored["lessons"][0]["watched_seconds"] == len(reported)
    for buyer, acknowledged in zip(buyers, purchased, strict=True):
        bought = academy.rows(
            "SELECT run_id FROM payments WHERE user_id = :id AND state = 'succeeded'", id=buyer.id
        )
        assert sorted(row["run_id"] for row in bought) == sorted(acknowledged)
        assert academy.balance(buyer) == PRICE * (len(runs) - len(acknowledged))
        assert len(acknowledged) < len(runs), "nothing was left to buy before the last restart"
    academy.assert_books_balance()


def _is_a_refusal(heard: Heard) -> bool:
    """Whether an answer is one of those that ask to come back.

    A purchase whose answer could not be stored keeps its key for a while: the retry is told so.
    """
    return heard.code == "request_in_progress" or (heard.status == 503 and heard.proper)
