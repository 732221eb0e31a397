"""An organization of the running product: everything over HTTP, as front ends do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx

from lms.checkout.reconcile.operations import reconcile
from lms.core.actor import AccountType
from lms.core.clock import now
from tenants.session import OrganizationScope
from tests.factories.jobs import until
from tests.factories.people import Person, make_user
from tests.faults.stand import Stand

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
"""For what workers do by themselves."""


@dataclass
class OnlineAcademy:
    """One organization on a stand."""

    stand: Stand
    organization_id: UUID
    slug: str

    @property
    def authority(self) -> str:
        """Host and port of its API, as browsers name it; links come back with them."""
        port = urlsplit(self.stand.base_url).port
        return f"{self.slug}.{self.stand.settings.base_domain}:{port}"

    def person(self, account_type: AccountType = "student", *, money: int = 0) -> Member:
        """Make a signed-in user, who deposits money through the provider."""
        person = make_user(
            self.stand.database, self.organization_id, account_type, app=self.stand.app
        )
        member = Member(self, person)
        if money:
            body = {"amount": {"amount": money, "currency": "EUR"}, "token": "tok_success"}
            member.post("/wallet/top-ups", body, expect=201)
        return member

    def eventually(self, condition: Callable[[], T | None]) -> T:
        """Wait for what the workers bring about."""
        return until(condition, PATIENCE_SECONDS, every=0.1)

    def assert_books_balance(self) -> None:
        """Let `lms payments reconcile` look for differences."""
        scope = OrganizationScope(self.organization_id)
        report = reconcile(partial(self.stand.database.transaction, scope), provider=None)
        assert report.total == 0, report.findings


@dataclass
class Member:
    """Somebody who calls the academy's API, a connection for each request."""

    academy: OnlineAcademy
    person: Person

    @property
    def id(self) -> str:
        return str(self.person.id)

    def get(self, path: str, *, expect: int = 200, **query: str) -> Any:
        return self._send("GET", path, expect=expect, params=query)

    def post(self, path: str, body: Any = None, *, expect: int = 200) -> Any:
        return self._send("POST", path, expect=expect, json=body)

    def put(self, path: str, body: Any, *, expect: int = 200) -> Any:
        return self._send("PUT", path, expect=expect, json=body)

    def patch(self, path: str, body: Any) -> Any:
        """Change what is as it was read a moment ago."""
        etag = self._answer("GET", path).headers["ETag"]
        answer = self._answer("PATCH", path, json=body, headers={"If-Match": etag})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def enroll(self, run_id: str, method: str = "wallet", *, expect: int = 201, **body: Any) -> Any:
        """Enroll in a run; gives the enrollment."""
        token = {"token": body.pop("token")} if "token" in body else {}
        body = {"payment": {"method": method, **token}, **body}
        return self.post(f"/runs/{run_id}/enrollments", body, expect=expect)["enrollment"]

    def enrollment(self, enrollment_id: str) -> dict[str, Any]:
        return self.get(f"/enrollments/{enrollment_id}")

    def balance(self) -> int:
        return self.get("/wallet")["balance"]["amount"]

    def open(self, enrollment_id: str, lesson_id: str) -> dict[str, Any]:
        """Report that a lesson was opened; gives what became of the enrollment."""
        path = f"/enrollments/{enrollment_id}/lessons/{lesson_id}/progress"
        return self.put(path, {"viewed": True})["enrollment"]

    def try_post(self, path: str, body: Any) -> httpx.Response:
        """Post what may be refused, or asked to come back; gives the whole answer."""
        return self._answer("POST", path, json=body)

    def _send(self, method: str, path: str, *, expect: int, **options: Any) -> Any:
        answer = self._answer(method, path, **options)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def _answer(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        stand = self.academy.stand
        with httpx.Client(timeout=30, trust_env=False) as client:
            return client.request(
                method,
                f"{stand.base_url}/api/v1{path}",
                headers={
                    "Host": self.academy.authority,
                    "Idempotency-Key": str(uuid4()),
                    **self.person.headers,
                    **(headers or {}),
                },
                **options,
            )


def run_members(version_id: str, title: str, *, price: int, capacity: int) -> dict[str, Any]:
    """A run that is open for enrollment, starts in a week and gives all money back until then."""
    today = now()
    starts_at = today + timedelta(days=7)
    return {
        "version_id": version_id,
        "title": title,
        "starts_at": starts_at.isoformat(),
        "ends_at": (starts_at + timedelta(days=60)).isoformat(),
        "enrollment_opens_at": (today - timedelta(days=1)).isoformat(),
        "enrollment_closes_at": (today + timedelta(days=6)).isoformat(),
        "capacity": capacity,
        "price": {"amount": price, "currency": "EUR"},
        "time_zone": "Europe/Berlin",
        "refund_policy": [{"until": starts_at.isoformat(), "percent": 100}],
    }
