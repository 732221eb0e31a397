"""Making, changing and deleting coupons, and seeing what they were used for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import IntegrityError
from werkzeug.test import TestResponse

from lms.checkout.orders import Order
from lms.checkout.purchase import enroll
from lms.core.clock import now, rfc3339
from lms.core.ids import new_id
from lms.coupons.errors import CouponInUseError
from lms.coupons.operations import delete_coupon
from tests.factories.money import DEADLINE, Academy
from tests.factories.people import Person


@pytest.fixture
def admin(academy: Academy) -> Person:
    return academy.person("admin")


def send(
    academy: Academy,
    method: str,
    path: str,
    person: Person,
    body: Any = None,
    *,
    etag: str | None = None,
) -> TestResponse:
    headers = person.headers if etag is None else {**person.headers, "If-Match": etag}
    return academy.app.test_client().open(
        f"/api/v1{path}",
        method=method,
        base_url=f"http://{academy.slug}.localhost",
        headers=headers,
        json=body,
    )


def fresh_code() -> str:
    return f"NEW-{uuid4().hex[:12].upper()}"


def make(academy: Academy, admin: Person, **terms: Any) -> dict[str, Any]:
    body = {"code": fresh_code(), "percent_off": 20, **terms}
    answer = send(academy, "POST", "/coupons", admin, body)
    assert answer.status_code == 201, answer.text
    return answer.get_json()


def id_of(academy: Academy, code: str) -> UUID:
    return academy.rows("SELECT id FROM coupons WHERE code = :code", code=code)[0]["id"]


def audited(academy: Academy, coupon_id: str | UUID) -> list[dict[str, Any]]:
    return academy.rows(
        "SELECT action, actor_id, before, after FROM audit_events"
        " WHERE subject_type = 'coupon' AND subject_id = :id ORDER BY id",
        id=UUID(str(coupon_id)),
    )


def test_a_new_coupon_is_on_valid_from_now_and_for_one_use_a_learner(
    academy: Academy, admin: Person
) -> None:
    coupon = make(academy, admin)
    assert coupon == {
        "id": coupon["id"],
        "code": coupon["code"],
        "percent_off": 20,
        "amount_off": None,
        "run_id": None,
        "valid_from": coupon["created_at"],
        "valid_until": None,
        "max_uses": None,
        "max_uses_per_learner": 1,
        "uses": 0,
        "is_active": True,
        "created_by": str(admin.id),
        "created_at": coupon["created_at"],
    }
    read = academy.get(f"/coupons/{coupon['id']}", admin)
    assert (read.get_json(), read.headers["ETag"]) == (coupon, '"1"')


def test_a_coupon_of_an_amount_for_one_run_is_as_it_was_asked_for(
    academy: Academy, admin: Person
) -> None:
    terms = {
        "percent_off": None,
        "amount_off": {"amount": 1500, "currency": "EUR"},
        "run_id": str(academy.run()),
        "valid_from": "2027-01-01T00:00:00Z",
        "valid_until": "2027-02-01T00:00:00Z",
        "max_uses": 10,
        "max_uses_per_learner": 2,
    }
    coupon = make(academy, admin, **terms)
    assert {name: coupon[name] for name in terms} == terms


def test_codes_are_written_in_capital_letters_and_unique(academy: Academy, admin: Person) -> None:
    coupon = make(academy, admin, code=f"small-{uuid4().hex[:8]}")
    assert coupon["code"].isupper()
    body = {"code": coupon["code"].lower(), "percent_off": 5}
    again = send(academy, "POST", "/coupons", admin, body)
    assert (again.status_code, again.get_json()["code"]) == (409, "coupon_code_taken")


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"code": "ab"}, "/code"),
        ({"code": "A" * 41}, "/code"),
        ({"code": "TWO WORDS"}, "/code"),
        ({"code": "STRASSE\u00df"}, "/code"),
        ({"code": "\u0131\u0131\u0131"}, "/code"),  # whose capital is an ASCII letter
        ({"percent_off": 0}, "/percent_off"),
        ({"percent_off": 101}, "/percent_off"),
        ({"percent_off": None}, "/percent_off"),
        ({"amount_off": {"amount": 100, "currency": "EUR"}}, "/percent_off"),
        (
            {"percent_off": None, "amount_off": {"amount": 0, "currency": "EUR"}},
            "/amount_off/amount",
        ),
        (
            {"percent_off": None, "amount_off": {"amount": 100, "currency": "USD"}},
            "/amount_off/currency",
        ),
        ({"run_id": str(new_id())}, "/run_id"),
        ({"valid_until": "2020-01-01T00:00:00Z"}, "/valid_until"),
        ({"max_uses": 0}, "/max_uses"),
        ({"max_uses_per_learner": 0}, "/max_uses_per_learner"),
    ],
)
def test_impossible_terms_are_refused_with_their_place(
    academy: Academy, admin: Person, wrong: dict[str, Any], pointer: str
) -> None:
    body = {"code": fresh_code(), "percent_off": 20, **wrong}
    answer = send(academy, "POST", "/coupons", admin, body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.get_json()["errors"]] == [pointer]


def test_dates_limit_and_switch_may_change_and_the_rest_may_not(
    academy: Academy, admin: Person
) -> None:
    coupon = make(academy, admin, max_uses=5)
    path = f"/coupons/{coupon['id']}"
    changes = {
        "valid_from": "2027-01-01T00:00:00Z",
        "valid_until": "2027-03-01T00:00:00Z",
        "max_uses": None,
        "is_active": False,
    }
    answer = send(academy, "PATCH", path, admin, changes, etag='"1"')
    assert (answer.status_code, answer.get_json()) == (200, {**coupon, **changes})
    assert answer.headers["ETag"] == '"2"'
    for term in ("code", "percent_off", "amount_off", "run_id", "max_uses_per_learner", "uses"):
        assert send(academy, "PATCH", path, admin, {term: coupon[term]}).status_code == 422


def test_a_change_over_somebody_elses_is_refused(academy: Academy, admin: Person) -> None:
    path = f"/coupons/{make(academy, admin)['id']}"
    assert send(academy, "PATCH", path, admin, {"is_active": False}).status_code == 200
    for method, body in (("PATCH", {"is_active": True}), ("DELETE", None)):
        answer = send(academy, method, path, admin, body, etag='"1"')
        assert (answer.status_code, answer.get_json()["code"]) == (412, "stale_version")


def test_a_coupon_may_not_end_before_it_begins(academy: Academy, admin: Person) -> None:
    path = f"/coupons/{make(academy, admin)['id']}"
    answer = send(academy, "PATCH", path, admin, {"valid_until": "2020-01-01T00:00:00Z"})
    assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid_input")


def test_using_a_coupon_leaves_its_etag_alone(academy: Academy, admin: Person) -> None:
    code = academy.coupon(max_uses=2)
    path = f"/coupons/{id_of(academy, code)}"
    etag = academy.get(path, admin).headers["ETag"]
    assert academy.enroll(academy.person(money=4900), academy.run(), coupon=code).status_code == 201
    answer = send(academy, "PATCH", path, admin, {"max_uses": 1}, etag=etag)
    assert (answer.status_code, answer.get_json()["uses"]) == (200, 1)


def test_the_limit_is_never_below_the_uses(academy: Academy, admin: Person) -> None:
    code, run_id = academy.coupon(max_uses=3), academy.run()
    for _ in range(2):
        academy.enroll(academy.person(money=4900), run_id, coupon=code)
    path = f"/coupons/{id_of(academy, code)}"
    answer = send(academy, "PATCH", path, admin, {"max_uses": 1})
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (409, "max_uses_below_uses")
    assert problem["uses"] == 2
    assert send(academy, "PATCH", path, admin, {"max_uses": 2}).status_code == 200


def test_no_sql_makes_a_use_too_many(academy: Academy) -> None:
    code = academy.coupon(max_uses=1)
    with pytest.raises(IntegrityError, match="never_overused"):
        academy.execute_as_owner("UPDATE coupons SET uses = 2 WHERE code = :code", code=code)
    academy.enroll(academy.person(money=4900), academy.run(), coupon=code)
    with pytest.raises(IntegrityError, match="never_overused"):
        academy.execute_as_owner(
            "UPDATE coupon_learners SET uses = 2 FROM coupons c"
            " WHERE c.id = coupon_id AND c.code = :code",
            code=code,
        )


def test_a_coupon_that_nobody_used_is_deleted(academy: Academy, admin: Person) -> None:
    path = f"/coupons/{make(academy, admin)['id']}"
    assert send(academy, "DELETE", path, admin).status_code == 204
    assert academy.get(path, admin).status_code == 404


def test_a_coupon_that_a_payment_names_stays(academy: Academy, admin: Person) -> None:
    code = academy.coupon()
    academy.enroll(academy.person(money=4900), academy.run(), coupon=code)
    answer = send(academy, "DELETE", f"/coupons/{id_of(academy, code)}", admin)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"], problem["payments"]) == (409, "coupon_in_use", 1)


def test_a_deletion_waits_for_who_is_just_buying(academy: Academy, admin: Person) -> None:
    code, person, run_id = academy.coupon(), academy.person(money=4900), academy.run()
    coupon_id = id_of(academy, code)

    def delete() -> None:
        with academy.database.transaction(academy.scope) as session:
            delete_coupon(session, admin.actor, coupon_id, expected=None)

    with ThreadPoolExecutor(1) as pool:
        with academy.database.transaction(academy.scope) as session:
            order = Order(payment_id=new_id(), run_id=run_id, method="wallet", coupon_code=code)
            enroll(session, person.actor, order)
            waiting = pool.submit(delete)
            academy.wait_for_a_lock()
        with pytest.raises(CouponInUseError):
            waiting.result(DEADLINE)
    academy.assert_books_balance()


def test_who_buys_while_the_coupon_is_deleted_is_told_that_there_is_none(
    academy: Academy, admin: Person
) -> None:
    code, person, run_id = academy.coupon(), academy.person(money=4900), academy.run()
    coupon_id = id_of(academy, code)
    with ThreadPoolExecutor(1) as pool:
        with academy.database.transaction(academy.scope) as session:
            delete_coupon(session, admin.actor, coupon_id, expected=None)
            waiting = pool.submit(academy.enroll, person, run_id, coupon=code)
            academy.wait_for_a_lock()
        answer = waiting.result(DEADLINE)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "coupon_unknown")
    assert (academy.balance(person), academy.seats_taken(run_id)) == (4900, 0)
    academy.assert_books_balance()


def test_everything_done_with_a_coupon_is_audited_with_before_and_after(
    academy: Academy, admin: Person
) -> None:
    coupon = make(academy, admin, max_uses=5)
    path = f"/coupons/{coupon['id']}"
    send(academy, "PATCH", path, admin, {"max_uses": 7, "is_active": True})
    send(academy, "DELETE", path, admin)
    made, changed, deleted = audited(academy, coupon["id"])
    assert {event["actor_id"] for event in (made, changed, deleted)} == {admin.id}
    terms = {
        "code": coupon["code"],
        "percent_off": 20,
        "amount_off": None,
        "currency": None,
        "run_id": None,
        "valid_from": made["after"]["valid_from"],
        "valid_until": None,
        "max_uses": 5,
        "max_uses_per_learner": 1,
        "is_active": True,
    }
    assert (made["action"], made["before"], made["after"]) == ("coupon.create", None, terms)
    assert (changed["action"], changed["before"]) == ("coupon.update", {"max_uses": 5})
    assert changed["after"] == {"max_uses": 7}
    assert (deleted["action"], deleted["after"]) == ("coupon.delete", None)
    assert deleted["before"] == {**terms, "max_uses": 7}


def test_a_change_of_nothing_is_not_audited(academy: Academy, admin: Person) -> None:
    coupon = make(academy, admin)
    send(academy, "PATCH", f"/coupons/{coupon['id']}", admin, {"is_active": True})
    assert [event["action"] for event in audited(academy, coupon["id"])] == ["coupon.create"]


def test_coupons_are_listed_newest_first_in_pages(academy: Academy, admin: Person) -> None:
    older, newer = make(academy, admin), make(academy, admin)
    first = academy.get("/coupons", admin, limit="1").get_json()
    assert [item["id"] for item in first["items"]] == [newer["id"]]
    second = academy.get("/coupons", admin, limit="1", cursor=first["next_cursor"]).get_json()
    assert [item["id"] for item in second["items"]] == [older["id"]]


def test_redemptions_show_who_paid_what_newest_first(academy: Academy, admin: Person) -> None:
    code, run_id = academy.coupon(percent_off=20), academy.run()
    people = [academy.person(money=4900) for _ in range(2)]
    bought = [academy.enroll(person, run_id, coupon=code).get_json() for person in people]
    path = f"/coupons/{id_of(academy, code)}/redemptions"
    newest, oldest = academy.get(path, admin).get_json()["items"]
    assert (newest["user_id"], oldest["user_id"]) == (str(people[1].id), str(people[0].id))
    assert newest == {
        "payment_id": bought[1]["payment"]["id"],
        "user_id": str(people[1].id),
        "run_id": str(run_id),
        "list_price": {"amount": 4900, "currency": "EUR"},
        "discount": {"amount": 980, "currency": "EUR"},
        "amount": {"amount": 3920, "currency": "EUR"},
        "payment_state": "succeeded",
        "used": True,
        "created_at": bought[1]["payment"]["created_at"],
    }


@pytest.mark.parametrize("kind", ["student", "instructor"])
def test_coupons_are_the_admins_affair(academy: Academy, kind: Any) -> None:
    person, coupon_id = academy.person(kind), id_of(academy, academy.coupon())
    for method, path, body in (
        ("POST", "/coupons", {"code": fresh_code(), "percent_off": 100}),
        ("GET", "/coupons", None),
        ("GET", f"/coupons/{coupon_id}", None),
        ("PATCH", f"/coupons/{coupon_id}", {"is_active": False}),
        ("DELETE", f"/coupons/{coupon_id}", None),
        ("GET", f"/coupons/{coupon_id}/redemptions", None),
    ):
        assert send(academy, method, path, person, body).status_code == 403, f"{method} {path}"


def test_a_coupon_of_tomorrow_begins_when_it_says(academy: Academy, admin: Person) -> None:
    tomorrow = rfc3339(now() + timedelta(days=1))
    coupon = make(academy, admin, valid_from=tomorrow)
    buyer, run_id = academy.person(money=4900), academy.run()
    refused = academy.enroll(buyer, run_id, coupon=coupon["code"])
    assert refused.get_json()["code"] == "coupon_not_yet_valid"
    change = {"valid_from": "2026-01-01T00:00:00Z"}
    assert send(academy, "PATCH", f"/coupons/{coupon['id']}", admin, change).status_code == 200
    assert academy.enroll(buyer, run_id, coupon=coupon["code"]).status_code == 201
