"""The list of an account's payments, page by page, against a real sandbox server."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from lms.payments.providers.base import ProviderPayment, ProviderRejected, ProviderUnavailable
from lms.payments.providers.sandbox import SandboxProvider
from lms.payments.providers.sandbox_store import PAGE


def pay(provider: SandboxProvider, token: str = "tok_success") -> ProviderPayment:
    return provider.create_payment(
        idempotency_key=str(uuid.uuid4()),
        amount=4900,
        currency="EUR",
        token=token,
        metadata={"payment": "0190f3a0"},
    )


def test_payments_of_every_state_are_listed_as_they_are_now(provider: SandboxProvider) -> None:
    paid, declined = pay(provider), pay(provider, "tok_declined")
    provider.refund(idempotency_key="r", payment_id=paid.id, amount=30, metadata={})
    page = provider.list_payments()
    assert page.payments == [provider.fetch_payment(paid.id), declined]
    assert (page.payments[0].refunded_amount, page.next_cursor) == (30, None)
    assert page.payments[0].metadata == {"payment": "0190f3a0"}


def test_pages_together_have_each_payment_once_also_when_more_come_meanwhile(
    provider: SandboxProvider,
) -> None:
    paid = [pay(provider).id for _ in range(PAGE + 1)]
    first = provider.list_payments()
    assert [one.id for one in first.payments] == paid[:PAGE]
    later = pay(provider)
    last = provider.list_payments(cursor=first.next_cursor)
    assert [one.id for one in last.payments] == [paid[PAGE], later.id]
    assert last.next_cursor is None


def test_a_full_last_page_is_the_last(provider: SandboxProvider) -> None:
    for _ in range(PAGE):
        pay(provider)
    page = provider.list_payments()
    assert (len(page.payments), page.next_cursor) == (PAGE, None)


def test_only_payments_since_a_moment_are_listed(provider: SandboxProvider) -> None:
    paid, now = pay(provider), datetime.now(UTC)
    before = provider.list_payments(created_after=now - timedelta(minutes=1))
    assert [one.id for one in before.payments] == [paid.id]
    assert provider.list_payments(created_after=now + timedelta(minutes=1)).payments == []


def test_payments_of_other_accounts_are_not_listed(provider: SandboxProvider) -> None:
    pay(provider)
    other = replace(provider, account=str(uuid.uuid4()))
    assert other.list_payments().payments == []


def test_another_accounts_cursor_is_refused(provider: SandboxProvider) -> None:
    other = replace(provider, account=str(uuid.uuid4()))
    for cursor in ("pay_of_nobody", pay(other).id):
        with pytest.raises(ProviderRejected) as caught:
            provider.list_payments(cursor=cursor)
        assert caught.value.code == "invalid_cursor"


@contextmanager
def answering(body: object) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_args: object, **_kwargs: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"data": {}, "next": None},
        {"data": []},
        {"data": [], "next": 7},
        {"data": [{"id": "pay_1"}], "next": None},
    ],
)
def test_a_list_that_makes_no_sense_is_no_answer(provider: SandboxProvider, body: object) -> None:
    with answering(body) as url, pytest.raises(ProviderUnavailable):
        replace(provider, base_url=url).list_payments()
