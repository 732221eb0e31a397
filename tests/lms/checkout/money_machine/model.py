"""Money as it should be: predicts each answer, and keeps what should be in the books after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.lms.checkout.money_machine.provider_model import ProviderModel
from tests.lms.checkout.money_machine.things import (
    LIVE,
    OPEN,
    Coupon,
    Expected,
    Learner,
    Method,
    Mode,
    Purchase,
    Refund,
    Run,
    TopUp,
)

LEAVABLE = ("active",)


@dataclass
class Model(ProviderModel):
    """The books of one academy.

    Attributes:
        learners: who has a wallet.
        coupons: what may be taken off prices.
    """

    learners: list[Learner] = field(default_factory=list)
    coupons: list[Coupon] = field(default_factory=list)

    # --- wallets

    def top_up(self, learner: Learner, amount: int, token: str, mode: Mode) -> Expected:
        """Deposit by card. What it made is the last of `top_ups`."""
        made = TopUp(amount=amount, learner=learner, token=token, is_tried=True, has_work=True)
        self.top_ups.append(made)
        self.hear_of_top_up(made, self.ask_charge(made, mode))
        return self.tell_top_up(made)

    def adjust(self, learner: Learner, amount: int) -> Expected:
        """Put money in by hand, or take it out."""
        if learner.balance + amount < 0:
            return Expected(409, "insufficient_funds")
        learner.move(amount)
        return Expected(201)

    def grant(self, learners: Sequence[Learner], amount: int) -> Expected:
        """Give credit to many, all or nobody."""
        if len(set(learners)) < len(learners):
            return Expected(422, "wrong_shares")
        for learner in learners:
            learner.move(amount)
        return Expected(201)

    # --- buying and leaving

    def buy(
        self,
        learner: Learner,
        run: Run,
        method: Method,
        token: str | None = None,
        mode: Mode = "there",
        coupon: Coupon | None = None,
    ) -> Expected:
        """Enroll. What it made, also for a decline, is the last of `purchases`."""
        price = run.price if coupon is None else run.price - coupon.off(run.price)
        refusal = self._refusal(learner, run, price, method, coupon)
        if refusal is not None:
            return refusal
        made = Purchase(
            amount=price, learner=learner, run=run, method=method, token=token, coupon=coupon
        )
        made.use_coupon()
        self.purchases.append(made)
        if method == "provider":
            made.is_tried = made.has_work = made.has_hold_work = True
            self.hear(made, self.ask_charge(made, mode))
            return self.tell_purchase(made)
        made.state, made.enrollment = "succeeded", "active"
        if method == "wallet":
            learner.move(-price)
            self.receipts += 1
        return Expected(201)

    def leave(self, purchase: Purchase, mode: Mode) -> Expected:
        """Withdraw. The refund that it made, if any, is the last of `refunds`."""
        if purchase.enrollment == "pending":
            purchase.enrollment, purchase.live = "cancelled", False
            purchase.give_coupon_back()
            return Expected(200)
        if purchase.enrollment not in LEAVABLE:
            return Expected(409, "transition_not_allowed")
        amount, _ = self.quote(purchase)
        purchase.live, purchase.enrollment = False, "withdrawn"
        if amount > 0:
            self._give_back(purchase, amount, purchase.method == "wallet", mode)
        return Expected(200)

    def quote(self, purchase: Purchase) -> tuple[int, str | None]:
        """What one gets back who leaves now, and why nothing."""
        reason = _nothing_because(purchase)
        if reason is not None:
            return 0, reason
        in_all = purchase.amount * purchase.run.percent // 100
        amount = max(0, in_all - purchase.refunded)
        if amount > 0:
            return amount, None
        return 0, "already_given_back" if in_all > 0 else purchase.run.nothing_because

    def refund(
        self, purchase: Purchase, amount: int | None, destination: str, mode: Mode
    ) -> Expected:
        """Give back by hand. What it made, also for a refusal, is the last of `refunds`."""
        left = purchase.amount - purchase.refunded if purchase.state == "succeeded" else 0
        given = left if amount is None else amount
        if not 0 < given <= left:
            return Expected(409, "not_refundable")
        to_wallet = purchase.method == "wallet" or destination == "wallet"
        return self.tell_refund(self._give_back(purchase, given, to_wallet, mode))

    # --- time

    def expire(self, purchase: Purchase) -> None:
        """Let the job look at an unpaid seat; it asks the provider to cancel what is still open.

        What is on its way there cannot be cancelled, and what is paid is heard of so.
        """
        purchase.has_hold_work = False
        if self._let_go(purchase):
            self.happened["an unpaid seat ran out"] += 1
        if not purchase.live and purchase.state in OPEN and purchase.is_tried and purchase.named:
            self.hear(purchase, purchase.standing)

    def complete(self, purchase: Purchase) -> None:
        """Let the learner finish the course."""
        if purchase.enrollment == "active":
            purchase.enrollment = "completed"

    def _refusal(
        self, learner: Learner, run: Run, price: int, method: str, coupon: Coupon | None
    ) -> Expected | None:
        if not run.is_open:
            return Expected(409, "enrollment_closed")
        is_enrolled = any(
            p.enrollment in LIVE for p in self.purchases if (p.learner, p.run) == (learner, run)
        )
        if coupon is not None:
            refused = _refusal_of_coupon(coupon, learner, run)
            if is_enrolled or refused is not None:
                return Expected(409, "already_enrolled" if is_enrolled else refused)
        if (price == 0) != (method == "free"):
            return Expected(409, "payment_method_not_possible")
        if method == "wallet" and learner.balance < price and not is_enrolled:
            return Expected(402, "insufficient_funds")
        if is_enrolled:
            return Expected(409, "already_enrolled")
        if not self.has_room(run):
            for purchase in self.purchases:
                if purchase.run is run and self._let_go(purchase):
                    self.happened["an unpaid seat was let go for another"] += 1
        return None if self.has_room(run) else Expected(409, "run_full")

    def _let_go(self, purchase: Purchase) -> bool:
        if purchase.enrollment != "pending" or not purchase.is_overdue:
            return False
        purchase.enrollment, purchase.live = "expired", False
        purchase.give_coupon_back()
        return True

    def _give_back(self, purchase: Purchase, amount: int, to_wallet: bool, mode: Mode) -> Refund:
        made = Refund(amount=amount, purchase=purchase, to_wallet=to_wallet)
        self.refunds.append(made)
        purchase.refunded += amount
        if to_wallet:
            made.state = "succeeded"
            purchase.learner.move(amount)
            self.receipts += 1
            self.end_if_all_is_given_back(purchase)
        else:
            made.is_tried = made.has_work = True
            self.hear_of_refund(made, self.ask_refund(made, mode, is_first=True))
        return made


def _refusal_of_coupon(coupon: Coupon, learner: Learner, run: Run) -> str | None:
    """Why it is not taken."""
    reasons = {
        "coupon_already_used": coupon.is_used_by(learner),
        "coupon_used_up": coupon.is_used_up(),
        "coupon_without_effect": coupon.off(run.price) == 0,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _nothing_because(purchase: Purchase) -> str | None:
    """Why nothing is given back, whatever the policy says."""
    reasons = {
        "not_paid": purchase.state != "succeeded",
        "free": purchase.amount == 0,
        "already_given_back": purchase.refunded == purchase.amount,
        "enrollment_completed": purchase.enrollment == "completed",
        "enrollment_ended": purchase.enrollment not in LEAVABLE,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)
