"""The adapter of an account of one test alone, and what tests ask of it."""

from __future__ import annotations

import uuid
from typing import Any

from lms.payments.providers.base import ProviderPayment, ProviderRefund
from lms.payments.providers.stripe import StripeProvider
from tests.factories import stripe_account as fake
from tests.factories.stripe_server import StripeServer

WEBHOOK_SECRET = "whsec_of_a_test"
METADATA = {"payment": "0190f3a0-0000-7000-8000-000000000001"}
REFUND_METADATA = {"refund": "0190f3a0-0000-7000-8000-000000000002"}


def adapter(server: StripeServer) -> StripeProvider:
    """Open an account at the stand-in."""
    secret_key = f"sk_test_{uuid.uuid4().hex}"
    server.open_account(secret_key)
    return StripeProvider(
        secret_key=secret_key,
        webhook_secret=WEBHOOK_SECRET,
        account=str(uuid.uuid4()),
        api_base=server.url,
    )


def pay(provider: StripeProvider, token: str = fake.GOOD, **changes: Any) -> ProviderPayment:
    arguments: dict[str, Any] = {
        "idempotency_key": str(uuid.uuid4()),
        "amount": 4900,
        "currency": "EUR",
        "token": token,
        "metadata": METADATA,
        **changes,
    }
    return provider.create_payment(**arguments)


def refund(
    provider: StripeProvider, payment_id: str, amount: int, **changes: Any
) -> ProviderRefund:
    arguments: dict[str, Any] = {
        "idempotency_key": str(uuid.uuid4()),
        "metadata": REFUND_METADATA,
        **changes,
    }
    return provider.refund(payment_id=payment_id, amount=amount, **arguments)
