"""Our books and the provider's, made to differ on either side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.orm import Session

from lms.checkout.reconcile.operations import reconcile
from lms.checkout.reconcile.provider import CHECKS, LOOKED_AT_AGAIN, Bounds, compare
from lms.checkout.reconcile.report import Finding, Report
from lms.core.clock import now
from lms.payments.providers.base import (
    DisputePage,
    PaymentPage,
    ProviderPayment,
    ProviderUnavailable,
)
from lms.payments.providers.interface import PaymentProvider
from lms.payments.providers.registry import Providers
from tests.factories import books, provider_side
from tests.factories.money import DEADLINE, Academy
from tests.factories.sandbox import NOWHERE, SECRET_KEY, paying_app


@pytest.fixture
def offline_school(school: Academy) -> Iterator[Academy]:
    """The same organization, served while its provider cannot be reached."""
    with paying_app(school.settings, NOWHERE) as app:
        yield school.with_app(app)


def provider_of(academy: Academy) -> PaymentProvider:
    providers = Providers.from_settings(academy.settings)
    return providers.for_organization(academy.organization_id, webhook_url=None)


def step_of(academy: Academy) -> Callable[[], AbstractContextManager[Session]]:
    return partial(academy.database.transaction, academy.scope)


def compared(
    academy: Academy, provider: PaymentProvider | None = None, since: datetime | None = None
) -> list[Finding]:
    checks, listed = compare(step_of(academy), provider or provider_of(academy), since=since)
    assert listed.is_complete
    assert tuple(check.name for check in checks) == CHECKS
    return Report(tuple(checks)).findings


def buy(academy: Academy, token: str = "tok_success") -> tuple[str, str]:
    """Pay by the provider; our name for the payment, and the provider's."""
    answer = academy.enroll(academy.person(), academy.run(), "provider", token=token)
    payment_id = answer.get_json()["payment"]["id"]
    return payment_id, academy.recorded_name(payment_id)


def let_time_pass(academy: Academy) -> None:
    """Let what is open have been so for longer than a payment is under way."""
    academy.execute_as_owner("UPDATE payments SET created_at = now() - interval '16 minutes'")


def charge_at_provider(academy: Academy, body: dict[str, Any]) -> dict[str, Any]:
    """Charge at the provider behind our back."""
    answer = httpx.post(
        f"{academy.settings.sandbox_url}/v1/payments",
        headers={
            "Authorization": f"Bearer {SECRET_KEY}",
            "Sandbox-Account": str(academy.organization_id),
            "Idempotency-Key": str(uuid4()),
        },
        json=body,
    )
    return answer.raise_for_status().json()


def test_every_kind_of_movement_is_the_same_on_both_sides(school: Academy) -> None:
    books.move_money(school)
    report = reconcile(step_of(school), provider=provider_of(school))
    assert report.findings == []
    assert [check.name for check in report.checks][-len(CHECKS) :] == list(CHECKS)


def test_money_at_the_provider_that_we_do_not_know(school: Academy) -> None:
    buy(school)
    body = {"amount": 700, "currency": "EUR", "metadata": {"payment": str(uuid4())}}
    stray = charge_at_provider(school, {**body, "token": "tok_success"})["id"]
    charge_at_provider(school, {**body, "token": "tok_declined"})
    (found,) = compared(school)
    assert (found.check, found.subject_type) == ("provider_unknown", "provider_payment")
    assert (found.subject_id, found.found) == (stray, "succeeded payment of 700 EUR")


def test_a_second_charge_for_one_payment_is_money_that_we_do_not_know(school: Academy) -> None:
    payment_id, _ = buy(school)
    metadata = {"payment": payment_id}
    body = {"amount": 4900, "currency": "EUR", "token": "tok_success", "metadata": metadata}
    twice = charge_at_provider(school, body)
    (found,) = compared(school)
    assert (found.check, found.subject_id) == ("provider_unknown", twice["id"])


def test_a_payment_that_succeeded_there_and_not_here(school: Academy) -> None:
    payment_id, name = buy(school, "tok_pending")
    assert compared(school) == []
    school.settle_at_provider(name)
    assert compared(school) == []
    let_time_pass(school)
    assert compared(school) == [
        Finding(
            check="provider_status",
            subject_type="payment",
            subject_id=payment_id,
            expected="pending",
            found="succeeded",
        )
    ]


def test_a_payment_whose_name_never_reached_us_is_known_by_what_we_sent_along(
    school: Academy,
) -> None:
    answer = school.enroll(
        school.person(), school.run(), "provider", token="tok_timeout_after_success"
    )
    assert compared(school) == []
    let_time_pass(school)
    (found,) = compared(school)
    assert (found.check, found.subject_id) == (
        "provider_status",
        answer.get_json()["payment"]["id"],
    )
    assert (found.expected, found.found) == ("created", "succeeded")


@pytest.mark.parametrize(
    ("change", "check", "expected", "found"),
    [
        ("amount = 5000", "provider_amount", "5000 EUR", "4900 EUR"),
        (
            "state = 'failed', succeeded_at = NULL, live = false",
            "provider_status",
            "failed",
            "succeeded",
        ),
        ("provider_payment_id = 'pay_gone'", "provider_missing", "succeeded pay_gone", "nothing"),
    ],
)
def test_what_we_say_and_the_provider_does_not(
    school: Academy, change: str, check: str, expected: str, found: str
) -> None:
    payment_id, _ = buy(school)
    school.execute_as_owner(f"UPDATE payments SET {change} WHERE id = :id", id=payment_id)
    one = next(one for one in compared(school) if one.subject_id == payment_id)
    assert (one.check, one.subject_type, one.expected) == (check, "payment", expected)
    assert one.found.startswith(found)


def test_a_payment_that_succeeded_here_without_a_name_there(school: Academy) -> None:
    payment_id, _ = buy(school)
    school.execute_as_owner(
        "UPDATE payments SET provider_payment_id = NULL WHERE id = :id", id=payment_id
    )
    assert compared(school) == []
    nothing: Any = Listing(provider_of(school), [])
    (found,) = compared(school, nothing)
    assert (found.check, found.expected) == ("provider_missing", "succeeded without a name")


def test_a_top_up_is_compared_like_a_payment(school: Academy) -> None:
    top_up_id = school.top_up(school.person(), 5000).get_json()["id"]
    assert compared(school) == []
    school.execute_as_owner("UPDATE wallet_top_ups SET amount = 4000 WHERE id = :id", id=top_up_id)
    (found,) = compared(school)
    assert (found.check, found.subject_type, found.subject_id) == (
        "provider_amount",
        "top_up",
        top_up_id,
    )


def test_money_that_was_given_back_behind_our_back(school: Academy) -> None:
    payment_id, name = buy(school)
    provider_side.give_back(school, name, 900)
    (found,) = compared(school)
    assert (found.check, found.subject_id) == ("provider_refunded", payment_id)
    assert (found.expected, found.found) == ("0 EUR given back", "900 EUR given back")


def test_a_refund_that_is_under_way_may_be_there_or_not(
    school: Academy, offline_school: Academy
) -> None:
    _, name = buy(school)
    payment_id, other = buy(school)
    path, admin = f"/payments/{payment_id}/refunds", school.person("admin")
    assert offline_school.post(path, admin, {"reason": ""}).status_code == 202
    assert compared(school) == []
    provider_side.give_back(school, other, 4900)
    assert compared(school) == []
    provider_side.give_back(school, name, 1)
    (found,) = compared(school)
    assert (found.check, found.found) == ("provider_refunded", "1 EUR given back")


def test_only_what_was_made_since_a_moment_is_compared(school: Academy) -> None:
    payment_id, _ = buy(school)
    school.execute_as_owner(
        "UPDATE payments SET provider_payment_id = 'pay_gone',"
        " created_at = now() - interval '3 days' WHERE id = :id",
        id=payment_id,
    )
    since = now() - timedelta(days=2)
    assert {one.check for one in compared(school)} == {"provider_unknown", "provider_missing"}
    assert {one.check for one in compared(school, since=since)} == {"provider_unknown"}
    assert compared(school, since=now() + timedelta(days=2)) == []


def test_a_provider_that_is_away_is_said(school: Academy) -> None:
    settings = replace(school.settings, sandbox_url=NOWHERE)
    away = Providers.from_settings(settings).for_organization(
        school.organization_id, webhook_url=None
    )
    with pytest.raises(ProviderUnavailable):
        compare(step_of(school), away)


@dataclass
class Listing:
    """The school's provider, seen as it was a moment ago; nothing is open while it is asked."""

    provider: PaymentProvider
    payments: list[ProviderPayment]
    fetched: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.provider.name

    def list_payments(self, **_asked: Any) -> PaymentPage:
        return PaymentPage(self.payments, None)

    def list_disputes(self, **_asked: Any) -> DisputePage:
        return DisputePage([], None)

    def fetch_payment(self, payment_id: str, /) -> ProviderPayment:
        self.fetched.append(payment_id)
        return self.provider.fetch_payment(payment_id)


def test_what_is_paid_while_the_books_are_compared_is_no_difference(school: Academy) -> None:
    provider = provider_of(school)
    before = provider.list_payments().payments
    _, name = buy(school)
    listing: Any = Listing(provider, list(before))
    assert compared(school, listing) == []
    assert listing.fetched == [name]


def test_the_provider_is_asked_outside_any_transaction(school: Academy) -> None:
    buy(school, "tok_pending")
    let_time_pass(school)
    open_steps: list[Session] = []
    provider = provider_of(school)

    class Watching(Listing):
        def list_payments(self, **asked: Any) -> PaymentPage:
            assert open_steps == []
            return provider.list_payments(**asked)

        def list_disputes(self, **asked: Any) -> DisputePage:
            assert open_steps == []
            return super().list_disputes(**asked)

        def fetch_payment(self, payment_id: str, /) -> ProviderPayment:
            assert open_steps == []
            return super().fetch_payment(payment_id)

    watching: Any = Watching(provider, [])

    @contextmanager
    def step() -> Iterator[Session]:
        with school.database.transaction(school.scope) as session:
            open_steps.append(session)
            try:
                yield session
            finally:
                open_steps.remove(session)

    (name,) = [one.id for one in provider.list_payments().payments]
    school.settle_at_provider(name)
    checks, _ = compare(step, watching)
    assert sum(check.total for check in checks) == 1
    assert watching.fetched == [name]


def test_of_many_differences_the_first_are_looked_at_again_and_all_are_counted(
    school: Academy,
) -> None:
    provider = provider_of(school)
    payment = provider.create_payment(
        idempotency_key=str(uuid4()), amount=1, currency="EUR", token="tok_success", metadata={}
    )
    many = LOOKED_AT_AGAIN + 5
    strays = [replace(payment, id=f"pay_{number:04}") for number in range(many)]
    listing: Any = Listing(provider, strays)
    results, _ = compare(step_of(school), listing)
    checks = {check.name: check for check in results}
    # The provider does not know the first hundred when it is asked for them.
    assert len(listing.fetched) == LOOKED_AT_AGAIN
    assert checks["provider_unknown"].total == many - LOOKED_AT_AGAIN


class Pages(Listing):
    """The provider's list in pages of one payment."""

    def list_payments(self, *, cursor: str | None = None, **_asked: Any) -> PaymentPage:
        number = int(cursor or 0)
        return PaymentPage(
            self.payments[number : number + 1],
            str(number + 1) if number + 1 < len(self.payments) else None,
        )


@pytest.mark.parametrize(
    ("bounds", "read"),
    [(Bounds(pages=2, seconds=DEADLINE), 2), (Bounds(pages=9, seconds=0), 1)],
)
def test_within_bounds_what_was_read_is_compared_and_nothing_is_missing(
    school: Academy, bounds: Bounds, read: int
) -> None:
    provider = provider_of(school)
    for _ in range(3):
        buy(school)
    pages: Any = Pages(provider, list(provider.list_payments().payments))
    checks, listed = compare(step_of(school), pages, bounds=bounds)
    assert (listed.payments, listed.is_complete) == (read, False)
    assert sum(check.total for check in checks) == 0
    school.execute_as_owner("UPDATE payments SET amount = 5000")
    checks, _ = compare(step_of(school), pages, bounds=bounds)
    assert [(check.name, check.total) for check in checks if check.total] == [
        ("provider_amount", read)
    ]


def test_when_the_time_is_over_nothing_is_looked_at_again(school: Academy) -> None:
    buy(school)
    nothing: Any = Listing(provider_of(school), [])
    checks, listed = compare(step_of(school), nothing, bounds=Bounds(pages=1, seconds=0))
    assert not listed.is_complete  # disputes were not asked for any more
    assert sum(check.total for check in checks) == 1
    assert nothing.fetched == []


def test_the_first_moment_that_a_day_may_name_is_one_that_providers_take(school: Academy) -> None:
    asked: list[datetime] = []

    class Asked(Listing):
        def list_payments(self, *, created_after: Any = None, **_asked: Any) -> PaymentPage:
            asked.append(created_after)
            return PaymentPage(self.payments, None)

    first = datetime(1970, 1, 1, tzinfo=UTC)
    listing: Any = Asked(provider_of(school), [])
    assert compared(school, listing, since=first) == []
    assert asked == [first]
