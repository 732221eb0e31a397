"""Receipts: one for each movement of real money, numbered by year without gaps.

The number is counted up in the transaction of the movement, as the last of its locks (wallet,
payment, enrollment, seats, coupon, receipt number): what is rolled back gives its number back. All
receipts of a year wait for each other, so the number is taken together with COMMIT and held no
longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, LiteralString
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.core.errors import ForbiddenError, NotFoundError
from lms.core.money import Money
from lms.core.pagination import InvalidCursorError, Page
from lms.payments.models import Payment, Receipt, Refund
from tenants.session import PipelinedQuery, organization_of, send_with_commit

Kind = Literal["payment", "top_up", "refund"]

# A subject that has its receipt already, or is not paid, is not found: repeats issue nothing.
SUBJECTS: dict[Kind, LiteralString] = {
    "payment": """
        SELECT s.id, s.user_id, s.amount, s.currency
          FROM payments s
         WHERE s.id = $1 AND s.state = 'succeeded'
           AND NOT EXISTS (SELECT FROM receipts r WHERE r.payment_id = s.id)
    """,
    "top_up": """
        SELECT s.id, s.user_id, s.amount, s.currency
          FROM wallet_top_ups s
         WHERE s.id = $1 AND s.state = 'succeeded'
           AND NOT EXISTS (SELECT FROM receipts r WHERE r.top_up_id = s.id)
    """,
    "refund": """
        SELECT s.id, p.user_id, s.amount, s.currency
          FROM refunds s JOIN payments p ON p.id = s.payment_id
         WHERE s.id = $1 AND s.state = 'succeeded'
           AND NOT EXISTS (SELECT FROM receipts r WHERE r.refund_id = s.id)
    """,
}
STEPS: LiteralString = """
    WITH subject AS ({subject}), numbered AS (
        INSERT INTO receipt_counters AS c (year, last_number)
        SELECT EXTRACT(year FROM now() AT TIME ZONE $2::text)::bigint, 1
          FROM subject WHERE subject.amount > 0
        ON CONFLICT (year) DO UPDATE SET last_number = c.last_number + 1
        RETURNING c.year, c.last_number
    )
    INSERT INTO receipts (year, number, {kind}_id, user_id, amount, currency)
    SELECT numbered.year, numbered.last_number, subject.id, subject.user_id, subject.amount,
           subject.currency
      FROM numbered CROSS JOIN subject
"""
ISSUE: dict[Kind, LiteralString] = {
    kind: STEPS.format(kind=kind, subject=subject) for kind, subject in SUBJECTS.items()
}
ISSUE_MADE: LiteralString = STEPS.format(
    kind="payment",
    subject="""
        SELECT $1::uuid AS id, $3::uuid AS user_id, $4::bigint AS amount, $5::text AS currency
    """,
)

# For people who read them: names and titles are those of today, the money is that of then.
FIND_CONTEXTS = text("""
    SELECT r.year, r.number, u.name, u.email, c.title AS course_title, k.title AS run_title,
           s.amount + s.discount_amount AS list_amount, s.discount_amount, s.coupon_code
      FROM unnest(CAST(:years AS bigint[]), CAST(:numbers AS bigint[])) AS sought (year, number)
      JOIN receipts r ON r.year = sought.year AND r.number = sought.number
      JOIN users u ON u.id = r.user_id
      LEFT JOIN refunds f ON f.id = r.refund_id
      LEFT JOIN payments p ON p.id = COALESCE(r.payment_id, f.payment_id)
      LEFT JOIN payments s ON s.id = r.payment_id
      LEFT JOIN course_runs k ON k.id = p.run_id
      LEFT JOIN courses c ON c.id = k.course_id
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptView:
    """A receipt as people see it.

    Attributes:
        receipt: the row.
        academy: name of the organization that issued it.
        name: of who paid, or got the money back.
        email: theirs.
        course_title: of what was bought; None for a top-up.
        run_title: so too.
        list_price: of a payment, what it would have cost without a coupon; else None.
        discount: of a payment, what the coupon took off; else None.
        coupon: the coupon's code, if there was one.
    """

    receipt: Receipt
    academy: str
    name: str
    email: str
    course_title: str | None
    run_title: str | None
    list_price: Money | None
    discount: Money | None
    coupon: str | None

    @property
    def number(self) -> str:
        """Year and running number; see `written`."""
        return written(self.receipt.year, self.receipt.number)

    @property
    def kind(self) -> Kind:
        """What it is about."""
        if self.receipt.payment_id is not None:
            return "payment"
        return "top_up" if self.receipt.top_up_id is not None else "refund"

    @property
    def amount(self) -> Money:
        """What was paid in, or given back for a refund."""
        return Money(self.receipt.amount, self.receipt.currency)


def written(year: int, number: int) -> str:
    """Return a receipt's number as people write it: `2027-000042`, wider from a million on."""
    return f"{year}-{number:06d}"


def issue(session: Session, kind: Kind, subject_id: UUID) -> None:
    """Issue the receipt of money that came or went, when its transaction commits.

    Repeats, free payments and what did not succeed issue nothing.

    Args:
        session: the organization's session, of the movement.
        kind: what the subject is.
        subject_id: the payment, top-up or refund.
    """
    time_zone = organization_of(session).time_zone
    send_with_commit(session, PipelinedQuery(ISSUE[kind], (subject_id, time_zone)))


def issue_made(session: Session, payment: Payment) -> None:
    """Issue the receipt of a payment that this transaction has made, without reading it again.

    Args:
        session: the organization's session, of the movement.
        payment: succeeded, and new.
    """
    values = (
        *(payment.id, organization_of(session).time_zone),
        *(payment.user_id, payment.amount, payment.currency),
    )
    send_with_commit(session, PipelinedQuery(ISSUE_MADE, values))


def list_receipts(
    session: Session,
    actor: Actor,
    *,
    user_id: UUID | None,
    payment_id: UUID | None,
    year: int | None,
    limit: int,
    cursor: str | None,
) -> Page[ReceiptView]:
    """Read a page of receipts, newest first: an admin's view of all, everybody else's own.

    Args:
        session: the organization's session.
        actor: who reads.
        user_id: of whose money; None for all that the actor may see.
        payment_id: only of this payment and its refunds; None for all.
        year: of the organization's time zone; None for all.
        limit: most items.
        cursor: `next_cursor` of the page before.

    Raises:
        ForbiddenError: somebody else's were asked for by one who is not an admin.
        InvalidCursorError: the cursor is not one of this list.
    """
    if not actor.is_admin:
        if user_id not in (None, actor.user_id):
            raise ForbiddenError("Only admins see other people's receipts.", required="admin")
        user_id = actor.user_id
    query = select(Receipt).order_by(Receipt.year.desc(), Receipt.number.desc()).limit(limit + 1)
    if user_id is not None:
        query = query.where(Receipt.user_id == user_id)
    if payment_id is not None:
        refunds = select(Refund.id).where(Refund.payment_id == payment_id)
        query = query.where((Receipt.payment_id == payment_id) | Receipt.refund_id.in_(refunds))
    if year is not None:
        query = query.where(Receipt.year == year)
    if cursor is not None:
        last_year, last_number = _place_of(cursor)
        query = query.where(
            (Receipt.year < last_year)
            | ((Receipt.year == last_year) & (Receipt.number < last_number))
        )
    rows = session.scalars(query).all()
    items = _views(session, rows[:limit])
    more = len(rows) > limit
    return Page(items, f"{items[-1].receipt.year}-{items[-1].receipt.number}" if more else None)


def of_payment(session: Session, actor: Actor, payment_id: UUID) -> ReceiptView:
    """Return the receipt of the actor's payment, or of any for an admin.

    Raises:
        NotFoundError: there is none that they may know of.
    """
    query = select(Receipt).where(Receipt.payment_id == payment_id)
    if not actor.is_admin:
        query = query.where(Receipt.user_id == actor.user_id)
    row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFoundError("There is no receipt of such a payment for you.")
    return _views(session, [row])[0]


def _views(session: Session, rows: Sequence[Receipt]) -> list[ReceiptView]:
    """Return receipts with what people read on them, in the same order."""
    values = {"years": [row.year for row in rows], "numbers": [row.number for row in rows]}
    contexts = {(one.year, one.number): one for one in session.execute(FIND_CONTEXTS, values)}
    academy = organization_of(session).name
    views: list[ReceiptView] = []
    for row in rows:
        context = contexts[row.year, row.number]
        is_payment = row.payment_id is not None
        views.append(
            ReceiptView(
                receipt=row,
                academy=academy,
                name=context.name,
                email=context.email,
                course_title=context.course_title,
                run_title=context.run_title,
                list_price=Money(context.list_amount, row.currency) if is_payment else None,
                discount=Money(context.discount_amount, row.currency) if is_payment else None,
                coupon=context.coupon_code,
            )
        )
    return views


def _place_of(cursor: str) -> tuple[int, int]:
    year, _, number = cursor.partition("-")
    parts = (year, number)
    if not all(part.isascii() and part.isdecimal() and len(part) <= 18 for part in parts):
        raise InvalidCursorError("This cursor did not come from a page of this list.")
    return int(year), int(number)
