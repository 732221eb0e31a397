"""Top-ups whose money the provider takes back: what is there is taken, the rest is owed.

A provider takes money back for two reasons: it was given back (refunds, for good), or its payer
contests it (chargebacks, until they are won). The wallet gives the sum, or owes it; when it falls,
what is owed becomes less first, and the rest comes back by a row of its own.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.core import audit

# Top-up before wallet, as in depositing. What was reversed before is locked before it is compared.
# `takes` is what moves: more than 0 out of the wallet, less than 0 back into it.
REVERSE_TOP_UP = text("""
    WITH before AS (
        SELECT id, amount, refunded_amount, disputed_amount, reversed_amount
          FROM wallet_top_ups
         WHERE id = :id AND state = 'succeeded'
           FOR NO KEY UPDATE
    ), wanted AS (
        SELECT before.*,
               greatest(refunded_amount, CAST(:refunded AS bigint)) AS refunded,
               least(amount, COALESCE(CAST(:disputed AS bigint), disputed_amount)) AS disputed
          FROM before
    ), reversed AS (
        UPDATE wallet_top_ups
           SET refunded_amount = wanted.refunded, disputed_amount = wanted.disputed,
               reversed_amount = least(wanted.amount, wanted.refunded + wanted.disputed)
          FROM wanted
         WHERE wallet_top_ups.id = wanted.id
           AND (wanted.refunded, wanted.disputed)
               <> (wanted.refunded_amount, wanted.disputed_amount)
        RETURNING wallet_top_ups.id, wallet_top_ups.wallet_id, wallet_top_ups.provider,
                  wanted.reversed_amount AS reversed_before, wallet_top_ups.reversed_amount,
                  wallet_top_ups.reversed_amount - wanted.reversed_amount AS amount
    ), held AS (
        SELECT w.id, w.currency, w.seq, w.balance, w.owed, w.frozen_at, reversed.amount,
               CASE WHEN reversed.amount > 0 THEN least(w.balance, reversed.amount)
                    ELSE least(w.owed + reversed.amount, 0) END AS takes,
               reversed.provider, reversed.id AS top_up_id, reversed.reversed_before,
               reversed.reversed_amount
          FROM reversed JOIN wallets w ON w.id = reversed.wallet_id
           FOR NO KEY UPDATE OF w
    ), moved AS (
        UPDATE wallets
           SET balance = held.balance - held.takes,
               owed = held.owed + held.amount - held.takes,
               frozen_at = CASE WHEN held.owed + held.amount > held.takes
                                THEN COALESCE(held.frozen_at, now())
                                WHEN held.owed = 0 THEN held.frozen_at END,
               seq = held.seq + CASE WHEN held.takes <> 0 THEN 1 ELSE 0 END
          FROM held
         WHERE wallets.id = held.id
        RETURNING wallets.id, wallets.balance, wallets.owed
    ), posted AS (
        INSERT INTO wallet_transactions
               (wallet_id, seq, kind, amount, currency, balance_after, counter_account, top_up_id,
                reference)
        SELECT held.id, held.seq + 1, 'reversal', -held.takes, held.currency,
               held.balance - held.takes, 'provider:' || held.provider, held.top_up_id,
               CAST(:reference AS text)
          FROM held JOIN moved ON moved.id = held.id
         WHERE held.takes <> 0
    )
    SELECT held.reversed_before, held.reversed_amount, held.balance AS balance_before,
           moved.balance, held.owed AS owed_before, moved.owed
      FROM held JOIN moved ON moved.id = held.id
""")


def reverse_top_up(session: Session, top_up_id: UUID, amount: int) -> bool:
    """Follow a provider that gave a top-up's money back; repeats and older news change nothing.

    What the wallet holds is taken, the rest is recorded as owed, and while anything is owed the
    wallet is frozen: nothing is bought with money that was taken back. Money that comes in later
    pays it first.

    Args:
        session: the organization's session.
        top_up_id: whose money.
        amount: what the provider has given back of it in all, in minor units.

    Returns:
        Whether this call reversed something.

    Raises:
        sqlalchemy.exc.IntegrityError: more than came is to go back.
    """
    reference = f"reversal:{top_up_id}:{amount}"
    return _reverse(session, top_up_id, reference, refunded=amount, disputed=None)


def contest_top_up(session: Session, top_up_id: UUID, amount: int, *, reference: str) -> bool:
    """Take what chargebacks hold of a top-up, or give back what they do not hold any more.

    Args:
        session: the organization's session, in which the top-up was locked before its disputes were
            summed up.
        top_up_id: whose money.
        amount: what its open and lost chargebacks hold in all, in minor units; of more than came,
            what came is taken.
        reference: of the change, which makes it happen once.

    Returns:
        Whether this call changed something.
    """
    return _reverse(session, top_up_id, reference, refunded=0, disputed=amount)


def _reverse(
    session: Session, top_up_id: UUID, reference: str, *, refunded: int, disputed: int | None
) -> bool:
    values = {
        "id": top_up_id,
        "reference": reference,
        "refunded": refunded,
        "disputed": disputed,
    }
    done = session.execute(REVERSE_TOP_UP, values).one_or_none()
    if done is None:
        return False
    if done.reversed_amount != done.reversed_before:
        audit.record(
            session,
            "top_up.reverse" if done.reversed_amount > done.reversed_before else "top_up.restore",
            ("wallet_top_up", top_up_id),
            actor_id=None,
            before={
                "reversed_amount": done.reversed_before,
                "balance": done.balance_before,
                "owed": done.owed_before,
            },
            after={
                "reversed_amount": done.reversed_amount,
                "balance": done.balance,
                "owed": done.owed,
            },
        )
    session.expire_all()
    return True
