"""The sandbox provider's adapter: speaks to the sandbox server (`sandbox_server`) over HTTP."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, ClassVar, TypeVar, get_args
from urllib.parse import quote, urlencode

import httpx

from lms.payments.providers.base import (
    InvalidWebhook,
    PaymentPage,
    PaymentStatus,
    ProviderEvent,
    ProviderPayment,
    ProviderRefund,
    ProviderRejected,
    ProviderUnavailable,
    RefundStatus,
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
        return self._ask("POST", "/v1/payments", _payment, key=idempotency_key, body=body)

    def fetch_payment(self, payment_id: str, /) -> ProviderPayment:
        """Ask how a payment stands now; see `PaymentProvider.fetch_payment`."""
        return self._ask("GET", f"/v1/payments/{quote(payment_id, safe='')}", _payment)

    def list_payments(
        self, *, created_after: datetime | None = None, cursor: str | None = None
    ) -> PaymentPage:
        """List payments, oldest first; see `PaymentProvider.list_payments`."""
        query: dict[str, str] = {}
        if created_after is not None:
            query["created_after"] = str(int(created_after.timestamp()))
        if cursor is not None:
            query["cursor"] = cursor
        return self._ask("GET", f"/v1/payments?{urlencode(query)}", _page)

    def refund(
        self,
        *,
        idempotency_key: str,
        payment_id: str,
        amount: int,
        first_asked: datetime | None = None,  # noqa: ARG002 - the server forgets no key
    ) -> ProviderRefund:
        """Give money back; see `PaymentProvider.refund`."""
        path = f"/v1/payments/{quote(payment_id, safe='')}/refunds"
        return self._ask("POST", path, _refund, key=idempotency_key, body={"amount": amount})

    def fetch_refund(self, refund_id: str, /) -> ProviderRefund:
        """Ask how a refund stands now; see `PaymentProvider.fetch_refund`."""
        return self._ask("GET", f"/v1/refunds/{quote(refund_id, safe='')}", _refund)

    def parse_webhook(self, body: bytes, signature: str, *, now: datetime) -> ProviderEvent:
        """Check and read a webhook; see `PaymentProvider.parse_webhook`."""
        verify(body, signature, secret=self.webhook_secret, now=now)
        try:
            event = _event(json.loads(body))
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
        return ProviderRejected(_text(error, "code"), _text(error, "message"))
    except (ValueError, LookupError, TypeError):
        return unknown


def _payment(answer: Any) -> ProviderPayment:
    status: PaymentStatus = answer["status"]
    if status not in get_args(PaymentStatus):
        raise ValueError("not a payment's status")
    return ProviderPayment(
        id=_text(answer, "id"),
        status=status,
        amount=_whole(answer, "amount"),
        currency=_text(answer, "currency"),
        client_secret=_text_or_none(answer, "client_secret"),
        decline_code=_text_or_none(answer, "decline_code"),
        refunded_amount=_whole(answer, "refunded_amount"),
        metadata=_metadata(answer),
    )


def _page(answer: Any) -> PaymentPage:
    if not isinstance(answer["data"], list):
        raise TypeError("data is not a list")
    return PaymentPage([_payment(one) for one in answer["data"]], _text_or_none(answer, "next"))


def _refund(answer: Any) -> ProviderRefund:
    status: RefundStatus = answer["status"]
    if status not in get_args(RefundStatus):
        raise ValueError("not a refund's status")
    return ProviderRefund(
        id=_text(answer, "id"),
        payment_id=_text(answer, "payment_id"),
        amount=_whole(answer, "amount"),
        status=status,
    )


def _event(answer: Any) -> ProviderEvent:
    return ProviderEvent(
        id=_text(answer, "id"),
        type=_text(answer, "type"),
        payment_id=_text(answer["data"]["object"], "id"),
        account=_text(answer, "account"),
        created=datetime.fromtimestamp(_whole(answer, "created"), UTC),
        metadata=_metadata(answer["data"]["object"]),
    )


def _metadata(answer: Any) -> dict[str, str]:
    metadata = answer.get("metadata", {})
    if not isinstance(metadata, dict):
        raise TypeError("metadata is not an object")
    return {str(name): str(value) for name, value in metadata.items()}


def _text(answer: Any, name: str) -> str:
    value = answer[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is not text")
    return value


def _text_or_none(answer: Any, name: str) -> str | None:
    return None if answer[name] is None else _text(answer, name)


def _whole(answer: Any, name: str) -> int:
    value = answer[name]
    # bool is an int to Python and 1.0 equals 1, but neither is an amount
    if type(value) is not int:
        raise TypeError(f"{name} is not a whole number")
    return value
