"""Giving money back, all or a part: to the wallet at once, to a provider in two steps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lms.checkout.refund_answers import end_if_all_is_given_back
from lms.core import audit, clock, queue
from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.core.ids import new_id
from lms.core.money import Money
from lms.core.queue import Doorbell
from lms.payments import receipts
from lms.payments.errors import CurrencyMismatchError, NotRefundableError, PaymentDisputedError
from lms.payments.models import Payment, Refund, Wallet
from lms.payments.operations import ASK_AGAIN_AFTER, ensure_wallet
from lms.payments.postings import pay_what_is_owed

Destination = Literal["source", "wallet"]
"""Where money goes back to: where it came from, or into the learner's wallet."""

# Wallet before payment: the lock order of every posting. The locks are the ones that the UPDATEs
# take anyway, taken first so that the rest is what a concurrent refund left, not what it found;
# conditions are asked of `held`, because on the table they would be asked of the row as it was.
# The last step says whether it happened.
REFUND = text("""
    WITH wallet AS (
        SELECT w.id
          FROM payments p JOIN wallets w ON w.user_id = p.user_id AND w.currency = p.currency
         WHERE p.id = :payment_id AND CAST(:destination AS text) = 'wallet'
           FOR NO KEY UPDATE OF w
    ), held AS (
        SELECT p.id, p.state, p.amount, p.refunded_amount, p.lost_amount, p.disputed_at,
               wallet.id AS wallet_id,
               COALESCE(CAST(:amount AS bigint), p.amount - p.refunded_amount - p.lost_amount)
               AS given
          FROM payments p LEFT JOIN wallet ON true
         WHERE p.id = :payment_id
           FOR NO KEY UPDATE OF p
    ), payment AS (
        UPDATE payments
           SET refunded_amount = held.refunded_amount + held.given,
               live = payments.live AND NOT CAST(:ends AS boolean),
               version = payments.version + 1
          FROM held
         WHERE payments.id = held.id AND held.state = 'succeeded' AND held.given > 0
           AND held.refunded_amount + held.lost_amount + held.given <= held.amount
           AND held.disputed_at IS NULL
           AND (CAST(:destination AS text) = 'wallet') = (held.wallet_id IS NOT NULL)
        RETURNING payments.id, payments.currency, payments.run_id, held.wallet_id, held.given
    ), refund AS (
        INSERT INTO refunds
               (id, payment_id, amount, currency, destination, state, reason, created_by,
                succeeded_at)
        SELECT CAST(:refund_id AS uuid), payment.id, payment.given, payment.currency,
               CAST(:destination AS text),
               CASE WHEN payment.wallet_id IS NULL THEN 'created' ELSE 'succeeded' END,
               CAST(:reason AS text), CAST(:actor_id AS uuid),
               CASE WHEN payment.wallet_id IS NOT NULL THEN now() END
          FROM payment
        RETURNING id
    ), credited AS (
        UPDATE wallets
           SET balance = wallets.balance + payment.given, seq = wallets.seq + 1
          FROM payment
         WHERE wallets.id = payment.wallet_id
        RETURNING wallets.id, wallets.seq, wallets.balance
    ), posted AS (
        INSERT INTO wallet_transactions
               (wallet_id, seq, kind, amount, currency, balance_after, counter_account,
                payment_id, refund_id, reason, reference, created_by)
        SELECT credited.id, credited.seq, 'refund', payment.given, payment.currency,
               credited.balance, 'run:' || payment.run_id, payment.id, refund.id,
               CAST(:reason AS text), 'refund:' || refund.id, CAST(:actor_id AS uuid)
          FROM credited CROSS JOIN payment CROSS JOIN refund
    )
    SELECT id FROM refund
""")
LATE_MONEY = "late_money"


def refund_payment(
    session: Session,
    doorbell: Doorbell,
    actor: Actor,
    payment_id: UUID,
    *,
    refund_id: UUID,
    amount: Money | None,
    destination: Destination,
    reason: str,
) -> Refund:
    """Give a payment back, or a part of it; with the last part its enrollment ends.

    An active or suspended enrollment is withdrawn then, a completed one stays completed: at once
    for the wallet; for a provider as soon as it has taken the refund, so that nobody loses the
    seat for money that is refused.

    Args:
        session: the organization's session.
        doorbell: of the queue that looks after what a request leaves unfinished.
        actor: the admin.
        payment_id: which.
        refund_id: the same for every request with one Idempotency-Key.
        amount: which part; None for all that is left.
        destination: where it goes.
        reason: for the journal; no personal data.

    Returns:
        The refund: succeeded when it went to the wallet, created for a provider.

    Raises:
        NotFoundError: there is no such payment.
        NotRefundableError: it was not paid, cost nothing, or less than that is left of it.
        PaymentDisputedError: its payer contests it.
        CurrencyMismatchError: the amount, or the learner's wallet, is in another currency.
    """
    begun = session.get(Refund, refund_id)
    if begun is not None:
        return begun
    payment = session.get(Payment, payment_id)
    if payment is None:
        raise NotFoundError("There is no such payment.")
    if amount is not None and amount.currency != payment.currency:
        raise CurrencyMismatchError(
            f"The payment is in {payment.currency}; give it back in {payment.currency}.",
            expected=payment.currency,
        )
    refund = begin_refund(
        session,
        doorbell,
        payment,
        amount=None if amount is None else amount.amount,
        destination=destination,
        refund_id=refund_id,
        reason=reason,
        actor_id=actor.user_id,
        ends=False,
        due_at=clock.now() + ASK_AGAIN_AFTER,
    )
    # as the statement left it, and held by this transaction: nobody else's part is in between
    refunded = payment.refunded_amount
    if refund.state == "succeeded":
        end_if_all_is_given_back(session, payment_id, actor.user_id)
        receipts.issue(session, "refund", refund_id)
    audit.record(
        session,
        "payment.refund",
        ("payment", payment_id),
        actor_id=actor.user_id,
        before={"refunded_amount": refunded - refund.amount},
        after={
            "refunded_amount": refunded,
            "refund_id": str(refund_id),
            "amount": refund.amount,
            "currency": refund.currency,
            "destination": refund.destination,
            "reason": reason,
        },
    )
    return refund


def begin_refund(
    session: Session,
    doorbell: Doorbell,
    payment: Payment,
    *,
    amount: int | None,
    refund_id: UUID,
    reason: str,
    actor_id: UUID | None,
    ends: bool,
    due_at: datetime | None,
    destination: Destination = "source",
) -> Refund:
    """Post a refund to the wallet, or write the intention to refund through the provider.

    Who asks the provider opens the attempt (`open_work`).

    Args:
        session: the organization's session; must roll back when this raises.
        doorbell: of the queue.
        payment: where the money came from.
        amount: minor units of the payment's currency; None for all that is left.
        refund_id: identifier of the refund.
        reason: for the journal.
        actor_id: who; None for the platform itself.
        ends: the payment's enrollment ends with it, so that the learner may enroll anew.
        due_at: when the sweeper asks the provider, unless it has answered by then; None for now.
        destination: where it goes.

    Raises:
        NotRefundableError: there is not that much paid money left.
        PaymentDisputedError: its payer contests it.
        CurrencyMismatchError: it should go to a wallet that is in another currency.
    """
    to_provider = payment.method == "provider" and destination == "source"
    if payment.method == "provider" and not to_provider:
        ensure_wallet(session, payment.user_id)
    values = {
        "payment_id": payment.id,
        "refund_id": refund_id,
        "amount": amount,
        "destination": "provider" if to_provider else "wallet",
        "reason": reason,
        "actor_id": actor_id,
        "ends": ends,
    }
    if session.execute(REFUND, values).one_or_none() is None:
        raise _refusal(session, payment.id, amount)
    if to_provider:
        queue.enqueue(session, doorbell, queue.SETTLE_PAYMENT, refund_id, due_at=due_at)
    else:
        pay_what_is_owed(session, payment.user_id, reference=f"refund:{refund_id}")
    session.expire_all()
    return session.get_one(Refund, refund_id)


def refund_owed(
    session: Session,
    doorbell: Doorbell,
    refund: Refund,
    payment: Payment,
    *,
    given: int = 0,
    destination: Destination = "source",
) -> Refund | None:
    """Give anew what is still owed of a refund that was given up; its learner has no seat.

    Args:
        session: the organization's session, in which the payment is held.
        doorbell: of the queue.
        refund: which was given up.
        payment: its payment, as it is then.
        given: what others gave back in its place, in minor units.
        destination: where it goes.

    Returns:
        The new refund; None when nothing is owed.
    """
    owed = min(refund.amount - given, left_of(payment))
    if owed <= 0:
        return None
    return begin_refund(
        session,
        doorbell,
        payment,
        amount=owed,
        refund_id=new_id(),
        reason=refund.reason,
        actor_id=refund.created_by,
        ends=True,
        due_at=None,
        destination=destination,
    )


def refund_late_money(
    session: Session, doorbell: Doorbell, payment_id: UUID, *, refund_id: UUID
) -> None:
    """Give money back that arrived when the seat was gone: never kept, never lost."""
    payment = session.get_one(Payment, payment_id, populate_existing=True)
    begin_refund(
        session,
        doorbell,
        payment,
        amount=None,
        refund_id=refund_id,
        reason=LATE_MONEY,
        actor_id=None,
        ends=True,
        due_at=None,
    )


def left_of(payment: Payment) -> int:
    """Return how much of a payment may still be given back, in minor units of its currency."""
    if payment.state != "succeeded":
        return 0
    return max(payment.amount - payment.refunded_amount - payment.lost_amount, 0)


def _refusal(
    session: Session, payment_id: UUID, amount: int | None
) -> NotRefundableError | PaymentDisputedError | CurrencyMismatchError:
    """Explain why nothing was given back; the payment is held, so it is told as it was found."""
    payment = session.get_one(Payment, payment_id, populate_existing=True)
    if payment.disputed_at is not None:
        return PaymentDisputedError(
            "The payer contests this payment at their bank, which has the money until it decides.",
            disputed_at=payment.disputed_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        )
    left = Money(left_of(payment), payment.currency)
    if 0 < (left.amount if amount is None else amount) <= left.amount:
        wallet = session.scalar(select(Wallet.currency).where(Wallet.user_id == payment.user_id))
        return CurrencyMismatchError(
            f"The payment is in {payment.currency}, the learner's wallet in {wallet}; give it back"
            " to its source instead.",
            expected=payment.currency,
            wallet=wallet,
        )
    return NotRefundableError(
        f"Only {left} of this payment is left to give back."
        if left.amount > 0
        else "There is no paid money left in this payment to give back.",
        state=payment.state,
        method=payment.method,
        refunded={"amount": payment.refunded_amount, "currency": payment.currency},
        lost={"amount": payment.lost_amount, "currency": payment.currency},
        left={"amount": left.amount, "currency": left.currency},
    )
