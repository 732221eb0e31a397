"""Disputes: what a provider says of them is recorded, and the money follows.

A chargeback takes money back until it is won. A disputed payment for a run is marked; what was lost
of it cannot be given back once more, and staff decide about the enrollment. Of a disputed top-up
the wallet gives what it holds and owes the rest, as for every reversal; what is won comes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row, Select, func, select, text
from sqlalchemy.orm import Session

from lms.core import audit
from lms.core.errors import NotFoundError
from lms.core.ids import new_id
from lms.core.pagination import Page, paginate_rows
from lms.payments.attempts import Subject
from lms.payments.dispute_models import Dispute
from lms.payments.models import Payment, WalletTopUp
from lms.payments.providers.base import ProviderDispute
from lms.payments.reversals import contest_top_up

log = structlog.get_logger()

# Every change of a subject's disputes waits here for the one before it, and so does every refund.
HOLD_PAYMENT = text("""
    SELECT disputed_at, lost_amount FROM payments
     WHERE id = :id AND state = 'succeeded' FOR NO KEY UPDATE
""")
HOLD_TOP_UP = text("""
    SELECT id FROM wallet_top_ups WHERE id = :id AND state = 'succeeded' FOR NO KEY UPDATE
""")
FIND = text("""
    SELECT kind, status, amount, reason, evidence_due_at FROM disputes
     WHERE provider = :provider AND provider_dispute_id = :provider_dispute_id
""")
# Forward only: an inquiry may become a chargeback and never the other way round, and what the bank
# has decided stays, unless an appeal wins it. While it is open, evidence may be asked for more than
# once.
RECORD = text("""
    INSERT INTO disputes AS d
           (id, payment_id, top_up_id, provider, provider_dispute_id, amount, currency, kind,
            status, reason, evidence_due_at, opened_at, closed_at)
    VALUES (:id, CAST(:payment_id AS uuid), CAST(:top_up_id AS uuid), :provider,
            :provider_dispute_id, :amount, :currency, CAST(:kind AS text), CAST(:status AS text),
            :reason, :evidence_due_at, :opened_at,
            CASE WHEN CAST(:status AS text) IN ('won', 'lost')
                 THEN greatest(now(), CAST(:opened_at AS timestamptz)) END)
    ON CONFLICT (provider, provider_dispute_id) DO UPDATE
       SET amount = excluded.amount, kind = excluded.kind, status = excluded.status,
           reason = excluded.reason, evidence_due_at = excluded.evidence_due_at,
           closed_at = CASE WHEN excluded.closed_at IS NOT NULL
                            THEN greatest(excluded.closed_at, d.opened_at) END,
           version = d.version + 1
     WHERE (d.payment_id, d.top_up_id, d.currency)
           IS NOT DISTINCT FROM (excluded.payment_id, excluded.top_up_id, excluded.currency)
       AND (d.kind, d.status, d.amount, d.reason, d.evidence_due_at)
           IS DISTINCT FROM (excluded.kind, excluded.status, excluded.amount, excluded.reason,
                             excluded.evidence_due_at)
       AND ((d.kind, excluded.kind) = ('inquiry', 'chargeback')
            OR (d.kind = excluded.kind AND d.status NOT IN ('won', 'lost'))
            OR (d.kind, d.status, excluded.status) = (excluded.kind, 'lost', 'won'))
    RETURNING d.id, d.version
""")
MARK_PAYMENT = text("""
    UPDATE payments
       SET disputed_at = d.since, lost_amount = least(payments.amount, d.lost),
           version = payments.version + 1
      FROM (SELECT min(opened_at) FILTER (WHERE status IN ('needs_response', 'under_review'))
                   AS since,
                   COALESCE(sum(amount) FILTER (WHERE status = 'lost'), 0)::bigint AS lost
              FROM disputes WHERE payment_id = :id AND kind = 'chargeback') AS d
     WHERE payments.id = :id
       AND (payments.disputed_at, payments.lost_amount)
           IS DISTINCT FROM (d.since, least(payments.amount, d.lost))
    RETURNING payments.disputed_at, payments.lost_amount,
              payments.refunded_amount + payments.lost_amount > payments.amount AS is_too_much
""")
SUM_OF_TOP_UP = text("""
    SELECT COALESCE(sum(amount), 0)::bigint FROM disputes
     WHERE top_up_id = :id AND kind = 'chargeback' AND status <> 'won'
""")


@dataclass(frozen=True, slots=True)
class DisputeView:
    """A dispute as staff see it.

    Attributes:
        dispute: the row.
        user_id: whose payment or top-up is disputed.
    """

    dispute: Dispute
    user_id: UUID

    @property
    def version(self) -> int:
        """Of the row, for the ETag."""
        return self.dispute.version


def record_dispute(
    session: Session, subject: Subject, provider: str, dispute: ProviderDispute
) -> bool:
    """Apply what a provider says of a dispute; repeats and older news change nothing.

    Args:
        session: the organization's session.
        subject: the payment or top-up that it is about, with what the provider said of it applied.
        provider: the provider's name.
        dispute: as it was fetched.

    Returns:
        Whether it is recorded. False when it is in another currency, or about money that did not
        come: people have to look.
    """
    hold = HOLD_PAYMENT if subject.operation == "payment" else HOLD_TOP_UP
    held = session.execute(hold, {"id": subject.subject_id}).one_or_none()
    if held is None or dispute.currency != subject.currency:
        log.error(
            "dispute_not_bookable",
            subject_id=str(subject.subject_id),
            operation=subject.operation,
            provider_dispute_id=dispute.id,
            theirs=f"{dispute.amount} {dispute.currency}",
        )
        return False
    names = {"provider": provider, "provider_dispute_id": dispute.id}
    before = session.execute(FIND, names).one_or_none()
    recorded = session.execute(RECORD, {**names, **_values(subject, dispute)}).one_or_none()
    if recorded is None:
        return True
    audit.record(
        session,
        "dispute.open" if before is None else "dispute.change",
        ("dispute", recorded.id),
        actor_id=None,
        before=None if before is None else _audited(before),
        after={subject.operation: str(subject.subject_id), **_audited(dispute)},
    )
    if subject.operation == "payment":
        _mark_payment(session, subject.subject_id, held)
    else:
        amount = session.execute(SUM_OF_TOP_UP, {"id": subject.subject_id}).scalar_one()
        reference = f"dispute:{recorded.id}:{recorded.version}"
        contest_top_up(session, subject.subject_id, amount, reference=reference)
    session.expire_all()
    return True


def list_disputes(
    session: Session,
    *,
    status: str | None,
    payment_id: UUID | None,
    limit: int,
    cursor: str | None,
) -> Page[DisputeView]:
    """Read a page of disputes, newest first.

    Args:
        session: the organization's session.
        status: only those that stand so.
        payment_id: only those of this payment.
        limit: most items.
        cursor: `next_cursor` of the page before.

    Raises:
        InvalidCursorError: the cursor is not one of this list.
    """
    query = _with_user()
    if status is not None:
        query = query.where(Dispute.status == status)
    if payment_id is not None:
        query = query.where(Dispute.payment_id == payment_id)
    page = paginate_rows(session, query, Dispute.id, limit=limit, cursor=cursor, newest_first=True)
    return Page([DisputeView(*row) for row in page.items], page.next_cursor)


def get_dispute(session: Session, dispute_id: UUID) -> DisputeView:
    """Return a dispute.

    Raises:
        NotFoundError: there is none.
    """
    row = session.execute(_with_user().where(Dispute.id == dispute_id)).one_or_none()
    if row is None:
        raise NotFoundError("There is no such dispute.")
    return DisputeView(*row)


def _with_user() -> Select[Dispute, UUID]:
    return (
        select(Dispute, func.coalesce(Payment.user_id, WalletTopUp.user_id))
        .outerjoin(Payment, Payment.id == Dispute.payment_id)
        .outerjoin(WalletTopUp, WalletTopUp.id == Dispute.top_up_id)
    )


def _values(subject: Subject, dispute: ProviderDispute) -> dict[str, Any]:
    is_payment = subject.operation == "payment"
    return {
        "id": new_id(),
        "payment_id": subject.subject_id if is_payment else None,
        "top_up_id": None if is_payment else subject.subject_id,
        "amount": dispute.amount,
        "currency": dispute.currency,
        "kind": dispute.kind,
        "status": dispute.status,
        "reason": dispute.reason,
        "evidence_due_at": dispute.evidence_due_at,
        "opened_at": dispute.opened_at,
    }


def _audited(dispute: Row[Any] | ProviderDispute) -> dict[str, Any]:
    return {
        "kind": dispute.kind,
        "status": dispute.status,
        "amount": dispute.amount,
        "reason": dispute.reason,
        "evidence_due_at": _written(dispute.evidence_due_at),
    }


def _mark_payment(session: Session, payment_id: UUID, before: Row[Any]) -> None:
    after = session.execute(MARK_PAYMENT, {"id": payment_id}).one_or_none()
    if after is None:
        return
    if after.is_too_much:
        # Refunds that wait are given up by themselves; what went to the wallet stays there.
        log.error("dispute_of_money_given_back", payment_id=str(payment_id))
    audit.record(
        session,
        "payment.dispute",
        ("payment", payment_id),
        actor_id=None,
        before=_marks(before),
        after=_marks(after),
    )


def _marks(payment: Row[Any]) -> dict[str, Any]:
    return {
        "disputed_at": _written(payment.disputed_at),
        "lost_amount": payment.lost_amount,
    }


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
