"""Top-ups whose money the provider takes back: what is there is taken, the rest is owed."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.core import audit

# Top-up before wallet, as in depositing. What was reversed before is locked before it is compared.
REVERSE_TOP_UP = text("""
    WITH before AS (
        SELECT id, reversed_amount FROM wallet_top_ups
         WHERE id = :id AND state = 'succeeded' AND reversed_amount < CAST(:amount AS bigint)
           FOR NO KEY UPDATE
    ), reversed AS (
        UPDATE wallet_top_ups
           SET reversed_amount = CAST(:amount AS bigint)
          FROM before
         WHERE wallet_top_ups.id = before.id
        RETURNING wallet_top_ups.id, wallet_top_ups.wallet_id, wallet_top_ups.provider,
                  wallet_top_ups.reversed_amount - before.reversed_amount AS amount
    ), held AS (
        SELECT w.id, w.currency, w.seq, w.balance, w.owed, w.frozen_at, reversed.amount,
               least(w.balance, reversed.amount) AS takes, reversed.provider,
               reversed.id AS top_up_id
          FROM reversed JOIN wallets w ON w.id = reversed.wallet_id
           FOR NO KEY UPDATE OF w
    ), debited AS (
        UPDATE wallets
           SET balance = held.balance - held.takes,
               owed = held.owed + held.amount - held.takes,
               frozen_at = CASE WHEN held.takes < held.amount
                                THEN COALESCE(held.frozen_at, now()) ELSE held.frozen_at END,
               seq = held.seq + CASE WHEN held.takes > 0 THEN 1 ELSE 0 END
          FROM held
         WHERE wallets.id = held.id
        RETURNING wallets.id, wallets.balance, wallets.owed
    ), posted AS (
        INSERT INTO wallet_transactions
               (wallet_id, seq, kind, amount, currency, balance_after, counter_account, top_up_id,
                reference)
        SELECT held.id, held.seq + 1, 'reversal', -held.takes, held.currency,
               held.balance - held.takes, 'provider:' || held.provider, held.top_up_id,
               'reversal:' || held.top_up_id || ':' || CAST(:amount AS bigint)
          FROM held JOIN debited ON debited.id = held.id
         WHERE held.takes > 0
    )
    SELECT held.id AS wallet_id, held.amount, held.takes, debited.balance, debited.owed
      FROM held JOIN debited ON debited.id = held.id
""")


def reverse_top_up(session: Session, top_up_id: UUID, amount: int) -> bool:
    """Follow a provider that took a top-up's money back; repeats and older news change nothing.

    What the wallet holds is taken, the rest is recorded as owed, and while anything is owed the
    wallet is frozen: nothing is bought with money that was taken back. Money that comes in later
    pays it first.

    Args:
        session: the organization's session.
        top_up_id: whose money.
        amount: what the provider has taken back of it in all, in minor units.

    Returns:
        Whether this call reversed something.

    Raises:
        sqlalchemy.exc.IntegrityError: more than came is to go back.
    """
    done = session.execute(REVERSE_TOP_UP, {"id": top_up_id, "amount": amount}).one_or_none()
    if done is None:
        return False
    audit.record(
        session,
        "top_up.reverse",
        ("wallet_top_up", top_up_id),
        actor_id=None,
        after={
            "amount": done.amount,
            "taken": done.takes,
            "balance": done.balance,
            "owed": done.owed,
        },
    )
    session.expire_all()
    return True
