"""The machine's books, read from the database and written by the model, in the same words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import text

from lms.core.queue import EXPIRE_ENROLLMENT, SETTLE_PAYMENT
from tests.factories.money import Academy
from tests.lms.checkout.money_machine.model import Model
from tests.lms.checkout.money_machine.things import Asked, Learner, Purchase, Refund

Books = dict[str, dict[str, Any]]
"""By kind of thing, and by id."""

QUERIES = {
    "wallets": "SELECT user_id AS id, balance, seq FROM wallets WHERE seq > 0",
    "seats": "SELECT run_id AS id, taken FROM run_seats",
    "payments": "SELECT p.id, p.state, p.live, p.refunded_amount, p.discount_amount, p.coupon_used,"
    " e.id, e.state FROM payments p JOIN enrollments e ON e.payment_id = p.id",
    "coupons": "SELECT code, uses FROM coupons",
    "uses": "SELECT c.code || l.user_id, l.uses FROM coupon_learners l"
    " JOIN coupons c ON c.id = l.coupon_id WHERE l.uses > 0",
    "top_ups": "SELECT id, state FROM wallet_top_ups",
    "refunds": "SELECT id, payment_id, amount, destination, state FROM refunds",
    "tries": "SELECT subject_id AS id, 'open' FROM provider_attempts"
    " WHERE outcome IN ('unknown', 'pending')",
    "work": "SELECT subject_id AS id, kind FROM platform.work WHERE state = 'waiting'",
    "receipts": "SELECT 'all', count(*), COALESCE(max(number), 0) FROM receipts",
}
IDENTIFY = """
    SELECT k.subject_id AS id, e.id AS enrollment_id
      FROM idempotency_keys k LEFT JOIN enrollments e ON e.payment_id = k.subject_id
     WHERE k.key = :key
"""
PAGE = 7


def read(academy: Academy) -> Books:
    """Read what the database holds."""
    with academy.database.transaction(academy.scope) as session:
        return {
            kind: {
                str(row[0]): tuple(
                    str(value) if isinstance(value, UUID) else value for value in row[1:]
                )
                for row in session.execute(text(query))
            }
            for kind, query in QUERIES.items()
        }


def predict(model: Model) -> Books:
    """Write what the model says that it should hold."""
    asked: list[Asked] = [*model.charges, *model.refunds]
    work = {one.id: (SETTLE_PAYMENT,) for one in asked if one.has_work}
    holds = {p.enrollment_id: (EXPIRE_ENROLLMENT,) for p in model.purchases if p.has_hold_work}
    return {
        "wallets": {str(o.person.id): (o.balance, o.rows) for o in model.learners if o.rows},
        "seats": {str(run.id): (model.taken(run),) for run in model.runs},
        "payments": {
            p.id: (
                *(p.state, p.live, p.refunded, p.run.price - p.amount, p.uses_coupon),
                *(p.enrollment_id, p.enrollment),
            )
            for p in model.purchases
        },
        "coupons": {coupon.code: (coupon.uses.total(),) for coupon in model.coupons},
        "uses": {
            f"{coupon.code}{learner.person.id}": (count,)
            for coupon in model.coupons
            for learner, count in coupon.uses.items()
            if count
        },
        "top_ups": {top_up.id: (top_up.state,) for top_up in model.top_ups},
        "refunds": {
            r.id: (r.purchase.id, r.amount, "wallet" if r.to_wallet else "provider", r.state)
            for r in model.refunds
        },
        "tries": {one.id: ("open",) for one in asked if one.is_tried},
        "work": work | holds,
        "receipts": {"all": (model.receipts, model.receipts)},
    }


def differences(found: Books, predicted: Books) -> Iterator[str]:
    """Say in lines what differs."""
    for kind, rows in predicted.items():
        for name in sorted({*rows, *found[kind]}):
            should, does = rows.get(name), found[kind].get(name)
            if should != does:
                yield f"{kind} {name}: {should} was predicted, {does} is found"


def identify(academy: Academy, made: Asked, key: str) -> None:
    """Give what a request made its id: the subject of the request's key."""
    (row,) = academy.rows(IDENTIFY, key=key)
    made.id = str(row["id"])
    if isinstance(made, Purchase):
        made.enrollment_id = str(row["enrollment_id"])


def identify_late_refund(academy: Academy, refund: Refund) -> None:
    """Give a refund that nobody asked for its id."""
    sql = "SELECT id FROM refunds WHERE payment_id = :id AND created_by IS NULL"
    for row in academy.rows(sql, id=UUID(refund.purchase.id)):
        refund.id = str(row["id"])


def check_statement(academy: Academy, learner: Learner) -> None:
    """Follow a learner's statement line by line, over its pages."""
    balance, seqs, query = 0, list[int](), {"limit": str(PAGE)}
    while True:
        page = academy.get("/wallet/statement", learner.person, **query).get_json()
        for row in page["items"]:
            balance += row["amount"]["amount"]
            seqs.append(row["seq"])
            if row["balance_after"]["amount"] != balance:
                raise AssertionError(f"{row} does not follow from the one before")
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    told = (page["opening_balance"]["amount"], page["closing_balance"]["amount"])
    if (told, balance) != ((0, learner.balance), learner.balance):
        raise AssertionError(f"from {told[0]} to {told[1]}, rows add up to {balance}: {learner}")
    if seqs != list(range(1, learner.rows + 1)):
        raise AssertionError(f"rows {seqs}, but {learner.rows} were predicted")
