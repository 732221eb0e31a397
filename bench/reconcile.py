"""Seconds to check the books of an organization with 100,000 rows of journal, beside one sum."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter
from uuid import UUID

import psycopg
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.orm import Session

from bench.fill import filled
from bench.report import Context, Report, Target, UnmeasurableError
from bench.stage import LOGIN_ROLE, libpq_url
from lms.checkout.reconcile.books import CHECKS
from lms.core.ids import new_id
from tenants import ddl, names, provisioning
from tenants.engines import create_admin_engine
from tenants.provisioning import NewOrganization
from tenants.session import Database, OrganizationScope

WALLETS, ROWS_EACH = 2_000, 50
ROWS = WALLETS * ROWS_EACH
SECONDS = 5.0
TIMES_THE_SUM = 100.0
SUM = text("SELECT wallet_id, sum(amount) FROM wallet_transactions GROUP BY wallet_id")

# Each of 2,000 learners is given credit, tops up once, buys 46 runs and gives two of them back: 50
# rows of journal with what belongs to them, and a receipt for each movement.
FILL = """
    INSERT INTO users (id, email, name, account_type)
    SELECT uuidv7(), 'buyer' || i || '@example.test', 'Buyer ' || i, 'student'
      FROM generate_series(1, {wallets}) i;
    INSERT INTO courses (id, instructor_id, title)
    SELECT uuidv7(), id, 'Market' FROM users LIMIT 1;
    INSERT INTO course_versions (id, course_id, number, state, published_at)
    SELECT uuidv7(), id, 1, 'published', now() FROM courses;
    INSERT INTO published_versions
           (version_id, course_id, content_hash, outline, rules, published_by)
    SELECT v.id, v.course_id, repeat('0', 64), '{{}}', '{{}}', c.instructor_id
      FROM course_versions v JOIN courses c ON c.id = v.course_id;
    INSERT INTO course_runs
           (id, course_id, version_id, title, starts_at, ends_at, enrollment_opens_at,
            enrollment_closes_at, price_amount, currency)
    SELECT uuidv7(), v.course_id, v.id, 'Run ' || i, now() + interval '7 days',
           now() + interval '60 days', now() - interval '1 day', now() + interval '6 days', 100,
           'EUR'
      FROM course_versions v, generate_series(1, 46) i;
    INSERT INTO wallets (id, user_id, currency, balance, seq)
    SELECT uuidv7(), id, 'EUR', 10000 + 5000 - 46 * 100 + 2 * 100, 50 FROM users;
    INSERT INTO credit_grants (id, amount, currency, reason, created_by)
    SELECT uuidv7(), 10000 * count(*), 'EUR', 'Scholarship', (SELECT id FROM users LIMIT 1)
      FROM wallets;
    INSERT INTO wallet_top_ups
           (id, wallet_id, user_id, amount, currency, state, provider, provider_payment_id,
            succeeded_at)
    SELECT uuidv7(), id, user_id, 5000, 'EUR', 'succeeded', 'sandbox', 'pay_' || id, now()
      FROM wallets;
    CREATE TEMPORARY TABLE bought ON COMMIT DROP AS
    SELECT uuidv7() AS payment_id, w.id AS wallet_id, w.user_id, r.id AS run_id, r.version_id,
           row_number() OVER (PARTITION BY w.id ORDER BY r.id) AS number
      FROM wallets w CROSS JOIN course_runs r;
    INSERT INTO payments
           (id, user_id, run_id, amount, currency, method, state, live, refunded_amount,
            succeeded_at)
    SELECT payment_id, user_id, run_id, 100, 'EUR', 'wallet', 'succeeded', number > 2,
           CASE WHEN number > 2 THEN 0 ELSE 100 END, now()
      FROM bought;
    INSERT INTO enrollments
           (id, user_id, run_id, version_id, payment_id, state, activated_at, ended_at)
    SELECT uuidv7(), user_id, run_id, version_id, payment_id,
           CASE WHEN number > 2 THEN 'active' ELSE 'withdrawn' END, now(),
           CASE WHEN number > 2 THEN NULL ELSE now() END
      FROM bought;
    INSERT INTO run_seats (run_id, taken)
    SELECT run_id, count(*) FILTER (WHERE state = 'active') FROM enrollments GROUP BY run_id;
    INSERT INTO refunds
           (id, payment_id, amount, currency, destination, state, succeeded_at)
    SELECT uuidv7(), payment_id, 100, 'EUR', 'wallet', 'succeeded', now()
      FROM bought WHERE number <= 2;
    INSERT INTO wallet_transactions
           (wallet_id, seq, kind, amount, currency, balance_after, counter_account, payment_id,
            refund_id, top_up_id, grant_id, reference)
    SELECT w.id, 1, 'deposit', 10000, 'EUR', 10000, 'promotion:' || g.id, CAST(NULL AS uuid),
           CAST(NULL AS uuid), CAST(NULL AS uuid), g.id, 'grant:' || g.id || ':' || w.user_id
      FROM wallets w CROSS JOIN credit_grants g
    UNION ALL
    SELECT wallet_id, 2, 'deposit', 5000, 'EUR', 15000, 'provider:sandbox', NULL, NULL, id, NULL,
           'top_up:' || id
      FROM wallet_top_ups
    UNION ALL
    SELECT wallet_id, number + 2, 'deduction', -100, 'EUR', 15000 - number * 100, 'run:' || run_id,
           payment_id, NULL, NULL, NULL, 'payment:' || payment_id
      FROM bought
    UNION ALL
    SELECT b.wallet_id, b.number + 48, 'refund', 100, 'EUR', 10400 + b.number * 100,
           'run:' || b.run_id, b.payment_id, f.id, NULL, NULL, 'refund:' || f.id
      FROM bought b JOIN refunds f ON f.payment_id = b.payment_id;
    INSERT INTO receipts (year, number, payment_id, top_up_id, refund_id, user_id, amount, currency)
    SELECT 2027, row_number() OVER (), payment_id, top_up_id, refund_id, user_id, amount, 'EUR'
      FROM (SELECT id AS payment_id, CAST(NULL AS uuid) AS top_up_id,
                   CAST(NULL AS uuid) AS refund_id, user_id, amount FROM payments
            UNION ALL SELECT NULL, id, NULL, user_id, amount FROM wallet_top_ups
            UNION ALL SELECT NULL, NULL, f.id, b.user_id, f.amount
                        FROM refunds f JOIN bought b ON b.payment_id = f.payment_id) moved;
    INSERT INTO receipt_counters SELECT 2027, count(*) FROM receipts;
"""


def run(context: Context) -> Report:
    """Measure each check and all of them, alternating with a plain sum of the same journal.

    Raises:
        UnmeasurableError: the books that were made do not agree, or are not of that size.
    """
    rounds = 3 if context.quick else 7
    report = Report(
        f"Reconciling one organization, {ROWS:,} rows of journal",
        ["Check", "Seconds", "x the sum"],
        notes=[
            "The sum: SELECT wallet_id, sum(amount) FROM wallet_transactions GROUP BY wallet_id.",
            "Medians over rounds: every check and then the sum, as the organization's role.",
        ],
    )
    with filled(context, 0) as server:
        with context.console.status(f"make {ROWS:,} rows of journal"):
            organization_id = _make(server.admin_url)
        database = Database(server.app_url, served_revisions=ddl.served_revisions(), pool_size=1)
        try:
            scope = OrganizationScope(organization_id)
            seconds = [_measure(database, scope) for _ in range(rounds + 1)][1:]
        finally:
            database.dispose()
    sums = [one["sum"] for one in seconds]
    totals = [sum(one.values()) - one["sum"] for one in seconds]
    for check in CHECKS:
        report.rows.append([check.name, *_figures([one[check.name] for one in seconds], sums)])
    report.rows.append(["all checks", *_figures(totals, sums)])
    report.rows.append(["the sum", median(sums), 1.0])
    _, ratio = _figures(totals, sums)
    report.targets = [
        Target(f"seconds for all checks of {ROWS:,} rows", median(totals), SECONDS, at_most=True),
        Target("all checks / the sum", ratio, TIMES_THE_SUM, at_most=True),
    ]
    report.details = {"seconds": seconds}
    return report


def _figures(seconds: list[float], sums: list[float]) -> tuple[float, float]:
    ratios = [one / beside for one, beside in zip(seconds, sums, strict=True)]
    return median(seconds), median(ratios)


def _make(admin_url: str) -> UUID:
    """Make an organization with books that agree; returns its id."""
    organization_id = new_id()
    admin = create_admin_engine(admin_url)
    new = NewOrganization(organization_id, "reconciled", "Reconciled")
    provisioning.create_organization(admin, new, login_role=LOGIN_ROLE)
    made = fill(admin_url, organization_id, WALLETS)
    if made != ROWS:
        raise UnmeasurableError(f"{made:,} rows of journal were made, not {ROWS:,}.")
    return organization_id


def fill(admin_url: str, organization_id: UUID, wallets: int) -> int:
    """Fill an empty organization with books that agree.

    Args:
        admin_url: SQLAlchemy URL of the schemas' owner.
        organization_id: whose.
        wallets: how many, of 50 rows each.

    Returns:
        How many rows of journal it has now.
    """
    with psycopg.connect(libpq_url(admin_url), autocommit=True) as connection:
        schema = sql.Identifier(names.schema_name(organization_id))
        connection.execute(sql.SQL("SET search_path TO {}").format(schema))
        with connection.transaction():
            connection.execute(sql.SQL(FILL).format(wallets=wallets))
        connection.execute(
            "VACUUM ANALYZE wallets, wallet_transactions, payments, enrollments, refunds, receipts"
        )
        made = connection.execute("SELECT count(*) FROM wallet_transactions").fetchone()
    return 0 if made is None else made[0]


def _measure(database: Database, scope: OrganizationScope) -> dict[str, float]:
    """Return the seconds of each check and of the sum, by name."""
    seconds: dict[str, float] = {}
    with database.transaction(scope) as session:
        for check in CHECKS:
            seconds[check.name] = _timed(lambda one=check: _find_nothing(one.run(session).total))
        seconds["sum"] = _timed(lambda: _read(session))
    return seconds


def _timed(step: Callable[[], None]) -> float:
    began = perf_counter()
    step()
    return perf_counter() - began


def _find_nothing(total: int) -> None:
    if total:
        raise UnmeasurableError("The books that were made for this do not agree.")


def _read(session: Session) -> None:
    session.execute(SUM).all()
