"""What money moves between, as plain objects: no database, no HTTP, nothing of the product."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from tests.factories.people import Person

Mode = Literal["there", "away", "refusing"]
"""How the provider behaves: it cannot be reached, or it definitely refuses every refund."""

Method = Literal["free", "wallet", "provider"]

Standing = Literal["unasked", "pending", "succeeded", "failed"]
"""How something stands at the provider."""

OPEN = ("created", "pending")
LIVE = ("pending", "active", "completed")
SEATED = LIVE

TIMES_OUT = "tok_timeout_after_success"
REFUNDS_LATER = "tok_pending_refund"
STANDINGS: dict[str, Standing] = {
    "tok_success": "succeeded",
    "tok_duplicate_webhook": "succeeded",
    TIMES_OUT: "succeeded",
    REFUNDS_LATER: "succeeded",
    "tok_pending": "pending",
    "tok_declined": "failed",
    "tok_insufficient_funds": "failed",
}
"""What becomes of a card's charge at first."""


class Thing:
    """Hypothesis would show dataclasses with all that they point at; `repr` says enough."""

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(repr(self))


@dataclass(eq=False, repr=False)
class Learner(Thing):
    """Somebody with a wallet.

    Attributes:
        person: signs their requests.
        balance: minor units.
        rows: how many rows their journal has.
    """

    person: Person
    balance: int = 0
    rows: int = 0

    def move(self, amount: int) -> None:
        """Post a row."""
        self.balance += amount
        self.rows += 1

    def __repr__(self) -> str:
        return f"<learner with {self.balance}>"


@dataclass(eq=False, repr=False)
class Run(Thing):
    """Something to buy.

    Attributes:
        id: the run's.
        price: minor units.
        capacity: seats; None for any number.
        percent: of the price that one gets back who leaves now.
        nothing_because: what a quote says where that is 0.
        is_open: whether it takes enrollments.
    """

    id: UUID
    price: int
    capacity: int | None
    percent: int = 100
    nothing_because: str | None = None
    is_open: bool = True

    def __repr__(self) -> str:
        return f"<run for {self.price}, {self.capacity} seats>"


@dataclass(eq=False, repr=False, kw_only=True)
class Coupon(Thing):
    """Something off a price.

    Attributes:
        code: by which it is named.
        max_uses_per_learner: of each.
        max_uses: in all; None for any number.
        percent: of the price; None for an amount.
        amount_off: minor units; None for a part.
        uses: how often each learner has used it.
    """

    code: str
    max_uses_per_learner: int
    max_uses: int | None = None
    percent: int | None = None
    amount_off: int | None = None
    uses: Counter[Learner] = field(default_factory=Counter)

    def off(self, price: int) -> int:
        """What it takes off, in minor units."""
        if self.amount_off is not None:
            return min(self.amount_off, price)
        return price * (self.percent or 0) // 100

    def is_used_by(self, learner: Learner) -> bool:
        """Whether the learner has had it as often as anybody may."""
        return self.uses[learner] >= self.max_uses_per_learner

    def is_used_up(self) -> bool:
        """Whether no use is left for anybody."""
        return self.max_uses is not None and self.uses.total() >= self.max_uses

    def __repr__(self) -> str:
        return f"<coupon used {self.uses.total()} times>"


@dataclass(eq=False, repr=False, kw_only=True)
class Asked(Thing):
    """What a provider may be asked for, and how that stands on both sides.

    Attributes:
        amount: minor units.
        id: ours.
        state: ours.
        standing: the provider's.
        named: whether we know its identifier there.
        is_tried: whether a try is open: it was, or may have been, asked, and has not ended.
        has_work: whether the sweeper will look at it.
    """

    amount: int
    id: str = ""
    state: str = "created"
    standing: Standing = "unasked"
    named: bool = False
    is_tried: bool = False
    has_work: bool = False

    def __repr__(self) -> str:
        kind = type(self).__name__.lower()
        return f"<{kind} of {self.amount}, {self.state}, at the provider {self.standing}>"


@dataclass(eq=False, repr=False, kw_only=True)
class Charge(Asked):
    """Money that comes in.

    Attributes:
        learner: whose.
        token: the means of payment; None for wallets and what is free.
    """

    learner: Learner
    token: str | None = None


@dataclass(eq=False, repr=False, kw_only=True)
class TopUp(Charge):
    """A deposit into a wallet."""


@dataclass(eq=False, repr=False, kw_only=True)
class Purchase(Charge):
    """A payment for a run, and the enrollment that hangs on it.

    Attributes:
        run: what was bought.
        method: how.
        enrollment: its state.
        enrollment_id: its id.
        live: whether it stands in the way of another one.
        refunded: minor units that are given back or on their way.
        coupon: what was taken off, if anything.
        uses_coupon: whether that counts as a use of it.
        is_overdue: whether the time of an unpaid seat is up.
        has_hold_work: whether a job will look at the unpaid seat.
    """

    run: Run
    method: Method
    enrollment: str = "pending"
    enrollment_id: str = ""
    live: bool = True
    refunded: int = 0
    coupon: Coupon | None = None
    uses_coupon: bool = False
    is_overdue: bool = False
    has_hold_work: bool = False

    def use_coupon(self) -> None:
        """Count a use of the coupon, if there is one."""
        if self.coupon is not None:
            self.coupon.uses[self.learner] += 1
            self.uses_coupon = True

    def give_coupon_back(self) -> None:
        """Count its use no longer."""
        if self.coupon is not None and self.uses_coupon:
            self.coupon.uses[self.learner] -= 1
            self.uses_coupon = False


@dataclass(eq=False, repr=False, kw_only=True)
class Refund(Asked):
    """Money that goes back.

    Attributes:
        purchase: of which.
        to_wallet: whether it goes there rather than to the provider.
        is_late: whether it gives late money back, by itself.
    """

    purchase: Purchase
    to_wallet: bool
    is_late: bool = False


@dataclass(eq=False, repr=False)
class Event(Thing):
    """A webhook of the provider, which may be delivered any number of times.

    Attributes:
        charge: what it is about.
        names_us: whether it carries what we sent along.
        body: its bytes, the same each time.
        is_stored: whether it was taken.
        is_applied: whether it has had its effect.
    """

    charge: Charge
    names_us: bool
    body: bytes
    is_stored: bool = False
    is_applied: bool = False

    def __repr__(self) -> str:
        return f"<event about {self.charge}>"


@dataclass(frozen=True)
class Expected:
    """What an answer should say.

    Attributes:
        status: of HTTP.
        code: of a refusal.
        is_recorded: whether it is a refusal that left its mark.
    """

    status: int
    code: str | None = None
    is_recorded: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether the answer is repeated to whoever sends the key again."""
        return self.status < 300 or self.is_recorded


@dataclass(eq=False, repr=False)
class Request(Thing):
    """A request whose answer was kept under its key.

    Attributes:
        what: the operation, for people.
        path, person, body, key: what was sent.
        expected: what was answered.
        answer: the bytes of it.
        resume: predicts the answer to a repetition when the first one was lost; None where that
            cannot be, because request and answer are one transaction.
        other_body: one that asks for something else.
    """

    what: str
    path: str
    person: Person
    body: Any
    key: str
    expected: Expected
    answer: bytes
    resume: Callable[[], Expected] | None = None
    other_body: Any = None

    def __repr__(self) -> str:
        return f"<{self.what}, answered {self.expected.status}>"
