"""Money under every sequence of requests, news and delays, against a plain model of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from lms.config import Settings
from tests.factories.money import Academy
from tests.factories.sandbox import paying_app, refusing_provider
from tests.lms.checkout.money_machine.machine import Ground
from tests.lms.checkout.money_machine.rules_buying import BuyingRules
from tests.lms.checkout.money_machine.rules_provider import ProviderRules
from tests.lms.checkout.money_machine.rules_refunds import RefundRules
from tests.lms.checkout.money_machine.rules_repeats import RepeatRules
from tests.lms.checkout.money_machine.rules_wallets import WalletRules

STEPS = 50
"""Of one example."""

SHORT_STEPS = 400
LONG_STEPS = 10_000
RARE = (
    "buy (provider): 202",
    "buy (provider): 402 payment_declined",
    "buy (provider), resumed: 409 run_full",
    "buy (wallet): 402 insufficient_funds",
    "buy (wallet): 409 run_full",
    "buy with coupon: 201",
    "buy with coupon: 202",
    "buy with coupon: 409 coupon_used_up",
    "buy with coupon: 409 coupon_without_effect",
    "refund to source: 409 refund_refused",
    "refund to source, resumed: 201",
    "refund to wallet: 409 not_refundable",
    "leave: 409 transition_not_allowed",
    "adjust: 409 insufficient_funds",
    "new event: 503 provider_unavailable",
    "another request with the key: 422 idempotency_key_reused",
    "a kept event was applied later",
    "a refused refund stayed open",
    "an unpaid seat ran out",
    "an unpaid seat was let go for another",
    "late money got its seat again",
    "late money was given back",
    "the last part ended an enrollment",
)
"""What a long run must have met, for its length to mean something."""


class MoneyMachine(WalletRules, BuyingRules, RefundRules, ProviderRules, RepeatRules):
    """All rules together; more of them are more classes here."""


@pytest.fixture(scope="session")
def refusing(settings: Settings) -> Iterator[Flask]:
    with (
        refusing_provider("refund_exceeds_payment") as url,
        paying_app(settings, url) as app,
    ):
        yield app


@pytest.fixture
def ground(
    academy: Academy, offline: Academy, refusing: Flask, make_organization: Callable[..., UUID]
) -> Ground:
    apps = {"there": academy.app, "away": offline.app, "refusing": refusing}
    return Ground(academy, apps, make_organization)


def drive(ground: Ground, steps: int, *, derandomize: bool) -> None:
    """Make about so many steps, in examples with an academy of their own."""
    run_state_machine_as_test(
        lambda: MoneyMachine(ground),
        settings=settings(
            max_examples=steps // STEPS,
            stateful_step_count=STEPS,
            derandomize=derandomize,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_money_is_where_the_model_says(ground: Ground) -> None:
    drive(ground, SHORT_STEPS, derandomize=True)
    print(ground.summary())
    assert ground.steps > SHORT_STEPS // 2


@pytest.mark.long
def test_money_is_where_the_model_says_after_ten_thousand_steps(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    while ground.steps < LONG_STEPS:  # examples may end early
        drive(ground, LONG_STEPS // 10, derandomize=False)
    with capsys.disabled():
        print(f"\n{ground.summary()}")
    assert ground.steps >= LONG_STEPS
    assert [answer for answer in RARE if not ground.met[answer]] == []
