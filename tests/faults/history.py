"""What really happened to rows: triggers of the test's own that keep every version of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql
from sqlalchemy import Connection, text

from tenants.engines import create_admin_engine

PREPARE = """
    CREATE SCHEMA IF NOT EXISTS faults;
    CREATE TABLE IF NOT EXISTS faults.history (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        place text NOT NULL,
        row jsonb NOT NULL
    );
    CREATE OR REPLACE FUNCTION faults.keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        INSERT INTO faults.history (place, row)
        VALUES (TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, to_jsonb(NEW));
        RETURN NULL;
    END $$;
"""
READ = text("SELECT at, place, row FROM faults.history WHERE place = :place ORDER BY seq")


@dataclass(frozen=True)
class Version:
    """One committed version of a row: when it was written (UTC), in which table, and its columns.

    Columns are as in `to_jsonb`: times and ids are strings.
    """

    at: datetime
    place: str
    row: dict[str, Any]


class History:
    """Keeps versions of rows in the database under test; what was rolled back never shows.

    Args:
        admin_url: the owner of the schemas; must be a superuser.
    """

    def __init__(self, admin_url: str) -> None:
        self._engine = create_admin_engine(admin_url)
        with self._engine.begin() as connection:
            connection.exec_driver_sql(PREPARE)

    def keep(self, schema: str, table: str, *, when: str = "true") -> None:
        """Keep each version of a table's rows from now on.

        Args:
            schema: where the table is.
            table: its name.
            when: SQL over NEW; only versions for which it holds are kept.
        """
        statement = sql.SQL(
            "CREATE OR REPLACE TRIGGER faults_keep AFTER INSERT OR UPDATE ON {}"
            " FOR EACH ROW WHEN ({}) EXECUTE FUNCTION faults.keep()"
        ).format(sql.Identifier(schema, table), sql.SQL(when))  # pyright: ignore[reportArgumentType] - a condition of the test's own
        with self._engine.begin() as connection:
            connection.exec_driver_sql(_rendered(connection, statement))

    def versions(self, schema: str, table: str) -> list[Version]:
        """Return what was kept, oldest first."""
        with self._engine.begin() as connection:
            rows = connection.execute(READ, {"place": f"{schema}.{table}"}).all()
        return [Version(row.at, row.place, row.row) for row in rows]


def _rendered(connection: Connection, statement: sql.Composed) -> str:
    driver: Any = connection.connection.driver_connection
    return statement.as_string(driver)
