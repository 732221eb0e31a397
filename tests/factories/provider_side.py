"""What happens at the sandbox past us: in its dashboard, and at payers' banks."""

from __future__ import annotations

import json
import ssl
import time
from functools import cache
from typing import Any
from uuid import uuid4

import httpx
from werkzeug.test import TestResponse

from lms.payments.providers.signing import sign
from tests.factories.money import Academy
from tests.factories.sandbox import SECRET_KEY, WEBHOOK_SECRET


@cache
def tls() -> ssl.SSLContext:
    """Load the certificate authorities once: it takes longer than a request."""
    return httpx.create_ssl_context()


def ask(academy: Academy, path: str, body: Any = None) -> dict[str, Any]:
    """Ask the sandbox as a dashboard does, past our adapter."""
    answer = httpx.post(
        f"{academy.settings.sandbox_url}/v1{path}",
        headers={
            "Authorization": f"Bearer {SECRET_KEY}",
            "Sandbox-Account": str(academy.organization_id),
            "Idempotency-Key": str(uuid4()),
        },
        json=body,
        verify=tls(),
    )
    return answer.raise_for_status().json()


def give_back(academy: Academy, name: str, amount: int) -> str:
    """Refund a part of a payment in the dashboard; gives the refund's identifier."""
    return ask(academy, f"/payments/{name}/refunds", {"amount": amount})["id"]


def contest(academy: Academy, name: str, **body: Any) -> str:
    """Let a payer contest a payment, all or `amount` of it; gives the dispute's identifier."""
    return ask(academy, f"/payments/{name}/disputes", body)["id"]


def decide(academy: Academy, dispute_id: str, status: str) -> None:
    """Let a bank decide a dispute, or evidence be handed in (`under_review`)."""
    ask(academy, f"/disputes/{dispute_id}", {"status": status})


def event_of(
    academy: Academy, name: str, kind: str = "payment.refunded", *, dispute_id: str | None = None
) -> bytes:
    """The body of an event of a payment, or of a dispute of it."""
    about = {"id": name} if dispute_id is None else {"id": dispute_id, "payment_id": name}
    event = {
        "id": f"evt_{uuid4().hex}",
        "type": kind if dispute_id is None else "dispute.updated",
        "created": int(time.time()),
        "account": str(academy.organization_id),
        "data": {"object": about},
    }
    return json.dumps(event).encode()


def deliver(academy: Academy, body: bytes) -> TestResponse:
    """Deliver an event, signed as the sandbox does."""
    return academy.deliver(body, sign(body, secret=WEBHOOK_SECRET, timestamp=int(time.time())))


def tell(academy: Academy, name: str, *, dispute_id: str | None = None) -> None:
    """Deliver fresh news of a payment, or of a dispute of it, and have them taken."""
    answer = deliver(academy, event_of(academy, name, dispute_id=dispute_id))
    assert answer.status_code == 204, answer.text


def is_applied(academy: Academy, body: bytes) -> bool | None:
    """Whether an event has had its effect; None when it was not even stored."""
    rows = academy.rows(
        "SELECT applied_at FROM webhook_events WHERE event_id = :id", id=json.loads(body)["id"]
    )
    return rows[0]["applied_at"] is not None if rows else None
