"""An organization for many purchases at once: thousands of buyers with money, thousands of runs."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import psycopg
from psycopg import sql

from bench.academy import BALANCE
from bench.copies import read_rows, write_rows
from bench.seed import Organization
from bench.stage import LOGIN_ROLE, Stage
from lms.core.ids import new_id
from tenants import provisioning
from tenants.provisioning import NewOrganization
from tenants.session import create_admin_engine

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


@dataclass(frozen=True, slots=True)
class Market:
    """The organization, its buyers as (user id, session id), and its runs."""

    organization: Organization
    buyers: list[tuple[str, str]]
    runs: list[str]

    def wrong_books(self, stage: Stage) -> int:
        """Return how many wallets, runs and payments do not agree with what hangs on them."""
        with psycopg.connect(stage.conninfo) as connection:
            _enter(connection, self.organization)
            row = connection.execute(WRONG_BOOKS).fetchone()
        return -1 if row is None else row[0]

    def payments(self, stage: Stage) -> int:
        """Return how many payments were made."""
        with psycopg.connect(stage.conninfo) as connection:
            _enter(connection, self.organization)
            row = connection.execute("SELECT count(*) FROM payments").fetchone()
        return -1 if row is None else row[0]


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
            " WHERE u.email LIKE 'buyer%' ORDER BY u.id"
        ).fetchall()
        runs = connection.execute(
            "SELECT id FROM course_runs WHERE title LIKE 'Market %' ORDER BY id"
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
