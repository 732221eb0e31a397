"""Who leaves a run leaves it, also while nobody can use the account that the money came through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from sqlalchemy import Engine

from lms.config import Settings
from lms.core.ids import new_id
from lms.core.queue import SETTLE_PAYMENT
from tenants.session import Database
from tests.factories import books
from tests.factories import stripe_account as fake
from tests.factories.money import Academy
from tests.factories.people import Person
from tests.factories.sandbox import paying_app
from tests.factories.stripe_academy import StripeAcademy, stripe_academy
from tests.factories.stripe_server import running_stripe

PATH = "/payment-accounts/stripe"


@pytest.fixture
def shop(
    app_with_sandbox: Flask,
    database: Database,
    admin_engine: Engine,
    settings: Settings,
    make_organization: Callable[..., UUID],
) -> Iterator[StripeAcademy]:
    """An organization of one test alone, with an account at Stripe."""
    slug = f"shop-{new_id().hex[-12:]}"
    academy = Academy(app_with_sandbox, database, admin_engine, make_organization(slug), slug)
    with (
        running_stripe() as stripe,
        stripe_academy(academy, settings, stripe, sandbox_url=None) as made,
    ):
        enter(made)
        yield made


def enter(shop: StripeAcademy) -> None:
    assert shop.send("PUT", PATH, shop.person("admin"), shop.keys).status_code == 200


def remove(shop: StripeAcademy) -> None:
    assert shop.send("DELETE", PATH, shop.person("admin")).status_code == 204


@contextmanager
def locked_out(shop: StripeAcademy) -> Iterator[StripeAcademy]:
    """The same organization, whose secrets are under a key that this installation lacks."""
    settings = replace(shop.settings, secrets_keys=Fernet.generate_key().decode())
    with paying_app(settings, None) as app:
        yield replace(shop, app=app)


def buy(shop: StripeAcademy) -> tuple[Person, dict[str, Any]]:
    person = shop.person()
    answer = shop.enroll(person, shop.run(), "provider", token=fake.GOOD)
    assert answer.status_code == 201
    return person, answer.get_json()


def leave(shop: Academy, person: Person, purchase: dict[str, Any], key: str) -> dict[str, Any]:
    answer = shop.post(f"/enrollments/{purchase['enrollment']['id']}/withdraw", person, key=key)
    assert answer.status_code == 200
    return answer.get_json()


def state_of(shop: StripeAcademy, refund: dict[str, Any]) -> str:
    (row,) = shop.rows("SELECT state FROM refunds WHERE id = :id", id=UUID(refund["id"]))
    return row["state"]


def tries(shop: StripeAcademy, refund: dict[str, Any]) -> int:
    sql = "SELECT count(*) AS tries FROM provider_attempts WHERE subject_id = :id"
    return shop.rows(sql, id=UUID(refund["id"]))[0]["tries"]


def test_who_leaves_while_the_keys_are_unreadable_gets_the_money_later(
    shop: StripeAcademy,
) -> None:
    (person, purchase), key = buy(shop), str(uuid4())
    with locked_out(shop) as other:
        left = leave(other, person, purchase, key)
        assert left["enrollment"]["state"] == "withdrawn"
        assert left["refund"]["state"] == "created"
        assert leave(other, person, purchase, key) == left
        other.do_work(SETTLE_PAYMENT, left["refund"]["id"])
    assert (state_of(shop, left["refund"]), tries(shop, left["refund"])) == ("created", 0)
    assert books.check(shop).findings == []
    shop.do_work(SETTLE_PAYMENT, left["refund"]["id"])
    assert (state_of(shop, left["refund"]), tries(shop, left["refund"])) == ("succeeded", 1)
    assert books.check(shop).findings == []


def test_who_leaves_when_the_account_was_removed_gets_the_money_once_there_is_one(
    shop: StripeAcademy,
) -> None:
    person, purchase = buy(shop)
    remove(shop)
    refund = leave(shop, person, purchase, str(uuid4()))["refund"]
    shop.do_work(SETTLE_PAYMENT, refund["id"])
    assert (state_of(shop, refund), tries(shop, refund)) == ("created", 0)
    assert books.check(shop).findings == []
    enter(shop)
    shop.do_work(SETTLE_PAYMENT, refund["id"])
    assert state_of(shop, refund) == "succeeded"
    assert len(shop.stripe.accounts[shop.keys["secret_key"]].refunds) == 1


def test_what_the_first_who_can_ask_is_refused_is_believed(shop: StripeAcademy) -> None:
    person, purchase = buy(shop)
    remove(shop)
    refund = leave(shop, person, purchase, str(uuid4()))["refund"]
    shop.do_work(SETTLE_PAYMENT, refund["id"])
    enter(shop)
    (intent,) = shop.stripe.intents(shop.keys["secret_key"])
    intent["latest_charge"]["amount_refunded"] = intent["amount"]
    shop.do_work(SETTLE_PAYMENT, refund["id"])
    (row,) = shop.rows("SELECT failure_code FROM refunds WHERE id = :id", id=UUID(refund["id"]))
    assert row["failure_code"] == "refund_exceeds_payment"


def test_an_admin_who_gives_money_back_is_told_that_nobody_can(shop: StripeAcademy) -> None:
    _, purchase = buy(shop)
    remove(shop)
    path, admin = f"/payments/{purchase['payment']['id']}/refunds", shop.person("admin")
    answer = shop.post(path, admin, {})
    assert (answer.status_code, answer.get_json()["code"]) == (409, "provider_not_configured")
    assert shop.rows("SELECT FROM refunds") == []
    assert shop.post(path, admin, {"destination": "wallet"}).status_code == 201
