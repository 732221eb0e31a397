"""Reads of wallets' journals and payments."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.core.errors import ForbiddenError, NotFoundError
from lms.core.pagination import InvalidCursorError, Page, paginate
from lms.payments.models import Payment, Refund, Wallet, WalletTopUp, WalletTransaction
from lms.users import queries as users

LONGEST_SEQ = 18  # digits; below BIGINT's largest


def wallet_transactions(
    session: Session, actor: Actor, *, limit: int, cursor: str | None
) -> Page[WalletTransaction]:
    """Read a page of the actor's own journal, newest first.

    Args:
        session: the organization's session.
        actor: whose wallet.
        limit: most items.
        cursor: `next_cursor` of the page before.

    Raises:
        InvalidCursorError: the cursor is not one of this list.
    """
    return _transactions(session, actor.user_id, limit=limit, cursor=cursor)


def user_wallet_transactions(
    session: Session, user_id: UUID, *, limit: int, cursor: str | None
) -> Page[WalletTransaction]:
    """Read a page of a user's journal for an admin; else as `wallet_transactions`.

    Raises:
        UserNotFoundError: there is no such user.
        InvalidCursorError: the cursor is not one of this list.
    """
    users.get_user(session, user_id)
    return _transactions(session, user_id, limit=limit, cursor=cursor)


def payments(
    session: Session,
    actor: Actor,
    *,
    user_id: UUID | None,
    run_id: UUID | None,
    limit: int,
    cursor: str | None,
) -> Page[Payment]:
    """Read a page of payments, newest first: an admin's view of all, everybody else's own.

    Raises:
        ForbiddenError: somebody else's payments were asked for by one who is not an admin.
        InvalidCursorError: the cursor is not one of this list.
    """
    if not actor.is_admin:
        if user_id not in (None, actor.user_id):
            raise ForbiddenError("Only admins see other people's payments.", required="admin")
        user_id = actor.user_id
    query = select(Payment)
    if user_id is not None:
        query = query.where(Payment.user_id == user_id)
    if run_id is not None:
        query = query.where(Payment.run_id == run_id)
    return paginate(session, query, Payment.id, limit=limit, cursor=cursor, newest_first=True)


def payment(session: Session, actor: Actor, payment_id: UUID) -> Payment:
    """Return a payment of the actor, or any for an admin.

    Raises:
        NotFoundError: there is none that the actor may know of.
    """
    query = select(Payment).where(Payment.id == payment_id)
    if not actor.is_admin:
        query = query.where(Payment.user_id == actor.user_id)
    found = session.scalars(query).one_or_none()
    if found is None:
        raise NotFoundError("There is no such payment.")
    return found


def refunds(
    session: Session, actor: Actor, payment_id: UUID, *, limit: int, cursor: str | None
) -> Page[Refund]:
    """Read a page of a payment's refunds, newest first.

    Raises:
        NotFoundError: there is no payment that the actor may know of.
        InvalidCursorError: the cursor is not one of this list.
    """
    query = select(Refund).where(Refund.payment_id == payment(session, actor, payment_id).id)
    return paginate(session, query, Refund.id, limit=limit, cursor=cursor, newest_first=True)


def top_up(session: Session, actor: Actor, top_up_id: UUID) -> WalletTopUp:
    """Return a top-up of the actor's own wallet.

    Raises:
        NotFoundError: there is none.
    """
    found = session.scalars(
        select(WalletTopUp).where(WalletTopUp.id == top_up_id, WalletTopUp.user_id == actor.user_id)
    ).one_or_none()
    if found is None:
        raise NotFoundError("There is no such top-up.")
    return found


def _transactions(
    session: Session, user_id: UUID, *, limit: int, cursor: str | None
) -> Page[WalletTransaction]:
    query = (
        select(WalletTransaction)
        .join(Wallet, Wallet.id == WalletTransaction.wallet_id)
        .where(Wallet.user_id == user_id)
        .order_by(WalletTransaction.seq.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        query = query.where(WalletTransaction.seq < seq_of(cursor))
    rows = session.scalars(query).all()
    items = rows[:limit]
    return Page(items, str(items[-1].seq) if len(rows) > limit else None)


def seq_of(cursor: str) -> int:
    """Return the journal's number that a cursor of ours stands for.

    Raises:
        InvalidCursorError: it is none.
    """
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= LONGEST_SEQ):
        raise InvalidCursorError("This cursor did not come from a page of this list.")
    return int(cursor)
