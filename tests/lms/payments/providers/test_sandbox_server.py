"""The sandbox server as a process: what it needs, what it refuses, what it remembers."""

from __future__ import annotations

import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from lms.payments.providers.base import ProviderPayment, ProviderRejected
from lms.payments.providers.sandbox import SandboxProvider

if TYPE_CHECKING:
    from tests.lms.payments.providers.conftest import (
        Inbox,
        RunningSandbox,
        RunServer,
        StartSandbox,
    )


def pay(provider: SandboxProvider, token: str, key: str = "k") -> ProviderPayment:
    return provider.create_payment(
        idempotency_key=key, amount=100, currency="EUR", token=token, metadata={}
    )


def settle(provider: SandboxProvider, payment_id: str) -> httpx.Response:
    return httpx.post(
        f"{provider.base_url}/v1/payments/{payment_id}/settle",
        headers={
            "Authorization": f"Bearer {provider.secret_key}",
            "Sandbox-Account": provider.account,
        },
    )


@pytest.fixture(scope="module")
def sandbox(
    tmp_path_factory: pytest.TempPathFactory, start_sandbox: StartSandbox
) -> Iterator[RunningSandbox]:
    """A server whose pending payments wait to be settled."""
    with start_sandbox(tmp_path_factory.mktemp("sandbox") / "sandbox.sqlite") as running:
        yield running


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "sandbox.sqlite"


def test_payments_refunds_and_keys_survive_a_killed_server(
    academy: SandboxProvider, start_sandbox: StartSandbox, data: Path
) -> None:
    with start_sandbox(data) as first:
        before = replace(academy, base_url=first.url)
        payment = pay(before, "tok_success")
        before.refund(idempotency_key="r", payment_id=payment.id, amount=30, metadata={})
    with start_sandbox(data) as second:
        after = replace(academy, base_url=second.url)
        assert after.fetch_payment(payment.id).refunded_amount == 30
        assert pay(after, "tok_success") == payment


def test_a_file_from_before_refunds_could_be_pending_is_used_on(
    academy: SandboxProvider, start_sandbox: StartSandbox, data: Path
) -> None:
    with start_sandbox(data) as first:
        payment = pay(replace(academy, base_url=first.url), "tok_success")
    with closing(sqlite3.connect(data)) as db:
        for table, column in (
            ("payments", "refund_status"),
            ("refunds", "status"),
            ("refunds", "settles_at"),
        ):
            db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    with start_sandbox(data) as second:
        after = replace(academy, base_url=second.url)
        refund = after.refund(idempotency_key="r", payment_id=payment.id, amount=30, metadata={})
        assert after.fetch_refund(refund.id).status == "succeeded"


def test_a_webhook_not_yet_taken_is_sent_after_a_restart(
    academy: SandboxProvider, start_sandbox: StartSandbox, data: Path, inbox: Inbox, path: str
) -> None:
    inbox.answers[path] = [503]
    with start_sandbox(data) as first:
        pay(replace(academy, base_url=first.url), "tok_success")
        inbox.wait(path, 1)
    with start_sandbox(data):
        before, after = inbox.wait(path, 2)
    assert before.body == after.body


def test_a_pending_payment_is_settled_on_request_and_reported_once(
    provider: SandboxProvider, inbox: Inbox, path: str
) -> None:
    payment = pay(provider, "tok_pending")
    assert provider.fetch_payment(payment.id).status == "pending"
    assert settle(provider, payment.id).json()["status"] == "succeeded"
    assert settle(provider, payment.id).json()["status"] == "succeeded"
    declined = pay(provider, "tok_declined", key="after")
    # webhooks leave in order, so the decline's shows that there is no second one before it
    settled, next_one = inbox.wait(path, 2)
    assert payment.id.encode() in settled.body
    assert declined.id.encode() in next_one.body


def test_a_failed_payment_cannot_be_settled(provider: SandboxProvider) -> None:
    answer = settle(provider, pay(provider, "tok_declined").id)
    assert answer.json()["error"]["code"] == "payment_not_pending"


def test_a_pending_payment_has_nothing_to_refund_yet(provider: SandboxProvider) -> None:
    payment = pay(provider, "tok_pending")
    with pytest.raises(ProviderRejected) as caught:
        provider.refund(idempotency_key="r", payment_id=payment.id, amount=1, metadata={})
    assert caught.value.code == "payment_not_refundable"


def request_headers(provider: SandboxProvider) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {provider.secret_key}",
        "Sandbox-Account": provider.account,
        "Idempotency-Key": "k",
    }


def request_body(provider: SandboxProvider) -> dict[str, object]:
    return {
        "amount": 100,
        "currency": "EUR",
        "token": "tok_success",
        "webhook_url": provider.webhook_url,
    }


def test_a_replayed_answer_says_so(provider: SandboxProvider) -> None:
    url, headers = f"{provider.base_url}/v1/payments", request_headers(provider)
    first = httpx.post(url, headers=headers, json=request_body(provider))
    again = httpx.post(url, headers=headers, json=request_body(provider))
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.content == first.content


def test_a_key_used_for_another_request_is_a_conflict(provider: SandboxProvider) -> None:
    url, headers = f"{provider.base_url}/v1/payments", request_headers(provider)
    httpx.post(url, headers=headers, json=request_body(provider))
    other = httpx.post(url, headers=headers, json={**request_body(provider), "amount": 200})
    assert other.status_code == 409


@pytest.mark.parametrize(
    ("missing", "status"),
    [("Authorization", 401), ("Sandbox-Account", 400), ("Idempotency-Key", 400)],
)
def test_a_payment_without_a_required_header_is_refused(
    provider: SandboxProvider, missing: str, status: int
) -> None:
    headers = request_headers(provider)
    del headers[missing]
    url = f"{provider.base_url}/v1/payments"
    answer = httpx.post(url, headers=headers, json=request_body(provider))
    assert answer.status_code == status


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_when_told_to(start_sandbox: StartSandbox, data: Path, stop: int) -> None:
    with start_sandbox(data) as sandbox:
        sandbox.process.send_signal(stop)
        assert sandbox.process.wait(20) == 0


@pytest.mark.parametrize("variable", ["ENVIRONMENT", "LMS_ENVIRONMENT"])
def test_it_refuses_to_run_in_production(run_server: RunServer, data: Path, variable: str) -> None:
    ended = run_server("--port", "0", "--data", str(data), **{variable: "production"})
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        f"sandbox: it only plays at money and never runs with {variable}=production"
    ]
    assert not data.exists()


@pytest.mark.parametrize("variable", ["SANDBOX_SECRET_KEY", "SANDBOX_WEBHOOK_SECRET"])
def test_it_refuses_to_run_without_secrets(
    run_server: RunServer, data: Path, variable: str
) -> None:
    ended = run_server("--port", "0", "--data", str(data), **{variable: ""})
    assert ended.returncode == 2
    assert variable in ended.stderr


def test_a_port_in_use_ends_with_a_plain_message(run_server: RunServer, data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_server("--port", str(port), "--data", str(data))
    assert ended.returncode != 0
    assert f"Port {port} is in use" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_file_that_is_no_database_ends_with_a_plain_message(
    run_server: RunServer, data: Path
) -> None:
    data.write_text("a letter to the bank, longer than a header" * 50)
    ended = run_server("--port", "0", "--data", str(data))
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"sandbox: cannot use {data}: ")
    assert "Traceback" not in ended.stderr


def test_its_help_names_the_tokens_and_the_environment(run_server: RunServer) -> None:
    told = " ".join(run_server("--help").stdout.split())
    assert "tok_timeout_after_success" in told
    assert "SANDBOX_WEBHOOK_SECRET" in told
