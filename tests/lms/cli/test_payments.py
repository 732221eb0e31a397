"""`lms payments reconcile`: what it prints, and its exit status."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import Result
from sqlalchemy import Engine, text

from lms.checkout.reconcile.books import CHECKS
from lms.checkout.reconcile.report import FINDINGS_SHOWN
from lms.config import Settings
from lms.core.ids import new_id
from tenants import ddl
from tenants.session import Database
from tests.factories import provider_side as there
from tests.factories.contested import buy, payment_of
from tests.factories.money import Academy
from tests.factories.sandbox import NOWHERE, SECRET_KEY, WEBHOOK_SECRET, paying_app, running_sandbox

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def sandbox_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox") / "sandbox.sqlite") as url:
        yield url


@pytest.fixture(scope="module")
def make_academy(
    settings: Settings,
    sandbox_url: str,
    database: Database,
    admin_engine: Engine,
    make_organization: Callable[..., UUID],
) -> Iterator[Callable[[], Academy]]:
    """Make an organization in which somebody bought something."""
    with paying_app(settings, sandbox_url) as app:

        def make() -> Academy:
            slug = f"paid-{new_id().hex[-12:]}"
            academy = Academy(app, database, admin_engine, make_organization(slug), slug)
            run_id = academy.run()
            assert academy.enroll(academy.person(money=4900), run_id).status_code == 201
            answer = academy.enroll(academy.person(), run_id, "provider", token="tok_success")
            assert answer.status_code == 201
            return academy

        yield make


@pytest.fixture(scope="module")
def healthy(make_academy: Callable[[], Academy]) -> Academy:
    return make_academy()


@pytest.fixture(scope="module")
def wrong(make_academy: Callable[[], Academy]) -> Academy:
    """An organization with a wallet that the journal does not explain."""
    academy = make_academy()
    academy.execute_as_owner("UPDATE wallets SET balance = balance + 1")
    return academy


@pytest.fixture
def run_with_provider(run: Run, settings: Settings, sandbox_url: str, tmp_path: Path) -> Run:
    """Run `lms` with everything that a process of the API knows."""
    environment = {
        "REDIS_URL": settings.redis_url,
        "SECRET_KEY": settings.secret_key,
        "STORAGE_PATH": str(tmp_path),
        "SANDBOX_URL": sandbox_url,
        "SANDBOX_SECRET_KEY": SECRET_KEY,
        "SANDBOX_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }
    return lambda *words, **changes: run(*words, **{**environment, **changes})


def reconcile(run: Run, *academies: Academy, more: tuple[str, ...] = (), **changes: Any) -> Result:
    named = [word for one in academies for word in ("--organization", one.slug)]
    return run("payments", "reconcile", *named, *more, **changes)


def test_books_that_agree_are_said_in_one_line(run: Run, healthy: Academy) -> None:
    result = reconcile(run, healthy)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "Organizations checked: 1. Differences: 0.\n"


def test_what_differs_is_a_line_each_and_the_exit_status_is_1(
    run: Run, healthy: Academy, wrong: Academy
) -> None:
    result = reconcile(run, healthy, wrong)
    assert result.exit_code == 1
    headings, first, second, last = result.stdout.splitlines()
    assert headings.split() == ["ORGANIZATION", "CHECK", "SUBJECT", "ID", "EXPECTED", "FOUND"]
    (wallet,) = wrong.rows("SELECT id FROM wallets")
    assert first.split() == [
        *(wrong.slug, "wallet_balance", "wallet", str(wallet["id"])),
        *("0", "EUR", "1", "EUR"),
    ]
    assert "wallet_last_row" in second
    assert last == "Organizations checked: 2. Differences: 2."


def test_more_than_a_check_lists_is_counted(run: Run, make_academy: Callable[[], Academy]) -> None:
    academy = make_academy()
    academy.execute_as_owner(
        "INSERT INTO webhook_events (provider, account, event_id, type, received_at)"
        " SELECT 'sandbox', 'a', i, 'x', now() - interval '2 days'"
        f" FROM generate_series(1, {FINDINGS_SHOWN + 7}) i"
    )
    result = reconcile(run, academy)
    assert f"{academy.slug}: event_unapplied has 7 more.\n" in result.stdout
    assert f"Differences: {FINDINGS_SHOWN + 7}." in result.stdout


def test_json_is_all_that_is_printed(run: Run, healthy: Academy, wrong: Academy) -> None:
    result = reconcile(run, healthy, wrong, more=("--json",))
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["total"] == 2
    by_slug = {one["slug"]: one for one in report["organizations"]}
    assert by_slug[healthy.slug]["total"] == 0
    checks = by_slug[wrong.slug]["checks"]
    assert [one["name"] for one in checks] == [check.name for check in CHECKS]
    (finding,) = checks[0]["findings"]
    assert (finding["check"], finding["expected"], finding["found"]) == (
        "wallet_balance",
        "0 EUR",
        "1 EUR",
    )


def test_all_organizations_that_can_have_money_are_checked(
    run: Run, make_academy: Callable[[], Academy], admin_engine: Engine
) -> None:
    states = ("active", "suspended", "deleting", "provisioning")
    academies = {state: make_academy() for state in states}
    set_state = text("UPDATE platform.organizations SET state = :state WHERE id = :id")
    with admin_engine.begin() as connection:
        for state, academy in academies.items():
            connection.execute(set_state, {"state": state, "id": academy.organization_id})
    report = json.loads(reconcile(run, more=("--json",)).stdout)
    checked = {one["slug"]: one for one in report["organizations"]}
    for state in ("active", "suspended", "deleting"):
        one = checked[academies[state].slug]
        assert (one["total"], one["error"], len(one["checks"])) == (0, None, len(CHECKS))
    assert academies["provisioning"].slug not in checked
    asked_for = reconcile(run, academies["provisioning"])
    assert asked_for.exit_code == 2
    assert "cannot be entered; when the run began it was provisioning" in asked_for.stderr


def test_an_organization_that_cannot_be_checked_is_named_and_the_others_go_on(
    run: Run, make_academy: Callable[[], Academy], wrong: Academy, admin_engine: Engine
) -> None:
    migrating, broken = make_academy(), make_academy()
    set_revision = text("UPDATE platform.organizations SET revision = :revision WHERE id = :id")
    with admin_engine.begin() as connection:
        values = {"revision": "from-the-future", "id": migrating.organization_id}
        connection.execute(set_revision, values)
    broken.execute_as_owner("DROP TABLE receipts")
    try:
        result = reconcile(run, migrating, broken, wrong)
    finally:
        with admin_engine.begin() as connection:
            values = {"revision": ddl.head_revision(), "id": migrating.organization_id}
            connection.execute(set_revision, values)
    assert result.exit_code == 2
    assert f"{migrating.slug}: this version does not know" in result.stderr
    assert f'{broken.slug}: The database is not prepared (relation "receipts"' in result.stderr
    assert "2 of 3 organizations could not be checked" in result.stderr
    assert "wallet_balance" in result.stdout
    assert "Organizations checked: 1. Differences: 2." in result.stdout
    assert "Traceback" not in result.output


def test_an_unknown_organization_is_one_plain_line(run: Run, healthy: Academy) -> None:
    result = run("payments", "reconcile", "--organization", "nobody-has-this")
    assert result.exit_code == 2
    assert result.stderr == "Error: There is no organization with the slug 'nobody-has-this'.\n"


def test_a_database_that_is_away_is_no_finding(run: Run) -> None:
    result = run("payments", "reconcile", DATABASE_URL="postgresql+psycopg://app@127.0.0.1:1/lms")
    assert result.exit_code == 2
    assert "PostgreSQL does not let us in" in result.stderr


def test_a_missing_setting_is_no_finding(run: Run) -> None:
    for words in ((), ("--provider",)):
        result = run("payments", "reconcile", *words, DATABASE_URL=None)
        assert (result.exit_code, "DATABASE_URL is not set" in result.stderr) == (2, True)


def test_a_day_goes_with_the_provider(run: Run) -> None:
    result = run("payments", "reconcile", "--since", "2027-01-31")
    assert result.exit_code == 2
    assert "--since goes with --provider" in result.stderr


def test_money_that_only_the_provider_knows_is_found(
    run_with_provider: Run, healthy: Academy, make_academy: Callable[[], Academy]
) -> None:
    assert reconcile(run_with_provider, healthy, more=("--provider",)).exit_code == 0
    academy = make_academy()
    academy.execute_as_owner(
        "UPDATE payments SET provider_payment_id = 'pay_gone' WHERE method = 'provider'"
    )
    result = reconcile(run_with_provider, academy, more=("--provider",))
    assert result.exit_code == 1
    assert "provider_unknown" in result.stdout
    assert "provider_missing" in result.stdout
    later = ("--provider", "--since", "2999-01-01")
    assert reconcile(run_with_provider, academy, more=later).exit_code == 0


def test_a_provider_that_is_away_leaves_our_own_books_checked(
    run_with_provider: Run, wrong: Academy
) -> None:
    result = reconcile(run_with_provider, wrong, more=("--provider",), SANDBOX_URL=NOWHERE)
    assert result.exit_code == 2
    assert result.stderr == (
        f"{wrong.slug}: its own books were checked, differences: 2; the provider's list was not:"
        " the provider could not be asked; try again later.\n"
        "Error: The provider's list could not be compared for 1 of 1 organizations.\n"
    )
    assert "wallet_balance" in result.stdout
    assert "Organizations checked: 1. Differences: 2.\n" in result.stdout


def test_without_a_provider_there_is_nothing_to_compare_with(
    run_with_provider: Run, healthy: Academy
) -> None:
    more = ("--provider", "--json")
    result = reconcile(run_with_provider, healthy, more=more, SANDBOX_URL=None)
    assert result.exit_code == 2
    (one,) = json.loads(result.stdout)["organizations"]
    assert (one["error"], one["total"], len(one["checks"])) == (None, 0, len(CHECKS))
    assert one["provider_error"].startswith("This academy takes no payments by a provider")
    assert "The provider's list could not be compared for 1 of 1" in result.stderr


@pytest.mark.parametrize(
    ("day", "why"),
    [
        *((day, "is not in the years 1970 to 9998") for day in ("0001-01-01", "1969-12-31")),
        ("9999-12-31", "is not in the years 1970 to 9998"),
        *((day, "write it like 2027-01-31") for day in ("2027-02-30", "31.1.2027", "")),
    ],
)
def test_a_day_that_is_none_is_refused_plainly(run: Run, day: str, why: str) -> None:
    result = run("payments", "reconcile", "--provider", "--since", day)
    assert result.exit_code == 2
    assert "Invalid value for '--since'" in result.stderr
    assert why in result.stderr


def test_the_first_and_the_last_day_are_all_right(run_with_provider: Run, healthy: Academy) -> None:
    for day in ("1970-01-01", "9998-12-31"):
        more = ("--provider", "--since", day)
        assert reconcile(run_with_provider, healthy, more=more).exit_code == 0


def test_what_the_provider_took_back_is_followed_when_asked_for(
    run_with_provider: Run, make_academy: Callable[[], Academy]
) -> None:
    academy = make_academy()
    purchase = buy(academy)
    there.give_back(academy, purchase["name"], 900)
    there.contest(academy, buy(academy)["name"])
    found = reconcile(run_with_provider, academy, more=("--provider",))
    assert found.exit_code == 1
    assert "Differences: 2." in found.stdout
    result = reconcile(run_with_provider, academy, more=("--provider", "--follow"))
    assert (result.exit_code, result.stdout) == (0, "Organizations checked: 1. Differences: 0.\n")
    assert payment_of(academy, purchase)["refunded_amount"]["amount"] == 900


def test_following_needs_the_provider(run: Run, healthy: Academy) -> None:
    result = reconcile(run, healthy, more=("--follow",))
    assert result.exit_code == 2
    assert "--follow goes with --provider" in result.stderr
