"""What a learner gets back, as pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from lms.payments.models import Payment

WITHDRAWABLE_STATES = ("active", "suspended")
"""Enrollments that a learner may leave with money coming back, as the policy says."""

NothingBecause = Literal[
    "not_paid",
    "free",
    "disputed",
    "already_given_back",
    "enrollment_completed",
    "enrollment_ended",
    "after_last_step",
    "step_gives_nothing",
]
"""Why nothing is given back."""


@dataclass(frozen=True, slots=True)
class Step:
    """The step of a refund policy that applies at a moment.

    Attributes:
        percent: of what was paid, 0 to 100.
        until: when it ends, UTC; None after the last step.
        next_percent: what applies from then on; None after the last step.
    """

    percent: int
    until: datetime | None = None
    next_percent: int | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """What one gets back who withdraws now, and why.

    Attributes:
        step: of the policy; gives 0 percent when the policy is not asked at all.
        amount: minor units of the payment's currency.
        nothing_because: why the amount is 0; None when it is more.
    """

    step: Step
    amount: int = 0
    nothing_because: NothingBecause | None = None


def step_at(
    refund_policy: Iterable[Mapping[str, Any]], *, now: datetime, starts_at: datetime
) -> Step:
    """Return the step of a refund policy that applies now: of those still ahead, the earliest.

    Args:
        refund_policy: the run's at the time of paying: `{"until": RFC 3339, "percent": 0..100}`.
            Empty means all before the run starts and nothing after.
        now: UTC, by the database's clock.
        starts_at: when the run starts, UTC.
    """
    steps = sorted(
        (datetime.fromisoformat(step["until"]).astimezone(UTC), int(step["percent"]))
        for step in refund_policy
    ) or [(starts_at, 100)]
    ahead = [step for step in steps if now < step[0]]
    if not ahead:
        return Step(0)
    until, percent = ahead[0]
    return Step(percent, until, ahead[1][1] if len(ahead) > 1 else 0)


def quote_refund(
    payment: Payment, *, enrollment_state: str, run_state: str, now: datetime, starts_at: datetime
) -> Quote:
    """Return what one gets back who withdraws now.

    The policy says how much is given back in all, so what was given back before counts towards it,
    and what the payer's bank took back for good (disputes) too. Of a cancelled run everything is
    given back, whatever the policy says, and to who paid but still waits for a seat.

    Args:
        payment: with the policy that held when it was made.
        enrollment_state: of the enrollment that it paid for.
        run_state: of its run.
        now: UTC, by the database's clock.
        starts_at: when the run starts, UTC.
    """
    reason = _nothing_because(payment, enrollment_state)
    if reason is not None:
        return Quote(Step(0), nothing_because=reason)
    if run_state == "cancelled" or enrollment_state == "waitlisted":
        step = Step(100)
    else:
        step = step_at(payment.refund_policy, now=now, starts_at=starts_at)
    in_all = payment.amount * step.percent // 100
    amount = max(in_all - payment.refunded_amount - payment.lost_amount, 0)
    if amount > 0:
        return Quote(step, amount)
    if in_all > 0:
        return Quote(step, nothing_because="already_given_back")
    return Quote(
        step, nothing_because="after_last_step" if step.until is None else "step_gives_nothing"
    )


def _nothing_because(payment: Payment, enrollment_state: str) -> NothingBecause | None:
    """Return why nothing is given back whatever the policy says, or None."""
    if payment.state != "succeeded":
        return "not_paid"
    if payment.amount == 0:
        return "free"
    if payment.disputed_at is not None:
        return "disputed"
    if payment.refunded_amount + payment.lost_amount >= payment.amount:
        return "already_given_back"
    if enrollment_state == "completed":
        return "enrollment_completed"
    is_left = enrollment_state not in (*WITHDRAWABLE_STATES, "waitlisted")
    return "enrollment_ended" if is_left else None
