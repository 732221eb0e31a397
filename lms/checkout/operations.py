"""Starting a purchase: what is committed before a provider is asked."""

from __future__ import annotations

from sqlalchemy.orm import Session

from lms.checkout.open_work import open_work
from lms.checkout.orders import Order
from lms.checkout.purchase import Purchase, enroll
from lms.core import clock, queue
from lms.core.actor import Actor
from lms.core.queue import Doorbell
from lms.payments.attempts import Attempt, begin_attempt
from lms.payments.operations import ASK_AGAIN_AFTER


def start_purchase(
    session: Session, doorbell: Doorbell, actor: Actor, order: Order, *, token: str | None
) -> tuple[Purchase, Attempt | None]:
    """Enroll; for a provider: write everything that makes the payment findable after a crash.

    What looks after an offer is there already, and finds its hold prolonged.

    Args:
        session: the organization's session.
        doorbell: of the queue that looks after what a request leaves unfinished.
        actor: who enrolls.
        order: where and how.
        token: the means of payment, for a provider.

    Returns:
        The purchase, and what the provider must be asked outside this transaction: None when the
        purchase is settled.

    Raises:
        lms.core.errors.DomainError: every refusal of `purchase.enroll`.
    """
    purchase, is_new = enroll(session, actor, order)
    if is_new and order.provider is not None:
        begin_attempt(session, order.payment_id, "payment", provider=order.provider, token=token)
        due_at = clock.now() + ASK_AGAIN_AFTER
        queue.enqueue(session, doorbell, queue.SETTLE_PAYMENT, order.payment_id, due_at=due_at)
        if order.offer_id is None:
            queue.enqueue(
                session,
                doorbell,
                queue.EXPIRE_ENROLLMENT,
                purchase.enrollment.id,
                due_at=purchase.enrollment.hold_until,
            )
    work = open_work(session, order.payment_id) if order.provider is not None else None
    return purchase, None if work is None else work[0]
