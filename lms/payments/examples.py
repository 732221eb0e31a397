"""Answers as clients will see them, for the document."""

from __future__ import annotations

from typing import Any

WALLET: dict[str, Any] = {
    "id": "0193a1c2-7f00-7000-8000-000000000006",
    "balance": {"amount": 5100, "currency": "EUR"},
    "owed": {"amount": 0, "currency": "EUR"},
    "frozen_at": None,
    "created_at": "2027-01-08T16:00:00Z",
}
ADJUSTMENT: dict[str, Any] = {
    "seq": 3,
    "kind": "adjustment",
    "amount": {"amount": -2500, "currency": "EUR"},
    "balance_after": {"amount": 5100, "currency": "EUR"},
    "counter_account": "manual",
    "payment_id": None,
    "refund_id": None,
    "top_up_id": None,
    "grant_id": None,
    "reason": "Paid 25.00 EUR too much in cash",
    "created_at": "2027-01-08T16:30:00Z",
}
GRANT: dict[str, Any] = {
    "id": "0193a1c2-7f00-7000-8000-000000000009",
    "total": {"amount": 250000, "currency": "EUR"},
    "reason": "Scholarship 2027",
    "created_by": "0193a1c2-7f00-7000-8000-000000000003",
    "created_at": "2027-01-08T16:40:00Z",
}
TOP_UP: dict[str, Any] = {
    "id": "0193a1c2-7f00-7000-8000-000000000007",
    "amount": {"amount": 10000, "currency": "EUR"},
    "reversed_amount": {"amount": 0, "currency": "EUR"},
    "state": "succeeded",
    "provider": "sandbox",
    "failure_code": None,
    "client_secret": None,
    "succeeded_at": "2027-01-08T16:10:01Z",
    "created_at": "2027-01-08T16:10:00Z",
}
PAYMENT: dict[str, Any] = {
    "id": "0193a1c2-7f00-7000-8000-000000000004",
    "user_id": "0193a1c2-7f00-7000-8000-000000000002",
    "run_id": "0193a1c2-7f00-7000-8000-000000000001",
    "amount": {"amount": 4900, "currency": "EUR"},
    "list_price": {"amount": 4900, "currency": "EUR"},
    "discount": {"amount": 0, "currency": "EUR"},
    "coupon": None,
    "refunded_amount": {"amount": 0, "currency": "EUR"},
    "refund_state": "none",
    "dispute_state": "none",
    "disputed_at": None,
    "lost_amount": {"amount": 0, "currency": "EUR"},
    "method": "wallet",
    "state": "succeeded",
    "provider": None,
    "failure_code": None,
    "succeeded_at": "2027-01-08T16:20:00Z",
    "created_at": "2027-01-08T16:20:00Z",
}
DISPUTE: dict[str, Any] = {
    "id": "0193a1c2-7f00-7000-8000-00000000000a",
    "payment_id": "0193a1c2-7f00-7000-8000-000000000004",
    "top_up_id": None,
    "user_id": "0193a1c2-7f00-7000-8000-000000000002",
    "provider": "stripe",
    "provider_dispute_id": "du_1MtJUT2eZvKYlo2C",
    "amount": {"amount": 4900, "currency": "EUR"},
    "kind": "chargeback",
    "status": "needs_response",
    "reason": "fraudulent",
    "evidence_due_at": "2027-02-01T23:59:59Z",
    "opened_at": "2027-01-18T07:30:00Z",
    "closed_at": None,
}
RECEIPT: dict[str, Any] = {
    "number": "2027-000042",
    "kind": "payment",
    "academy": "Acme Academy",
    "user_id": "0193a1c2-7f00-7000-8000-000000000002",
    "name": "Dana Reyes",
    "email": "dana@acme.example",
    "course_title": "Coffee roasting",
    "run_title": "January cohort",
    "amount": {"amount": 4900, "currency": "EUR"},
    "list_price": {"amount": 4900, "currency": "EUR"},
    "discount": {"amount": 0, "currency": "EUR"},
    "coupon": None,
    "payment_id": "0193a1c2-7f00-7000-8000-000000000004",
    "top_up_id": None,
    "refund_id": None,
    "issued_at": "2027-01-08T16:20:00Z",
}
PAYMENT_ACCOUNT: dict[str, Any] = {
    "provider": "stripe",
    "publishable_key": "pk_test_51Hq8",
    "secret_key_last4": "1Hq8",
    "webhook_secret_last4": "8Kq2",
    "created_at": "2027-01-04T09:00:00Z",
    "updated_at": "2027-01-04T09:00:00Z",
    "open": {"payments": 1, "top_ups": 0, "refunds": 0, "disputes": 0},
}
REFUND: dict[str, Any] = {
    "id": "0193a1c2-7f00-7000-8000-000000000008",
    "payment_id": "0193a1c2-7f00-7000-8000-000000000004",
    "amount": {"amount": 4900, "currency": "EUR"},
    "destination": "wallet",
    "state": "succeeded",
    "failure_code": None,
    "reason": "withdrawn, 100 %",
    "succeeded_at": "2027-01-09T08:00:00Z",
    "created_at": "2027-01-09T08:00:00Z",
}
