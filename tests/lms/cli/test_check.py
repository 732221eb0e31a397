from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text

from lms.cli import schemas
from tenants import catalog, ddl
from tests.conftest import Servers

TABLES = """
CREATE TABLE people (id uuid PRIMARY KEY, name text NOT NULL DEFAULT 'x', age bigint);
CREATE TABLE pets (id uuid PRIMARY KEY, owner uuid CONSTRAINT fk_owner REFERENCES people (id));
CREATE INDEX ix_name ON people (name) WHERE age > 3;
GRANT SELECT, INSERT ON people TO tenants;
"""


@pytest.fixture
def twins(admin_engine: Engine) -> Iterator[Connection]:
    """Two schemas with the same tables; rolled back afterwards."""
    with admin_engine.connect() as connection:
        for schema in ("twin_a", "twin_b"):
            connection.execute(text(f"CREATE SCHEMA {schema}"))
            connection.execute(text(f"SET LOCAL search_path TO {schema}"))
            for statement in TABLES.strip().rstrip(";").split(";"):
                connection.execute(text(statement))
        yield connection
        connection.rollback()


def compare(connection: Connection) -> tuple[list[str], list[str]]:
    return catalog.differences(
        catalog.describe(connection, "twin_a"), catalog.describe(connection, "twin_b")
    )


def test_the_same_tables_in_two_schemas_are_equal(twins: Connection) -> None:
    assert compare(twins) == ([], [])


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("ALTER TABLE people ALTER name DROP DEFAULT", "column"),
        ("ALTER TABLE people ALTER name DROP NOT NULL", "column"),
        ("ALTER TABLE people ALTER age TYPE int", "column"),
        ("ALTER TABLE people DROP age", "column"),
        ("ALTER TABLE people ADD CONSTRAINT grown CHECK (age > 17)", "constraint"),
        ("ALTER TABLE pets DROP CONSTRAINT fk_owner", "constraint"),
        ("DROP INDEX ix_name", "index"),
        ("CREATE UNIQUE INDEX ON people (age)", "index"),
        ("GRANT DELETE ON people TO tenants", "grant"),
        ("GRANT UPDATE (name) ON people TO tenants", "grant"),
        ("ALTER TABLE people ENABLE ROW LEVEL SECURITY", "relation"),
        ("CREATE POLICY own ON people USING (true)", "policy"),
        ("CREATE TABLE more (id int)", "relation"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "function"),
        (
            (
                "CREATE TRIGGER t BEFORE UPDATE ON people"
                " EXECUTE FUNCTION suppress_redundant_updates_trigger()"
            ),
            "trigger",
        ),
    ],
)
def test_every_kind_of_drift_is_seen(twins: Connection, change: str, kind: str) -> None:
    twins.execute(text("SET LOCAL search_path TO twin_b"))
    twins.execute(text(change))
    only_a, only_b = compare(twins)
    assert any(line.startswith(f"{kind} ") for line in only_a + only_b)


@pytest.fixture
def on_the_suites_server(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_ADMIN_URL", servers.admin_url)


def leftovers(engine: Engine) -> int:
    with engine.begin() as connection:
        return connection.execute(
            text(
                "SELECT (SELECT count(*) FROM pg_database WHERE datname LIKE 'lms_check%')"
                " + (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'lms_check%'"
                " OR rolname IN ('o_rendered_end_state', 'o_migrated_history'))"
            )
        ).scalar_one()


@pytest.mark.usefixtures("on_the_suites_server")
def test_models_migrations_and_end_state_make_the_same_tables(admin_engine: Engine) -> None:
    assert schemas.compare_histories() == []
    assert leftovers(admin_engine) == 0


@pytest.mark.usefixtures("on_the_suites_server")
def test_an_end_state_that_no_migration_makes_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = ddl.end_state().replace(
        'GRANT SELECT, INSERT ON "wallet_transactions"',
        'GRANT SELECT, INSERT, DELETE ON "wallet_transactions"',
    )
    monkeypatch.setattr(ddl, "END_STATE", tmp_path / "end_state.sql")
    ddl.END_STATE.write_text(changed)
    assert schemas.compare_histories() == [
        "tenant: only in the end state: grant wallet_transactions: organization DELETE f"
    ]


@pytest.mark.usefixtures("on_the_suites_server")
def test_a_migration_that_is_not_what_the_models_say_is_seen(
    monkeypatch: pytest.MonkeyPatch, admin_engine: Engine
) -> None:
    rendered = ddl.render_revision

    def without_a_column(revision: str) -> str:
        return rendered(revision) + "\nALTER TABLE users DROP COLUMN IF EXISTS deactivated_at;"

    monkeypatch.setattr(ddl, "render_revision", without_a_column)
    found = schemas.compare_histories()
    assert any("only in the end state: column users.deactivated_at" in line for line in found)
    assert any("Alembic would do: add_column" in line for line in found)
    assert leftovers(admin_engine) == 0
