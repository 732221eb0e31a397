"""What the machine's academy sells: few seats, all kinds of prices and policies."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from lms.core.clock import now
from tests.factories.money import Academy
from tests.lms.checkout.money_machine.things import Coupon, Run

RUNS = 7
FEW_SEATS = (0, 1, 2)
FREE = (5,)
COUPONS = 3
OFTEN = 99


def make_coupons(academy: Academy) -> list[Coupon]:
    """Make `COUPONS` of them."""
    return [
        Coupon(
            code=academy.coupon(max_uses=1, max_uses_per_learner=OFTEN),
            percent=50,
            max_uses=1,
            max_uses_per_learner=OFTEN,
        ),
        Coupon(code=academy.coupon(percent_off=100), percent=100, max_uses_per_learner=1),
        Coupon(
            code=academy.coupon(amount_off=500, max_uses_per_learner=OFTEN),
            amount_off=500,
            max_uses_per_learner=OFTEN,
        ),
    ]


def make_runs(academy: Academy) -> list[Run]:
    """Make `RUNS` of them."""
    teacher = academy.person("instructor")

    def run(price: int, capacity: int | None, **changes: Any) -> Run:
        percent = changes.pop("percent", 100)
        nothing_because = changes.pop("nothing_because", None)
        is_open = changes.pop("is_open", True)
        run_id = academy.run(price=price, capacity=capacity, teacher=teacher, **changes)
        return Run(run_id, price, capacity, percent, nothing_because, is_open)

    def until_later(percent: int) -> list[dict[str, Any]]:
        return [{"until": (now() + timedelta(days=5)).isoformat(), "percent": percent}]

    return [
        run(4900, 2),
        run(700, 1),
        run(1501, 1, refund_policy=until_later(50), percent=50),
        run(999, 3, starts_in=-1, percent=0, nothing_because="after_last_step"),
        run(
            300, None, refund_policy=until_later(0), percent=0, nothing_because="step_gives_nothing"
        ),
        run(0, 1),
        run(4900, None, opens_in=1, is_open=False),
    ]
