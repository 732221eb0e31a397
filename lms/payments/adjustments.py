"""What admins put into a learner's wallet, or take out of it, by hand."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from lms.core import audit
from lms.core.actor import Actor
from lms.core.money import Money
from lms.payments import postings
from lms.payments.errors import CurrencyMismatchError, WalletTooEmptyError
from lms.payments.models import Wallet, WalletTransaction
from lms.payments.operations import wallet_of_user
from lms.payments.postings import Cause, Entry, Posted


def adjust_wallet(
    session: Session,
    actor: Actor,
    user_id: UUID,
    *,
    adjustment_id: UUID,
    amount: Money,
    reason: str,
) -> WalletTransaction:
    """Put money into a learner's wallet or take it out, for a reason that the learner sees.

    What is put in first pays what the wallet owes. A frozen wallet can be adjusted both ways.

    Args:
        session: the organization's session.
        actor: the admin.
        user_id: whose wallet; it is made when there is none.
        adjustment_id: the same for every request with one Idempotency-Key.
        amount: signed and not zero, in the wallet's currency.
        reason: for the journal.

    Returns:
        The journal's row of the adjustment.

    Raises:
        UserNotFoundError: there is no such user.
        CurrencyMismatchError: the wallet is in another currency.
        WalletTooEmptyError: the wallet does not hold what is to be taken.
    """
    wallet = wallet_of_user(session, user_id)
    if wallet.currency != amount.currency:
        raise CurrencyMismatchError(
            f"The wallet is in {wallet.currency}; adjust it in {wallet.currency}.",
            expected=wallet.currency,
        )
    entry = Entry(user_id, abs(amount.amount), f"adjustment:{adjustment_id}")
    cause = Cause(
        kind="adjustment", counter_account="manual", reason=reason, created_by=actor.user_id
    )
    if amount.amount > 0:
        posted = postings.credit(session, [entry], cause)[0]
    else:
        taken = postings.debit(session, entry, cause)
        if taken is None:
            raise _too_empty(session, wallet.id)
        posted = taken
    _record(session, actor, posted, amount, reason)
    row = WalletTransaction.reference == entry.reference
    return session.scalars(select(WalletTransaction).where(row)).one()


def _too_empty(session: Session, wallet_id: UUID) -> WalletTooEmptyError:
    wallet = session.get_one(Wallet, wallet_id, populate_existing=True)
    balance = Money(wallet.balance, wallet.currency)
    return WalletTooEmptyError(
        f"The wallet holds {balance}; no more can be taken out of it.",
        balance={"amount": balance.amount, "currency": balance.currency},
    )


def _record(session: Session, actor: Actor, posted: Posted, amount: Money, reason: str) -> None:
    audit.record(
        session,
        "wallet.adjust",
        ("wallet", posted.wallet_id),
        actor_id=actor.user_id,
        before={"balance": posted.balance_before, "owed": posted.owed_before},
        after={
            "balance": posted.balance,
            "owed": posted.owed,
            "amount": amount.amount,
            "currency": amount.currency,
            "reason": reason,
        },
    )
