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

Found = set[tuple[str, str, str]]
"""Check, subject type, subject id; `{name}` stands for one of the academy's ids."""


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
    assert [row["kind"] for row in kinds] == ["adjustment", "deduction", "deposit", "refund"]
    states = healthy.rows("SELECT DISTINCT state FROM payments ORDER BY state")
    assert [row["state"] for row in states] == ["failed", "pending", "succeeded"]


RECEIPTS = (
    "DELETE FROM receipts",
    "DELETE FROM receipt_counters",
    "INSERT INTO receipt_counters VALUES (1999, 2)",
    (
        "INSERT INTO receipts (year, number, payment_id, user_id, amount, currency)"
        " SELECT 1999, 1, id, user_id, amount, currency FROM payments WHERE id = :payment"
    ),
    (
        "INSERT INTO receipts (year, number, refund_id, user_id, amount, currency)"
        " SELECT 1999, 2, r.id, p.user_id, r.amount, r.currency"
        " FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE r.id = :refund"
    ),
)
"""Good ones, alone in their year."""

PLANTED: dict[str, tuple[tuple[str, ...], Found]] = {
    "a balance that the journal does not explain": (
        ("UPDATE wallets SET balance = balance + 1 WHERE id = :wallet",),
        {("wallet_balance", "wallet", "{wallet}"), ("wallet_last_row", "wallet", "{wallet}")},
    ),
    "a wallet that counts a row that is not there": (
        ("UPDATE wallets SET seq = seq + 1 WHERE id = :wallet",),
        {("wallet_last_row", "wallet", "{wallet}")},
    ),
    "a lost row": (
        ("DELETE FROM wallet_transactions WHERE wallet_id = :wallet AND seq = 1",),
        {
            ("wallet_balance", "wallet", "{wallet}"),
            ("journal_sequence", "wallet_transaction", "{wallet}/2"),
            ("journal_chain", "wallet_transaction", "{wallet}/2"),
        },
    ),
    "a lost last row": (
        ("DELETE FROM wallet_transactions WHERE wallet_id = :wallet AND seq = 2",),
        {
            ("wallet_balance", "wallet", "{wallet}"),
            ("wallet_last_row", "wallet", "{wallet}"),
            ("payment_deduction", "payment", "{payment}"),
        },
    ),
    "a row with another balance": (
        (
            (
                "UPDATE wallet_transactions SET balance_after = balance_after + 1"
                " WHERE wallet_id = :wallet AND seq = 2"
            ),
        ),
        {
            ("journal_chain", "wallet_transaction", "{wallet}/2"),
            ("wallet_last_row", "wallet", "{wallet}"),
        },
    ),
    "a row in another currency": (
        ("UPDATE wallet_transactions SET currency = 'USD' WHERE wallet_id = :wallet AND seq = 1",),
        {("journal_currency", "wallet_transaction", "{wallet}/1")},
    ),
    "a row of another amount": (
        (
            (
                "UPDATE wallet_transactions SET amount = amount + 1"
                " WHERE wallet_id = :wallet AND seq = 2"
            ),
        ),
        {
            ("wallet_balance", "wallet", "{wallet}"),
            ("journal_chain", "wallet_transaction", "{wallet}/2"),
            ("deduction_payment", "wallet_transaction", "{wallet}/2"),
        },
    ),
    "a payment of another amount": (
        ("UPDATE payments SET amount = amount + 1 WHERE id = :payment",),
        {("deduction_payment", "wallet_transaction", "{wallet}/2")},
    ),
    "a deduction for nothing": (
        ("UPDATE wallet_transactions SET payment_id = NULL WHERE wallet_id = :wallet AND seq = 2",),
        {
            ("deduction_payment", "wallet_transaction", "{wallet}/2"),
            ("payment_deduction", "payment", "{payment}"),
        },
    ),
    "a deduction from somebody else's wallet": (
        ("UPDATE wallets SET user_id = :admin WHERE id = :wallet",),
        {("deduction_payment", "wallet_transaction", "{wallet}/2")},
    ),
    "a payment that was deducted twice": (
        (
            (
                "INSERT INTO wallet_transactions (wallet_id, seq, kind, amount, currency,"
                " balance_after, counter_account, payment_id, reference)"
                " SELECT wallet_id, 3, kind, amount, currency, balance_after + amount,"
                " counter_account, payment_id, 'twice' FROM wallet_transactions"
                " WHERE wallet_id = :wallet AND seq = 2"
            ),
            (
                "UPDATE wallets SET seq = t.seq, balance = t.balance_after"
                " FROM wallet_transactions t"
                " WHERE id = :wallet AND t.wallet_id = :wallet AND t.seq = 3"
            ),
        ),
        {("payment_deduction", "payment", "{payment}")},
    ),
    "a refund that was not posted": (
        ("UPDATE wallet_transactions SET refund_id = NULL WHERE refund_id = :refund",),
        {
            ("refund_posting", "refund", "{refund}"),
            ("refund_posting", "wallet_transaction", "{refunded_wallet}/3"),
        },
    ),
    "a refund that was posted though it failed": (
        ("UPDATE refunds SET state = 'failed' WHERE id = :refund",),
        {
            ("refund_posting", "refund", "{refund}"),
            ("refunded_amount", "payment", "{refunded_payment}"),
        },
    ),
    "a refund of another amount": (
        ("UPDATE refunds SET amount = amount - 1 WHERE id = :refund",),
        {
            ("refund_posting", "refund", "{refund}"),
            ("refunded_amount", "payment", "{refunded_payment}"),
        },
    ),
    "a refund in somebody else's wallet": (
        ("UPDATE wallets SET user_id = :admin WHERE id = :refunded_wallet",),
        {
            ("refund_posting", "refund", "{refund}"),
            ("deduction_payment", "wallet_transaction", "{refunded_wallet}/2"),
        },
    ),
    "a deposit though the top-up failed": (
        ("UPDATE wallet_top_ups SET state = 'failed' WHERE id = :top_up",),
        {("top_up_deposit", "top_up", "{top_up}")},
    ),
    "a top-up without its deposit": (
        ("UPDATE wallet_top_ups SET state = 'succeeded' WHERE id = :open_top_up",),
        {("top_up_deposit", "top_up", "{open_top_up}")},
    ),
    "a deposit from nowhere": (
        ("UPDATE wallet_transactions SET top_up_id = NULL WHERE top_up_id = :top_up",),
        {
            ("top_up_deposit", "top_up", "{top_up}"),
            ("top_up_deposit", "wallet_transaction", "{topped_up_wallet}/1"),
        },
    ),
    "a payment without its enrollment": (
        ("UPDATE enrollments SET payment_id = NULL WHERE id = :enrollment",),
        {("payment_enrollment", "payment", "{payment}")},
    ),
    "somebody else's enrollment": (
        ("UPDATE enrollments SET user_id = :admin WHERE id = :enrollment",),
        {("payment_enrollment", "payment", "{payment}")},
    ),
    "a live enrollment whose payment is not": (
        ("UPDATE payments SET live = false WHERE id = :payment",),
        {("payment_live", "payment", "{payment}")},
    ),
    "a live payment whose enrollment ended": (
        ("UPDATE payments SET live = true WHERE id = :refunded_payment",),
        {("payment_live", "payment", "{refunded_payment}")},
    ),
    "an active enrollment that was not paid": (
        ("UPDATE enrollments SET state = 'active' WHERE id = :pending_enrollment",),
        {("enrollment_paid", "enrollment", "{pending_enrollment}")},
    ),
    "a pending enrollment that was paid": (
        ("UPDATE enrollments SET state = 'pending' WHERE id = :enrollment",),
        {("enrollment_paid", "enrollment", "{enrollment}")},
    ),
    "late money that was kept": (
        (
            "DELETE FROM refunds WHERE payment_id = :late_payment",
            "UPDATE payments SET refunded_amount = 0 WHERE id = :late_payment",
        ),
        {("late_money", "payment", "{late_payment}")},
    ),
    "a refunded amount without refunds": (
        ("UPDATE payments SET refunded_amount = 1 WHERE id = :payment",),
        {("refunded_amount", "payment", "{payment}")},
    ),
    "a seat that nobody has": (
        ("UPDATE run_seats SET taken = taken + 1 WHERE run_id = :run",),
        {("seats_taken", "run", "{run}")},
    ),
    "a run that counts no seats": (
        ("DELETE FROM run_seats WHERE run_id = :run",),
        {("seats_taken", "run", "{run}")},
    ),
    "a hold that was not ended": (
        (
            (
                "UPDATE enrollments SET hold_until = now() - interval '16 minutes'"
                " WHERE id = :pending_enrollment"
            ),
        ),
        {("hold_overdue", "enrollment", "{pending_enrollment}")},
    ),
    "a hold that will be ended any moment": (
        (
            (
                "UPDATE enrollments SET hold_until = now() - interval '14 minutes'"
                " WHERE id = :pending_enrollment"
            ),
        ),
        set(),
    ),
    "an open payment that nobody looks after": (
        ("DELETE FROM platform.work WHERE subject_id = :pending_payment",),
        {("work_lost", "payment", "{pending_payment}")},
    ),
    "an open payment whose work was given up": (
        (
            (
                "UPDATE platform.work SET state = 'failed', lease_until = NULL"
                " WHERE subject_id = :pending_payment AND state IN ('waiting', 'running')"
            ),
        ),
        {("work_lost", "payment", "{pending_payment}")},
    ),
    "an open try of a payment that is settled": (
        (
            "UPDATE provider_attempts SET outcome = 'unknown' WHERE subject_id = :card_payment",
            "DELETE FROM platform.work WHERE subject_id = :card_payment",
        ),
        {("work_lost", "payment", "{card_payment}")},
    ),
    "an open top-up that nobody looks after": (
        ("DELETE FROM platform.work WHERE subject_id = :open_top_up",),
        {("work_lost", "top_up", "{open_top_up}")},
    ),
    "an open refund that nobody looks after": (
        ("DELETE FROM platform.work WHERE subject_id = :open_refund",),
        {("work_lost", "refund", "{open_refund}")},
    ),
    "a hold that nobody will end": (
        ("DELETE FROM platform.work WHERE subject_id = :pending_enrollment",),
        {("work_lost", "enrollment", "{pending_enrollment}")},
    ),
    "an event that was kept for long": (
        (
            (
                "INSERT INTO webhook_events (provider, account, event_id, type, received_at)"
                " VALUES ('sandbox', 'a', 'e', 'payment.succeeded', now() - interval '25 hours')"
            ),
        ),
        {("event_unapplied", "webhook_event", "sandbox/a/e")},
    ),
    "an event that was kept today": (
        (
            (
                "INSERT INTO webhook_events (provider, account, event_id, type, received_at)"
                " VALUES ('sandbox', 'a', 'e', 'payment.succeeded', now() - interval '23 hours')"
            ),
        ),
        set(),
    ),
    "receipts as they should be": (RECEIPTS, set()),
    "a gap between receipts": (
        (*RECEIPTS, "UPDATE receipts SET number = 3 WHERE number = 2"),
        {("receipt_numbers", "receipt_year", "1999")},
    ),
    "a receipt's number that was lost": (
        (*RECEIPTS, "UPDATE receipt_counters SET last_number = 3"),
        {("receipt_numbers", "receipt_year", "1999")},
    ),
    "receipts that nobody counts": (
        (*RECEIPTS, "DELETE FROM receipt_counters"),
        {("receipt_numbers", "receipt_year", "1999")},
    ),
    "a receipt of another amount": (
        (*RECEIPTS, "UPDATE receipts SET amount = amount + 1 WHERE number = 1"),
        {("receipt_subject", "receipt", "1999/1")},
    ),
    "a receipt for somebody else": (
        (*RECEIPTS, "UPDATE receipts SET user_id = :admin WHERE number = 2"),
        {("receipt_subject", "receipt", "1999/2")},
    ),
    "a receipt for money that did not come": (
        (
            *RECEIPTS,
            (
                "UPDATE receipts SET payment_id = p.id, user_id = p.user_id FROM payments p"
                " WHERE p.id = :pending_payment AND number = 1"
            ),
        ),
        {("receipt_subject", "receipt", "1999/1")},
    ),
}


@pytest.mark.parametrize("wrong", PLANTED)
def test_what_is_wrong_is_found_and_nothing_else(
    healthy: Academy, ids: dict[str, UUID], wrong: str
) -> None:
    statements, expected = PLANTED[wrong]
    _, findings = books.find(healthy, statements, **ids)
    if all(check != "receipt_subject" for check, _, _ in expected):
        # What was changed may have a receipt, which then disagrees with it too.
        findings = [one for one in findings if one.check != "receipt_subject"]
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
