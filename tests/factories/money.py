"""An academy with runs to sell, people with money, and a provider to pay by."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

from flask import Flask
from sqlalchemy import Engine, text
from werkzeug.test import TestResponse

from jobs.context import JobContext
from jobs.run import run_work
from lms.compose import create_storage
from lms.config import Settings
from lms.core.actor import AccountType
from lms.core.clock import now
from lms.core.ids import new_id
from lms.core.queue import Doorbell
from lms.coupons.models import Coupon
from lms.courses.models import (
    Course,
    CourseInstructor,
    CourseRun,
    CourseVersion,
    PublishedVersion,
    RunSeats,
)
from lms.payments.operations import ensure_wallet
from lms.payments.providers.registry import Providers
from tenants import names
from tenants.session import STILL_SETTLING, Database, OrganizationScope
from tests.factories.people import Person, make_user
from tests.factories.sandbox import call_sandbox, paying_app, refusing_provider

T = TypeVar("T")
DEADLINE = 20.0  # seconds until a test gives up on something that should happen at once

FUND = text("""
    WITH credited AS (
        UPDATE wallets SET balance = balance + :amount, seq = seq + 1
         WHERE id = :wallet_id RETURNING *
    )
    INSERT INTO wallet_transactions
           (wallet_id, seq, kind, amount, currency, balance_after, counter_account, reference)
    SELECT id, seq, 'adjustment', CAST(:amount AS bigint), currency, balance, 'manual', :reference
      FROM credited
""")
WRONG_WALLETS = text("""
    SELECT w.id FROM wallets w LEFT JOIN wallet_transactions t ON t.wallet_id = w.id
     GROUP BY w.id
    HAVING w.balance <> COALESCE(sum(t.amount), 0) OR w.seq <> count(t.seq)
""")
WRONG_SEATS = text("""
    SELECT s.run_id FROM run_seats s
     WHERE s.taken <> (SELECT count(*) FROM enrollments e WHERE e.run_id = s.run_id
                          AND e.state IN ('pending', 'active', 'suspended', 'completed'))
        OR s.waitlisted <> (SELECT count(*) FROM enrollments e
                             WHERE e.run_id = s.run_id AND e.state = 'waitlisted')
""")
WRONG_COUPONS = text("""
    SELECT c.id FROM coupons c
     WHERE c.uses <> (SELECT count(*) FROM payments p
                       WHERE p.coupon_code = c.code AND p.coupon_used)
        OR c.uses <> (SELECT COALESCE(sum(l.uses), 0) FROM coupon_learners l
                       WHERE l.coupon_id = c.id)
""")
WRONG_PAYMENTS = text("""
    SELECT p.id FROM payments p LEFT JOIN enrollments e ON e.payment_id = p.id
     WHERE e.id IS NULL
        OR p.live <> (e.state IN ('pending', 'waitlisted', 'active', 'suspended', 'completed'))
        OR (p.method = 'wallet') <> EXISTS (SELECT FROM wallet_transactions t
                                             WHERE t.payment_id = p.id AND t.kind = 'deduction')
        OR p.refunded_amount <> (SELECT COALESCE(sum(r.amount), 0) FROM refunds r
                                  WHERE r.payment_id = p.id AND r.state <> 'failed')
""")


def together(count: int, step: Callable[[int], T]) -> list[T]:
    """Run a step in threads that start at the same moment; gives what each returned."""
    start = threading.Barrier(count)

    def run(number: int) -> T:
        start.wait(DEADLINE)
        return step(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@dataclass(frozen=True)
class Academy:
    """One organization, seen by a test: over HTTP as its people, and in the database."""

    app: Flask
    database: Database
    admin_engine: Engine
    organization_id: UUID
    slug: str

    @property
    def scope(self) -> OrganizationScope:
        return OrganizationScope(self.organization_id, STILL_SETTLING)

    @property
    def settings(self) -> Settings:
        return self.app.extensions["edge"].services.get(Settings)

    def with_app(self, app: Flask) -> Academy:
        """The same organization, served by another installation."""
        return replace(self, app=app)

    # --- people and runs

    def person(self, account_type: AccountType = "student", *, money: int = 0) -> Person:
        """Make a signed-in user, with money in the wallet."""
        person = make_user(self.database, self.organization_id, account_type, app=self.app)
        if money:
            with self.database.transaction(self.scope) as session:
                wallet_id = ensure_wallet(session, person.id).id
                values = {"wallet_id": wallet_id, "amount": money, "reference": str(new_id())}
                session.execute(FUND, values)
        return person

    def run(
        self,
        *,
        price: int = 4900,
        capacity: int | None = None,
        opens_in: float = -1,
        starts_in: float = 7,
        teacher: Person | None = None,
        **changes: Any,
    ) -> UUID:
        """Make a course with a published version and a run; times in days from now."""
        teacher = teacher or self.person("instructor")
        course_id, version_id, run_id, at = new_id(), new_id(), new_id(), now()
        opens_at = at + timedelta(days=opens_in)
        run = {
            "title": "January cohort",
            "starts_at": at + timedelta(days=starts_in),
            "ends_at": at + timedelta(days=starts_in + 60),
            "enrollment_opens_at": opens_at,
            "enrollment_closes_at": opens_at + timedelta(days=30),
            "price_amount": price,
            "currency": "EUR",
            **changes,
        }
        if run.get("state") == "cancelled":
            run |= {"cancelled_at": at, "cancelled_by": teacher.id, "cancel_reason": "Too few."}
        with self.database.transaction(self.scope) as session:
            session.add(Course(id=course_id, instructor_id=teacher.id, title="Coffee roasting"))
            session.flush()
            session.add(CourseInstructor(course_id=course_id, user_id=teacher.id))
            session.add(
                CourseVersion(
                    id=version_id, course_id=course_id, number=1, state="published", published_at=at
                )
            )
            session.flush()
            session.add(
                PublishedVersion(
                    version_id=version_id,
                    course_id=course_id,
                    content_hash="0" * 64,
                    outline={},
                    rules={},
                    published_by=teacher.id,
                )
            )
            session.flush()
            session.add(
                CourseRun(
                    id=run_id, course_id=course_id, version_id=version_id, capacity=capacity, **run
                )
            )
            session.flush()
            session.add(RunSeats(run_id=run_id, capacity=capacity))
        return run_id

    def coupon(self, **terms: Any) -> str:
        """Make a coupon, half the price off unless the terms say otherwise; gives its code."""
        code = f"C-{new_id().hex[-12:].upper()}"
        if "amount_off" in terms:
            terms.setdefault("currency", "EUR")
        else:
            terms.setdefault("percent_off", 50)
        admin_id = self.person("admin").id
        with self.database.transaction(self.scope) as session:
            session.add(Coupon(id=new_id(), code=code, created_by=admin_id, **terms))
        return code

    # --- over HTTP

    def get(self, path: str, person: Person, **query: str) -> TestResponse:
        return self.app.test_client().get(
            f"/api/v1{path}",
            base_url=f"http://{self.slug}.localhost",
            headers=person.headers,
            query_string=query,
        )

    def post(
        self, path: str, person: Person, body: Any = None, *, key: str | None = None
    ) -> TestResponse:
        """Post with a fresh Idempotency-Key, or the given one."""
        return self.app.test_client().post(
            f"/api/v1{path}",
            base_url=f"http://{self.slug}.localhost",
            headers={**person.headers, "Idempotency-Key": key or str(uuid4())},
            json=body,
        )

    def enroll(
        self,
        person: Person,
        run_id: UUID,
        method: str = "wallet",
        *,
        token: str | None = None,
        coupon: str | None = None,
        key: str | None = None,
    ) -> TestResponse:
        payment = {"method": method} if token is None else {"method": method, "token": token}
        body = {"payment": payment} if coupon is None else {"payment": payment, "coupon": coupon}
        return self.post(f"/runs/{run_id}/enrollments", person, body, key=key)

    def top_up(
        self, person: Person, amount: int, token: str = "tok_success", *, key: str | None = None
    ) -> TestResponse:
        body = {"amount": {"amount": amount, "currency": "EUR"}, "token": token}
        return self.post("/wallet/top-ups", person, body, key=key)

    def balance(self, person: Person) -> int:
        return self.get("/wallet", person).get_json()["balance"]["amount"]

    def deliver(self, body: bytes, signature: str) -> TestResponse:
        """Post a webhook as the provider does."""
        return self.app.test_client().post(
            "/api/v1/webhooks/sandbox",
            base_url=f"http://{self.slug}.localhost",
            headers={"Sandbox-Signature": signature, "Content-Type": "application/json"},
            data=body,
        )

    @contextmanager
    def refused(self, code: str, *, can_fetch: bool = False) -> Iterator[Academy]:
        """The same organization, whose provider refuses everything new with a code."""
        sandbox_url = self.settings.sandbox_url if can_fetch else None
        with (
            refusing_provider(code, fetches_from=sandbox_url) as url,
            paying_app(self.settings, url) as app,
        ):
            yield self.with_app(app)

    def forget_answer(self, key: str) -> None:
        """Let the answer to an idempotent request be lost, as in a crash before it was stored."""
        self.execute_as_owner(
            "UPDATE idempotency_keys SET status = NULL, body = NULL, claimed_until = now()"
            " WHERE key = :key",
            key=key,
        )

    def forget_provider_id(self, subject_id: str) -> None:
        """Let the provider's answer about a payment, top-up or refund be lost."""
        self.execute_as_owner(
            "UPDATE provider_attempts SET provider_id = NULL, outcome = 'unknown'"
            " WHERE subject_id = :id",
            id=subject_id,
        )

    # --- at the provider

    def settle_at_provider(self, provider_payment_id: str) -> None:
        """Let a pending payment succeed at the sandbox."""
        self._call_sandbox("POST", f"/v1/payments/{provider_payment_id}/settle")

    def settle_refund_at_provider(self, provider_refund_id: str) -> None:
        """Let a pending refund succeed at the sandbox."""
        self._call_sandbox("POST", f"/v1/refunds/{provider_refund_id}/settle")

    def named_by_provider(self, subject_id: str) -> str:
        """The provider's identifier of a payment or top-up whose answer did not reach us."""
        (row,) = self.rows(
            "SELECT a.key, a.token, a.operation, s.amount, s.currency FROM provider_attempts a"
            " JOIN (SELECT id, amount, currency FROM payments"
            " UNION ALL SELECT id, amount, currency FROM wallet_top_ups) s ON s.id = a.subject_id"
            " WHERE a.subject_id = :id",
            id=UUID(subject_id),
        )
        provider = Providers.from_settings(self.settings).for_organization(
            self.organization_id, webhook_url=None
        )
        return provider.create_payment(
            idempotency_key=row["key"],
            amount=row["amount"],
            currency=row["currency"],
            token=row["token"],
            metadata={row["operation"]: subject_id},
        ).id

    def at_provider(self, provider_payment_id: str) -> dict[str, Any]:
        """What the sandbox says of a payment."""
        return self._call_sandbox("GET", f"/v1/payments/{provider_payment_id}")

    def _call_sandbox(self, method: str, path: str) -> dict[str, Any]:
        return call_sandbox(self.settings.sandbox_url, self.organization_id, method, path)

    # --- in the database

    def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        """Read as the organization's role."""
        with self.database.transaction(self.scope) as session:
            return [dict(row) for row in session.execute(text(sql), values).mappings()]

    def execute_as_owner(self, sql: str, **values: Any) -> None:
        """Change what no request can: time, above all."""
        path = names.quote(names.schema_name(self.organization_id))
        with self.admin_engine.begin() as connection:
            set_path = text("SELECT set_config('search_path', :path, true)")
            connection.execute(set_path, {"path": path})
            connection.execute(text(sql), values)

    def seats_taken(self, run_id: UUID) -> int:
        sql = "SELECT taken FROM run_seats WHERE run_id = :run_id"
        return self.rows(sql, run_id=run_id)[0]["taken"]

    def coupon_uses(self, code: str) -> int:
        """How many uses of a coupon are counted."""
        return self.rows("SELECT uses FROM coupons WHERE code = :code", code=code)[0]["uses"]

    def assert_books_balance(self) -> None:
        """Wallets equal their journals, seats and coupons' counters what is there, and so on."""
        with self.database.transaction(self.scope) as session:
            assert session.execute(WRONG_WALLETS).all() == []
            assert session.execute(WRONG_SEATS).all() == []
            assert session.execute(WRONG_COUPONS).all() == []
            assert session.execute(WRONG_PAYMENTS).all() == []

    def recorded_name(self, payment_id: str) -> str:
        """The provider's identifier of a payment, as we have recorded it."""
        sql = "SELECT provider_payment_id FROM payments WHERE id = :id"
        return self.rows(sql, id=UUID(payment_id))[0]["provider_payment_id"]

    def wait_for_a_lock(self) -> None:
        """Return once somebody waits for a lock in the database."""
        waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        deadline = time.monotonic() + DEADLINE
        while True:
            with self.admin_engine.connect() as connection:
                if connection.execute(waiting).scalar_one() > 0:
                    return
            assert time.monotonic() < deadline, "nobody waited"

    # --- jobs

    def work(self, kind: str, subject_id: UUID | str) -> list[dict[str, Any]]:
        """The open rows of work about a subject."""
        return self.rows(
            "SELECT * FROM platform.work WHERE kind = :kind AND subject_id = :subject_id"
            " AND state IN ('waiting', 'running')",
            kind=kind,
            subject_id=UUID(str(subject_id)),
        )

    def do_work(self, kind: str, subject_id: UUID | str) -> None:
        """Let the open work about a subject come due, and do it as a worker does."""
        (row,) = self.work(kind, subject_id)
        self.execute_as_owner(
            "UPDATE platform.work SET due_at = now() - interval '1 second' WHERE id = :id",
            id=row["id"],
        )
        context = JobContext(
            database=self.database,
            storage=create_storage(self.settings),
            settings=self.settings,
            doorbell=Doorbell(self.settings.redis_url),
            scope=self.scope,
            should_stop=lambda: False,
        )
        run_work(context, row["id"])
        (done,) = self.rows("SELECT state, error FROM platform.work WHERE id = :id", id=row["id"])
        assert done == {"state": "done", "error": None}
