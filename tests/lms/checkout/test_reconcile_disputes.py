"""Our disputes and the provider's list of them, made to differ; and following the provider."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from lms.checkout.reconcile.follow import follow
from lms.checkout.reconcile.provider import compare
from lms.checkout.reconcile.report import Finding, Report
from lms.checkout.reconcile.steps import Bounds
from lms.core.clock import now
from lms.core.queue import Doorbell
from lms.payments.providers.base import DisputePage
from lms.payments.providers.interface import PaymentProvider
from lms.payments.providers.registry import Providers
from tests.factories import provider_side as there
from tests.factories.contested import buy, disputed, marks, topped_up, wallet
from tests.factories.money import Academy


def provider_of(academy: Academy) -> PaymentProvider:
    providers = Providers.from_settings(academy.settings)
    return providers.for_organization(academy.organization_id, webhook_url=None)


def step_of(academy: Academy) -> Callable[[], AbstractContextManager[Session]]:
    return partial(academy.database.transaction, academy.scope)


def compared(academy: Academy, **options: object) -> list[Finding]:
    checks, _ = compare(step_of(academy), provider_of(academy), **options)  # pyright: ignore[reportArgumentType]
    return Report(tuple(checks)).findings


def followed(academy: Academy) -> int:
    bell = Doorbell(academy.settings.redis_url)
    results, _ = compare(step_of(academy), provider_of(academy))
    return follow(step_of(academy), bell, provider_of(academy), results)


def test_a_dispute_that_nobody_told_us_of_is_found(school: Academy) -> None:
    disputed(school, "won")
    dispute_id = there.contest(school, buy(school)["name"], amount=900)
    assert compared(school) == [
        Finding(
            check="provider_dispute",
            subject_type="provider_dispute",
            subject_id=dispute_id,
            expected="nothing in our books",
            found="needs_response chargeback of 900 EUR",
        )
    ]


def test_a_dispute_that_stands_otherwise_there_is_found(school: Academy) -> None:
    purchase = disputed(school)
    there.decide(school, purchase["dispute"], "lost")
    (found,) = compared(school)
    assert (found.check, found.subject_id) == ("provider_dispute", purchase["dispute"])
    assert (found.expected, found.found) == (
        "needs_response chargeback of 4900 EUR",
        "lost chargeback of 4900 EUR",
    )


def test_a_dispute_that_the_provider_does_not_have_is_found(school: Academy) -> None:
    purchase = disputed(school)
    school.execute_as_owner("UPDATE disputes SET provider_dispute_id = 'dp_gone'")
    found = {one.subject_id: one.found for one in compared(school)}
    assert found == {
        "dp_gone": "nothing at the provider",
        purchase["dispute"]: "needs_response chargeback of 4900 EUR",
    }


def test_only_disputes_since_a_moment_are_compared(school: Academy) -> None:
    disputed(school)
    school.execute_as_owner("UPDATE disputes SET provider_dispute_id = 'dp_gone'")
    later = now() + timedelta(days=2)
    assert compared(school, since=later) == []


def test_what_the_provider_took_back_is_followed_and_then_both_agree(school: Academy) -> None:
    given_back, contested, moved = buy(school), buy(school), disputed(school)
    top_up, disputed_one = topped_up(school, 5000), topped_up(school, 5000)
    there.give_back(school, given_back["name"], 900)
    there.contest(school, contested["name"])
    there.decide(school, moved["dispute"], "lost")
    there.give_back(school, top_up.name, 2000)
    there.contest(school, disputed_one.name)
    assert len(compared(school)) == 5
    assert followed(school) == 5
    assert compared(school) == []
    assert marks(school, contested) == ("open", True, 0)
    assert marks(school, moved) == ("lost", False, 4900)
    assert wallet(top_up) == (3000, 0, False)
    assert wallet(disputed_one) == (0, 0, False)
    refunds = school.rows("SELECT amount, reason FROM refunds")
    assert refunds == [{"amount": 900, "reason": "made_at_provider"}]
    assert followed(school) == 0
    school.assert_books_balance()


def test_what_cannot_be_followed_stays_a_finding(school: Academy) -> None:
    purchase = disputed(school)
    school.execute_as_owner("UPDATE disputes SET provider_dispute_id = 'dp_gone'")
    school.execute_as_owner("UPDATE payments SET provider_payment_id = 'pay_gone'")
    before = compared(school)
    assert followed(school) == 2
    assert compared(school) == before
    assert marks(school, purchase) == ("open", True, 0)


def test_what_is_missing_from_a_list_that_was_not_read_to_its_end_is_no_difference(
    school: Academy,
) -> None:
    purchase = disputed(school)
    provider = provider_of(school)
    page = provider.list_disputes()
    gone = disputed(school)

    class Long:
        """The school's provider, whose list of disputes goes on and on."""

        name = provider.name
        list_payments = provider.list_payments
        fetch_dispute = provider.fetch_dispute

        def list_disputes(self, **_asked: object) -> DisputePage:
            return DisputePage(page.disputes, purchase["dispute"])

    long: Any = Long()
    checks, listed = compare(step_of(school), long, bounds=Bounds(pages=2, seconds=600))
    assert (Report(tuple(checks)).findings, listed.is_complete) == ([], False)
    assert gone["dispute"] not in {one.id for one in page.disputes}
