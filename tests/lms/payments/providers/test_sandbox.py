"""The adapter against a real sandbox server in a process of its own."""

from __future__ import annotations

import json
import socket
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import httpx
import pytest

from lms.payments.providers.base import (
    ProviderPayment,
    ProviderRefund,
    ProviderRejected,
    ProviderUnavailable,
)
from lms.payments.providers.interface import PaymentProvider
from lms.payments.providers.sandbox import SandboxProvider

if TYPE_CHECKING:
    from tests.lms.payments.providers.conftest import Inbox


def pay(
    provider: PaymentProvider, token: str, *, key: str | None = None, amount: int = 4900
) -> ProviderPayment:
    return provider.create_payment(
        idempotency_key=key or str(uuid.uuid4()),
        amount=amount,
        currency="EUR",
        token=token,
        metadata={"payment": "0190f3a0"},
    )


def refund(
    provider: PaymentProvider, payment_id: str, amount: int, *, key: str | None = None
) -> ProviderRefund:
    return provider.refund(
        idempotency_key=key or str(uuid.uuid4()),
        payment_id=payment_id,
        amount=amount,
        metadata={"refund": "0190f3a1"},
    )


def refused_refund(provider: PaymentProvider, payment_id: str, amount: int) -> str:
    with pytest.raises(ProviderRejected) as caught:
        refund(provider, payment_id, amount)
    return caught.value.code


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that gives one answer to everything; gives its base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object, **_kwargs: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


# --- tokens


def test_a_good_token_pays_at_once(provider: SandboxProvider) -> None:
    payment = pay(provider, "tok_success")
    assert payment == ProviderPayment(
        id=payment.id,
        status="succeeded",
        amount=4900,
        currency="EUR",
        client_secret=None,
        decline_code=None,
        refunded_amount=0,
        metadata={"payment": "0190f3a0"},
    )
    assert provider.fetch_payment(payment.id) == payment


@pytest.mark.parametrize(
    ("token", "code"),
    [("tok_declined", "card_declined"), ("tok_insufficient_funds", "insufficient_funds")],
)
def test_a_decline_is_an_answer_with_its_reason(
    provider: SandboxProvider, token: str, code: str
) -> None:
    payment = pay(provider, token)
    assert (payment.status, payment.decline_code) == ("failed", code)


def test_a_pending_payment_succeeds_by_itself_and_says_so(
    provider: SandboxProvider, inbox: Inbox, path: str
) -> None:
    payment = pay(provider, "tok_pending")
    assert payment.status == "pending"
    (news,) = inbox.wait(path, 1)
    event = provider.parse_webhook(news.body, news.signature, now=datetime.now(UTC))
    assert (event.type, event.payment_id) == ("payment.succeeded", payment.id)
    assert provider.fetch_payment(payment.id).status == "succeeded"


def test_after_a_lost_answer_the_same_key_finds_the_payment_that_was_made(
    provider: SandboxProvider, inbox: Inbox, path: str
) -> None:
    with pytest.raises(ProviderUnavailable):
        pay(provider, "tok_timeout_after_success", key="k")
    (news,) = inbox.wait(path, 1)
    event = provider.parse_webhook(news.body, news.signature, now=datetime.now(UTC))
    payment = pay(provider, "tok_timeout_after_success", key="k")
    assert (payment.id, payment.status) == (event.payment_id, "succeeded")


def test_an_unknown_token_is_definitely_refused(provider: SandboxProvider) -> None:
    with pytest.raises(ProviderRejected) as caught:
        pay(provider, "tok_of_nobody")
    assert caught.value.code == "unknown_token"


@pytest.mark.parametrize("amount", [0, -1, 2**53])
def test_an_impossible_amount_is_definitely_refused(provider: SandboxProvider, amount: int) -> None:
    with pytest.raises(ProviderRejected) as caught:
        pay(provider, "tok_success", amount=amount)
    assert caught.value.code == "invalid_request"


# --- idempotency


def test_the_same_key_and_request_pays_once(provider: SandboxProvider) -> None:
    assert pay(provider, "tok_success", key="k") == pay(provider, "tok_success", key="k")


def test_another_key_pays_again(provider: SandboxProvider) -> None:
    assert pay(provider, "tok_success", key="k").id != pay(provider, "tok_success", key="l").id


def test_a_decline_is_repeated_too(provider: SandboxProvider) -> None:
    assert pay(provider, "tok_declined", key="k") == pay(provider, "tok_declined", key="k")


def test_the_same_key_with_another_request_is_refused(provider: SandboxProvider) -> None:
    pay(provider, "tok_success", key="k")
    with pytest.raises(ProviderRejected) as caught:
        pay(provider, "tok_success", key="k", amount=5000)
    assert caught.value.code == "idempotency_key_reused"


def test_a_payments_key_cannot_be_used_for_a_refund(provider: SandboxProvider) -> None:
    payment = pay(provider, "tok_success", key="k")
    with pytest.raises(ProviderRejected) as caught:
        refund(provider, payment.id, 4900, key="k")
    assert caught.value.code == "idempotency_key_reused"


def test_keys_of_two_accounts_are_strangers(provider: SandboxProvider) -> None:
    other = replace(provider, account=str(uuid.uuid4()))
    assert pay(provider, "tok_success", key="k").id != pay(other, "tok_success", key="k").id


def test_an_academy_that_moved_may_ask_again_with_the_same_key(provider: SandboxProvider) -> None:
    moved = replace(provider, webhook_url="http://127.0.0.1:9/elsewhere")
    assert pay(provider, "tok_success", key="k") == pay(moved, "tok_success", key="k")


def test_one_key_from_many_threads_pays_once(provider: SandboxProvider) -> None:
    with ThreadPoolExecutor(8) as pool:
        paid = list(pool.map(lambda _: pay(provider, "tok_success", key="k").id, range(16)))
    assert len(set(paid)) == 1


# --- refunds


def test_a_payment_is_refunded_in_parts_up_to_what_was_paid(provider: SandboxProvider) -> None:
    payment = pay(provider, "tok_success")
    first = refund(provider, payment.id, 4000)
    assert (first.payment_id, first.amount, first.status) == (payment.id, 4000, "succeeded")
    assert refused_refund(provider, payment.id, 901) == "refund_exceeds_payment"
    refund(provider, payment.id, 900)
    assert provider.fetch_payment(payment.id).refunded_amount == 4900


def test_the_same_refund_key_refunds_once(provider: SandboxProvider) -> None:
    payment = pay(provider, "tok_success")
    assert refund(provider, payment.id, 100, key="r") == refund(provider, payment.id, 100, key="r")
    assert provider.fetch_payment(payment.id).refunded_amount == 100


def test_refunds_at_the_same_time_never_exceed_the_payment(provider: SandboxProvider) -> None:
    payment = pay(provider, "tok_success")

    def one_refund(_: int) -> int:
        try:
            return refund(provider, payment.id, 1000).amount
        except ProviderRejected:
            return 0

    with ThreadPoolExecutor(8) as pool:
        refunded = sum(pool.map(one_refund, range(10)))
    assert refunded == provider.fetch_payment(payment.id).refunded_amount == 4000


def test_a_declined_payment_has_nothing_to_refund(provider: SandboxProvider) -> None:
    payment = pay(provider, "tok_declined")
    assert refused_refund(provider, payment.id, 1) == "payment_not_refundable"


def test_a_payment_of_another_account_is_neither_shown_nor_refunded(
    provider: SandboxProvider,
) -> None:
    payment = pay(provider, "tok_success")
    other = replace(provider, account=str(uuid.uuid4()))
    with pytest.raises(ProviderRejected) as caught:
        other.fetch_payment(payment.id)
    assert caught.value.code == "payment_not_found"
    assert refused_refund(other, payment.id, 1) == "payment_not_found"


# --- webhooks


@pytest.mark.parametrize(
    ("token", "kind"),
    [("tok_success", "payment.succeeded"), ("tok_declined", "payment.failed")],
)
def test_a_payment_is_reported_by_a_signed_webhook(
    provider: SandboxProvider, inbox: Inbox, path: str, token: str, kind: str
) -> None:
    payment = pay(provider, token)
    (news,) = inbox.wait(path, 1)
    event = provider.parse_webhook(news.body, news.signature, now=datetime.now(UTC))
    assert (event.type, event.payment_id, event.account) == (kind, payment.id, provider.account)


def test_a_refund_is_reported(provider: SandboxProvider, inbox: Inbox, path: str) -> None:
    payment = pay(provider, "tok_success")
    refund(provider, payment.id, 4900)
    kinds = [
        provider.parse_webhook(news.body, news.signature, now=datetime.now(UTC)).type
        for news in inbox.wait(path, 2)
    ]
    assert kinds == ["payment.succeeded", "payment.refunded"]


def test_a_duplicate_webhook_carries_the_same_event_twice(
    provider: SandboxProvider, inbox: Inbox, path: str
) -> None:
    pay(provider, "tok_duplicate_webhook")
    first, second = inbox.wait(path, 2)
    assert first.body == second.body


@pytest.mark.parametrize("status", [503, 307])
def test_a_webhook_that_was_not_accepted_comes_again(
    provider: SandboxProvider, inbox: Inbox, path: str, status: int
) -> None:
    inbox.answers[path] = [status]
    pay(provider, "tok_success")
    first, second = inbox.wait(path, 2)
    assert first.body == second.body


def test_a_name_under_localhost_is_reached_without_a_resolver(
    provider: SandboxProvider, inbox: Inbox, path: str
) -> None:
    named = replace(provider, webhook_url=f"http://acme.localhost:{inbox.port}{path}")
    pay(named, "tok_success")
    (news,) = inbox.wait(path, 1)
    assert news.host == f"acme.localhost:{inbox.port}"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/webhooks",
        "http://192.168.0.1/webhooks",
        "http://localhost.example.com/webhooks",
        "http://127.0.0.1@example.com/webhooks",
        "http://example.com@127.0.0.1/webhooks",
        "https://acme.localhost/webhooks",
        "file:///etc/passwd",
        "http://[::/",
        "",
    ],
)
def test_webhooks_never_leave_the_machine(provider: SandboxProvider, url: str) -> None:
    answer = httpx.post(
        f"{provider.base_url}/v1/payments",
        headers={
            "Authorization": f"Bearer {provider.secret_key}",
            "Sandbox-Account": provider.account,
            "Idempotency-Key": str(uuid.uuid4()),
        },
        json={"amount": 1, "currency": "EUR", "token": "tok_success", "webhook_url": url},
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("url", [None, "https://acme.example.com/webhooks", "http://10.0.0.1/"])
def test_who_cannot_be_told_of_changes_pays_all_the_same(
    provider: SandboxProvider, url: str | None
) -> None:
    unreachable = replace(provider, webhook_url=url)
    payment = pay(unreachable, "tok_success")
    assert unreachable.fetch_payment(payment.id).status == "succeeded"


def test_a_pending_refund_succeeds_by_itself_and_says_so(
    provider: SandboxProvider, inbox: Inbox, path: str
) -> None:
    payment = pay(provider, "tok_pending_refund")
    pending = refund(provider, payment.id, 100)
    assert (payment.status, pending.status) == ("succeeded", "pending")
    _, news = inbox.wait(path, 2)
    event = provider.parse_webhook(news.body, news.signature, now=datetime.now(UTC))
    assert (event.type, event.payment_id) == ("payment.refunded", payment.id)
    assert provider.fetch_refund(pending.id) == replace(pending, status="succeeded")


def test_an_event_carries_what_was_sent_along_with_the_payment(
    provider: SandboxProvider, inbox: Inbox, path: str
) -> None:
    pay(provider, "tok_success")
    (news,) = inbox.wait(path, 1)
    event = provider.parse_webhook(news.body, news.signature, now=datetime.now(UTC))
    assert event.metadata == {"payment": "0190f3a0"}


def test_a_refund_of_another_account_is_not_there(provider: SandboxProvider) -> None:
    made = refund(provider, pay(provider, "tok_success").id, 100)
    other = replace(provider, account=str(uuid.uuid4()))
    with pytest.raises(ProviderRejected) as caught:
        other.fetch_refund(made.id)
    assert caught.value.code == "refund_not_found"


# --- when the outcome is unknown


def test_a_refused_secret_key_leaves_the_outcome_open(provider: SandboxProvider) -> None:
    with pytest.raises(ProviderUnavailable):
        pay(replace(provider, secret_key="wrong"), "tok_success")


def test_a_silent_server_is_given_up(provider: SandboxProvider) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ProviderUnavailable):
            pay(replace(provider, base_url=url, timeout=0.1), "tok_success")


def test_nobody_listening_leaves_the_outcome_open(provider: SandboxProvider) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(ProviderUnavailable):
        replace(provider, base_url=url).fetch_payment("pay_1")


PAYMENT = {
    "id": "pay_1",
    "status": "succeeded",
    "amount": 1,
    "currency": "EUR",
    "client_secret": None,
    "decline_code": None,
    "refunded_amount": 0,
}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b'{"error": {"code": "oops", "message": "Oops."}}'),
        (429, b'{"error": {"code": "slow_down", "message": "Slow down."}}'),
        (404, b"<html>an error page of something on the way</html>"),
        (302, b""),
        (200, b"not json"),
        (200, b"[]"),
        (200, json.dumps({**PAYMENT, "id": None}).encode()),
        (200, json.dumps({**PAYMENT, "status": "who knows"}).encode()),
        (200, json.dumps({**PAYMENT, "amount": 1.0}).encode()),
        (200, json.dumps({**PAYMENT, "decline_code": 7}).encode()),
    ],
)
def test_an_answer_that_settles_nothing_leaves_the_outcome_open(
    provider: SandboxProvider, status: int, body: bytes
) -> None:
    with answering(status, body) as url, pytest.raises(ProviderUnavailable):
        replace(provider, base_url=url).fetch_payment("pay_1")
