"""The sandbox provider's adapter: speaks to the sandbox server (`sandbox_server`) over HTTP."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote, urlencode

import httpx

from lms.payments.providers import sandbox_objects as objects
from lms.payments.providers.base import (
    DisputePage,
    InvalidWebhook,
    PaymentPage,
    ProviderDispute,
    ProviderEvent,
    ProviderPayment,
    ProviderRefund,
    ProviderRejected,
    ProviderUnavailable,
)
from lms.payments.providers.sandbox_target import local_target
from lms.payments.providers.signing import verify

SIGNATURE_HEADER = "Sandbox-Signature"
"""The header that carries a webhook's signature."""

ACCOUNT_HEADER = "Sandbox-Account"
"""The header that says for which organization a request is made."""

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxProvider:
    """One organization's account at the sandbox server. Safe to share between threads.

    Attributes:
        base_url: Where the sandbox server listens, for example `http://127.0.0.1:8090`.
        secret_key: Proves to the server that it is us.
        webhook_secret: Proves to us that a webhook comes from the server.
        account: The organization's id. Keys, payments and events belong to one account.
        webhook_url: Where the server reports changes. It reaches plain http on a loopback address
            or `*.localhost` only: another address is not sent, and neither is None, so that what
            is pending is settled by asking.
        timeout: Seconds to wait for a connection, and for each part of an answer.
    """

    name: ClassVar[str] = "sandbox"
    signature_header: ClassVar[str] = SIGNATURE_HEADER

    base_url: str
    secret_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    account: str
    webhook_url: str | None
    timeout: float = 10.0

    def create_payment(
        self,
        *,
        idempotency_key: str,
        amount: int,
        currency: str,
        token: str,
        metadata: Mapping[str, str],
        first_asked: datetime | None = None,  # noqa: ARG002 - the server forgets no key
    ) -> ProviderPayment:
        """Charge a magic token; see `PaymentProvider.create_payment`."""
        body: dict[str, object] = {
            "amount": amount,
            "currency": currency,
            "token": token,
            "metadata": dict(metadata),
        }
        if self.webhook_url is not None and _is_reachable(self.webhook_url):
            body["webhook_url"] = self.webhook_url
        return self._ask(
            "POST", "/v1/payments", objects.read_payment, key=idempotency_key, body=body
        )

    def fetch_payment(self, payment_id: str, /) -> ProviderPayment:
        """Ask how a payment stands now; see `PaymentProvider.fetch_payment`."""
        return self._ask("GET", _at(payment_id), objects.read_payment)

    def cancel_payment(self, payment_id: str, /) -> ProviderPayment:
        """Cancel what waits for the learner; see `PaymentProvider.cancel_payment`."""
        return self._ask("POST", f"{_at(payment_id)}/cancel", objects.read_payment)

    def list_payments(
        self, *, created_after: datetime | None = None, cursor: str | None = None
    ) -> PaymentPage:
        """List payments, oldest first; see `PaymentProvider.list_payments`."""
        return self._ask("GET", _list_of("payments", created_after, cursor), objects.read_payments)

    def refund(
        self,
        *,
        idempotency_key: str,
        payment_id: str,
        amount: int,
        metadata: Mapping[str, str],
        first_asked: datetime | None = None,  # noqa: ARG002 - the server forgets no key
    ) -> ProviderRefund:
        """Give money back; see `PaymentProvider.refund`."""
        path, body = f"{_at(payment_id)}/refunds", {"amount": amount, "metadata": dict(metadata)}
        return self._ask("POST", path, objects.read_refund, key=idempotency_key, body=body)

    def fetch_refund(self, refund_id: str, /) -> ProviderRefund:
        """Ask how a refund stands now; see `PaymentProvider.fetch_refund`."""
        return self._ask("GET", f"/v1/refunds/{quote(refund_id, safe='')}", objects.read_refund)

    def list_refunds(self, payment_id: str, /) -> list[ProviderRefund]:
        """Return all refunds of a payment; see `PaymentProvider.list_refunds`."""
        return self._ask("GET", f"{_at(payment_id)}/refunds", objects.read_refunds)

    def fetch_dispute(self, dispute_id: str, /) -> ProviderDispute:
        """Ask how a dispute stands now; see `PaymentProvider.fetch_dispute`."""
        return self._ask("GET", f"/v1/disputes/{quote(dispute_id, safe='')}", objects.read_dispute)

    def list_disputes(
        self, *, created_after: datetime | None = None, cursor: str | None = None
    ) -> DisputePage:
        """List disputes, oldest first; see `PaymentProvider.list_disputes`."""
        return self._ask("GET", _list_of("disputes", created_after, cursor), objects.read_disputes)

    def parse_webhook(self, body: bytes, signature: str, *, now: datetime) -> ProviderEvent:
        """Check and read a webhook; see `PaymentProvider.parse_webhook`."""
        verify(body, signature, secret=self.webhook_secret, now=now)
        try:
            event = objects.read_event(json.loads(body))
        except (ValueError, LookupError, TypeError, OverflowError) as error:
            raise InvalidWebhook("the signed body is not an event") from error
        # one secret signs for every account of a server, so the signature alone does not say whose
        if event.account != self.account:
            raise InvalidWebhook("the event belongs to another account")
        return event

    def _ask(
        self,
        method: str,
        path: str,
        read: Callable[[Any], _Answer],
        *,
        key: str | None = None,
        body: Mapping[str, object] | None = None,
    ) -> _Answer:
        headers = {"Authorization": f"Bearer {self.secret_key}", ACCOUNT_HEADER: self.account}
        if key is not None:
            headers["Idempotency-Key"] = key
        try:
            response = httpx.request(
                method,
                self.base_url.rstrip("/") + path,
                headers=headers,
                json=body,
                timeout=self.timeout,
                trust_env=False,  # a proxy of the environment cannot reach our loopback
                verify=_tls(),
            )
        except httpx.HTTPError as error:
            raise ProviderUnavailable(f"no answer from the sandbox: {error!r}") from error
        if not response.is_success:
            raise _refusal(response)
        try:
            return read(response.json())
        except (ValueError, LookupError, TypeError) as error:
            raise ProviderUnavailable("the sandbox's answer makes no sense") from error


def _at(payment_id: str) -> str:
    return f"/v1/payments/{quote(payment_id, safe='')}"


def _list_of(things: str, created_after: datetime | None, cursor: str | None) -> str:
    query: dict[str, str] = {}
    if created_after is not None:
        query["created_after"] = str(int(created_after.timestamp()))
    if cursor is not None:
        query["cursor"] = cursor
    return f"/v1/{things}?{urlencode(query)}"


def _is_reachable(webhook_url: str) -> bool:
    try:
        local_target(webhook_url)
    except ValueError:
        return False
    return True


@cache
def _tls() -> ssl.SSLContext:
    """Load the certificate authorities once: it takes longer than a request."""
    return httpx.create_ssl_context(trust_env=False)


def _refusal(response: httpx.Response) -> ProviderRejected | ProviderUnavailable:
    """Tell a definite refusal from an answer that leaves the outcome open.

    Refused credentials (401, 403) leave it open: what an earlier request with the same key did is
    unknown until the credentials are right again. So does an error without the provider's own
    code, which something else on the way may have made.
    """
    status = response.status_code
    unknown = ProviderUnavailable(f"the sandbox answered {status}")
    if not response.is_client_error or status in {401, 403, 408, 429}:
        return unknown
    try:
        error = response.json()["error"]
        return ProviderRejected(
            objects.read_text(error, "code"), objects.read_text(error, "message")
        )
    except (ValueError, LookupError, TypeError):
        return unknown
