"""Super-admins see whether an organization's books agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import Engine, event, text
from werkzeug.test import TestResponse

from lms.checkout.reconcile import provider as at_provider
from lms.checkout.reconcile.books import CHECKS
from lms.checkout.reconcile.views import IN_A_REQUEST
from lms.config import Settings
from lms.core.ids import new_id
from lms.payments.providers.base import PaymentPage
from lms.payments.providers.sandbox import SandboxProvider
from tenants.session import Database
from tests.factories.accounts import PLATFORM_HOST, super_admin
from tests.factories.money import Academy
from tests.factories.sandbox import NOWHERE, paying_app, running_sandbox


@pytest.fixture(scope="module")
def app_with_sandbox(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Flask]:
    data = tmp_path_factory.mktemp("sandbox") / "sandbox.sqlite"
    with running_sandbox(data) as url, paying_app(settings, url) as app:
        yield app


@pytest.fixture
def academy(
    app_with_sandbox: Flask,
    database: Database,
    admin_engine: Engine,
    make_organization: Callable[..., UUID],
) -> Academy:
    """An organization of one test alone, in which somebody paid by the provider."""
    slug = f"paid-{new_id().hex[-12:]}"
    academy = Academy(app_with_sandbox, database, admin_engine, make_organization(slug), slug)
    answer = academy.enroll(academy.person(), academy.run(), "provider", token="tok_success")
    assert answer.status_code == 201
    return academy


def reconcile(academy: Academy, organization_id: UUID | None = None, **body: Any) -> TestResponse:
    client = academy.app.test_client()
    return client.post(
        f"/api/v1/platform/organizations/{organization_id or academy.organization_id}"
        "/payments/reconcile",
        base_url=PLATFORM_HOST,
        headers=super_admin(client, academy.database),
        json=body,
    )


def test_books_that_agree_have_no_findings(academy: Academy) -> None:
    answer = reconcile(academy)
    assert answer.status_code == 200
    assert answer.get_json() == {
        "total": 0,
        "checks": [{"name": check.name, "total": 0, "findings": []} for check in CHECKS],
        "provider_list": None,
    }
    compared = reconcile(academy, provider=True).get_json()
    assert compared["total"] == 0
    assert compared["provider_list"] == {"payments": 1, "is_complete": True}
    names = [check["name"] for check in compared["checks"]]
    assert names == [*(check.name for check in CHECKS), *at_provider.CHECKS]


def test_what_differs_is_shown_by_the_check_that_found_it(academy: Academy) -> None:
    academy.execute_as_owner("UPDATE run_seats SET taken = taken + 1")
    (run,) = academy.rows("SELECT run_id FROM run_seats")
    body = reconcile(academy).get_json()
    assert body["total"] == 1
    (check,) = [check for check in body["checks"] if check["total"]]
    assert check == {
        "name": "seats_taken",
        "total": 1,
        "findings": [
            {
                "check": "seats_taken",
                "subject_type": "run",
                "subject_id": str(run["run_id"]),
                "expected": "1 taken",
                "found": "2 taken",
            }
        ],
    }


def test_the_provider_s_list_is_compared_when_it_is_asked_for(academy: Academy) -> None:
    academy.execute_as_owner("UPDATE payments SET provider_payment_id = 'pay_gone'")
    assert reconcile(academy).get_json()["total"] == 0
    assert reconcile(academy, provider=True).get_json()["total"] == 2
    later = reconcile(academy, provider=True, since="2999-01-01T00:00:00Z")
    assert later.get_json()["total"] == 0


def test_a_list_that_is_too_long_for_a_request_is_said_not_to_be_complete(
    academy: Academy, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [PaymentPage([], str(number)) for number in range(IN_A_REQUEST.pages + 1)]
    asked: list[str | None] = []

    def list_payments(_self: object, *, cursor: str | None, **_asked: object) -> PaymentPage:
        asked.append(cursor)
        return pages[len(asked) - 1]

    monkeypatch.setattr(SandboxProvider, "list_payments", list_payments)
    compared = reconcile(academy, provider=True).get_json()
    assert compared["provider_list"] == {"payments": 0, "is_complete": False}
    assert compared["total"] == 0  # what was paid may be on the pages that were not read
    assert len(asked) == IN_A_REQUEST.pages


@pytest.mark.parametrize("state", ["suspended", "deleting"])
def test_an_organization_whose_money_still_settles_is_checked(academy: Academy, state: str) -> None:
    with academy.admin_engine.begin() as connection:
        connection.execute(
            text("UPDATE platform.organizations SET state = :state WHERE id = :id"),
            {"state": state, "id": academy.organization_id},
        )
    assert reconcile(academy).status_code == 200


def test_an_organization_that_is_not_there_is_not_found(academy: Academy) -> None:
    assert reconcile(academy, new_id()).status_code == 404


def test_without_a_provider_there_is_nothing_to_compare_with(
    academy: Academy, settings: Settings
) -> None:
    with paying_app(settings, None) as app:
        answer = reconcile(academy.with_app(app), provider=True)
        assert (answer.status_code, answer.get_json()["code"]) == (409, "provider_not_configured")
        assert reconcile(academy.with_app(app)).status_code == 200


def test_a_provider_that_is_away_is_said(academy: Academy, settings: Settings) -> None:
    with paying_app(settings, NOWHERE) as app:
        answer = reconcile(academy.with_app(app), provider=True)
    assert (answer.status_code, answer.get_json()["code"]) == (503, "provider_unavailable")


@contextmanager
def statements_of(app: Flask) -> Iterator[list[str]]:
    seen: list[str] = []
    engine = app.extensions["edge"].database.events

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_it_reads_only(academy: Academy) -> None:
    client = academy.app.test_client()
    headers = super_admin(client, academy.database)
    with statements_of(academy.app) as seen:
        answer = client.post(
            f"/api/v1/platform/organizations/{academy.organization_id}/payments/reconcile",
            base_url=PLATFORM_HOST,
            headers=headers,
            json={"provider": True},
        )
    assert answer.status_code == 200
    assert len(seen) >= len(CHECKS)
    assert {statement.split()[0] for statement in seen} == {"SELECT"}


def test_an_organization_s_admin_may_not(academy: Academy) -> None:
    answer = academy.app.test_client().post(
        f"/api/v1/platform/organizations/{academy.organization_id}/payments/reconcile",
        base_url=PLATFORM_HOST,
        headers=academy.person("admin").headers,
        json={},
    )
    assert answer.status_code == 401
