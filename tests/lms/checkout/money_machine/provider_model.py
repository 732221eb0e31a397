"""What the provider says when it is asked, and what follows from it in the books."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.lms.checkout.money_machine.things import (
    LIVE,
    OPEN,
    REFUNDS_LATER,
    SEATED,
    STANDINGS,
    TIMES_OUT,
    Asked,
    Charge,
    Event,
    Expected,
    Mode,
    Purchase,
    Refund,
    Run,
    TopUp,
)

UNKNOWN = "unknown"
DECLINED = Expected(402, "payment_declined", is_recorded=True)


@dataclass
class ProviderModel:
    """What may be at the provider.

    Attributes:
        runs: what is sold.
        purchases, top_ups, refunds, events: in the order in which they were made.
        receipts: how many were issued.
        happened: how often came what no answer tells of.
    """

    runs: list[Run] = field(default_factory=list)
    purchases: list[Purchase] = field(default_factory=list)
    top_ups: list[TopUp] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    receipts: int = 0
    happened: Counter[str] = field(default_factory=Counter)

    @property
    def charges(self) -> list[Charge]:
        """All that may be charged to a card."""
        return [*self.purchases, *self.top_ups]

    def taken(self, run: Run) -> int:
        """How many seats of a run are taken."""
        return sum(p.run is run and p.enrollment in SEATED for p in self.purchases)

    def has_room(self, run: Run) -> bool:
        """Whether a seat is free."""
        return run.capacity is None or self.taken(run) < run.capacity

    def refunds_of(self, purchase: Purchase) -> list[Refund]:
        """What was given back of a payment."""
        return [refund for refund in self.refunds if refund.purchase is purchase]

    # --- asking

    def ask_charge(self, charge: Charge, mode: Mode) -> str:
        """Charge a card, or ask how that stands: it happens once, however often it is asked."""
        if mode != "there":
            return UNKNOWN
        if charge.standing == "unasked":
            charge.standing = STANDINGS[charge.token or ""]
            if charge.token == TIMES_OUT:
                return UNKNOWN
        return charge.standing

    def ask_refund(self, refund: Refund, mode: Mode, *, is_first: bool) -> str:
        """Give money back, or ask how that stands. A refusal only counts of the first request."""
        if mode == "refusing" and is_first:
            return "failed"
        if mode != "there":
            return UNKNOWN
        if refund.standing == "unasked":
            later = refund.purchase.token == REFUNDS_LATER
            refund.standing = "pending" if later else "succeeded"
        return refund.standing

    def sweep(self, asked: Asked, mode: Mode) -> None:
        """Let the job look at a payment, top-up or refund."""
        asked.has_work = False
        if isinstance(asked, Refund):
            self._ask_again_for_refund(asked, mode)
            asked.has_work = asked.state in OPEN
        elif isinstance(asked, Charge) and asked.is_tried:
            self.hear(asked, self.ask_charge(asked, mode))
            asked.has_work = asked.is_tried

    def resume(self, subject: object) -> Expected:
        """Send a request again whose answer was lost: it goes on where it was."""
        if isinstance(subject, Purchase):
            if subject.is_tried:
                self.hear(subject, self.ask_charge(subject, "there"))
            return self.tell_purchase(subject)
        if isinstance(subject, TopUp):
            if subject.is_tried:
                self.hear_of_top_up(subject, self.ask_charge(subject, "there"))
            return self.tell_top_up(subject)
        if isinstance(subject, Refund):
            self._ask_again_for_refund(subject, "there")
            return self.tell_refund(subject)
        raise TypeError(f"{subject} cannot be resumed")

    def resume_leaving(self, refund: Refund | None) -> Expected:
        """The same for a withdrawal, with the refund that it made."""
        if refund is not None:
            self._ask_again_for_refund(refund, "there")
        return Expected(200)

    def deliver(self, event: Event, mode: Mode) -> Expected:
        """Take an event: it says that it is time to look, at the payment and its refunds."""
        charge = event.charge
        if event.is_applied:
            return Expected(204)
        if not (charge.named or event.names_us):
            event.is_stored = True
            return Expected(204)
        if mode != "there":
            return Expected(503, "provider_unavailable")
        waiting = [
            refund
            for refund in self.refunds
            if refund.purchase is charge and refund.state == "pending" and refund.named
        ]
        event.is_stored = event.is_applied = True
        self.hear(charge, charge.standing)
        for refund in waiting:
            self.hear_of_refund(refund, refund.standing)
        return Expected(204)

    # --- hearing

    def hear(self, charge: Charge, answer: str) -> None:
        """Apply what is said of a charge; events about it that were kept have their effect too."""
        if isinstance(charge, Purchase):
            self.hear_of_purchase(charge, answer)
        elif isinstance(charge, TopUp):
            self.hear_of_top_up(charge, answer)
        self._apply_kept_events(charge, answer)

    def hear_of_purchase(self, purchase: Purchase, answer: str) -> None:
        """Let seat and state follow the money."""
        if answer == "succeeded" and purchase.state != "succeeded":
            purchase.state = "succeeded"
            self.receipts += 1
            self._seat(purchase)
        elif answer == "failed" and purchase.state in OPEN:
            purchase.state, purchase.live = "failed", False
            if purchase.enrollment == "pending":
                purchase.enrollment = "cancelled"
            purchase.give_coupon_back()
        elif answer == "pending" and purchase.state == "created":
            purchase.state = "pending"
        _remember(purchase, answer)

    def hear_of_top_up(self, top_up: TopUp, answer: str) -> None:
        """Deposit once."""
        if answer == "succeeded" and top_up.state != "succeeded":
            top_up.state = "succeeded"
            top_up.learner.move(top_up.amount)
            self.receipts += 1
        elif answer != UNKNOWN and top_up.state in OPEN:
            top_up.state = answer
        _remember(top_up, answer)

    def hear_of_refund(self, refund: Refund, answer: str) -> None:
        """Follow a refund; one that is refused is still owed where the seat is gone."""
        if answer == "succeeded" and refund.state in OPEN:
            refund.state = "succeeded"
            self.receipts += 1
        elif answer == "pending" and refund.state == "created":
            refund.state = "pending"
        elif answer == "failed" and refund.state in OPEN:
            if refund.purchase.live:
                refund.state = "failed"
                refund.purchase.refunded -= refund.amount
            else:
                refund.state = "created"
                self.happened["a refused refund stayed open"] += 1
        _remember(refund, answer)
        if answer in ("succeeded", "pending"):
            self.end_if_all_is_given_back(refund.purchase)

    def end_if_all_is_given_back(self, purchase: Purchase) -> None:
        """End an enrollment of which wallet or provider have taken every part."""
        given = sum(
            refund.amount
            for refund in self.refunds_of(purchase)
            if refund.state in ("pending", "succeeded")
        )
        if given == purchase.amount and purchase.enrollment == "active":
            purchase.enrollment, purchase.live = "withdrawn", False
            self.happened["the last part ended an enrollment"] += 1

    # --- telling

    def tell_purchase(self, purchase: Purchase) -> Expected:
        """What a request for a purchase is answered."""
        if purchase.state == "failed":
            return DECLINED
        if purchase.enrollment == "pending":
            return Expected(202)
        is_late = any(refund.is_late for refund in self.refunds_of(purchase))
        if is_late and purchase.enrollment not in LIVE:
            return Expected(409, "run_full", is_recorded=True)
        return Expected(201)

    def tell_top_up(self, top_up: TopUp) -> Expected:
        """What a request for a top-up is answered."""
        if top_up.state == "failed":
            return DECLINED
        return Expected(201 if top_up.state == "succeeded" else 202)

    def tell_refund(self, refund: Refund) -> Expected:
        """What a request for a refund is answered."""
        if refund.state == "failed":
            return Expected(409, "refund_refused", is_recorded=True)
        return Expected(201 if refund.state == "succeeded" else 202)

    def _ask_again_for_refund(self, refund: Refund, mode: Mode) -> None:
        if not refund.is_tried and (refund.to_wallet or refund.state not in OPEN):
            return
        is_first, refund.is_tried = not refund.is_tried, True
        self.hear_of_refund(refund, self.ask_refund(refund, mode, is_first=is_first))

    def _seat(self, purchase: Purchase) -> None:
        if purchase.live:
            purchase.enrollment = "active"
            return
        has_another = any(
            other.live
            for other in self.purchases
            if (other.learner, other.run) == (purchase.learner, purchase.run)
        )
        coupon = purchase.coupon
        has_coupon = coupon is None or not (
            coupon.is_used_up() or coupon.is_used_by(purchase.learner)
        )
        if not has_coupon:
            self.happened["late money found no use of its coupon left"] += 1
        has_seat = purchase.enrollment == "expired" and self.has_room(purchase.run)
        if has_seat and has_coupon and not has_another:
            purchase.use_coupon()
            purchase.enrollment, purchase.live = "active", True
            self.happened["late money got its seat again"] += 1
            return
        refund = Refund(
            amount=purchase.amount, purchase=purchase, to_wallet=False, is_late=True, has_work=True
        )
        self.refunds.append(refund)
        purchase.refunded = purchase.amount
        self.happened["late money was given back"] += 1

    def _apply_kept_events(self, charge: Charge, answer: str) -> None:
        if answer in ("succeeded", "failed"):
            for event in self.events:
                if event.charge is charge and event.is_stored and not event.is_applied:
                    event.is_applied = True
                    self.happened["a kept event was applied later"] += 1


def _remember(asked: Asked, answer: str) -> None:
    """Keep the answer beside the try; late money outweighs a no."""
    if answer == UNKNOWN:
        return
    asked.named = answer != "failed" or isinstance(asked, Charge)
    if answer == "succeeded":
        asked.is_tried = False
    elif asked.is_tried:
        asked.is_tried = answer == "pending"
