from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from lms.core.ids import new_id
from lms.core.queue import SETTLE_PAYMENT
from tests.factories.money import Academy, together
from tests.factories.people import Person
from tests.factories.sandbox import SECRET_KEY


def refund(academy: Academy, admin: Person, payment_id: str, *, key: str | None = None) -> Any:
    body = {"reason": "The course was moved"}
    return academy.post(f"/payments/{payment_id}/refunds", admin, body, key=key)


def buy(academy: Academy, person: Person, method: str = "wallet") -> dict[str, Any]:
    token = "tok_success" if method == "provider" else None
    return academy.enroll(person, academy.run(), method, token=token).get_json()


def provider_payment_id(academy: Academy, purchase: dict[str, Any]) -> str:
    (row,) = academy.rows(
        "SELECT provider_payment_id FROM payments WHERE id = :id",
        id=UUID(purchase["payment"]["id"]),
    )
    return row["provider_payment_id"]


def test_a_wallet_payment_goes_back_to_the_wallet_and_ends_the_enrollment(
    academy: Academy,
) -> None:
    admin, person = academy.person("admin"), academy.person(money=4900)
    purchase = buy(academy, person)
    answer = refund(academy, admin, purchase["payment"]["id"])
    body = answer.get_json()
    assert (answer.status_code, body["state"], body["destination"]) == (201, "succeeded", "wallet")
    assert academy.balance(person) == 4900
    payment = academy.get(f"/payments/{body['payment_id']}", person).get_json()
    assert (payment["state"], payment["refunded_amount"]["amount"]) == ("succeeded", 4900)
    enrollment = academy.get(f"/enrollments/{purchase['enrollment']['id']}", person).get_json()
    assert enrollment["state"] == "withdrawn"
    academy.assert_books_balance()


def test_a_card_payment_goes_back_to_the_card(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person()
    purchase = buy(academy, person, "provider")
    answer = refund(academy, admin, purchase["payment"]["id"])
    assert (answer.status_code, answer.get_json()["state"]) == (201, "succeeded")
    paid = academy.at_provider(provider_payment_id(academy, purchase))
    assert paid["refunded_amount"] == 4900
    academy.assert_books_balance()


def test_a_request_whose_body_was_lost_gives_nothing_back(academy: Academy) -> None:
    person = academy.person(money=4900)
    purchase = buy(academy, person)
    answer = academy.post(f"/payments/{purchase['payment']['id']}/refunds", academy.person("admin"))
    assert (answer.status_code, answer.get_json()["code"]) == (400, "malformed_body")
    assert academy.balance(person) == 0


def test_a_refund_is_audited(academy: Academy) -> None:
    admin, purchase = academy.person("admin"), buy(academy, academy.person(money=4900))
    refund(academy, admin, purchase["payment"]["id"])
    (row,) = academy.rows(
        "SELECT actor_id, action FROM audit_events WHERE subject_id = :id",
        id=UUID(purchase["payment"]["id"]),
    )
    assert row == {"actor_id": admin.id, "action": "payment.refund"}


def test_a_completed_enrollment_stays_completed_when_its_payment_is_given_back(
    academy: Academy,
) -> None:
    admin, person = academy.person("admin"), academy.person(money=4900)
    purchase = buy(academy, person)
    academy.execute_as_owner(
        "UPDATE enrollments SET state = 'completed', completed_at = now() WHERE id = :id",
        id=purchase["enrollment"]["id"],
    )
    assert refund(academy, admin, purchase["payment"]["id"]).status_code == 201
    enrollment = academy.get(f"/enrollments/{purchase['enrollment']['id']}", person).get_json()
    assert (enrollment["state"], academy.balance(person)) == ("completed", 4900)
    academy.assert_books_balance()


def test_while_the_provider_is_away_the_refund_is_made_later(
    academy: Academy, offline: Academy
) -> None:
    admin, purchase = academy.person("admin"), buy(academy, academy.person(), "provider")
    answer = refund(offline, admin, purchase["payment"]["id"])
    body = answer.get_json()
    assert (answer.status_code, body["state"]) == (202, "created")
    for room in (offline, academy):
        room.do_work(SETTLE_PAYMENT, body["id"])
    paid = academy.at_provider(provider_payment_id(academy, purchase))
    assert paid["refunded_amount"] == 4900
    assert academy.work(SETTLE_PAYMENT, body["id"]) == []


def test_a_refund_that_the_provider_refuses_gives_way_to_what_went_back_behind_our_back(
    academy: Academy,
) -> None:
    admin, purchase = academy.person("admin"), buy(academy, academy.person(), "provider")
    behind_our_back = provider_payment_id(academy, purchase)
    httpx.post(
        f"{academy.settings.sandbox_url}/v1/payments/{behind_our_back}/refunds",
        headers={
            "Authorization": f"Bearer {SECRET_KEY}",
            "Sandbox-Account": str(academy.organization_id),
            "Idempotency-Key": str(uuid4()),
        },
        json={"amount": 1},
    ).raise_for_status()
    answer = refund(academy, admin, purchase["payment"]["id"])
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (409, "refund_refused")
    assert problem["failure_code"] == "refund_exceeds_payment"
    payment = academy.get(f"/payments/{purchase['payment']['id']}", admin).get_json()
    assert payment["refunded_amount"]["amount"] == 1
    academy.assert_books_balance()


def test_a_repeated_request_refunds_once_and_a_second_one_is_refused(academy: Academy) -> None:
    admin, person, key = academy.person("admin"), academy.person(money=4900), str(uuid4())
    payment_id = buy(academy, person)["payment"]["id"]
    first, again = (refund(academy, admin, payment_id, key=key) for _ in range(2))
    assert again.get_json() == first.get_json()
    other = refund(academy, admin, payment_id)
    assert (other.status_code, other.get_json()["code"]) == (409, "not_refundable")
    assert academy.balance(person) == 4900


@pytest.mark.parametrize("method", ["wallet", "provider"])
def test_of_refunds_at_once_one_happens(academy: Academy, method: str) -> None:
    admin, person = academy.person("admin"), academy.person(money=4900)
    payment_id = buy(academy, person, method)["payment"]["id"]
    answers = together(6, lambda _number: refund(academy, admin, payment_id))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]
    academy.assert_books_balance()


def test_what_was_not_paid_is_not_given_back(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person()
    free = academy.enroll(person, academy.run(price=0), "free").get_json()
    pending = academy.enroll(person, academy.run(), "provider", token="tok_pending").get_json()
    for purchase in (free, pending):
        answer = refund(academy, admin, purchase["payment"]["id"])
        assert (answer.status_code, answer.get_json()["code"]) == (409, "not_refundable")


def test_only_admins_refund_and_only_what_is_there(academy: Academy) -> None:
    person = academy.person(money=4900)
    payment_id = buy(academy, person)["payment"]["id"]
    for refused in (person, academy.person("instructor")):
        assert refund(academy, refused, payment_id).status_code == 403
    assert refund(academy, academy.person("admin"), str(new_id())).status_code == 404


def test_the_refunds_of_a_payment_are_listed_for_its_learner_and_admins(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person(money=4900)
    payment_id = buy(academy, person)["payment"]["id"]
    made = refund(academy, admin, payment_id).get_json()
    for allowed in (person, admin):
        assert academy.get(f"/payments/{payment_id}/refunds", allowed).get_json()["items"] == [made]
    assert academy.get(f"/payments/{payment_id}/refunds", academy.person()).status_code == 404
