"""Takes back what a load bought: `python -m bench.reset CONNECTION_STRING SCHEMA...`.

A process of its own, because the comparison's harness calls it between rounds; quick to start.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import psycopg
from psycopg import sql

# The first lock waits for purchases that are still under way: each begins with its key. Nothing is
# created, not even a temporary table: of three hundred of those PostgreSQL would tell all backends,
# more than they can take in while they are idle, and they would drop what they know of every
# schema, with all plans.
FORGET = """
    LOCK TABLE idempotency_keys IN EXCLUSIVE MODE;
    WITH gone AS (
        DELETE FROM enrollments WHERE payment_id IS NOT NULL RETURNING id, run_id
    ), changes AS (
        DELETE FROM enrollment_changes c USING gone WHERE c.enrollment_id = gone.id
    )
    UPDATE run_seats s SET taken = s.taken - g.count
      FROM (SELECT run_id, count(*) FROM gone GROUP BY run_id) g WHERE g.run_id = s.run_id;
    DELETE FROM wallet_transactions WHERE payment_id IS NOT NULL;
    DELETE FROM receipts WHERE payment_id IS NOT NULL;
    DELETE FROM receipt_counters;
    DELETE FROM payments;
    DELETE FROM idempotency_keys;
    UPDATE wallets w SET balance = t.balance_after, seq = t.seq
      FROM wallet_transactions t WHERE t.wallet_id = w.id AND w.seq <> t.seq;
"""


def forget_purchases(conninfo: str, schemas: Iterable[str]) -> None:
    """Put what purchases changed back to what was seeded, one organization at a time.

    Args:
        conninfo: libpq's URL of the schemas' owner.
        schemas: whose purchases.
    """
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for schema in schemas:
            with connection.transaction():
                connection.execute(
                    sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(schema))
                )
                connection.execute(FORGET)


if __name__ == "__main__":
    forget_purchases(sys.argv[1], sys.argv[2:])
