"""Why a coupon is not taken, told when buying and by the price beforehand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from lms.core.clock import now
from lms.coupons.errors import BUYERS_REFUSALS
from tests.factories.money import Academy
from tests.factories.people import Person

Refused = tuple[Person, UUID, str]
"""Who buys, in which run, with which coupon."""


def _unknown(academy: Academy) -> Refused:
    return academy.person(money=4900), academy.run(), "NO-SUCH-COUPON"


def _switched_off(academy: Academy) -> Refused:
    return academy.person(money=4900), academy.run(), academy.coupon(is_active=False)


def _of_another_run(academy: Academy) -> Refused:
    return academy.person(money=4900), academy.run(), academy.coupon(run_id=academy.run())


def _in_another_currency(academy: Academy) -> Refused:
    return academy.person(), academy.run(currency="USD"), academy.coupon(amount_off=100)


def _too_early(academy: Academy) -> Refused:
    code = academy.coupon(valid_from=now() + timedelta(hours=1))
    return academy.person(money=4900), academy.run(), code


def _too_late(academy: Academy) -> Refused:
    code = academy.coupon(
        valid_from=now() - timedelta(hours=2), valid_until=now() - timedelta(hours=1)
    )
    return academy.person(money=4900), academy.run(), code


def _used_already(academy: Academy) -> Refused:
    person, code = academy.person(money=9800), academy.coupon()
    assert academy.enroll(person, academy.run(), coupon=code).status_code == 201
    return person, academy.run(), code


def _used_up(academy: Academy) -> Refused:
    code = academy.coupon(max_uses=1)
    academy.enroll(academy.person(money=4900), academy.run(), coupon=code)
    return academy.person(money=4900), academy.run(), code


def _without_effect(academy: Academy) -> Refused:
    return academy.person(money=99), academy.run(price=99), academy.coupon(percent_off=1)


REFUSALS: list[tuple[str, Callable[[Academy], Refused], dict[str, Any]]] = [
    ("coupon_unknown", _unknown, {}),
    ("coupon_unknown", _switched_off, {}),
    ("coupon_not_for_run", _of_another_run, {}),
    ("coupon_currency_mismatch", _in_another_currency, {"expected": "USD"}),
    ("coupon_not_yet_valid", _too_early, {}),
    ("coupon_expired", _too_late, {}),
    ("coupon_already_used", _used_already, {"max_uses_per_learner": 1}),
    ("coupon_used_up", _used_up, {}),
    ("coupon_without_effect", _without_effect, {}),
]


@pytest.mark.parametrize(("code", "situation", "params"), REFUSALS)
def test_a_coupon_that_is_not_taken_says_why_and_nothing_happens(
    academy: Academy,
    code: str,
    situation: Callable[[Academy], Refused],
    params: dict[str, Any],
) -> None:
    person, run_id, coupon = situation(academy)
    before = academy.rows("SELECT count(*) AS payments FROM payments")
    answer = academy.enroll(person, run_id, coupon=coupon)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (409, code)
    assert problem["type"] == f"/problems/{code.replace('_', '-')}"
    assert {name: problem[name] for name in params} == params
    assert academy.rows("SELECT count(*) AS payments FROM payments") == before
    assert academy.seats_taken(run_id) == 0
    academy.assert_books_balance()


@pytest.mark.parametrize(("code", "situation", "_params"), REFUSALS)
def test_the_price_tells_beforehand_why_a_coupon_will_not_be_taken(
    academy: Academy, code: str, situation: Callable[[Academy], Refused], _params: Any
) -> None:
    person, run_id, coupon = situation(academy)
    price = academy.get(f"/runs/{run_id}/price", person, coupon=coupon).get_json()
    assert price["coupon_refused_because"] == code
    assert price["discount"]["amount"] == 0
    assert price["price"] == price["list_price"]


def attempt(academy: Academy, situation: Callable[[Academy], Refused]) -> dict[str, Any]:
    """The problem that buying is refused with."""
    person, run_id, coupon = situation(academy)
    return academy.enroll(person, run_id, coupon=coupon).get_json()


def test_every_reason_is_one_that_was_seen() -> None:
    assert {code for code, _, _ in REFUSALS} == {refusal.code for refusal in BUYERS_REFUSALS}


def test_a_coupon_that_is_switched_off_is_told_like_one_that_never_was(academy: Academy) -> None:
    unknown, switched_off = (attempt(academy, one) for one in (_unknown, _switched_off))
    assert unknown["detail"] == switched_off["detail"]
    assert set(unknown) == set(switched_off)


def test_a_free_run_takes_no_coupon(academy: Academy) -> None:
    code = academy.coupon()
    answer = academy.enroll(academy.person(), academy.run(price=0), "free", coupon=code)
    assert answer.get_json()["code"] == "coupon_without_effect"
    assert academy.coupon_uses(code) == 0


def test_dates_that_are_wrong_are_told_in_the_refusal(academy: Academy) -> None:
    early, late = attempt(academy, _too_early), attempt(academy, _too_late)
    assert early["valid_from"] > now().isoformat() > late["valid_until"]


def test_a_coupon_for_one_run_is_taken_there(academy: Academy) -> None:
    run_id = academy.run()
    code = academy.coupon(run_id=run_id)
    assert academy.enroll(academy.person(money=4900), run_id, coupon=code).status_code == 201


def test_a_part_is_taken_off_in_any_currency(academy: Academy) -> None:
    run_id, code = academy.run(currency="USD"), academy.coupon()
    answer = academy.enroll(academy.person(), run_id, "provider", token="tok_success", coupon=code)
    payment = answer.get_json()["payment"]
    assert payment["discount"] == {"amount": 2450, "currency": "USD"}


def test_a_learner_may_use_a_coupon_as_often_as_it_says(academy: Academy) -> None:
    person, code = academy.person(money=3 * 4900), academy.coupon(max_uses_per_learner=2)
    answers = [academy.enroll(person, academy.run(), coupon=code) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 409]
    problem = answers[2].get_json()
    assert (problem["code"], problem["max_uses_per_learner"]) == ("coupon_already_used", 2)
    assert academy.coupon_uses(code) == 2


def euros(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "EUR"}


def test_the_price_is_what_enrolling_costs(academy: Academy) -> None:
    person, run_id, code = academy.person(money=4900), academy.run(), academy.coupon()
    path = f"/runs/{run_id}/price"
    price = academy.get(path, person, coupon=code.lower()).get_json()
    assert price == {
        "run_id": str(run_id),
        "list_price": euros(4900),
        "discount": euros(2450),
        "price": euros(2450),
        "methods": ["wallet", "provider"],
        "coupon": code,
        "coupon_refused_because": None,
        "quoted_at": price["quoted_at"],
    }
    paid = academy.enroll(person, run_id, coupon=code).get_json()["payment"]["amount"]
    assert paid == price["price"]


def test_the_price_without_a_coupon_is_the_list_price(academy: Academy) -> None:
    price = academy.get(f"/runs/{academy.run()}/price", academy.person()).get_json()
    assert (price["price"], price["coupon"]) == (euros(4900), None)
    assert (price["methods"], price["coupon_refused_because"]) == (["wallet", "provider"], None)


def test_the_price_says_that_all_off_is_free(academy: Academy) -> None:
    code = academy.coupon(percent_off=100)
    price = academy.get(f"/runs/{academy.run()}/price", academy.person(), coupon=code).get_json()
    assert (price["price"], price["methods"]) == (euros(0), ["free"])


def test_a_run_that_one_may_not_see_has_no_price(academy: Academy) -> None:
    path = f"/runs/{academy.run(state='draft')}/price"
    assert academy.get(path, academy.person()).status_code == 404
    assert academy.get(path, academy.person("admin")).status_code == 200
