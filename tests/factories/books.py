"""An academy in whose books is every kind of movement, all of them as they should be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.checkout.reconcile.books import check_books
from lms.checkout.reconcile.report import Finding, Report
from lms.core.queue import EXPIRE_ENROLLMENT, SETTLE_PAYMENT
from lms.payments.reversals import reverse_top_up
from tenants import names
from tenants.session import BoundOrganization
from tests.factories import contested, provider_side
from tests.factories.money import Academy
from tests.factories.people import Person

PRICE = 4900


def one(academy: Academy, sql: str, **values: Any) -> Any:
    """The only value that a query finds."""
    ((value,),) = (row.values() for row in academy.rows(sql, **values))
    return value


def move_money(academy: Academy) -> dict[str, UUID]:
    """Let money move in every way there is; returns what plants need, by name."""
    admin = academy.person("admin")
    ids = {
        **_buy(academy, admin),
        **_wait(academy),
        **_come_late(academy),
        **_top_up(academy),
        **_take_back(academy, admin),
        **_contest(academy),
        **_redeem(academy),
    }
    return {name: UUID(str(value)) for name, value in ids.items()}


def _buy(academy: Academy, admin: Person) -> dict[str, Any]:
    person, run_id = academy.person(money=3 * PRICE), academy.run(capacity=3)
    kept = academy.enroll(person, run_id).get_json()
    academy.enroll(academy.person(), academy.run(price=0), "free")
    refunded, left = academy.person(money=PRICE), academy.person(money=PRICE)
    given_back = academy.enroll(refunded, academy.run()).get_json()
    answer = academy.post(f"/payments/{given_back['payment']['id']}/refunds", admin, {"reason": ""})
    assert answer.status_code == 201
    _leave(academy, left, academy.enroll(left, academy.run()).get_json())
    cards = [academy.person() for _ in range(4)]
    paid = [
        academy.enroll(card, academy.run(), "provider", token=token).get_json()
        for card, token in zip(
            cards,
            ("tok_success", "tok_success", "tok_pending_refund", "tok_declined"),
            strict=True,
        )
    ]
    for card, purchase in zip(cards[1:3], paid[1:3], strict=True):
        _leave(academy, card, purchase)
    return {
        "user": person.id,
        "admin": admin.id,
        "run": run_id,
        "wallet": one(academy, "SELECT id FROM wallets WHERE user_id = :id", id=person.id),
        "payment": kept["payment"]["id"],
        "enrollment": kept["enrollment"]["id"],
        "refunded_wallet": one(
            academy, "SELECT id FROM wallets WHERE user_id = :id", id=refunded.id
        ),
        "refunded_payment": given_back["payment"]["id"],
        "refund": answer.get_json()["id"],
        "card_payment": paid[0]["payment"]["id"],
        "card_refunded": paid[1]["payment"]["id"],
        "card_refund": one(
            academy,
            "SELECT id FROM refunds WHERE payment_id = :id",
            id=UUID(paid[1]["payment"]["id"]),
        ),
        "open_refund": one(
            academy,
            "SELECT id FROM refunds WHERE payment_id = :id AND state = 'pending'",
            id=UUID(paid[2]["payment"]["id"]),
        ),
    }


def _leave(academy: Academy, person: Person, purchase: dict[str, Any]) -> None:
    path = f"/enrollments/{purchase['enrollment']['id']}/withdraw"
    assert academy.post(path, person).status_code == 200


def _begin(
    academy: Academy, *, run_id: UUID | None = None, coupon: str | None = None
) -> dict[str, Any]:
    answer = academy.enroll(
        academy.person(), run_id or academy.run(), "provider", token="tok_pending", coupon=coupon
    )
    assert answer.status_code == 202
    return answer.get_json()


def _let_hold_run_out(academy: Academy, purchase: dict[str, Any]) -> None:
    enrollment_id = purchase["enrollment"]["id"]
    academy.execute_as_owner(
        "UPDATE enrollments SET hold_until = now() - interval '1 second' WHERE id = :id",
        id=enrollment_id,
    )
    academy.do_work(EXPIRE_ENROLLMENT, enrollment_id)


def _let_money_arrive(academy: Academy, purchase: dict[str, Any]) -> None:
    academy.settle_at_provider(academy.recorded_name(purchase["payment"]["id"]))
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])


def _wait(academy: Academy) -> dict[str, Any]:
    waiting = _begin(academy)
    _let_hold_run_out(academy, _begin(academy))
    silent = academy.enroll(
        academy.person(), academy.run(), "provider", token="tok_timeout_after_success"
    ).get_json()
    academy.do_work(SETTLE_PAYMENT, silent["payment"]["id"])
    return {
        "pending_payment": waiting["payment"]["id"],
        "pending_enrollment": waiting["enrollment"]["id"],
    }


def _come_late(academy: Academy) -> dict[str, Any]:
    seated, run_id = _begin(academy), academy.run(capacity=1)
    _let_hold_run_out(academy, seated)
    _let_money_arrive(academy, seated)
    gone = _begin(academy, run_id=run_id)
    _let_hold_run_out(academy, gone)
    academy.enroll(academy.person(money=PRICE), run_id)
    _let_money_arrive(academy, gone)
    refund_id = one(
        academy,
        "SELECT id FROM refunds WHERE payment_id = :id",
        id=UUID(gone["payment"]["id"]),
    )
    academy.do_work(SETTLE_PAYMENT, refund_id)
    return {"late_payment": gone["payment"]["id"]}


def _top_up(academy: Academy) -> dict[str, Any]:
    person = academy.person()
    done, _, waiting = (
        academy.top_up(person, 5000, token)
        for token in ("tok_success", "tok_declined", "tok_pending")
    )
    return {
        "top_up": done.get_json()["id"],
        "open_top_up": waiting.get_json()["id"],
        "topped_up_wallet": one(
            academy, "SELECT id FROM wallets WHERE user_id = :id", id=person.id
        ),
    }


def _contest(academy: Academy) -> dict[str, Any]:
    """Let the provider take money back: refunds in its dashboard, and disputes."""
    given_back = contested.buy(academy)
    provider_side.give_back(academy, given_back["name"], 900)
    provider_side.tell(academy, given_back["name"])
    open_one, lost = contested.disputed(academy), contested.disputed(academy, "lost", amount=4000)
    contested.disputed(academy, "won")
    kept = contested.topped_up(academy, 5000, spent=4000)
    kept.contest()
    returned = contested.topped_up(academy, 5000, spent=4000)
    returned.decide(returned.contest(), "won")
    contested.topped_up(academy, 5000).give_back(2000)
    return {
        "disputed_payment": open_one["payment"]["id"],
        "dispute": contested.dispute_row(academy, open_one)["id"],
        "lost_payment": lost["payment"]["id"],
        "disputed_top_up": kept.id,
    }


def _take_back(academy: Academy, admin: Person) -> dict[str, Any]:
    """Let the provider take a top-up back that is spent, and a grant pay a part of the debt."""
    owing, other = academy.person(), academy.person()
    top_up_id = UUID(academy.top_up(owing, 5000).get_json()["id"])
    assert academy.enroll(owing, academy.run()).status_code == 201
    sql = "SELECT provider_payment_id FROM wallet_top_ups WHERE id = :id"
    provider_side.give_back(academy, one(academy, sql, id=top_up_id), 5000)
    with academy.database.transaction(academy.scope) as session:
        assert reverse_top_up(session, top_up_id, 5000)
    granted = academy.post(
        "/credit-grants",
        admin,
        {
            "amount": {"amount": 900, "currency": "EUR"},
            "reason": "Scholarship",
            "learners": [str(owing.id), str(other.id)],
        },
    )
    assert granted.status_code == 201
    wallet = "SELECT id FROM wallets WHERE user_id = :id"
    return {
        "owing_wallet": one(academy, wallet, id=owing.id),
        "reversed_top_up": top_up_id,
        "grant": granted.get_json()["id"],
        "granted_wallet": one(academy, wallet, id=other.id),
    }


def _redeem(academy: Academy) -> dict[str, Any]:
    code, person = academy.coupon(max_uses_per_learner=2), academy.person(money=2 * PRICE)
    kept, left = (academy.enroll(person, academy.run(), coupon=code).get_json() for _ in range(2))
    _leave(academy, person, left)
    unpaid = _begin(academy, coupon=code)
    _let_hold_run_out(academy, unpaid)
    return {
        "coupon": one(academy, "SELECT id FROM coupons WHERE code = :code", code=code),
        "coupon_user": person.id,
        "coupon_payment": kept["payment"]["id"],
        "coupon_left": left["payment"]["id"],
        "coupon_unpaid": unpaid["payment"]["id"],
        "coupon_unpaid_user": unpaid["payment"]["user_id"],
    }


def check(academy: Academy) -> Report:
    """Check an organization's own books, as its role."""
    with academy.database.transaction(academy.scope) as session:
        return Report(tuple(check_books(session)))


@contextmanager
def planted(academy: Academy, statements: Sequence[str], **values: Any) -> Iterator[Session]:
    """Change books as only a superuser can, and see them as the organization; then take it back.

    The foreign keys' triggers sleep while it is changed.
    """
    with academy.admin_engine.connect() as connection:
        schema = names.quote(names.schema_name(academy.organization_id))
        connection.execute(text(f"SET LOCAL search_path TO {schema}"))
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            connection.execute(text(statement), values)
        connection.execute(text("SET LOCAL session_replication_role = origin"))
        role = names.quote(names.role_name(academy.organization_id))
        connection.execute(text(f"SET LOCAL ROLE {role}"))
        with Session(connection) as session:
            session.info["organization"] = BoundOrganization(
                academy.organization_id, "", academy.slug, "", "EUR", "UTC", "en", {}
            )
            yield session
        connection.rollback()


def find(
    academy: Academy, statements: Sequence[str], **values: Any
) -> tuple[Report, list[Finding]]:
    """What the checks find of a change, which is taken back."""
    with planted(academy, statements, **values) as session:
        report = Report(tuple(check_books(session)))
    return report, report.findings
