"""Wallets and their top-ups."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from lms.core import clock, queue
from lms.core.actor import Actor
from lms.core.ids import new_id
from lms.core.money import Money
from lms.core.queue import Doorbell
from lms.payments import receipts
from lms.payments.attempts import Answer, Attempt, begin_attempt, open_attempt, record_answer
from lms.payments.errors import CurrencyMismatchError, TopUpTooLargeError
from lms.payments.models import Wallet, WalletTopUp
from lms.payments.reversals import reverse_top_up
from lms.users import queries as users
from tenants.session import organization_of

ASK_AGAIN_AFTER = timedelta(seconds=30)
"""When the sweeper looks after a payment, top-up or refund that a request did not finish."""

# What the wallet owes is paid first; `postings` says how the journal shows it, and why new values
# are made of what is held.
DEPOSIT_TOP_UP = text("""
    WITH settled AS (
        UPDATE wallet_top_ups
           SET state = 'succeeded', succeeded_at = now(), failure_code = NULL,
               provider_payment_id = COALESCE(CAST(:provider_id AS text), provider_payment_id)
         WHERE id = :id AND state <> 'succeeded'
        RETURNING id, wallet_id, user_id, amount, currency, provider
    ), held AS (
        SELECT w.id, w.seq, w.owed, w.frozen_at, w.balance + settled.amount AS balance,
               least(w.owed, w.balance + settled.amount) AS pays, settled.amount,
               settled.currency, settled.provider, settled.id AS top_up_id, settled.user_id
          FROM settled JOIN wallets w ON w.id = settled.wallet_id
           FOR NO KEY UPDATE OF w
    ), credited AS (
        UPDATE wallets
           SET balance = held.balance - held.pays, owed = held.owed - held.pays,
               frozen_at = CASE WHEN held.owed > held.pays OR held.pays = 0
                                THEN held.frozen_at END,
               seq = held.seq + CASE WHEN held.pays > 0 THEN 2 ELSE 1 END
          FROM held
         WHERE wallets.id = held.id
        RETURNING wallets.id
    )
    INSERT INTO wallet_transactions
           (wallet_id, seq, kind, amount, currency, balance_after, counter_account, top_up_id,
            reference, created_by)
    SELECT held.id, held.seq + line.step, line.kind, line.amount, held.currency,
           line.balance_after, line.counter_account, held.top_up_id, line.reference, held.user_id
      FROM held JOIN credited ON credited.id = held.id
     CROSS JOIN LATERAL (
           VALUES (1, 'deposit', held.amount, held.balance, 'provider:' || held.provider,
                   'top_up:' || held.top_up_id),
                  (2, 'reversal', -held.pays, held.balance - held.pays, 'owed',
                   'owed:top_up:' || held.top_up_id)
           ) AS line (step, kind, amount, balance_after, counter_account, reference)
     WHERE line.amount <> 0
    RETURNING seq
""")
MOVE_TOP_UP = text("""
    UPDATE wallet_top_ups
       SET state = CAST(:state AS text), failure_code = CAST(:code AS text),
           provider_payment_id = COALESCE(CAST(:provider_id AS text), provider_payment_id)
     WHERE id = :id AND state IN ('created', 'pending')
""")


def ensure_wallet(session: Session, user_id: UUID) -> Wallet:
    """Return a user's wallet, made on first use in the organization's currency.

    Two first uses at once end with one wallet.
    """
    query = select(Wallet).where(Wallet.user_id == user_id)
    wallet = session.scalars(query).one_or_none()
    if wallet is not None:
        return wallet
    session.execute(
        insert(Wallet)
        .values(id=new_id(), user_id=user_id, currency=organization_of(session).currency)
        .on_conflict_do_nothing(index_elements=[Wallet.user_id])
    )
    return session.scalars(query).one()


def wallet_of_user(session: Session, user_id: UUID) -> Wallet:
    """Return the wallet of a user who is named by an id that came from outside.

    Raises:
        UserNotFoundError: there is no such user.
    """
    return ensure_wallet(session, users.get_user(session, user_id).id)


def start_top_up(
    session: Session,
    doorbell: Doorbell,
    actor: Actor,
    *,
    top_up_id: UUID,
    amount: Money,
    token: str,
    provider: str,
    most: int,
) -> WalletTopUp:
    """Write the intention to top up, before the provider is asked; resume it when it is there.

    Args:
        session: the organization's session.
        doorbell: of the queue that looks after what a request leaves unfinished.
        actor: whose wallet it is.
        top_up_id: the same for every request with one Idempotency-Key.
        amount: what to deposit, in the wallet's currency.
        token: the means of payment.
        provider: the provider's name.
        most: what this installation takes at once, in minor units of any currency.

    Raises:
        TopUpTooLargeError: it is more than that.
        CurrencyMismatchError: the wallet is in another currency.
    """
    begun = session.get(WalletTopUp, top_up_id)
    if begun is not None:
        return begun
    if amount.amount > most:
        raise TopUpTooLargeError.of(Money(most, amount.currency))
    wallet = ensure_wallet(session, actor.user_id)
    if wallet.currency != amount.currency:
        raise CurrencyMismatchError(
            f"The wallet is in {wallet.currency}; top it up in {wallet.currency}.",
            expected=wallet.currency,
        )
    top_up = WalletTopUp(
        id=top_up_id,
        wallet_id=wallet.id,
        user_id=actor.user_id,
        amount=amount.amount,
        currency=amount.currency,
        provider=provider,
    )
    session.add(top_up)
    begin_attempt(session, top_up_id, "top_up", provider=provider, token=token)
    due_at = clock.now() + ASK_AGAIN_AFTER
    queue.enqueue(session, doorbell, queue.SETTLE_PAYMENT, top_up_id, due_at=due_at)
    session.refresh(top_up)
    return top_up


def open_top_up(session: Session, top_up: WalletTopUp) -> Attempt | None:
    """Return what the provider must be asked about a top-up; None when its outcome is known."""
    found = open_attempt(session, top_up.id)
    if found is None:
        return None
    row, is_first = found
    return Attempt(
        subject_id=top_up.id,
        operation="top_up",
        amount=top_up.amount,
        currency=top_up.currency,
        key=row.key,
        is_first=is_first,
        provider=row.provider,
        first_asked=row.created_at,
        token=row.token,
        provider_id=row.provider_id,
    )


def apply_top_up(session: Session, top_up_id: UUID, answer: Answer) -> None:
    """Apply what the provider said of a top-up; repeats and older news change nothing.

    Success deposits once, also after a failure: late money is real. What the provider has given
    back since then is taken out again.
    """
    record_answer(session, top_up_id, answer)
    values = {"id": top_up_id, "provider_id": answer.provider_id}
    if answer.status == "succeeded":
        if session.execute(DEPOSIT_TOP_UP, values).all():
            receipts.issue(session, "top_up", top_up_id)
        if answer.given_back:
            reverse_top_up(session, top_up_id, answer.given_back)
    elif answer.status != "unknown":
        session.execute(MOVE_TOP_UP, {**values, "state": answer.status, "code": answer.code})
    session.expire_all()
