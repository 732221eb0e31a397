"""Money that comes into wallets."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.lms.checkout.money_machine.machine import Machine
from tests.lms.checkout.money_machine.strategies import (
    AMOUNTS,
    MANY,
    SOMEBODY,
    TOKENS,
    UNREACHED,
    euros,
)
from tests.lms.checkout.money_machine.things import Mode


class WalletRules(Machine):
    """Top-ups, corrections by hand, sponsored credit."""

    @rule(who=SOMEBODY, amount=AMOUNTS, token=TOKENS)
    def top_up(self, who: int, amount: int, token: str) -> None:
        self.deposit(who, amount, token)

    @rule(who=SOMEBODY, amount=AMOUNTS, token=TOKENS, mode=UNREACHED)
    def top_up_while_provider_is_away(self, who: int, amount: int, token: str, mode: Mode) -> None:
        self.deposit(who, amount, token, mode)

    def deposit(self, who: int, amount: int, token: str, mode: Mode = "there") -> None:
        learner = self.model.learners[who]
        expected = self.model.top_up(learner, amount, token, mode)
        self.request(
            "top up",
            "/wallet/top-ups",
            learner.person,
            {"amount": euros(amount), "token": token},
            expected,
            mode=mode,
            makes=self.model.top_ups[-1],
            other_body={"amount": euros(amount + 1), "token": token},
        )

    @rule(who=SOMEBODY, amount=AMOUNTS, takes=st.booleans())
    def adjust(self, who: int, amount: int, takes: bool) -> None:
        learner, amount = self.model.learners[who], -amount if takes else amount
        expected = self.model.adjust(learner, amount)
        self.request(
            "adjust",
            f"/users/{learner.person.id}/wallet/adjustments",
            self.admin,
            {"amount": euros(amount), "reason": "Cash"},
            expected,
            other_body={"amount": euros(amount), "reason": "Another one"},
        )

    @rule(who=MANY, amount=AMOUNTS)
    def grant(self, who: list[int], amount: int) -> None:
        learners = [self.model.learners[number] for number in who]
        expected = self.model.grant(learners, amount)
        names = [str(learner.person.id) for learner in learners]
        self.request(
            "grant",
            "/credit-grants",
            self.admin,
            {"amount": euros(amount), "reason": "Scholarship", "learners": names},
            expected,
            other_body={"amount": euros(amount + 1), "reason": "Scholarship", "learners": names},
        )
