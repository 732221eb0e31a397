"""What learners, banks and people at the dashboard do at the sandbox: a real server, over HTTP."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from lms.payments.providers.base import ProviderEvent, ProviderPayment, ProviderRejected
from lms.payments.providers.sandbox import SandboxProvider
from lms.payments.providers.sandbox_disputes import PAGE
from tests.factories.provider_side import tls

if TYPE_CHECKING:
    from tests.lms.payments.providers.conftest import Inbox, StartSandbox


def pay(provider: SandboxProvider, token: str) -> ProviderPayment:
    return provider.create_payment(
        idempotency_key=str(uuid.uuid4()),
        amount=4900,
        currency="EUR",
        token=token,
        metadata={"payment": "0190f3a0"},
    )


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory, start_sandbox: StartSandbox) -> Iterator[str]:
    """A sandbox at which nothing happens by itself while a test runs; its address."""
    with start_sandbox(tmp_path_factory.mktemp("sandbox") / "sandbox.sqlite") as running:
        yield running.url


def ask(provider: SandboxProvider, path: str, body: Any = None) -> httpx.Response:
    """Ask as a dashboard does, past the adapter."""
    headers = {
        "Authorization": f"Bearer {provider.secret_key}",
        "Sandbox-Account": provider.account,
        "Idempotency-Key": str(uuid.uuid4()),
    }
    url = f"{provider.base_url}/v1{path}"
    return httpx.post(url, headers=headers, json=body, verify=tls())


def news(provider: SandboxProvider, inbox: Inbox, path: str, count: int) -> list[ProviderEvent]:
    return [
        provider.parse_webhook(one.body, one.signature, now=datetime.now(UTC))
        for one in inbox.wait(path, count)
    ]


# --- 3-D Secure


def authenticate(provider: SandboxProvider, payment_id: str, **body: Any) -> httpx.Response:
    """Ask as the front end's script does: without the secret key."""
    return httpx.post(f"{provider.base_url}/v1/payments/{payment_id}/authentication", json=body)


@pytest.mark.parametrize(
    ("passed", "status", "code"),
    [(True, "succeeded", None), (False, "failed", "authentication_failed")],
)
def test_the_learner_passes_3d_secure_or_fails_with_the_client_secret(
    provider: SandboxProvider, inbox: Inbox, path: str, passed: bool, status: str, code: str | None
) -> None:
    payment = pay(provider, "tok_3d_secure")
    assert (payment.status, payment.client_secret is None) == ("pending", False)
    secret = payment.client_secret
    answer = authenticate(provider, payment.id, client_secret=secret, passed=passed)
    assert (answer.status_code, answer.json()["status"]) == (200, status)
    done = provider.fetch_payment(payment.id)
    assert (done.status, done.decline_code, done.client_secret) == (status, code, None)
    (event,) = news(provider, inbox, path, 1)
    assert (event.type, event.payment_id) == (f"payment.{status}", payment.id)
    again = authenticate(provider, payment.id, client_secret=secret, passed=True)
    assert (again.status_code, again.json()["error"]["code"]) == (400, "payment_not_pending")


def test_without_its_client_secret_nobody_finishes_a_payment(provider: SandboxProvider) -> None:
    payment, other = pay(provider, "tok_3d_secure"), pay(provider, "tok_3d_secure")
    slow = pay(provider, "tok_pending")
    for payment_id, secret in (
        (payment.id, other.client_secret),
        (slow.id, ""),
        ("pay_of_nobody", payment.client_secret),
    ):
        answer = authenticate(provider, payment_id, client_secret=secret, passed=True)
        assert answer.status_code == 404
    assert authenticate(provider, payment.id, passed=True).status_code == 400
    assert provider.fetch_payment(payment.id).status == "pending"


def test_3d_secure_waits_for_the_learner_and_not_for_the_clock(
    provider: SandboxProvider, inbox: Inbox, path: str
) -> None:
    waiting = pay(provider, "tok_3d_secure")
    pay(provider, "tok_pending")
    news(provider, inbox, path, 1)
    assert provider.fetch_payment(waiting.id).status == "pending"


def test_a_canceled_payment_is_reported_and_cannot_be_finished(
    provider: SandboxProvider, inbox: Inbox, path: str
) -> None:
    payment = pay(provider, "tok_3d_secure")
    assert provider.cancel_payment(payment.id).status == "canceled"
    (event,) = news(provider, inbox, path, 1)
    assert (event.type, event.payment_id) == ("payment.canceled", payment.id)
    answer = authenticate(provider, payment.id, client_secret=payment.client_secret, passed=True)
    assert answer.status_code == 400
    assert ask(provider, f"/payments/{payment.id}/settle").status_code == 400
    assert provider.fetch_payment(payment.id).status == "canceled"


# --- webhooks out of order


def test_older_news_come_after_newer_ones(
    provider: SandboxProvider, inbox: Inbox, path: str
) -> None:
    payment = pay(provider, "tok_out_of_order_webhooks")
    assert payment.status == "succeeded"
    first, second = news(provider, inbox, path, 2)
    assert (first.type, second.type) == ("payment.succeeded", "payment.pending")
    assert second.created < first.created
    assert {first.payment_id, second.payment_id} == {payment.id}


# --- refunds in the dashboard


def test_a_payment_is_given_back_in_the_dashboard_after_a_while(
    provider: SandboxProvider, inbox: Inbox, path: str
) -> None:
    payment = pay(provider, "tok_refunded_at_provider")
    assert (payment.status, payment.refunded_amount) == ("succeeded", 0)
    assert [one.type for one in news(provider, inbox, path, 2)] == [
        "payment.succeeded",
        "payment.refunded",
    ]
    assert provider.fetch_payment(payment.id).refunded_amount == 4900
    (refund,) = provider.list_refunds(payment.id)
    assert (refund.amount, refund.status, refund.metadata) == (4900, "succeeded", {})


def test_what_was_given_back_before_is_not_given_back_again(
    academy: SandboxProvider, patient: str
) -> None:
    provider = replace(academy, base_url=patient)
    payment = pay(provider, "tok_refunded_at_provider")
    ask(provider, f"/payments/{payment.id}/refunds", {"amount": 4000})
    ask(provider, f"/payments/{payment.id}/settle")
    assert sorted(one.amount for one in provider.list_refunds(payment.id)) == [900, 4000]
    ask(provider, f"/payments/{payment.id}/settle")
    assert provider.fetch_payment(payment.id).refunded_amount == 4900


# --- disputes


def test_a_payer_disputes_a_payment_after_a_while(
    provider: SandboxProvider, inbox: Inbox, path: str
) -> None:
    payment = pay(provider, "tok_dispute")
    assert payment.status == "succeeded"
    _, event = news(provider, inbox, path, 2)
    assert (event.type, event.payment_id) == ("dispute.opened", payment.id)
    assert event.metadata == {"payment": "0190f3a0"}
    assert event.dispute_id is not None
    dispute = provider.fetch_dispute(event.dispute_id)
    assert (dispute.kind, dispute.status, dispute.amount) == ("chargeback", "needs_response", 4900)
    assert dispute.evidence_due_at is not None
    assert dispute.evidence_due_at > dispute.opened_at


def opened(provider: SandboxProvider, **body: Any) -> tuple[ProviderPayment, str]:
    payment = pay(provider, "tok_success")
    answer = ask(provider, f"/payments/{payment.id}/disputes", body)
    assert answer.status_code == 201, answer.text
    return payment, answer.json()["id"]


def test_every_step_of_a_dispute_is_reported_and_the_banks_decision_is_final(
    provider: SandboxProvider, inbox: Inbox, path: str
) -> None:
    _, dispute_id = opened(provider)
    for status in ("under_review", "won"):
        answer = ask(provider, f"/disputes/{dispute_id}", {"status": status})
        assert (answer.status_code, answer.json()["status"]) == (200, status)
        assert provider.fetch_dispute(dispute_id).status == status
    again = ask(provider, f"/disputes/{dispute_id}", {"status": "lost"})
    assert (again.status_code, again.json()["error"]["code"]) == (400, "dispute_closed")
    kinds = [one.type for one in news(provider, inbox, path, 4)]
    assert kinds[1:] == ["dispute.opened", "dispute.updated", "dispute.closed"]


def test_a_part_may_be_disputed_for_a_reason(provider: SandboxProvider) -> None:
    _, dispute_id = opened(provider, amount=900, reason="duplicate")
    dispute = provider.fetch_dispute(dispute_id)
    assert (dispute.amount, dispute.reason) == (900, "duplicate")


def test_only_what_was_paid_is_disputed(provider: SandboxProvider) -> None:
    paid, declined = pay(provider, "tok_success"), pay(provider, "tok_declined")
    for payment_id, body in ((declined.id, {}), (paid.id, {"amount": 4901})):
        answer = ask(provider, f"/payments/{payment_id}/disputes", body)
        assert answer.json()["error"]["code"] == "payment_not_disputable"
    assert ask(provider, "/payments/pay_of_nobody/disputes", {}).status_code == 404
    assert ask(provider, "/disputes/dp_of_nobody", {"status": "won"}).status_code == 404


def test_disputes_of_other_accounts_are_not_seen(provider: SandboxProvider) -> None:
    _, dispute_id = opened(provider)
    other = replace(provider, account=str(uuid.uuid4()))
    assert other.list_disputes().disputes == []
    with pytest.raises(ProviderRejected) as caught:
        other.fetch_dispute(dispute_id)
    assert caught.value.code == "dispute_not_found"
    with pytest.raises(ProviderRejected) as caught:
        other.list_disputes(cursor=dispute_id)
    assert caught.value.code == "invalid_cursor"


def test_the_list_has_every_dispute_once_over_all_pages(provider: SandboxProvider) -> None:
    payment = pay(provider, "tok_success")
    made = [
        ask(provider, f"/payments/{payment.id}/disputes", {"amount": 1}).json()["id"]
        for _ in range(PAGE + 1)
    ]
    first = provider.list_disputes()
    last = provider.list_disputes(cursor=first.next_cursor)
    assert [one.id for one in (*first.disputes, *last.disputes)] == made
    assert (len(first.disputes), last.next_cursor) == (PAGE, None)


# --- files of earlier versions


OLD_FILE = """
CREATE TABLE payments (
    id TEXT PRIMARY KEY, account TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    amount INTEGER NOT NULL, currency TEXT NOT NULL,
    refunded_amount INTEGER NOT NULL DEFAULT 0, decline_code TEXT, metadata TEXT NOT NULL,
    created INTEGER NOT NULL, webhook_url TEXT NOT NULL, settles_at REAL
);
CREATE TABLE refunds (
    id TEXT PRIMARY KEY, payment_id TEXT NOT NULL, amount INTEGER NOT NULL
);
INSERT INTO payments VALUES ('pay_1', 'a', 'succeeded', 4900, 'EUR', 900, NULL, '{}', 1, '', NULL);
INSERT INTO refunds VALUES ('re_1', 'pay_1', 900);
"""


def test_a_file_of_an_earlier_version_is_carried_on(
    academy: SandboxProvider, start_sandbox: StartSandbox, tmp_path: Path
) -> None:
    data = tmp_path / "sandbox.sqlite"
    with sqlite3.connect(data) as db:
        db.executescript(OLD_FILE)
    with start_sandbox(data) as running:
        provider = replace(academy, base_url=running.url, account="a")
        assert provider.fetch_payment("pay_1").refunded_amount == 900
        (refund,) = provider.list_refunds("pay_1")
        assert (refund.status, refund.metadata) == ("succeeded", {})
        payment = pay(provider, "tok_3d_secure")
        assert provider.cancel_payment(payment.id).status == "canceled"
