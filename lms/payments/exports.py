"""Files for accountants: what was paid, topped up and given back in a period."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from lms.core.money import Money
from lms.core.tables import Cell, write_csv
from lms.payments.errors import PeriodTooLongError
from lms.payments.receipts import written

MAX_ROWS = 20_000
"""Most rows in a file, which is made in memory."""

# Free runs are left out: nothing was paid. Refunds and lost disputes are negative, so that a
# column's sum is what stayed.
FIND_ENTRIES = text("""
    WITH entries AS (
        SELECT 'payment' AS entry, p.id, p.succeeded_at, p.id AS payment_id, p.user_id, p.run_id,
               p.method, p.provider, p.provider_payment_id AS provider_id, p.amount, p.currency,
               '' AS reason, p.amount + p.discount_amount AS list_amount, p.discount_amount,
               p.coupon_code, c.year, c.number,
               CASE WHEN p.disputed_at IS NOT NULL THEN 'open'
                    WHEN p.lost_amount > 0 THEN 'lost' END AS dispute
          FROM payments p LEFT JOIN receipts c ON c.payment_id = p.id
         WHERE p.state = 'succeeded' AND p.amount > 0
        UNION ALL
        SELECT 'top_up', t.id, t.succeeded_at, NULL, t.user_id, NULL, 'provider', t.provider,
               t.provider_payment_id, t.amount, t.currency, '', NULL, NULL, NULL, c.year, c.number,
               (SELECT CASE WHEN bool_or(d.status <> 'lost') THEN 'open' ELSE max(d.status) END
                  FROM disputes d
                 WHERE d.top_up_id = t.id AND d.kind = 'chargeback' AND d.status <> 'won')
          FROM wallet_top_ups t LEFT JOIN receipts c ON c.top_up_id = t.id
         WHERE t.state = 'succeeded'
        UNION ALL
        SELECT 'refund', r.id, r.succeeded_at, p.id, p.user_id, p.run_id, r.destination,
               CASE WHEN r.destination = 'provider' THEN p.provider END, r.provider_refund_id,
               -r.amount, r.currency, r.reason, NULL, NULL, NULL, c.year, c.number, NULL
          FROM refunds r JOIN payments p ON p.id = r.payment_id
          LEFT JOIN receipts c ON c.refund_id = r.id
         WHERE r.state = 'succeeded'
        UNION ALL
        SELECT 'dispute', d.id, d.closed_at, d.payment_id, COALESCE(p.user_id, t.user_id),
               p.run_id, 'provider', d.provider, d.provider_dispute_id, -d.amount, d.currency,
               d.reason, NULL, NULL, NULL, NULL, NULL, d.status
          FROM disputes d
          LEFT JOIN payments p ON p.id = d.payment_id
          LEFT JOIN wallet_top_ups t ON t.id = d.top_up_id
         WHERE d.status = 'lost'
    )
    SELECT e.*, u.email, u.name, k.title AS run_title
      FROM entries e JOIN users u ON u.id = e.user_id
      LEFT JOIN course_runs k ON k.id = e.run_id
     WHERE (CAST(:since AS timestamptz) IS NULL OR e.succeeded_at >= CAST(:since AS timestamptz))
       AND (CAST(:until AS timestamptz) IS NULL OR e.succeeded_at < CAST(:until AS timestamptz))
     ORDER BY e.succeeded_at, e.id
     LIMIT :limit
""")
COLUMNS = (
    *("entry", "id", "succeeded_at", "receipt", "payment_id", "user_id", "email", "name"),
    *("run_id", "run_title", "method", "provider", "provider_id", "reason"),
    *("amount_minor", "amount", "currency", "list_price_minor", "discount_minor", "coupon"),
    "dispute",
)


def payments_file(session: Session, *, since: datetime | None, until: datetime | None) -> str:
    """Return what succeeded in a period as CSV, oldest first.

    Payments, top-ups and refunds, and disputes that were lost.

    Args:
        session: the organization's session.
        since: the period's beginning, itself inside; None for the organization's.
        until: its end, itself outside; None for now.

    Raises:
        PeriodTooLongError: there are more than `MAX_ROWS` of them.
    """
    values = {"since": since, "until": until, "limit": MAX_ROWS + 1}
    rows = session.execute(FIND_ENTRIES, values).all()
    if len(rows) > MAX_ROWS:
        raise PeriodTooLongError.of(MAX_ROWS)
    return write_csv(COLUMNS, _lines(rows))


def _lines(rows: Sequence[Row[Any]]) -> Iterator[Sequence[Cell]]:
    for row in rows:
        receipt = None if row.number is None else written(row.year, row.number)
        yield (
            *(row.entry, row.id, row.succeeded_at, receipt, row.payment_id, row.user_id),
            *(row.email, row.name, row.run_id, row.run_title, row.method, row.provider),
            *(row.provider_id, row.reason, row.amount),
            *(Money(row.amount, row.currency).decimal, row.currency),
            *(row.list_amount, row.discount_amount, row.coupon_code, row.dispute),
        )
