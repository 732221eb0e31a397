"""Idempotency-Keys are forgotten after 30 days, but for those that still have something to end."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from jobs import housekeeping
from lms.checkout.old_keys import forget_old_keys
from lms.core.clock import now
from lms.core.queue import FORGET_KEYS, SETTLE_PAYMENT, enqueue_for
from tenants.session import PLATFORM
from tests.factories.money import Academy


def let_days_pass(academy: Academy, key: str, days: int) -> None:
    academy.execute_as_owner(
        "UPDATE idempotency_keys SET created_at = created_at - make_interval(days => :days),"
        " claimed_until = claimed_until - make_interval(days => :days) WHERE key = :key",
        key=key,
        days=days,
    )


def forget(academy: Academy, most: int = 1000) -> int:
    with academy.database.transaction(academy.scope) as session:
        return forget_old_keys(session, most=most)


def is_kept(academy: Academy, key: str) -> bool:
    return academy.rows("SELECT 1 FROM idempotency_keys WHERE key = :key", key=key) != []


def bought(academy: Academy) -> str:
    """The key of a purchase that was answered."""
    key = str(uuid4())
    answer = academy.enroll(academy.person(money=4900), academy.run(), key=key)
    assert answer.status_code == 201
    return key


def unanswered(academy: Academy, token: str) -> tuple[str, dict[str, Any]]:
    """The key of a purchase whose answer was never stored, and the purchase."""
    key, person = str(uuid4()), academy.person()
    purchase = academy.enroll(person, academy.run(), "provider", token=token, key=key).get_json()
    academy.forget_answer(key)
    return key, purchase


def test_an_answered_key_is_kept_for_thirty_days_and_then_forgotten(academy: Academy) -> None:
    kept, forgotten = bought(academy), bought(academy)
    let_days_pass(academy, kept, 29)
    let_days_pass(academy, forgotten, 30)
    assert forget(academy) == 1
    assert (is_kept(academy, kept), is_kept(academy, forgotten)) == (True, False)


def test_an_unanswered_key_is_kept_while_its_payment_is_open(academy: Academy) -> None:
    key, purchase = unanswered(academy, "tok_pending")
    let_days_pass(academy, key, 90)
    assert forget(academy) == 0
    academy.settle_at_provider(academy.recorded_name(purchase["payment"]["id"]))
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert forget(academy) == 1
    assert not is_kept(academy, key)


def test_an_unanswered_key_is_kept_while_the_provider_may_have_been_asked(academy: Academy) -> None:
    key, purchase = unanswered(academy, "tok_timeout_after_success")
    let_days_pass(academy, key, 90)
    assert forget(academy) == 0
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert forget(academy) == 1


def test_an_unanswered_key_is_kept_while_its_refund_is_open(academy: Academy) -> None:
    admin, key = academy.person("admin"), str(uuid4())
    token = "tok_pending_refund"
    purchase = academy.enroll(academy.person(), academy.run(), "provider", token=token).get_json()
    path = f"/payments/{purchase['payment']['id']}/refunds"
    refund_id = academy.post(path, admin, {}, key=key).get_json()["id"]
    academy.forget_answer(key)
    let_days_pass(academy, key, 90)
    # between a refusal and the next try, none is open
    set_outcome = "UPDATE provider_attempts SET outcome = :outcome WHERE subject_id = :id"
    academy.execute_as_owner(set_outcome, outcome="failed", id=refund_id)
    assert forget(academy) == 0
    academy.execute_as_owner(set_outcome, outcome="pending", id=refund_id)
    (row,) = academy.rows("SELECT * FROM refunds WHERE id = :id", id=UUID(refund_id))
    academy.settle_refund_at_provider(row["provider_refund_id"])
    academy.do_work(SETTLE_PAYMENT, refund_id)
    assert forget(academy) == 1


def test_an_old_key_whose_request_runs_just_now_is_kept(academy: Academy) -> None:
    key, _ = unanswered(academy, "tok_success")
    let_days_pass(academy, key, 90)
    academy.execute_as_owner(
        "UPDATE idempotency_keys SET claimed_until = now() + interval '30 seconds'"
        " WHERE key = :key",
        key=key,
    )
    assert forget(academy) == 0
    let_days_pass(academy, key, 1)
    assert forget(academy) == 1


def test_a_key_that_somebody_holds_is_left_for_the_next_day(academy: Academy) -> None:
    key = bought(academy)
    let_days_pass(academy, key, 31)
    hold = text("SELECT 1 FROM idempotency_keys WHERE key = :key FOR UPDATE")
    with academy.database.transaction(academy.scope) as session:
        session.execute(hold, {"key": key})
        assert forget(academy) == 0
    assert forget(academy) == 1


@pytest.mark.parametrize("at_once", [1, 2, 1000])
def test_the_worker_forgets_all_of_them_some_at_a_time(
    academy: Academy, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(housekeeping, "AT_ONCE", at_once)
    keys = [bought(academy) for _ in range(3)]
    for key in keys:
        let_days_pass(academy, key, 31)
    with academy.database.transaction(PLATFORM) as session:
        enqueue_for(session, FORGET_KEYS, {academy.organization_id: now()})
    academy.do_work(FORGET_KEYS, academy.organization_id)
    assert not any(is_kept(academy, key) for key in keys)
    assert academy.work(FORGET_KEYS, academy.organization_id) == []
