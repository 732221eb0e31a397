from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event
from werkzeug.test import TestResponse

from lms.core.ids import new_id
from lms.payments.reversals import reverse_top_up
from tenants.session import Database
from tests.factories.money import Academy, together
from tests.factories.people import Person, make_user


def grant(
    academy: Academy,
    admin: Person,
    learners: list[Any],
    amount: int = 1000,
    *,
    currency: str = "EUR",
    key: str | None = None,
) -> TestResponse:
    body = {
        "amount": {"amount": amount, "currency": currency},
        "reason": "Scholarship",
        "learners": learners,
    }
    return academy.post("/credit-grants", admin, body, key=key)


def deactivate(academy: Academy, person: Person) -> None:
    academy.execute_as_owner("UPDATE users SET deactivated_at = now() WHERE id = :id", id=person.id)


def grants_of(academy: Academy, admin: Person) -> list[dict[str, Any]]:
    return academy.rows("SELECT id FROM credit_grants WHERE created_by = :id", id=admin.id)


def test_learners_named_by_id_or_address_all_get_the_amount(academy: Academy) -> None:
    admin, rich = academy.person("admin"), academy.person(money=500)
    poor = [academy.person() for _ in range(2)]
    learners = [str(rich.id), poor[0].email.upper(), str(poor[1].id)]
    answer = grant(academy, admin, learners)
    assert answer.status_code == 201
    assert answer.get_json()["total"] == {"amount": 3000, "currency": "EUR"}
    assert [academy.balance(person) for person in (rich, *poor)] == [1500, 1000, 1000]
    academy.assert_books_balance()


def test_the_journal_says_where_the_credit_came_from(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person()
    grant_id = grant(academy, admin, [person.email]).get_json()["id"]
    (row,) = academy.get("/wallet/transactions", person).get_json()["items"]
    assert (row["kind"], row["amount"]["amount"], row["seq"]) == ("deposit", 1000, 1)
    assert (row["counter_account"], row["grant_id"]) == (f"promotion:{grant_id}", grant_id)
    assert row["reason"] == "Scholarship"
    (stored,) = academy.rows(
        "SELECT reference, created_by FROM wallet_transactions WHERE grant_id = :id", id=grant_id
    )
    assert stored == {"reference": f"grant:{grant_id}:{person.id}", "created_by": admin.id}


def test_a_grant_is_audited(academy: Academy) -> None:
    admin, people = academy.person("admin"), [academy.person() for _ in range(2)]
    grant_id = grant(academy, admin, [one.email for one in people]).get_json()["id"]
    (row,) = academy.rows(
        "SELECT action, actor_id, after FROM audit_events WHERE subject_id = :id", id=grant_id
    )
    after = {"total": 2000, "currency": "EUR", "learners": 2, "reason": "Scholarship"}
    assert row == {"action": "credit_grant.create", "actor_id": admin.id, "after": after}


def test_everybody_who_cannot_get_a_share_is_named_and_nobody_gets_one(academy: Academy) -> None:
    admin, person, gone = academy.person("admin"), academy.person(), academy.person()
    deactivate(academy, gone)
    stranger, number = "nobody@example.com", str(new_id())
    learners = [person.email, stranger, gone.email, number, str(person.id)]
    answer = grant(academy, admin, learners)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "wrong_shares")
    assert answer.get_json()["errors"] == [
        {
            "pointer": "/learners/1",
            "message": f"{stranger}: There is nobody with this id or address.",
        },
        {"pointer": "/learners/2", "message": f"{gone.email}: This account is deactivated."},
        {
            "pointer": "/learners/3",
            "message": f"{number}: There is nobody with this id or address.",
        },
        {"pointer": "/learners/4", "message": f"{person.id}: This person is named twice."},
    ]
    assert academy.balance(person) == 0
    assert grants_of(academy, admin) == []


def test_a_learner_of_another_organization_is_nobody_here(
    academy: Academy, make_organization: Callable[..., UUID], database: Database
) -> None:
    other = make_user(database, make_organization(), app=academy.app)
    answer = grant(academy, academy.person("admin"), [str(other.id)])
    assert (answer.status_code, answer.get_json()["code"]) == (422, "wrong_shares")


def test_credit_in_another_currency_is_refused(academy: Academy) -> None:
    answer = grant(academy, academy.person("admin"), [academy.person().email], currency="USD")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "currency_mismatch")


def test_a_wallet_in_another_currency_is_named(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person()
    academy.balance(person)
    academy.execute_as_owner(
        "UPDATE wallets SET currency = 'USD' WHERE user_id = :id", id=person.id
    )
    answer = grant(academy, admin, [person.email])
    assert answer.status_code == 422
    assert "wallet is in USD" in answer.get_json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("learners", "pointer"),
    [([], "/learners"), (["nobody"], "/learners/0"), (["x@y.example"] * 1001, "/learners")],
)
def test_a_grant_names_some_people_and_not_too_many(
    academy: Academy, learners: list[str], pointer: str
) -> None:
    answer = grant(academy, academy.person("admin"), learners)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.get_json()["errors"]] == [pointer]


@pytest.mark.parametrize("role", ["student", "instructor"])
def test_only_admins_give_credit_and_see_it(academy: Academy, role: Any) -> None:
    asking = academy.person(role)
    made = grant(academy, academy.person("admin"), [asking.email]).get_json()["id"]
    answers = [
        grant(academy, asking, [asking.email]),
        academy.get("/credit-grants", asking),
        academy.get(f"/credit-grants/{made}", asking),
        academy.get(f"/credit-grants/{made}/recipients", asking),
    ]
    assert {answer.status_code for answer in answers} == {403}
    assert academy.balance(asking) == 1000


def test_grants_are_read_newest_first_with_who_got_what_page_by_page(academy: Academy) -> None:
    admin, people = academy.person("admin"), [academy.person() for _ in range(3)]
    made = [grant(academy, admin, [one.email for one in people]).get_json() for _ in range(2)]
    listed = academy.get("/credit-grants", admin, limit="2").get_json()["items"]
    assert listed == made[::-1]
    path = f"/credit-grants/{made[0]['id']}"
    assert academy.get(path, admin).get_json() == made[0]
    first = academy.get(f"{path}/recipients", admin, limit="2").get_json()
    rest = academy.get(f"{path}/recipients", admin, cursor=first["next_cursor"]).get_json()
    seen = first["items"] + rest["items"]
    assert [(one["user_id"], one["amount"]["amount"]) for one in seen] == [
        (str(person.id), 1000) for person in people
    ]
    assert [one["email"] for one in seen] == [person.email for person in people]


def test_a_grant_that_is_not_there_is_404(academy: Academy) -> None:
    admin = academy.person("admin")
    for path in (f"/credit-grants/{new_id()}", f"/credit-grants/{new_id()}/recipients"):
        assert academy.get(path, admin).status_code == 404


def test_a_repeated_grant_gives_once(academy: Academy) -> None:
    admin, person, key = academy.person("admin"), academy.person(), str(uuid4())
    answers = [grant(academy, admin, [person.email], key=key) for _ in range(2)]
    assert answers[0].get_json() == answers[1].get_json()
    assert academy.balance(person) == 1000


def test_one_key_from_eight_threads_gives_once(academy: Academy) -> None:
    admin, person, key = academy.person("admin"), academy.person(), str(uuid4())
    answers = together(8, lambda _number: grant(academy, admin, [person.email], key=key))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert academy.balance(person) == 1000


def test_credit_pays_what_is_owed_first(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person()
    top_up_id = academy.top_up(person, 4900).get_json()["id"]
    academy.enroll(person, academy.run())
    with academy.database.transaction(academy.scope) as session:
        assert reverse_top_up(session, top_up_id, 4900)
    grant_id = grant(academy, admin, [person.email], 5000).get_json()["id"]
    wallet = academy.get("/wallet", person).get_json()
    assert (wallet["balance"]["amount"], wallet["owed"]["amount"]) == (100, 0)
    assert wallet["frozen_at"] is None
    got = academy.get(f"/credit-grants/{grant_id}/recipients", admin).get_json()["items"]
    assert [one["amount"]["amount"] for one in got] == [5000]
    academy.assert_books_balance()


def test_a_grant_takes_as_many_statements_for_many_as_for_one(academy: Academy) -> None:
    admin, counts = academy.person("admin"), []
    engine = academy.app.extensions["edge"].database.events
    for size in (1, 60):
        people = [academy.person() for _ in range(size)]
        seen: list[str] = []

        def note(*given: Any, seen: list[str] = seen) -> None:
            seen.append(given[2])

        event.listen(engine, "before_cursor_execute", note)
        try:
            assert grant(academy, admin, [one.email for one in people]).status_code == 201
        finally:
            event.remove(engine, "before_cursor_execute", note)
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 10


def test_grants_at_once_to_the_same_people_in_another_order_all_count(academy: Academy) -> None:
    """Half of them have no wallet yet, so both make wallets and lock them."""
    admin = academy.person("admin")
    people = [academy.person(money=7 * (number % 2)) for number in range(40)]
    orders = [people, people[::-1], people[20:] + people[:20], people[::-1]]

    def step(number: int) -> int:
        learners = [str(one.id) for one in orders[number % 4]]
        return grant(academy, admin, learners, number + 1).status_code

    assert together(8, step) == [201] * 8
    given = sum(range(1, 9))
    assert [academy.balance(one) for one in people] == [
        given + 7 * (number % 2) for number in range(40)
    ]
    academy.assert_books_balance()


def test_grants_and_purchases_at_once_add_up(academy: Academy) -> None:
    admin, people = academy.person("admin"), [academy.person(money=1000) for _ in range(6)]
    run_id = academy.run(price=1000)

    def step(number: int) -> int:
        if number < 6:
            return academy.enroll(people[number], run_id).status_code
        return grant(academy, admin, [str(one.id) for one in people], 10).status_code

    assert together(12, step) == [201] * 12
    assert [academy.balance(one) for one in people] == [60] * 6
    academy.assert_books_balance()
