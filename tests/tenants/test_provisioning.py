from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from lms.core.ids import new_id
from tenants import names, provisioning, roles
from tenants.errors import InvalidSlugError, SlugTakenError
from tenants.provisioning import NewOrganization
from tenants.session import Database, OrganizationScope


def exists(admin: Engine, query: str, **values: object) -> bool:
    with admin.begin() as connection:
        return connection.execute(text(query), values).first() is not None


def test_a_new_organization_can_be_entered_at_once(
    database: Database, make_organization: Callable[..., UUID]
) -> None:
    organization = make_organization()
    with database.transaction(OrganizationScope(organization)) as session:
        assert session.execute(text("SELECT count(*) FROM users")).scalar() == 0


def test_a_failing_seed_leaves_no_row_no_schema_and_no_role(admin_engine: Engine) -> None:
    new = NewOrganization(new_id(), f"half-{new_id().hex[-8:]}", "Half")

    def fail(session: Session) -> None:
        session.execute(text("SELECT 1 FROM users"))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        provisioning.create_organization(admin_engine, new, login_role="app", seed=fail)
    assert not exists(
        admin_engine, "SELECT 1 FROM platform.organizations WHERE id = :id", id=new.id
    )
    role = names.role_name(new.id)
    assert not exists(admin_engine, "SELECT 1 FROM pg_roles WHERE rolname = :role", role=role)
    assert not exists(admin_engine, "SELECT 1 FROM pg_namespace WHERE nspname = :role", role=role)


def test_a_slug_is_taken_only_once(admin_engine: Engine, acme: UUID) -> None:
    with pytest.raises(SlugTakenError):
        provisioning.create_organization(
            admin_engine, NewOrganization(new_id(), "acme", "Another Acme"), login_role="app"
        )


@pytest.mark.parametrize(
    "slug", ["", "-a", "a-", "Acme", "a.b", "a_b", "ä", "a" * 64, "admin", "www", "xn--caf-dma"]
)
def test_slugs_that_cannot_be_or_must_not_be_a_host_are_refused(slug: str) -> None:
    with pytest.raises(InvalidSlugError):
        provisioning.check_slug(slug)


@pytest.mark.parametrize("slug", ["a", "acme", "acme-2", "a" * 63, "4u"])
def test_host_labels_are_accepted(slug: str) -> None:
    provisioning.check_slug(slug)


def test_an_organizations_role_owns_nothing_and_cannot_log_in(
    admin_engine: Engine, acme: UUID
) -> None:
    role = names.role_name(acme)
    assert exists(
        admin_engine, "SELECT 1 FROM pg_roles WHERE rolname = :r AND NOT rolcanlogin", r=role
    )
    assert not exists(
        admin_engine,
        "SELECT 1 FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE r.rolname = :r",
        r=role,
    )


def test_what_must_never_change_is_insert_only_by_grant(admin_engine: Engine, acme: UUID) -> None:
    query = (
        "SELECT privilege_type FROM information_schema.role_table_grants"
        " WHERE grantee = :role AND table_schema = :role AND table_name = :name"
    )
    for table in (
        "wallet_transactions",
        "published_versions",
        "enrollment_changes",
        "audit_events",
    ):
        with admin_engine.begin() as connection:
            granted = connection.execute(
                text(query), {"role": names.role_name(acme), "name": table}
            ).scalars()
            assert set(granted) == {"SELECT", "INSERT"}, table


def test_a_slug_that_another_transaction_is_taking_fails_rather_than_waits(
    admin_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roles, "OWNERS_LOCK_TIMEOUT", "50ms")
    slug = f"slow-{new_id().hex[-8:]}"
    with ThreadPoolExecutor(1) as thread, admin_engine.connect() as holder:
        holder.execute(
            text(
                "INSERT INTO platform.organizations (id, slug, name, revision, currency)"
                " VALUES (:id, :slug, 'Slow', '0001', 'EUR')"
            ),
            {"id": new_id(), "slug": slug},
        )
        run = thread.submit(
            provisioning.create_organization,
            admin_engine,
            NewOrganization(new_id(), slug, "Second"),
            login_role="app",
        )
        with pytest.raises(OperationalError, match="lock timeout"):
            run.result(timeout=15)
