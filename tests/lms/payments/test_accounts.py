"""Organizations' own accounts at Stripe: entering, showing, removing, and keys for the secrets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet
from flask import Flask
from sqlalchemy import Engine

from lms.cli.group import main
from lms.config import Settings
from lms.core.actor import Actor
from lms.core.encryption import SecretBox
from lms.core.ids import new_id
from lms.core.money import Money
from lms.core.queue import Doorbell
from lms.payments.accounts import delete_account, held_account, re_encrypt
from lms.payments.operations import start_top_up
from tenants.session import Database
from tests.factories import stripe_account as fake
from tests.factories.money import Academy, together
from tests.factories.people import Person
from tests.factories.sandbox import paying_app
from tests.factories.stripe_academy import (
    SECRETS_KEY,
    StripeAcademy,
    keys_of_a_test,
    stripe_academy,
)
from tests.factories.stripe_server import running_stripe

PATH = "/payment-accounts/stripe"


@pytest.fixture
def shop(
    app_with_sandbox: Flask,
    database: Database,
    admin_engine: Engine,
    settings: Settings,
    sandbox_url: str,
    make_organization: Callable[..., UUID],
) -> Iterator[StripeAcademy]:
    """An organization of one test alone, without an account yet."""
    slug = f"shop-{new_id().hex[-12:]}"
    academy = Academy(app_with_sandbox, database, admin_engine, make_organization(slug), slug)
    with (
        running_stripe() as stripe,
        stripe_academy(academy, settings, stripe, sandbox_url=sandbox_url) as made,
    ):
        yield made


def put(shop: StripeAcademy, **headers: str) -> Any:
    return shop.send("PUT", PATH, shop.person("admin"), shop.keys, **headers)


def stored(shop: StripeAcademy) -> dict[str, Any]:
    (row,) = shop.rows("SELECT * FROM payment_accounts")
    return row


def test_the_secrets_go_in_encrypted_and_never_come_out(shop: StripeAcademy) -> None:
    made = put(shop)
    assert made.status_code == 200
    assert made.get_json() == {
        "provider": "stripe",
        "publishable_key": shop.keys["publishable_key"],
        "secret_key_last4": shop.keys["secret_key"][-4:],
        "webhook_secret_last4": shop.keys["webhook_secret"][-4:],
        "created_at": made.get_json()["created_at"],
        "updated_at": made.get_json()["updated_at"],
        "open": {"payments": 0, "top_ups": 0, "refunds": 0, "disputes": 0},
    }
    listed = shop.get("/payment-accounts", shop.person("admin"))
    assert listed.get_json() == {"items": [made.get_json()]}
    row = stored(shop)
    for name in ("secret_key", "webhook_secret"):
        assert shop.keys[name] not in made.text + listed.text + str(row)
        assert SecretBox.from_setting(SECRETS_KEY).open(row[name]) == shop.keys[name]


def test_changes_are_audited_without_the_secrets(shop: StripeAcademy) -> None:
    put(shop)
    shop.send("DELETE", PATH, shop.person("admin"))
    rows = shop.rows(
        "SELECT action, before, after FROM audit_events"
        " WHERE action LIKE 'payment_account.%' ORDER BY id"
    )
    known = {"provider": "stripe", "publishable_key": shop.keys["publishable_key"]}
    assert rows == [
        {"action": "payment_account.put", "before": None, "after": known},
        {"action": "payment_account.delete", "before": known, "after": None},
    ]
    assert shop.keys["secret_key"][-4:] not in json.dumps(rows).replace(
        shop.keys["publishable_key"], ""
    )


def test_keys_are_replaced_over_the_state_that_was_read(shop: StripeAcademy) -> None:
    admin, first = shop.person("admin"), put(shop)
    other = {**shop.keys, "secret_key": keys_of_a_test()["secret_key"]}
    shop.stripe.open_account(other["secret_key"])
    changed = shop.send("PUT", PATH, admin, other, **{"If-Match": first.headers["ETag"]})
    assert changed.get_json()["secret_key_last4"] == other["secret_key"][-4:]
    for method, body in (("PUT", other), ("DELETE", None)):
        stale = shop.send(method, PATH, admin, body, **{"If-Match": first.headers["ETag"]})
        assert stale.status_code == 412
    etag = {"If-Match": changed.headers["ETag"]}
    assert shop.send("DELETE", PATH, admin, **etag).status_code == 204
    assert shop.send("DELETE", PATH, admin).status_code == 404
    assert shop.send("PUT", PATH, admin, other, **etag).status_code == 412


@pytest.mark.parametrize("role", ["student", "instructor"])
def test_only_admins_reach_the_accounts(shop: StripeAcademy, role: Any) -> None:
    person = shop.person(role)
    assert shop.send("PUT", PATH, person, shop.keys).status_code == 403
    assert shop.send("DELETE", PATH, person).status_code == 403
    assert shop.get("/payment-accounts", person).status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret_key": "pk_test_1"},
        {"publishable_key": "sk_test_1"},
        {"webhook_secret": "sk_test_1"},
        {"publishable_key": "pk_live_1"},
        {"secret_key": "sk_test_1\n"},
    ],
)
def test_keys_in_the_wrong_place_are_told_apart(shop: StripeAcademy, wrong: dict[str, str]) -> None:
    shop.stripe.open_account("sk_test_1")
    answer = shop.send("PUT", PATH, shop.person("admin"), {**shop.keys, **wrong})
    if wrong == {"secret_key": "sk_test_1\n"}:
        assert answer.get_json()["secret_key_last4"] == "st_1"  # white space around it is dropped
        return
    assert answer.status_code == 422
    assert stored_nothing(shop)


def stored_nothing(shop: StripeAcademy) -> bool:
    return shop.rows("SELECT * FROM payment_accounts") == []


def test_organizations_have_no_accounts_elsewhere(shop: StripeAcademy) -> None:
    admin = shop.person("admin")
    assert shop.send("PUT", "/payment-accounts/sandbox", admin, shop.keys).status_code == 404
    assert shop.send("DELETE", "/payment-accounts/sandbox", admin).status_code == 404


def test_without_a_key_in_the_settings_nothing_is_entered(
    shop: StripeAcademy, settings: Settings
) -> None:
    with paying_app(settings, None) as app:
        answer = put(replace(shop, app=app))
    assert (answer.status_code, answer.get_json()["code"]) == (409, "secrets_not_configured")
    assert stored_nothing(shop)


def test_learners_see_who_takes_payments_and_the_key_for_its_script(
    shop: StripeAcademy, settings: Settings
) -> None:
    person = shop.person()
    before = shop.get("/payment-provider", person).get_json()
    assert before == {"provider": "sandbox", "publishable_key": None}
    put(shop)
    after = shop.get("/payment-provider", person).get_json()
    assert after == {"provider": "stripe", "publishable_key": shop.keys["publishable_key"]}
    with paying_app(settings, None) as app:
        shop.send("DELETE", PATH, shop.person("admin"))
        nobody = replace(shop, app=app).get("/payment-provider", person).get_json()
    assert nobody == {"provider": None, "publishable_key": None}


def test_an_account_stays_while_something_is_open_there(shop: StripeAcademy) -> None:
    put(shop)
    person, admin = shop.person(), shop.person("admin")
    top_up = shop.top_up(person, 5000, fake.ASKS_3DS).get_json()
    refused = shop.send("DELETE", PATH, admin)
    assert (refused.status_code, refused.get_json()["code"]) == (409, "payment_account_in_use")
    assert refused.get_json()["open"] == {
        "payments": 0,
        "top_ups": 1,
        "refunds": 0,
        "disputes": 0,
    }
    assert "Still open at stripe: 1 top-up." in refused.get_json()["detail"]
    assert shop.get(PATH, admin).get_json()["open"] == refused.get_json()["open"]
    (intent,) = shop.stripe.intents(shop.keys["secret_key"])
    assert shop.tell(shop.finish(intent["id"])).status_code == 204
    assert shop.balance(person) == 5000
    assert shop.send("DELETE", PATH, admin).status_code == 204
    assert shop.get(f"/wallet/top-ups/{top_up['id']}", person).get_json()["state"] == "succeeded"


def test_an_account_is_read_with_the_etag_that_a_change_names(shop: StripeAcademy) -> None:
    admin, made = shop.person("admin"), put(shop)
    read = shop.get(PATH, admin)
    assert read.get_json() == made.get_json()
    assert read.headers["ETag"] == made.headers["ETag"]
    etag = {"If-Match": read.headers["ETag"]}
    assert shop.send("DELETE", PATH, admin, **etag).status_code == 204
    assert shop.get(PATH, admin).status_code == 404


# --- keys are tried before they are kept


def test_keys_that_stripe_does_not_know_are_refused(shop: StripeAcademy) -> None:
    mistyped = {**shop.keys, "secret_key": keys_of_a_test()["secret_key"]}
    answer = shop.send("PUT", PATH, shop.person("admin"), mistyped)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "keys_refused")
    (error,) = answer.get_json()["errors"]
    assert error["pointer"] == "/secret_key"
    assert mistyped["secret_key"] not in answer.text
    assert stored_nothing(shop)


def test_a_restricted_key_that_may_not_list_payments_is_refused(shop: StripeAcademy) -> None:
    error = {"error": {"type": "invalid_request_error", "message": "rk_test_*** may not."}}
    shop.stripe.answers_next.append((403, json.dumps(error).encode()))
    answer = put(shop)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "keys_refused")
    assert "restricted" in answer.get_json()["errors"][0]["message"]


def test_keys_are_not_kept_while_stripe_cannot_be_asked(shop: StripeAcademy) -> None:
    shop.stripe.answers_next.append((500, b"{}"))
    answer = put(shop)
    assert (answer.status_code, answer.get_json()["code"]) == (503, "provider_unavailable")
    assert stored_nothing(shop)
    assert put(shop).status_code == 200


def test_new_keys_that_are_refused_leave_the_old_ones(shop: StripeAcademy) -> None:
    put(shop)
    before = stored(shop)
    mistyped = {**shop.keys, "secret_key": keys_of_a_test()["secret_key"]}
    assert shop.send("PUT", PATH, shop.person("admin"), mistyped).status_code == 422
    assert stored(shop) == before


# --- removing an account while somebody buys


def test_an_account_is_not_removed_under_a_purchase_that_has_read_it(shop: StripeAcademy) -> None:
    put(shop)
    person, admin = shop.person(), shop.person("admin")
    actor = Actor(person.id, "student", new_id())
    with ThreadPoolExecutor(1) as pool:
        with shop.database.transaction(shop.scope) as session:
            assert held_account(session) is not None
            start_top_up(
                session,
                Doorbell(shop.settings.redis_url),
                actor,
                top_up_id=new_id(),
                amount=Money(5000, "EUR"),
                token=fake.GOOD,
                provider="stripe",
                most=5000,
            )
            removing = pool.submit(shop.send, "DELETE", PATH, admin)
            shop.wait_for_a_lock()
        removed = removing.result()
    assert (removed.status_code, removed.get_json()["code"]) == (409, "payment_account_in_use")


def test_a_purchase_waits_for_an_account_that_is_being_removed(shop: StripeAcademy) -> None:
    put(shop)
    person = shop.person()
    with ThreadPoolExecutor(1) as pool:
        with shop.database.transaction(shop.scope) as session:
            admin = Actor(shop.person("admin").id, "admin", new_id())
            delete_account(session, admin, "stripe", expected_version=None)
            buying = pool.submit(shop.top_up, person, 5000, "tok_success")
            shop.wait_for_a_lock()
        bought = buying.result()
    assert bought.get_json()["provider"] == "sandbox"  # which the installation has besides


def test_nothing_is_begun_at_an_account_that_was_removed_at_the_same_moment(
    shop: StripeAcademy,
) -> None:
    admin, buyers = shop.person("admin"), [shop.person() for _ in range(8)]
    for person in buyers:
        put(shop)

        def step(number: int, person: Person = person) -> Any:
            if number:
                return shop.send("DELETE", PATH, admin)
            return shop.top_up(person, 5000, fake.ASKS_3DS)

        bought, removed = together(2, step)
        there = bool(shop.rows("SELECT FROM payment_accounts"))
        assert there is (removed.status_code == 409)
        if removed.status_code == 204:
            # refused, or begun at the sandbox, which does not know Stripe's tokens
            assert bought.status_code == 402
        else:
            assert bought.get_json()["provider"] == "stripe"
        open_there = (
            "SELECT FROM provider_attempts WHERE provider = 'stripe' AND outcome = 'pending'"
        )
        assert there is bool(shop.rows(open_there))
        for intent in shop.stripe.intents(shop.keys["secret_key"]):
            if intent["status"] == "requires_action":
                assert shop.tell(shop.finish(intent["id"])).status_code == 204


# --- another key for the secrets


def rotate(shop: StripeAcademy, keys: str) -> Any:
    environment = {"DATABASE_URL": shop.settings.database_url, "SECRETS_KEYS": keys}
    return CliRunner().invoke(main, ["payments", "rotate-keys"], env=environment)


def test_secrets_are_encrypted_anew_under_the_newest_key(shop: StripeAcademy) -> None:
    put(shop)
    newest, before = Fernet.generate_key().decode(), stored(shop)
    box = SecretBox.from_setting(f"{newest},{SECRETS_KEY}")
    with shop.database.transaction(shop.scope) as session:
        assert re_encrypt(session, box) == 1
    with shop.database.transaction(shop.scope) as session:
        assert re_encrypt(session, box) == 0
    after = stored(shop)
    assert SecretBox.from_setting(newest).open(after["secret_key"]) == shop.keys["secret_key"]
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"secret_key", "webhook_secret"}


def test_a_rotation_goes_over_all_organizations_and_may_be_repeated(shop: StripeAcademy) -> None:
    put(shop)
    newest = Fernet.generate_key().decode()
    rotate(shop, f"{newest},{SECRETS_KEY}")
    assert SecretBox.from_setting(newest).open(stored(shop)["webhook_secret"])
    written = stored(shop)
    rotate(shop, f"{newest},{SECRETS_KEY}")
    assert stored(shop) == written
    # for the tests beside this one, whose rows were rotated too
    rotate(shop, f"{SECRETS_KEY},{newest}")
    assert SecretBox.from_setting(SECRETS_KEY).open(stored(shop)["webhook_secret"])


def test_a_key_that_is_missing_is_reported_and_named(shop: StripeAcademy) -> None:
    put(shop)
    written = stored(shop)
    result = rotate(shop, Fernet.generate_key().decode())
    assert result.exit_code == 1
    assert shop.slug in result.output
    assert "SECRETS_KEYS" in result.output
    assert stored(shop) == written
    for keys in ("", "short"):
        assert "SECRETS_KEYS" in rotate(shop, keys).output


def test_secrets_under_an_unknown_key_are_shown_as_unreadable_and_stop_payments(
    shop: StripeAcademy, settings: Settings
) -> None:
    put(shop)
    settings = replace(settings, secrets_keys=Fernet.generate_key().decode())
    with paying_app(settings, None) as app:
        other = replace(shop, app=app)
        (item,) = other.get("/payment-accounts", other.person("admin")).get_json()["items"]
        assert (item["secret_key_last4"], item["webhook_secret_last4"]) == (None, None)
        answer = other.top_up(other.person(), 5000, fake.GOOD)
        assert (answer.status_code, answer.get_json()["code"]) == (503, "secret_unreadable")
    assert shop.rows("SELECT * FROM wallet_top_ups") == []
