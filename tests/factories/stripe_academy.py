"""An organization that sells through its own account at (a stand-in for) Stripe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from cryptography.fernet import Fernet
from werkzeug.test import TestResponse

from lms.config import Settings
from tests.factories.money import Academy
from tests.factories.people import Person
from tests.factories.sandbox import paying_app
from tests.factories.stripe_server import StripeServer, event_of, signed

SECRETS_KEY = Fernet.generate_key().decode()


def keys_of_a_test() -> dict[str, str]:
    """An account's keys, of one test alone."""
    word = uuid4().hex
    return {
        "publishable_key": f"pk_test_{word}",
        "secret_key": f"sk_test_{word}",
        "webhook_secret": f"whsec_{word}",
    }


@dataclass(frozen=True)
class StripeAcademy(Academy):
    """An academy, its Stripe, and what happens between them."""

    stripe: StripeServer
    keys: dict[str, str]

    def send(
        self, method: str, path: str, person: Person, body: Any = None, **headers: str
    ) -> TestResponse:
        return self.app.test_client().open(
            f"/api/v1{path}",
            method=method,
            base_url=f"http://{self.slug}.localhost",
            headers={**person.headers, **headers},
            json=body,
        )

    def tell(self, body: bytes, signature: str | None = None) -> TestResponse:
        """Post an event as Stripe does."""
        signature = signature or signed(body, self.keys["webhook_secret"])
        return self.app.test_client().post(
            "/api/v1/webhooks/stripe",
            base_url=f"http://{self.slug}.localhost",
            headers={"Stripe-Signature": signature, "Content-Type": "application/json"},
            data=body,
        )

    def finish(self, intent_id: str, *, succeeds: bool = True) -> bytes:
        """Let a learner pass 3-D Secure; returns the event that Stripe sends of it."""
        intent = self.stripe.finish(self.keys["secret_key"], intent_id, succeeds=succeeds)
        kind = "succeeded" if succeeds else "payment_failed"
        return event_of(f"payment_intent.{kind}", intent)


@contextmanager
def stripe_academy(
    academy: Academy, settings: Settings, stripe: StripeServer, *, sandbox_url: str | None
) -> Iterator[StripeAcademy]:
    """Serve an organization by an installation that knows Stripe; no account is entered yet."""
    settings = replace(settings, secrets_keys=SECRETS_KEY, stripe_api_base=stripe.url)
    with paying_app(settings, sandbox_url) as app:
        about = {name: getattr(academy, name) for name in Academy.__dataclass_fields__}
        keys = keys_of_a_test()
        stripe.open_account(keys["secret_key"])
        yield StripeAcademy(**{**about, "app": app}, stripe=stripe, keys=keys)
