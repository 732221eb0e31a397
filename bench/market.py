"""An organization for many purchases at once: thousands of buyers with money, thousands of runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql

from bench.academy import BALANCE
from bench.copies import read_rows, write_rows
from bench.report import UnmeasurableError
from bench.reset import forget_purchases
from bench.seed import Organization
from bench.stage import LOGIN_ROLE, Stage
from lms.core.ids import new_id
from tenants import provisioning
from tenants.engines import create_admin_engine
from tenants.provisioning import NewOrganization

SIZE = 6000
"""Buyers, and runs: more purchases than one round can make."""

NUMBER = 0xFFFF
"""Of the copy of the academy, far from the other organizations' numbers."""

FILL = """
    INSERT INTO users (id, email, name, account_type)
    SELECT uuidv7(), 'buyer' || i || '@example.test', 'Buyer ' || i, 'student'
      FROM generate_series(1, {size}) i;
    INSERT INTO user_sessions (id, user_id, refresh_id, expires_at)
    SELECT uuidv7(), id, uuidv7(), '2036-01-01Z' FROM users WHERE email LIKE 'buyer%';
    INSERT INTO wallets (id, user_id, currency, balance, seq)
    SELECT uuidv7(), id, 'USD', {balance}, 1 FROM users WHERE email LIKE 'buyer%';
    INSERT INTO wallet_transactions
           (wallet_id, seq, kind, amount, currency, balance_after, counter_account, reference)
    SELECT w.id, 1, 'adjustment', w.balance, w.currency, w.balance, 'manual', 'start:' || w.id
      FROM wallets w JOIN users u ON u.id = w.user_id WHERE u.email LIKE 'buyer%';
    INSERT INTO course_runs
           (id, course_id, version_id, title, starts_at, ends_at, enrollment_opens_at,
            enrollment_closes_at, capacity, price_amount, currency)
    SELECT uuidv7(), r.course_id, r.version_id, 'Market ' || i, r.starts_at, r.ends_at,
           r.enrollment_opens_at, r.enrollment_closes_at, {size}, r.price_amount, r.currency
      FROM generate_series(1, {size}) i, (SELECT * FROM course_runs LIMIT 1) r;
    INSERT INTO run_seats (run_id, capacity)
    SELECT id, capacity FROM course_runs WHERE title LIKE 'Market %';
"""

WRONG_BOOKS = """
    SELECT (SELECT count(*) FROM wallets w JOIN (
                SELECT wallet_id, sum(amount) AS total, count(*) AS entries
                  FROM wallet_transactions GROUP BY wallet_id) t ON t.wallet_id = w.id
             WHERE w.balance <> t.total OR w.seq <> t.entries)
         + (SELECT count(*) FROM run_seats s WHERE s.taken <> (
                SELECT count(*) FROM enrollments e WHERE e.run_id = s.run_id
                   AND e.state IN ('pending', 'active', 'suspended', 'completed')))
         + (SELECT count(*) FROM payments p LEFT JOIN enrollments e ON e.payment_id = p.id
             WHERE e.id IS NULL)
"""

WRITTEN = """
    SELECT jsonb_build_object(
               'payment', to_jsonb(p) - own.columns, 'enrollment', to_jsonb(e) - own.columns,
               'journal', to_jsonb(t) - own.columns, 'history', to_jsonb(c) - own.columns,
               'receipt', to_jsonb(f) - own.columns, 'key', to_jsonb(k) - own.columns,
               'told', ARRAY(SELECT jsonb_object_keys(k.body::jsonb -> 'payment') ORDER BY 1),
               'of', ARRAY(SELECT jsonb_object_keys(k.body::jsonb -> 'enrollment') ORDER BY 1),
               'fits', e.user_id = p.user_id AND e.run_id = p.run_id AND e.version_id = r.version_id
                       AND p.succeeded_at = p.created_at AND e.activated_at = p.created_at
                       AND t.wallet_id = w.id AND t.created_by = p.user_id
                       AND t.counter_account = 'run:' || p.run_id
                       AND t.reference = 'payment:' || p.id AND c.actor_id = p.user_id
                       AND f.user_id = p.user_id AND k.user_id = p.user_id
                       AND length(k.request_hash) = 64
                       AND k.body::jsonb #>> '{payment,id}' = p.id::text),
           count(*)
      FROM payments p
      JOIN course_runs r ON r.id = p.run_id
      JOIN wallets w ON w.user_id = p.user_id
      LEFT JOIN enrollments e ON e.payment_id = p.id
      LEFT JOIN wallet_transactions t ON t.payment_id = p.id
      LEFT JOIN enrollment_changes c ON c.enrollment_id = e.id
      LEFT JOIN receipts f ON f.payment_id = p.id
      LEFT JOIN idempotency_keys k ON k.subject_id = p.id
     CROSS JOIN (VALUES (ARRAY[
               'id', 'user_id', 'run_id', 'version_id', 'payment_id', 'enrollment_id', 'wallet_id',
               'subject_id', 'actor_id', 'created_by', 'counter_account', 'reference', 'seq',
               'balance_after', 'number', 'key', 'request_hash', 'body', 'created_at',
               'succeeded_at', 'activated_at', 'at', 'issued_at', 'claimed_until'])) own (columns)
     GROUP BY 1
"""
TABLES = (
    *("payments", "enrollments", "enrollment_changes", "wallets", "wallet_transactions"),
    *("receipts", "receipt_counters", "run_seats", "idempotency_keys", "course_runs"),
)
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
OTHERS = """
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND backend_type = 'client backend'
       AND pid <> pg_backend_pid()
"""
SECONDS_TO_END = 10.0


@dataclass(frozen=True, slots=True)
class Market:
    """The organization, its buyers as (user id, session id), and its runs, in no order."""

    organization: Organization
    buyers: list[tuple[str, str]]
    runs: list[str]

    @contextmanager
    def entered(self, stage: Stage) -> Iterator[psycopg.Connection[Any]]:
        """Yield a connection of the schemas' owner that finds the organization's tables."""
        with psycopg.connect(stage.conninfo, autocommit=True) as connection:
            _enter(connection, self.organization)
            yield connection

    def clear(self, stage: Stage) -> None:
        """Take back all purchases."""
        forget_purchases(stage.conninfo, [self.organization.schema])

    def settle(self, stage: Stage) -> None:
        """Clean up behind purchases that were taken back, and count what the tables hold now.

        Call it while they hold purchases. Autovacuum stays away from them: it would come between
        two rounds, and plans for tables that are empty read them whole when they are not.
        """
        with self.entered(stage) as connection:
            for table in map(sql.Identifier, TABLES):
                connection.execute(
                    sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = off)").format(table)
                )
                connection.execute(sql.SQL("VACUUM ANALYZE {}").format(table))

    def wrong_books(self, stage: Stage) -> int:
        """Return how many wallets, runs and payments do not agree with what hangs on them."""
        with self.entered(stage) as connection:
            return _value(connection, WRONG_BOOKS)

    def purchases(self, stage: Stage) -> list[tuple[dict[str, Any], int]]:
        """Return each way in which purchases were written, and how many were: one when all is well.

        A way is what all their rows hold (payment, enrollment, journal, history, receipt and the
        kept answer) but ids and times.
        """
        with self.entered(stage) as connection:
            return connection.execute(WRITTEN).fetchall()


def find_market(stage: Stage) -> Market:
    """Return the market of the seeded database, made at its first use."""
    with psycopg.connect(stage.conninfo) as connection:
        found = connection.execute(
            "SELECT id FROM platform.organizations WHERE slug = %s", [_slug()]
        ).fetchone()
    organization = Organization(new_id() if found is None else found[0], NUMBER)
    if found is None:
        _make(stage, organization)
    with psycopg.connect(stage.conninfo) as connection:
        _enter(connection, organization)
        buyers = connection.execute(
            "SELECT u.id, s.id FROM users u JOIN user_sessions s ON s.user_id = u.id"
            " WHERE u.email LIKE 'buyer%' ORDER BY md5(u.id::text)"
        ).fetchall()
        runs = connection.execute(
            "SELECT id FROM course_runs WHERE title LIKE 'Market %' ORDER BY md5(id::text)"
        ).fetchall()
    return Market(
        organization, [(str(user), str(session)) for user, session in buyers], _texts(runs)
    )


def _texts(rows: list[tuple[UUID]]) -> list[str]:
    return [str(row[0]) for row in rows]


def _slug() -> str:
    return Organization(UUID(int=0), NUMBER).host.partition(".")[0]


def _make(stage: Stage, organization: Organization) -> None:
    admin = create_admin_engine(stage.admin_url)
    new = NewOrganization(organization.id, _slug(), "Market", "USD")
    provisioning.create_organization(admin, new, login_role=LOGIN_ROLE)
    with admin.begin() as connection:
        rows = read_rows(connection, stage.seed.organizations[0].id)
        write_rows(connection, organization.id, rows, NUMBER)
    with psycopg.connect(stage.conninfo) as connection:
        _enter(connection, organization)
        connection.execute(sql.SQL(FILL).format(size=SIZE, balance=BALANCE))
    with psycopg.connect(stage.conninfo, autocommit=True) as connection:
        _enter(connection, organization)
        connection.execute("ANALYZE")


def _enter(connection: psycopg.Connection[tuple[object, ...]], organization: Organization) -> None:
    connection.execute("SELECT set_config('search_path', %s, false)", [organization.schema])


def deadlocks(stage: Stage) -> int:
    """Return how many deadlocks PostgreSQL has seen in the database, when all clients have left.

    A backend tells its figures when it ends, at the latest.

    Raises:
        UnmeasurableError: some stay.
    """
    deadline = time.monotonic() + SECONDS_TO_END
    with psycopg.connect(stage.conninfo, autocommit=True) as connection:
        while _value(connection, OTHERS):
            if time.monotonic() > deadline:
                raise UnmeasurableError("There are other clients in the benchmark's database.")
            time.sleep(0.05)
        return _value(connection, DEADLOCKS)


def _value(connection: psycopg.Connection[Any], query: LiteralString) -> int:
    row = connection.execute(query).fetchone()
    return -1 if row is None else row[0]
