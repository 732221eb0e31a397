"""Movements of wallets that no payment makes: credits of one or many at once, and debits.

Money that comes in first pays what the wallet owes, in the same statement. The journal shows both:
the credit in full, and behind it a row of kind `reversal` with the counter-account `owed` that
takes the part away which an earlier reversal could not take. So every row's `balance_after` is that
of the row before it plus its amount, and what a wallet owes is always what was reversed of its
top-ups less what its rows of kind `reversal` took.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

# Wallets are locked in the order of their ids, so that two of these at once never deadlock. All new
# values are made of what was read under the lock: PostgreSQL checks constraints on what a row as
# old as the statement would become before it notices that there is a newer one.
CREDIT = text("""
    WITH held AS (
        SELECT w.id, w.currency, w.seq, w.owed, w.frozen_at, asked.amount, asked.reference,
               w.balance + asked.amount AS balance,
               least(w.owed, w.balance + asked.amount) AS pays
          FROM unnest(CAST(:user_ids AS uuid[]), CAST(:amounts AS bigint[]),
                      CAST(:references AS text[])) AS asked (user_id, amount, reference)
          JOIN wallets w ON w.user_id = asked.user_id
         ORDER BY w.id
           FOR NO KEY UPDATE OF w
    ), credited AS (
        UPDATE wallets
           SET balance = held.balance - held.pays, owed = held.owed - held.pays,
               frozen_at = CASE WHEN held.owed > held.pays OR held.pays = 0
                                THEN held.frozen_at END,
               seq = held.seq + CASE WHEN held.pays > 0 THEN 2 ELSE 1 END
          FROM held
         WHERE wallets.id = held.id
        RETURNING wallets.id, wallets.balance
    ), posted AS (
        INSERT INTO wallet_transactions
               (wallet_id, seq, kind, amount, currency, balance_after, counter_account, grant_id,
                reason, reference, created_by)
        SELECT held.id, held.seq + line.step, line.kind, line.amount, held.currency,
               line.balance_after, line.counter_account, CAST(:grant_id AS uuid),
               CAST(:reason AS text), line.reference, CAST(:created_by AS uuid)
          FROM held JOIN credited ON credited.id = held.id
         CROSS JOIN LATERAL (
               VALUES (1, CAST(:kind AS text), held.amount, held.balance,
                       CAST(:counter_account AS text), held.reference),
                      (2, 'reversal', -held.pays, held.balance - held.pays,
                       'owed', 'owed:' || held.reference)
               ) AS line (step, kind, amount, balance_after, counter_account, reference)
         WHERE line.amount <> 0
    )
    SELECT held.id AS wallet_id, held.balance - held.amount AS balance_before, credited.balance,
           held.owed AS owed_before, held.owed - held.pays AS owed
      FROM held JOIN credited ON credited.id = held.id
""")
DEBIT = text("""
    WITH debited AS (
        UPDATE wallets
           SET balance = wallets.balance - CAST(:amount AS bigint), seq = wallets.seq + 1
         WHERE wallets.user_id = :user_id AND wallets.balance >= CAST(:amount AS bigint)
        RETURNING wallets.id, wallets.currency, wallets.seq, wallets.balance, wallets.owed
    ), posted AS (
        INSERT INTO wallet_transactions
               (wallet_id, seq, kind, amount, currency, balance_after, counter_account, reason,
                reference, created_by)
        SELECT debited.id, debited.seq, CAST(:kind AS text), -CAST(:amount AS bigint),
               debited.currency, debited.balance, CAST(:counter_account AS text),
               CAST(:reason AS text), CAST(:reference AS text), CAST(:created_by AS uuid)
          FROM debited
    )
    SELECT debited.id AS wallet_id, debited.balance + CAST(:amount AS bigint) AS balance_before,
           debited.balance, debited.owed AS owed_before, debited.owed
      FROM debited
""")

PAY_OWED = text("""
    WITH held AS (
        SELECT id, currency, seq, balance, owed, frozen_at, least(owed, balance) AS pays
          FROM wallets
         WHERE user_id = :user_id AND owed > 0 AND balance > 0
           FOR NO KEY UPDATE
    ), paid AS (
        UPDATE wallets
           SET balance = held.balance - held.pays, owed = held.owed - held.pays,
               frozen_at = CASE WHEN held.owed > held.pays THEN held.frozen_at END,
               seq = held.seq + 1
          FROM held
         WHERE wallets.id = held.id
        RETURNING wallets.id
    )
    INSERT INTO wallet_transactions
           (wallet_id, seq, kind, amount, currency, balance_after, counter_account, reference)
    SELECT held.id, held.seq + 1, 'reversal', -held.pays, held.currency,
           held.balance - held.pays, 'owed', 'owed:' || CAST(:reference AS text)
      FROM held JOIN paid ON paid.id = held.id
""")


@dataclass(frozen=True, slots=True)
class Entry:
    """What one wallet gets, or gives.

    Attributes:
        user_id: whose wallet.
        amount: minor units of the wallet's currency, more than nothing.
        reference: makes it happen once.
    """

    user_id: UUID
    amount: int
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why money moves, the same for all entries of one posting.

    Attributes:
        kind: of the journal's rows.
        counter_account: the other side.
        reason: in words, which the learner sees.
        created_by: who.
        grant_id: the credit grant, if it is one.
    """

    kind: str
    counter_account: str
    reason: str
    created_by: UUID
    grant_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Posted:
    """A wallet before and after; in minor units of its currency."""

    wallet_id: UUID
    balance_before: int
    balance: int
    owed_before: int
    owed: int


def credit(session: Session, entries: Sequence[Entry], cause: Cause) -> list[Posted]:
    """Put money into wallets, in one statement however many; what they owe is paid first.

    Args:
        session: the organization's session; must roll back when this raises.
        entries: one for each user, who has a wallet in the currency that is meant.
        cause: why.

    Raises:
        RuntimeError: somebody has no wallet.
    """
    rows = session.execute(
        CREDIT,
        {
            "user_ids": [entry.user_id for entry in entries],
            "amounts": [entry.amount for entry in entries],
            "references": [entry.reference for entry in entries],
            "kind": cause.kind,
            "counter_account": cause.counter_account,
            "reason": cause.reason,
            "created_by": cause.created_by,
            "grant_id": cause.grant_id,
        },
    ).all()
    if len(rows) != len(entries):
        raise RuntimeError(f"{len(entries)} credits were asked for, {len(rows)} were made")
    session.expire_all()
    return [Posted(*row) for row in rows]


def debit(session: Session, entry: Entry, cause: Cause) -> Posted | None:
    """Take money out of a wallet if it is there.

    Args:
        session: the organization's session.
        entry: whose, how much, and its reference.
        cause: why.

    Returns:
        None when the wallet does not hold that much, or there is none: nothing happened then.
    """
    row = session.execute(
        DEBIT,
        {
            "user_id": entry.user_id,
            "amount": entry.amount,
            "reference": entry.reference,
            "kind": cause.kind,
            "counter_account": cause.counter_account,
            "reason": cause.reason,
            "created_by": cause.created_by,
        },
    ).one_or_none()
    session.expire_all()
    return None if row is None else Posted(*row)


def pay_what_is_owed(session: Session, user_id: UUID, *, reference: str) -> None:
    """Let money that another statement just put into a wallet pay what the wallet owes.

    Args:
        session: the organization's session, in the transaction of that statement.
        user_id: whose wallet.
        reference: of the movement that brought the money.
    """
    session.execute(PAY_OWED, {"user_id": user_id, "reference": reference})
    session.expire_all()
