"""Receipts: one for each movement of real money, numbered without gaps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from lms.payments import receipts
from tests.factories.money import Academy, together

NUMBERS = text("SELECT number FROM receipts ORDER BY year, number")
LAST = text("SELECT last_number FROM receipt_counters ORDER BY year DESC LIMIT 1")


def numbers(academy: Academy) -> list[int]:
    """All numbers of the academy, of its one year."""
    with academy.database.transaction(academy.scope) as session:
        found = list(session.execute(NUMBERS).scalars())
        assert session.execute(LAST).scalar() == (found[-1] if found else None)
    assert found == list(range(1, len(found) + 1)), "a gap"
    return found


def listed(academy: Academy, person: Any, **query: str) -> list[dict[str, Any]]:
    answer = academy.get("/receipts", person, **query)
    assert answer.status_code == 200, answer.text
    return answer.get_json()["items"]


@pytest.mark.parametrize(("method", "token"), [("wallet", None), ("provider", "tok_success")])
def test_a_payment_has_a_receipt_in_the_moment_it_succeeds(
    academy: Academy, method: str, token: str | None
) -> None:
    person, run_id, before = academy.person(money=4900), academy.run(), len(numbers(academy))
    bought = academy.enroll(person, run_id, method, **({"token": token} if token else {}))
    payment_id = bought.get_json()["payment"]["id"]
    receipt = academy.get(f"/payments/{payment_id}/receipt", person).get_json()
    assert receipt["number"] == f"{datetime.now(UTC).year}-{before + 1:06d}"
    assert receipt["kind"] == "payment"
    assert receipt["amount"] == {"amount": 4900, "currency": "EUR"}
    assert (receipt["payment_id"], receipt["user_id"]) == (payment_id, str(person.id))


def test_a_receipt_says_who_paid_and_for_what(academy: Academy) -> None:
    person = academy.person(money=4900)
    payment_id = academy.enroll(person, academy.run()).get_json()["payment"]["id"]
    academy.post(f"/payments/{payment_id}/refunds", academy.person("admin"), {})
    academy.top_up(person, 5000)
    assert [
        (row["kind"], row["email"], row["course_title"], row["run_title"])
        for row in listed(academy, person)
    ] == [
        ("top_up", person.email, None, None),
        ("refund", person.email, "Coffee roasting", "January cohort"),
        ("payment", person.email, "Coffee roasting", "January cohort"),
    ]
    (user,) = academy.rows("SELECT name FROM users WHERE id = :id", id=person.id)
    receipt = academy.get(f"/payments/{payment_id}/receipt", person).get_json()
    assert (receipt["name"], receipt["email"]) == (user["name"], person.email)


def test_the_receipts_of_a_payment_and_its_refunds_are_found_together(academy: Academy) -> None:
    person, admin = academy.person(money=2 * 4900), academy.person("admin")
    one, other = (
        academy.enroll(person, academy.run()).get_json()["payment"]["id"] for _ in range(2)
    )
    for amount in (1000, 900):
        body = {"amount": {"amount": amount, "currency": "EUR"}}
        academy.post(f"/payments/{one}/refunds", admin, body)
    for reader in (person, admin):
        found = [
            (row["kind"], row["amount"]["amount"])
            for row in listed(academy, reader, payment_id=one)
        ]
        assert found == [("refund", 900), ("refund", 1000), ("payment", 4900)]
    assert [row["kind"] for row in listed(academy, person, payment_id=other)] == ["payment"]
    assert listed(academy, academy.person(), payment_id=one) == []


def test_a_top_up_has_a_receipt(academy: Academy) -> None:
    person = academy.person()
    body = {"amount": {"amount": 5000, "currency": "EUR"}, "token": "tok_success"}
    top_up = academy.post("/wallet/top-ups", person, body).get_json()
    (receipt,) = listed(academy, person)
    assert (receipt["kind"], receipt["top_up_id"]) == ("top_up", top_up["id"])


@pytest.mark.parametrize(("method", "token"), [("wallet", None), ("provider", "tok_success")])
def test_each_refund_has_a_receipt_once_the_money_is_back(
    academy: Academy, method: str, token: str | None
) -> None:
    person, admin = academy.person(money=4900), academy.person("admin")
    bought = academy.enroll(person, academy.run(), method, **({"token": token} if token else {}))
    path = f"/payments/{bought.get_json()['payment']['id']}/refunds"
    for amount in (1000, 3900):
        body = {"amount": {"amount": amount, "currency": "EUR"}}
        assert academy.post(path, admin, body).status_code == 201
    found = [(row["kind"], row["amount"]["amount"]) for row in listed(academy, person)]
    assert found == [("refund", 3900), ("refund", 1000), ("payment", 4900)]
    numbers(academy)


def test_a_withdrawal_has_the_receipt_of_its_refund(academy: Academy) -> None:
    person = academy.person(money=4900)
    enrollment_id = academy.enroll(person, academy.run()).get_json()["enrollment"]["id"]
    withdrawn = academy.post(f"/enrollments/{enrollment_id}/withdraw", person).get_json()
    last = listed(academy, person)[0]
    assert (last["kind"], last["refund_id"]) == ("refund", withdrawn["refund"]["id"])


def test_what_costs_nothing_or_is_not_paid_has_no_receipt(academy: Academy) -> None:
    person = academy.person()
    academy.enroll(person, academy.run(price=0), "free")
    academy.enroll(person, academy.run(), "provider", token="tok_pending")
    academy.enroll(person, academy.run(), "provider", token="tok_declined")
    assert listed(academy, person) == []


def test_a_refused_purchase_gives_its_number_back(academy: Academy) -> None:
    run_id = academy.run(capacity=1)
    people, before = [academy.person(money=4900) for _ in range(3)], len(numbers(academy))
    statuses = [academy.enroll(person, run_id).status_code for person in people]
    assert statuses == [201, 409, 409]
    assert academy.enroll(people[2], academy.run()).status_code == 201
    assert len(numbers(academy)) == before + 2


def test_purchases_at_once_number_their_receipts_without_gaps(academy: Academy) -> None:
    people = [academy.person(money=4900) for _ in range(16)]
    run_id, before = academy.run(capacity=10), len(numbers(academy))
    answers = together(16, lambda number: academy.enroll(people[number], run_id))
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [409] * 6
    assert len(numbers(academy)) == before + 10


def test_issuing_again_issues_nothing(academy: Academy) -> None:
    person = academy.person(money=4900)
    payment_id = academy.enroll(person, academy.run()).get_json()["payment"]["id"]
    before = numbers(academy)
    with academy.database.transaction(academy.scope) as session:
        receipts.issue(session, "payment", payment_id)
    assert numbers(academy) == before


def test_a_learner_sees_their_own_receipts_and_an_admin_all(academy: Academy) -> None:
    one, other, admin = (
        academy.person(money=4900),
        academy.person(money=4900),
        academy.person("admin"),
    )
    payments = [
        academy.enroll(person, academy.run()).get_json()["payment"]["id"] for person in (one, other)
    ]
    assert [row["payment_id"] for row in listed(academy, one)] == payments[:1]
    assert [row["payment_id"] for row in listed(academy, admin)][:2] == payments[::-1]
    assert [row["payment_id"] for row in listed(academy, admin, user_id=str(one.id))] == payments[
        :1
    ]
    assert academy.get("/receipts", one, user_id=str(other.id)).status_code == 403
    assert academy.get(f"/payments/{payments[1]}/receipt", one).status_code == 404


def test_a_page_goes_on_where_the_last_one_ended(academy: Academy) -> None:
    person = academy.person(money=3 * 4900)
    for _ in range(3):
        academy.enroll(person, academy.run())
    first = academy.get("/receipts", person, limit="2").get_json()
    second = academy.get("/receipts", person, limit="2", cursor=first["next_cursor"]).get_json()
    found = [row["number"] for page in (first, second) for row in page["items"]]
    last = numbers(academy)[-1]
    assert [int(number[5:]) for number in found] == [last, last - 1, last - 2]
    assert second["next_cursor"] is None
    assert academy.get("/receipts", person, cursor="nonsense").status_code == 422
