"""Enrolling, and seats that nobody pays for."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from lms.core.queue import EXPIRE_ENROLLMENT
from lms.enrollments.operations import complete
from tests.lms.checkout.money_machine.machine import Machine
from tests.lms.checkout.money_machine.strategies import (
    FOR_FREE,
    LATE_TOKENS,
    MODES,
    SOME_COUPON,
    SOMEBODY,
    SOMEWHERE,
    TOKENS,
    UNREACHED,
    WAYS,
)
from tests.lms.checkout.money_machine.things import Coupon, Method, Mode, Purchase

HOLD_RUNS_OUT = "UPDATE enrollments SET hold_until = now() - interval '1 second' WHERE id = :id"


class BuyingRules(Machine):
    """Purchases in every way, and the time of unpaid seats."""

    @rule(who=SOMEBODY, where=SOMEWHERE)
    def buy_from_wallet(self, who: int, where: int) -> None:
        self.buy(who, where, "wallet", {"method": "wallet"})

    @rule(who=SOMEBODY, where=FOR_FREE)
    def enroll_for_free(self, who: int, where: int) -> None:
        self.buy(who, where, "free", {"method": "free"})

    @rule(who=SOMEBODY, where=SOMEWHERE, token=TOKENS)
    def buy_by_card(self, who: int, where: int, token: str) -> None:
        self.buy(who, where, "provider", {"method": "provider", "token": token})

    @rule(who=SOMEBODY, where=SOMEWHERE, token=LATE_TOKENS)
    def buy_by_slow_card(self, who: int, where: int, token: str) -> None:
        self.buy(who, where, "provider", {"method": "provider", "token": token})

    @rule(who=SOMEBODY, where=SOMEWHERE, token=TOKENS, mode=UNREACHED)
    def buy_while_provider_is_away(self, who: int, where: int, token: str, mode: Mode) -> None:
        self.buy(who, where, "provider", {"method": "provider", "token": token}, mode)

    @rule(who=SOMEBODY, where=SOMEWHERE, coupon=SOME_COUPON, way=WAYS, token=TOKENS, mode=MODES)
    def buy_with_coupon(
        self, who: int, where: int, coupon: int, way: Method, token: str, mode: Mode
    ) -> None:
        payment = {"method": way} | ({"token": token} if way == "provider" else {})
        self.buy(who, where, way, payment, mode, self.model.coupons[coupon])

    def buy(
        self,
        who: int,
        where: int,
        method: Method,
        payment: dict[str, Any],
        mode: Mode = "there",
        coupon: Coupon | None = None,
    ) -> None:
        learner, run = self.model.learners[who], self.model.runs[where]
        made_before = len(self.model.purchases)
        expected = self.model.buy(learner, run, method, payment.get("token"), mode, coupon)
        is_made = len(self.model.purchases) > made_before
        other = {"method": "free" if method == "wallet" else "wallet"}
        named = {} if coupon is None else {"coupon": coupon.code}
        self.request(
            "buy with coupon" if named else f"buy ({method})",
            f"/runs/{run.id}/enrollments",
            learner.person,
            {"payment": payment, **named},
            expected,
            mode=mode,
            makes=self.model.purchases[-1] if is_made else None,
            other_body={"payment": other},
        )

    # --- time

    def unpaid(self) -> list[Purchase]:
        return [p for p in self.model.purchases if p.enrollment == "pending" and not p.is_overdue]

    def looked_at(self) -> list[Purchase]:
        """A job looks at an unpaid seat when its time is up, and not before."""
        held = [p for p in self.model.purchases if p.has_hold_work]
        return [p for p in held if p.is_overdue or p.enrollment != "pending"]

    def active(self) -> list[Purchase]:
        return [p for p in self.model.purchases if p.enrollment == "active"]

    @precondition(lambda self: self.unpaid())
    @rule(data=st.data())
    def let_hold_run_out(self, data: st.DataObject) -> None:
        purchase = data.draw(st.sampled_from(self.unpaid()))
        purchase.is_overdue = True
        self.academy.execute_as_owner(HOLD_RUNS_OUT, id=purchase.enrollment_id)

    @precondition(lambda self: self.looked_at())
    @rule(data=st.data())
    def look_at_hold(self, data: st.DataObject) -> None:
        purchase = data.draw(st.sampled_from(self.looked_at()))
        self.model.expire(purchase)
        self.academy.do_work(EXPIRE_ENROLLMENT, purchase.enrollment_id)

    @precondition(lambda self: self.active())
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        purchase = data.draw(st.sampled_from(self.active()))
        self.model.complete(purchase)
        with self.academy.database.transaction(self.academy.scope) as session:
            complete(session, UUID(purchase.enrollment_id), rules_hash="0" * 64)
