"""Statements of wallets: what was there, every movement of a period, what is there after it.

A period's movements are a piece of the journal without holes: up to the last one made before its
end, from behind the last one made before its beginning. Movements at the same moment may have got
their numbers in another order than their times; cut like this, statements of neighbouring periods
join without a gap, and each movement is in exactly one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.orm import Session

from lms.core.money import Money
from lms.core.tables import Cell, write_csv
from lms.payments.errors import PeriodTooLongError
from lms.payments.models import Wallet, WalletTransaction
from lms.payments.queries import seq_of

MAX_ROWS = 10_000
"""Most movements in a file, which is made in memory."""

FIND_BOUNDS = text("""
    WITH bounds AS (
        SELECT COALESCE(max(seq) FILTER (WHERE created_at < CAST(:since AS timestamptz)), 0)
                   AS first_seq,
               COALESCE(max(seq) FILTER (WHERE CAST(:until AS timestamptz) IS NULL
                                            OR created_at < CAST(:until AS timestamptz)), 0)
                   AS last_seq
          FROM wallet_transactions WHERE wallet_id = :wallet_id
    )
    SELECT bounds.first_seq, bounds.last_seq, COALESCE(o.balance_after, 0) AS opening_balance,
           COALESCE(c.balance_after, 0) AS closing_balance
      FROM bounds
      LEFT JOIN wallet_transactions o ON o.wallet_id = :wallet_id AND o.seq = bounds.first_seq
      LEFT JOIN wallet_transactions c ON c.wallet_id = :wallet_id AND c.seq = bounds.last_seq
""")
COLUMNS = (
    *("seq", "created_at", "kind", "counter_account", "reason", "reference"),
    *("amount_minor", "amount", "balance_after_minor", "balance_after", "currency"),
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One page of a statement; the balances are those of the whole period.

    Attributes:
        since: the period's beginning, itself inside; None for the wallet's.
        until: its end, itself outside; None for now.
        currency: of the wallet.
        opening_balance: in minor units.
        closing_balance: in minor units.
        items: movements in the order in which they were made.
        next_cursor: None on the last page.
    """

    since: datetime | None
    until: datetime | None
    currency: str
    opening_balance: int
    closing_balance: int
    items: Sequence[WalletTransaction]
    next_cursor: str | None


def statement(
    session: Session,
    wallet: Wallet,
    *,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    cursor: str | None,
) -> Statement:
    """Read a page of a wallet's statement, oldest movement first.

    Args:
        session: the organization's session.
        wallet: whose.
        since: the period's beginning.
        until: its end.
        limit: most items.
        cursor: `next_cursor` of the page before.

    Raises:
        InvalidCursorError: the cursor is not one of this list.
    """
    bounds = _bounds(session, wallet, since, until)
    after = bounds.first_seq if cursor is None else max(seq_of(cursor), bounds.first_seq)
    rows = _rows(session, wallet, after, bounds.last_seq, limit + 1)
    items = rows[:limit]
    return Statement(
        since,
        until,
        wallet.currency,
        bounds.opening_balance,
        bounds.closing_balance,
        items,
        str(items[-1].seq) if len(rows) > limit else None,
    )


def statement_file(
    session: Session, wallet: Wallet, *, since: datetime | None, until: datetime | None
) -> str:
    """Return a wallet's statement as CSV, between rows of its opening and closing balance.

    Raises:
        PeriodTooLongError: it has more than `MAX_ROWS` movements.
    """
    bounds = _bounds(session, wallet, since, until)
    if bounds.last_seq - bounds.first_seq > MAX_ROWS:
        raise PeriodTooLongError.of(MAX_ROWS)
    rows = _rows(session, wallet, bounds.first_seq, bounds.last_seq, MAX_ROWS)
    return write_csv(COLUMNS, _lines(wallet.currency, bounds, since, until, rows))


def _bounds(
    session: Session, wallet: Wallet, since: datetime | None, until: datetime | None
) -> Row[Any]:
    values = {"wallet_id": wallet.id, "since": since, "until": until}
    return session.execute(FIND_BOUNDS, values).one()


def _rows(
    session: Session, wallet: Wallet, after: int, last: int, limit: int
) -> Sequence[WalletTransaction]:
    query = (
        select(WalletTransaction)
        .where(
            WalletTransaction.wallet_id == wallet.id,
            WalletTransaction.seq > after,
            WalletTransaction.seq <= last,
        )
        .order_by(WalletTransaction.seq)
        .limit(limit)
    )
    return session.scalars(query).all()


def _lines(
    currency: str,
    bounds: Row[Any],
    since: datetime | None,
    until: datetime | None,
    rows: Sequence[WalletTransaction],
) -> Iterator[Sequence[Cell]]:
    def balance(minor: int) -> tuple[Cell, ...]:
        return (minor, Money(minor, currency).decimal, currency)

    unmoved: tuple[Cell, ...] = (None,) * 5
    yield (None, since, "opening_balance", *unmoved, *balance(bounds.opening_balance))
    for row in rows:
        yield (
            *(row.seq, row.created_at, row.kind, row.counter_account, row.reason, row.reference),
            *(row.amount, Money(row.amount, currency).decimal, *balance(row.balance_after)),
        )
    yield (None, until, "closing_balance", *unmoved, *balance(bounds.closing_balance))
