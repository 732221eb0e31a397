"""Each way in which books can be wrong is planted, and found by the check that is about it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import Engine

from lms.checkout.reconcile.books import CHECKS
from lms.checkout.reconcile.report import FINDINGS_SHOWN, Finding
from lms.core.ids import new_id
from tenants.session import Database
from tests.factories import books
from tests.factories.money import Academy
from tests.lms.checkout import (
    planted_bookings,
    planted_coupons,
    planted_disputes,
    planted_wallets,
)

PLANTED = {
    **planted_wallets.PLANTED,
    **planted_bookings.PLANTED,
    **planted_coupons.PLANTED,
    **planted_disputes.PLANTED,
}
ABOUT_RECEIPTS = {"receipt_subject", "receipt_missing"}


@pytest.fixture(scope="module")
def healthy(
    app_with_sandbox: Flask,
    database: Database,
    admin_engine: Engine,
    make_organization: Callable[..., UUID],
) -> Academy:
    """An organization of its own."""
    slug = f"books-{new_id().hex[-12:]}"
    return Academy(app_with_sandbox, database, admin_engine, make_organization(slug), slug)


@pytest.fixture(scope="module")
def ids(healthy: Academy) -> dict[str, UUID]:
    return books.move_money(healthy)


def test_books_with_every_kind_of_movement_agree(healthy: Academy, ids: dict[str, UUID]) -> None:
    report = books.check(healthy)
    assert report.findings == []
    assert [check.name for check in report.checks] == [check.name for check in CHECKS]
    kinds = healthy.rows("SELECT DISTINCT kind FROM wallet_transactions ORDER BY kind")
    assert [row["kind"] for row in kinds] == [
        *("adjustment", "deduction", "deposit", "refund", "reversal")
    ]
    states = healthy.rows("SELECT DISTINCT state FROM payments ORDER BY state")
    assert [row["state"] for row in states] == ["failed", "pending", "succeeded"]


@pytest.mark.parametrize("wrong", PLANTED)
def test_what_is_wrong_is_found_and_nothing_else(
    healthy: Academy, ids: dict[str, UUID], wrong: str
) -> None:
    statements, expected = PLANTED[wrong]
    _, findings = books.find(healthy, statements, **ids)
    if all(check not in ABOUT_RECEIPTS for check, _, _ in expected):
        # What was changed may have a receipt, which then disagrees with it too.
        findings = [one for one in findings if one.check not in ABOUT_RECEIPTS]
    seen = {(one.check, one.subject_type, one.subject_id) for one in findings}
    assert seen == {(check, kind, subject.format(**ids)) for check, kind, subject in expected}
    assert len(findings) == len(expected)
    assert all(one.expected != one.found for one in findings)


def test_every_check_was_seen_to_find_something() -> None:
    found = {check for _, expected in PLANTED.values() for check, _, _ in expected}
    assert found == {check.name for check in CHECKS}


def test_what_people_buy_meanwhile_is_no_difference(
    app_with_sandbox: Flask,
    database: Database,
    admin_engine: Engine,
    make_organization: Callable[..., UUID],
) -> None:
    slug = f"busy-{new_id().hex[-12:]}"
    busy = Academy(app_with_sandbox, database, admin_engine, make_organization(slug), slug)
    run_id, buyers = busy.run(), [busy.person(money=4900) for _ in range(24)]
    bought = threading.Event()

    def buy(number: int) -> None:
        method, token = ("wallet", None) if number % 3 else ("provider", "tok_success")
        purchase = busy.enroll(buyers[number], run_id, method, token=token).get_json()
        if number % 2:
            path = f"/enrollments/{purchase['enrollment']['id']}/withdraw"
            assert busy.post(path, buyers[number]).status_code == 200

    def look() -> list[Finding]:
        found: list[Finding] = []
        while not bought.is_set():
            found += books.check(busy).findings
        return found

    with ThreadPoolExecutor(5) as pool:
        looked = pool.submit(look)
        try:
            list(pool.map(buy, range(len(buyers))))
        finally:
            bought.set()
        assert looked.result() == []
    assert busy.seats_taken(run_id) == len(buyers) // 2
    assert books.check(busy).findings == []


def test_a_finding_says_what_was_expected_and_what_is_there(
    healthy: Academy, ids: dict[str, UUID]
) -> None:
    wrong = ("UPDATE wallets SET balance = balance + 1 WHERE id = :wallet",)
    _, findings = books.find(healthy, wrong, **ids)
    assert [(one.expected, one.found) for one in findings] == [
        ("9800 EUR", "9801 EUR"),
        ("row 2 with 9800", "row 2 with 9801"),
    ]


def test_a_check_lists_some_and_counts_all_in_an_order_that_stays(
    healthy: Academy, ids: dict[str, UUID]
) -> None:
    many = FINDINGS_SHOWN + 20
    wrong = (
        (
            "INSERT INTO webhook_events (provider, account, event_id, type, received_at)"
            " SELECT 'sandbox', 'a', 'e' || to_char(i, 'FM000'), 'x', now() - interval '2 days'"
            f" FROM generate_series({many}, 1, -1) i"
        ),
    )
    report, findings = books.find(healthy, wrong, **ids)
    assert report.total == many
    assert [one.subject_id for one in findings] == [
        f"sandbox/a/e{number:03}" for number in range(1, FINDINGS_SHOWN + 1)
    ]
