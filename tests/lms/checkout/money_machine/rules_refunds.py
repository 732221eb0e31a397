"""Money that goes back."""

from __future__ import annotations

from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.lms.checkout.money_machine import books
from tests.lms.checkout.money_machine.machine import Machine
from tests.lms.checkout.money_machine.strategies import MODES, euros
from tests.lms.checkout.money_machine.things import Expected, Mode, Purchase

PARTS = st.sampled_from([None, 1, 150, 350, 2450, 4900])
DESTINATIONS = st.sampled_from(["source", "wallet"])


class RefundRules(Machine):
    """Leaving a run, refunds by admins, and what one would get back."""

    def any_purchase(self) -> list[Purchase]:
        """All, those that may be given back more often."""
        purchases = self.model.purchases
        paid = [p for p in purchases if p.state == "succeeded" and p.refunded < p.amount]
        return [*purchases, *paid, *paid, *paid]

    @precondition(lambda self: self.model.purchases)
    @rule(data=st.data(), by_admin=st.booleans(), mode=MODES)
    def leave(self, data: st.DataObject, by_admin: bool, mode: Mode) -> None:
        purchase = data.draw(st.sampled_from(self.any_purchase()))
        made_before = len(self.model.refunds)
        expected = self.model.leave(purchase, mode)
        made = self.model.refunds[-1] if len(self.model.refunds) > made_before else None
        self.request(
            "leave",
            f"/enrollments/{purchase.enrollment_id}/withdraw",
            self.admin if by_admin else purchase.learner.person,
            None,
            expected,
            mode=mode,
            makes=made,
            resume=partial(self.model.resume_leaving, made),
        )

    @precondition(lambda self: self.model.purchases)
    @rule(data=st.data(), part=PARTS, destination=DESTINATIONS, mode=MODES)
    def refund(self, data: st.DataObject, part: int | None, destination: str, mode: Mode) -> None:
        purchase = data.draw(st.sampled_from(self.any_purchase()))
        made_before = len(self.model.refunds)
        expected = self.model.refund(purchase, part, destination, mode)
        is_made = len(self.model.refunds) > made_before
        body = {"destination": destination} | ({} if part is None else {"amount": euros(part)})
        self.request(
            f"refund to {destination}",
            f"/payments/{purchase.id}/refunds",
            self.admin,
            body,
            expected,
            mode=mode,
            makes=self.model.refunds[-1] if is_made else None,
            other_body={**body, "reason": "Another one"},
        )

    @precondition(lambda self: self.model.purchases)
    @rule(data=st.data())
    def read_quote_and_statement(self, data: st.DataObject) -> None:
        purchase = data.draw(st.sampled_from(self.any_purchase()))
        books.check_statement(self.academy, purchase.learner)
        path = f"/payments/{purchase.id}/refund-quote"
        answer = self.academy.get(path, purchase.learner.person)
        self.compare("quote", answer, Expected(200))
        told = answer.get_json()
        found = (told["amount"]["amount"], told["nothing_because"])
        if found != self.model.quote(purchase):
            raise AssertionError(f"{self.model.quote(purchase)} was expected, not {told}")
