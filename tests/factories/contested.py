"""Payments and top-ups whose payers contest them, as a test sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from lms.checkout.subjects import find_subject
from lms.payments.disputes import record_dispute
from lms.payments.providers.base import ProviderDispute
from tests.factories import provider_side as there
from tests.factories.money import Academy
from tests.factories.people import Person

EUR = "EUR"

# --- payments for runs


def buy(academy: Academy, *, person: Person | None = None, **run: Any) -> dict[str, Any]:
    person, run_id = person or academy.person(), academy.run(**run)
    answer = academy.enroll(person, run_id, "provider", token="tok_success")
    assert answer.status_code == 201, answer.text
    purchase = answer.get_json()
    name = academy.recorded_name(purchase["payment"]["id"])
    return {**purchase, "name": name, "run_id": run_id, "person": person}


def disputed(academy: Academy, status: str | None = None, **body: Any) -> dict[str, Any]:
    """A purchase that its payer contests, as the provider has told us."""
    purchase = buy(academy)
    dispute_id = there.contest(academy, purchase["name"], **body)
    there.tell(academy, purchase["name"], dispute_id=dispute_id)
    purchase["dispute"] = dispute_id
    if status is not None:
        move(academy, purchase, status)
    return purchase


def move(academy: Academy, purchase: dict[str, Any], status: str) -> None:
    there.decide(academy, purchase["dispute"], status)
    there.tell(academy, purchase["name"], dispute_id=purchase["dispute"])


def payment_of(academy: Academy, purchase: dict[str, Any]) -> dict[str, Any]:
    """The payment as its learner sees it."""
    return academy.get(f"/payments/{purchase['payment']['id']}", purchase["person"]).get_json()


def marks(academy: Academy, purchase: dict[str, Any]) -> tuple[str, bool, int]:
    """What the payment says of disputes: the word, whether it is disputed now, what was lost."""
    payment = payment_of(academy, purchase)
    return (
        payment["dispute_state"],
        payment["disputed_at"] is not None,
        payment["lost_amount"]["amount"],
    )


def enrollment_state(academy: Academy, purchase: dict[str, Any]) -> str:
    path = f"/enrollments/{purchase['enrollment']['id']}"
    return academy.get(path, purchase["person"]).get_json()["state"]


def refund(academy: Academy, purchase: dict[str, Any], **body: Any) -> Any:
    path = f"/payments/{purchase['payment']['id']}/refunds"
    return academy.post(path, academy.person("admin"), body)


def dispute_row(academy: Academy, purchase: dict[str, Any]) -> dict[str, Any]:
    (row,) = academy.rows(
        "SELECT * FROM disputes WHERE provider_dispute_id = :id", id=purchase["dispute"]
    )
    return row


def said(purchase: dict[str, Any], **changes: Any) -> ProviderDispute:
    """What a provider says of a dispute of a purchase."""
    dispute = ProviderDispute(
        id=f"dp_of_{purchase['payment']['id']}",
        payment_id=purchase["name"],
        amount=4900,
        currency=EUR,
        kind="chargeback",
        status="needs_response",
        reason="fraudulent",
        evidence_due_at=datetime(2027, 2, 1, tzinfo=UTC),
        opened_at=datetime(2027, 1, 18, tzinfo=UTC),
    )
    return replace(dispute, **changes)


def record(academy: Academy, purchase: dict[str, Any], dispute: ProviderDispute) -> bool:
    with academy.database.transaction(academy.scope) as session:
        subject = find_subject(session, "sandbox", purchase["name"], {})
        assert subject is not None
        return record_dispute(session, subject, "sandbox", dispute)


# --- top-ups


@dataclass(frozen=True)
class TopUp:
    """A top-up of a learner, and its name at the provider."""

    academy: Academy
    person: Person
    id: str
    name: str

    def contest(self, **body: Any) -> str:
        dispute_id = there.contest(self.academy, self.name, **body)
        there.tell(self.academy, self.name, dispute_id=dispute_id)
        return dispute_id

    def decide(self, dispute_id: str, status: str) -> None:
        there.decide(self.academy, dispute_id, status)
        there.tell(self.academy, self.name, dispute_id=dispute_id)

    def give_back(self, amount: int) -> None:
        there.give_back(self.academy, self.name, amount)
        there.tell(self.academy, self.name)

    @property
    def reversed(self) -> int:
        found = self.academy.get(f"/wallet/top-ups/{self.id}", self.person).get_json()
        return found["reversed_amount"]["amount"]


def topped_up(
    academy: Academy, amount: int, *, spent: int = 0, person: Person | None = None
) -> TopUp:
    """A learner's top-up, of which a part was spent."""
    person = person or academy.person()
    answer = academy.top_up(person, amount)
    assert answer.status_code == 201
    if spent:
        assert academy.enroll(person, academy.run(price=spent)).status_code == 201
    top_up_id = answer.get_json()["id"]
    (row,) = academy.rows(
        "SELECT provider_payment_id AS name FROM wallet_top_ups WHERE id = :id", id=UUID(top_up_id)
    )
    return TopUp(academy, person, top_up_id, row["name"])


def wallet(top_up: TopUp) -> tuple[int, int, bool]:
    """Balance, what is owed, and whether it is frozen."""
    found = top_up.academy.get("/wallet", top_up.person).get_json()
    return found["balance"]["amount"], found["owed"]["amount"], found["frozen_at"] is not None


def movements(top_up: TopUp) -> list[tuple[str, int, str]]:
    """The journal in order, whose every line must follow from the line before."""
    rows = top_up.academy.get("/wallet/transactions", top_up.person).get_json()["items"][::-1]
    before = 0
    for number, row in enumerate(rows, start=1):
        assert row["seq"] == number
        before += row["amount"]["amount"]
        assert row["balance_after"]["amount"] == before
    return [(row["kind"], row["amount"]["amount"], row["counter_account"]) for row in rows]


def assert_debts_add_up(academy: Academy) -> None:
    """What a wallet owes is what was reversed of its top-ups less what reversals took."""
    wrong = academy.rows(
        "SELECT w.id FROM wallets w WHERE w.owed <>"
        " (SELECT COALESCE(sum(u.reversed_amount), 0) FROM wallet_top_ups u"
        "   WHERE u.wallet_id = w.id)"
        " + (SELECT COALESCE(sum(t.amount), 0) FROM wallet_transactions t"
        "     WHERE t.wallet_id = w.id AND t.kind = 'reversal')"
    )
    assert wrong == []
    academy.assert_books_balance()
