"""People who buy, top up, leave and give back without end, and some of whom do not come back."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

import httpx

from tests.factories.money import Academy
from tests.factories.people import Person
from tests.faults.stand import Stand

What = Literal["purchase", "top-up", "refund", "withdrawal"]
Comes = Literal["at once", "after the lease", "never"]
"""When a client repeats a request whose answer did not come."""

PRICE = 1000
PART = 300
PATIENCE_SECONDS = 120.0
"""After the storm, in which an answer may be lost again and again."""
TOKENS = {
    "tok_success": 5,
    "tok_timeout_after_success": 2,
    "tok_pending": 2,
    "tok_duplicate_webhook": 1,
    "tok_pending_refund": 1,
    "tok_declined": 1,
}
"""With each, how often it comes relative to the others."""

COMES: dict[Comes, int] = {"at once": 3, "after the lease": 1, "never": 3}

LEASE_ENDS = """
    UPDATE idempotency_keys SET claimed_until = now() WHERE key = :key AND status IS NULL
"""


@dataclass
class Intent:
    """One thing that somebody wants, under one key.

    Attributes:
        what: which thing.
        person: who asks.
        path, body, key: the request.
        comes: when it is repeated.
        buys_for: whose purchase or wallet it is about.
        status: of the answer; None where there was none.
        code: of a refusal.
        answer: its body.
        broken: when a request was left without an answer, on the monotonic clock.
    """

    what: What
    person: Person
    path: str
    body: Any
    comes: Comes
    buys_for: Person
    key: str = field(default_factory=lambda: str(uuid4()))
    status: int | None = None
    code: str | None = None
    answer: Any = None
    broken: list[float] = field(default_factory=list)


class Buyers:
    """Threads that move money through the API of a stand until `stop`.

    Args:
        stand: whose API.
        academy: on it.
        seed: makes all choices.
        waits_for_leases: whether some wait until the lease of a dead request ends by itself; time
            moves on for the others.

    Attributes:
        intents: all that anybody wanted.
        stop: ends all, once they have what they came back for.
    """

    def __init__(
        self, stand: Stand, academy: Academy, seed: int, *, waits_for_leases: bool
    ) -> None:
        self.intents: list[Intent] = []
        self.stop = threading.Event()
        self._stand = stand
        self._academy = academy
        self._seed = seed
        self._comes = {
            comes: weight
            for comes, weight in COMES.items()
            if waits_for_leases or comes != "after the lease"
        }
        self._teacher = academy.person("instructor")
        self._admin = academy.person("admin")
        self._port = httpx.URL(stand.base_url).port

    def buy(self, number: int) -> None:
        """Want one thing after the other; every other one hears webhooks."""
        rng = random.Random(f"{self._seed}-{number}")
        person, bought = self._academy.person(), list[Intent]()
        # The sandbox reports to the host that was called; without its port it reaches nobody.
        port = f":{self._port}" if number % 2 else ""
        host = f"{self._academy.slug}.{self._stand.settings.base_domain}{port}"
        while not self.stop.is_set():
            intent = self._want(rng, person, bought)
            self.intents.append(intent)
            # Connections are not kept: each request may meet any worker.
            with httpx.Client(
                base_url=f"{self._stand.base_url}/api/v1",
                headers={"Host": host, **intent.person.headers, "Idempotency-Key": intent.key},
                timeout=15.0,
                trust_env=False,
            ) as client:
                self._ask(client, intent)
            if intent.what == "purchase" and intent.status == 201:
                bought.append(intent)

    def summary(self) -> str:
        """Return how many got which answer, and how many did not come back for theirs."""
        counts = Counter(
            f"{one.what}: {one.status or 'never came back'} {one.code or ''}".strip()
            for one in self.intents
        )
        return "\n".join(f"{count:6} {what}" for what, count in sorted(counts.items()))

    def _want(self, rng: random.Random, person: Person, bought: list[Intent]) -> Intent:
        comes = rng.choices(list(self._comes), list(self._comes.values()))[0]
        token = rng.choices(list(TOKENS), list(TOKENS.values()))[0]
        kind = rng.choices(("purchase", "top-up", "refund", "withdrawal"), (5, 2, 2, 1))[0]
        if kind == "top-up":
            body = {"amount": {"amount": PRICE, "currency": "EUR"}, "token": token}
            return Intent("top-up", person, "/wallet/top-ups", body, comes, person)
        if kind == "refund" and bought:
            payment_id = rng.choice(bought).answer["payment"]["id"]
            body = {
                "amount": {"amount": PART, "currency": "EUR"},
                "destination": rng.choice(("source", "source", "wallet")),
            }
            path = f"/payments/{payment_id}/refunds"
            return Intent("refund", self._admin, path, body, comes, person)
        if kind == "withdrawal" and bought:
            enrollment_id = rng.choice(bought).answer["enrollment"]["id"]
            path = f"/enrollments/{enrollment_id}/withdraw"
            return Intent("withdrawal", person, path, None, comes, person)
        run_id = self._academy.run(price=PRICE, teacher=self._teacher)
        body = {"payment": {"method": "provider", "token": token}}
        return Intent("purchase", person, f"/runs/{run_id}/enrollments", body, comes, person)

    def _ask(self, client: httpx.Client, intent: Intent) -> None:
        """Send the very request until there is an answer, or until its sender gives up."""
        calm_since: float | None = None
        while calm_since is None or time.monotonic() < calm_since + PATIENCE_SECONDS:
            if self.stop.is_set() and calm_since is None:
                calm_since = time.monotonic()
            try:
                answer = client.post(intent.path, json=intent.body)
            except httpx.ConnectError:
                time.sleep(0.2)
                continue
            except httpx.TransportError:
                intent.broken.append(time.monotonic())
                if intent.comes == "never":
                    return
                if intent.comes == "at once":
                    self._academy.execute_as_owner(LEASE_ENDS, key=intent.key)
                time.sleep(0.1)
                continue
            told = answer.json()
            code = told.get("code") if answer.status_code >= 400 else None
            if answer.status_code != 503 and code != "request_in_progress":
                intent.status, intent.code, intent.answer = answer.status_code, code, told
                return
            time.sleep(0.5)
        raise AssertionError(f"{intent} had no answer {PATIENCE_SECONDS} s after the storm")
