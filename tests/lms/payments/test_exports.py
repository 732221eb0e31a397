from __future__ import annotations

import csv
import io
from typing import Any
from unittest.mock import patch

import pytest

from lms.payments import exports
from tests.factories.money import Academy
from tests.factories.people import Person

PATH = "/payments/export.csv"


def table(academy: Academy, **query: str) -> list[dict[str, str]]:
    answer = academy.get(PATH, academy.person("admin"), **query)
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def entries_of(academy: Academy, person: Person, **query: str) -> list[dict[str, str]]:
    return [row for row in table(academy, **query) if row["user_id"] == str(person.id)]


def sold(academy: Academy) -> tuple[Person, dict[str, Any]]:
    """A learner who topped up 100 euros, bought for 49 from the wallet, and got them back."""
    person = academy.person()
    assert academy.top_up(person, 10_000).status_code == 201
    payment = academy.enroll(person, academy.run()).get_json()["payment"]
    body = {"reason": "Ill"}
    path = f"/payments/{payment['id']}/refunds"
    assert academy.post(path, academy.person("admin"), body).status_code == 201
    return person, payment


def test_the_export_has_top_ups_payments_and_refunds_in_order(academy: Academy) -> None:
    person, payment = sold(academy)
    rows = entries_of(academy, person)
    assert [(row["entry"], row["amount_minor"], row["amount"]) for row in rows] == [
        ("top_up", "10000", "100.00"),
        ("payment", "4900", "49.00"),
        ("refund", "-4900", "-49.00"),
    ]
    assert [row["method"] for row in rows] == ["provider", "wallet", "wallet"]
    assert [row["payment_id"] for row in rows] == ["", payment["id"], payment["id"]]
    assert [row["run_title"] for row in rows] == ["", "January cohort", "January cohort"]
    assert {row["email"] for row in rows} == {person.email}
    assert {row["currency"] for row in rows} == {"EUR"}
    assert rows[2]["reason"] == "Ill"
    assert rows[0]["provider_id"] != ""


def test_beside_a_payment_are_its_list_price_and_what_the_coupon_took_off(
    academy: Academy,
) -> None:
    person, code = academy.person(), academy.coupon(percent_off=20)
    academy.top_up(person, 4900)
    academy.enroll(person, academy.run(), coupon=code)
    top_up, payment = entries_of(academy, person)
    names = ("list_price_minor", "discount_minor", "coupon")
    assert [top_up[name] for name in names] == ["", "", ""]
    assert [payment[name] for name in names] == ["4900", "980", code]
    assert payment["amount_minor"] == "3920"


def test_a_receipts_number_stands_beside_what_it_is_about(academy: Academy) -> None:
    person, payment = sold(academy)
    receipt = academy.get(f"/payments/{payment['id']}/receipt", person).get_json()
    rows = {row["id"]: row["receipt"] for row in entries_of(academy, person)}
    assert rows[payment["id"]] == receipt["number"]
    assert len(set(rows.values())) == len(rows) == 3


def test_what_did_not_succeed_or_cost_nothing_is_left_out(academy: Academy) -> None:
    person = academy.person()
    assert academy.enroll(person, academy.run(price=0), "free").status_code == 201
    pending = academy.enroll(person, academy.run(), "provider", token="tok_pending")
    assert pending.status_code == 202
    academy.top_up(person, 100, "tok_declined")
    assert entries_of(academy, person) == []


def test_only_what_succeeded_in_the_period_is_exported(academy: Academy) -> None:
    person, payment = sold(academy)
    academy.execute_as_owner(
        "UPDATE payments SET succeeded_at = '2027-01-15T00:00:00Z' WHERE id = :id",
        id=payment["id"],
    )
    for query, count in (
        ({"from": "2027-01-15T00:00:00Z", "to": "2027-01-15T00:00:01Z"}, 1),
        ({"from": "2027-01-14T00:00:00Z", "to": "2027-01-15T00:00:00Z"}, 0),
    ):
        rows = entries_of(academy, person, **query)
        assert [row["id"] for row in rows] == [payment["id"]] * count


def test_names_and_reasons_are_not_run_by_a_spreadsheet(academy: Academy) -> None:
    person, _payment = sold(academy)
    academy.execute_as_owner("UPDATE users SET name = '+cmd' WHERE id = :id", id=person.id)
    assert {row["name"] for row in entries_of(academy, person)} == {"'+cmd"}


def test_a_period_with_too_much_in_it_is_refused_with_the_limit(academy: Academy) -> None:
    sold(academy)
    with patch.object(exports, "MAX_ROWS", 2):
        answer = academy.get(PATH, academy.person("admin"))
    assert (answer.status_code, answer.get_json()["code"]) == (422, "period_too_long")
    assert answer.get_json()["limit"] == 2


def test_the_export_is_a_download_for_admins_alone(academy: Academy) -> None:
    answer = academy.get(PATH, academy.person("admin"))
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="payments.csv"'


@pytest.mark.parametrize("role", ["student", "instructor"])
def test_nobody_else_exports_payments(academy: Academy, role: Any) -> None:
    assert academy.get(PATH, academy.person(role)).status_code == 403
