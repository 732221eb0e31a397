"""Enrolling: payment, seat, enrollment, journal and history in one statement, or nothing.

One statement decides and does everything under conditions that hold at that moment; only when a
step found no row is anything read, to explain the refusal. The transaction is rolled back then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NoReturn
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Integer, Row, Text, Uuid, column, select, text
from sqlalchemy.orm import Session

from lms.checkout.errors import (
    AlreadyEnrolledError,
    EnrollmentClosedError,
    PaymentMethodError,
    RunChangedError,
)
from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.core.ids import new_id
from lms.core.money import Money
from lms.enrollments.errors import RunFullError
from lms.enrollments.models import LIVE_STATES, Enrollment
from lms.payments import receipts
from lms.payments.errors import (
    CurrencyMismatchError,
    InsufficientFundsError,
    WalletFrozenError,
)
from lms.payments.models import Payment, Wallet

Method = Literal["free", "wallet", "provider"]
MOMENT = DateTime(timezone=True)

# Each step reads the one before it, so they run, and lock, in this order: run (shared: it must not
# change under the purchase), wallet, payment, enrollment, seats. A payment with this id means that
# the request is repeated: nothing happens.
ENROLL = text("""
    WITH run AS (
        SELECT r.id, r.version_id, r.price_amount, r.currency, r.refund_policy
          FROM course_runs r
         WHERE r.id = :run_id AND r.state = 'scheduled'
           AND now() >= r.enrollment_opens_at AND now() < r.enrollment_closes_at
           AND (r.price_amount = 0) = (CAST(:method AS text) = 'free')
           AND NOT EXISTS (SELECT FROM payments p WHERE p.id = :payment_id)
           FOR SHARE OF r
    ), paid AS (
        UPDATE wallets
           SET balance = wallets.balance - run.price_amount, seq = wallets.seq + 1
          FROM run
         WHERE CAST(:method AS text) = 'wallet' AND wallets.user_id = :user_id
           AND wallets.currency = run.currency AND wallets.balance >= run.price_amount
           AND wallets.frozen_at IS NULL
        RETURNING wallets.id, wallets.seq, wallets.balance
    ), payment AS (
        INSERT INTO payments
               (id, user_id, run_id, amount, currency, method, provider, state, succeeded_at,
                refund_policy)
        SELECT CAST(:payment_id AS uuid), CAST(:user_id AS uuid), run.id, run.price_amount,
               run.currency, CAST(:method AS text), CAST(:provider AS text),
               CASE WHEN CAST(:method AS text) = 'provider' THEN 'created' ELSE 'succeeded' END,
               CASE WHEN CAST(:method AS text) = 'provider' THEN NULL ELSE now() END,
               run.refund_policy
          FROM run LEFT JOIN paid ON true
         WHERE CAST(:method AS text) <> 'wallet' OR paid.id IS NOT NULL
        ON CONFLICT DO NOTHING
        RETURNING *
    ), enrolled AS (
        INSERT INTO enrollments
               (id, user_id, run_id, version_id, payment_id, attempt, state, hold_until,
                activated_at)
        SELECT CAST(:enrollment_id AS uuid), CAST(:user_id AS uuid), run.id, run.version_id,
               payment.id,
               (SELECT COALESCE(max(e.attempt), 0) + 1 FROM enrollments e
                 WHERE e.user_id = :user_id AND e.run_id = :run_id),
               CASE WHEN CAST(:method AS text) = 'provider' THEN 'pending' ELSE 'active' END,
               CASE WHEN CAST(:method AS text) = 'provider'
                    THEN now() + make_interval(secs => CAST(:hold_seconds AS double precision))
                    END,
               CASE WHEN CAST(:method AS text) = 'provider' THEN NULL ELSE now() END
          FROM payment JOIN run ON run.id = payment.run_id
        ON CONFLICT DO NOTHING
        RETURNING *
    ), seated AS (
        UPDATE run_seats
           SET taken = run_seats.taken + 1
          FROM enrolled
         WHERE run_seats.run_id = enrolled.run_id
           AND (run_seats.capacity IS NULL OR run_seats.taken < run_seats.capacity)
        RETURNING run_seats.run_id
    ), posted AS (
        INSERT INTO wallet_transactions
               (wallet_id, seq, kind, amount, currency, balance_after, counter_account,
                payment_id, reference, created_by)
        SELECT paid.id, paid.seq, 'deduction', -payment.amount, payment.currency, paid.balance,
               'run:' || payment.run_id, payment.id, 'payment:' || payment.id,
               CAST(:user_id AS uuid)
          FROM paid CROSS JOIN payment
    ), recorded AS (
        INSERT INTO enrollment_changes (id, enrollment_id, from_state, to_state, actor_id, reason)
        SELECT CAST(:change_id AS uuid), enrolled.id, NULL, enrolled.state,
               CAST(:user_id AS uuid),
               CASE WHEN CAST(:method AS text) = 'provider' THEN 'awaiting_payment'
                    WHEN CAST(:method AS text) = 'wallet' THEN 'paid' ELSE 'free' END
          FROM enrolled
    )
    SELECT (SELECT count(*) FROM run) AS run,
           (SELECT count(*) FROM paid) AS paid,
           (SELECT count(*) FROM payment) AS payment,
           (SELECT count(*) FROM enrolled) AS enrolled,
           (SELECT count(*) FROM seated) AS seated,
           p.amount, p.currency, p.state AS payment_state, p.succeeded_at,
           p.created_at AS payment_created_at,
           e.version_id, e.attempt, e.state AS enrollment_state, e.hold_until, e.activated_at,
           e.created_at AS enrollment_created_at
      FROM (VALUES (1)) AS always LEFT JOIN payment p ON true LEFT JOIN enrolled e ON true
""").columns(
    *(column(step, BigInteger) for step in ("run", "paid", "payment", "enrolled", "seated")),
    *(column("amount", BigInteger), column("currency", Text), column("payment_state", Text)),
    *(column("succeeded_at", MOMENT), column("payment_created_at", MOMENT)),
    *(column("version_id", Uuid), column("attempt", Integer), column("enrollment_state", Text)),
    *(column("hold_until", MOMENT), column("activated_at", MOMENT)),
    column("enrollment_created_at", MOMENT),
)
"""Columns are declared, so that SQLAlchemy does not read the answer's description every time."""

FIND_RUN = text("""
    SELECT r.state, r.price_amount, r.currency, r.enrollment_opens_at, r.enrollment_closes_at,
           now() >= r.enrollment_opens_at AND now() < r.enrollment_closes_at AS is_open
      FROM course_runs r WHERE r.id = :run_id
""")

FIND_SEATS = text("""
    SELECT s.capacity,
           (SELECT min(e.hold_until) FROM enrollments e
             WHERE e.run_id = s.run_id AND e.state = 'pending' AND e.hold_until > now()
               AND e.payment_id <> :payment_id) AS hold_until
      FROM run_seats s WHERE s.run_id = :run_id
""")


@dataclass(frozen=True, slots=True)
class Purchase:
    """A payment and the enrollment it is for."""

    payment: Payment
    enrollment: Enrollment


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a learner asks for.

    Attributes:
        payment_id: the same for every request with one Idempotency-Key.
        run_id: where to enroll.
        method: how it is paid.
        provider: the provider's name, for method `provider`.
        hold_seconds: how long an unpaid seat is kept.
    """

    payment_id: UUID
    run_id: UUID
    method: Method
    provider: str | None = None
    hold_seconds: int = 0


def enroll(session: Session, actor: Actor, order: Order) -> tuple[Purchase, bool]:
    """Enroll the actor: active when free or paid from the wallet, pending for a provider.

    Args:
        session: the organization's session; must roll back when this raises.
        actor: who enrolls.
        order: where and how.

    Returns:
        The purchase, and whether this call made it; False for a repeated request.

    Raises:
        NotFoundError: there is no such run.
        EnrollmentClosedError: the run takes nobody now, by the database's clock.
        PaymentMethodError: the price is not paid this way.
        CurrencyMismatchError: the wallet is in another currency.
        WalletFrozenError: the wallet owes money.
        InsufficientFundsError: the wallet does not hold the price.
        AlreadyEnrolledError: one live enrollment per learner and run.
        RunFullError: every seat is taken.
    """
    enrollment_id = new_id()
    done = session.execute(
        ENROLL,
        {
            "run_id": order.run_id,
            "user_id": actor.user_id,
            "payment_id": order.payment_id,
            "enrollment_id": enrollment_id,
            "change_id": new_id(),
            "method": order.method,
            "provider": order.provider,
            "hold_seconds": order.hold_seconds,
        },
    ).one()
    if done.seated == 0:
        begun = None if done.run else find_purchase(session, order.payment_id)
        if begun is not None:
            return begun, False
        _refuse(session, actor, order, done)
    if order.method == "wallet":
        receipts.issue(session, "payment", order.payment_id)
    return _made(actor, order, enrollment_id, done), True


def find_purchase(session: Session, payment_id: UUID) -> Purchase | None:
    """Return a payment with its enrollment as they are now, or None."""
    row = session.execute(
        select(Payment, Enrollment)
        .join(Enrollment, Enrollment.payment_id == Payment.id)
        .where(Payment.id == payment_id)
        .execution_options(populate_existing=True)
    ).one_or_none()
    return None if row is None else Purchase(row[0], row[1])


def _made(actor: Actor, order: Order, enrollment_id: UUID, done: Row[Any]) -> Purchase:
    """Return what `ENROLL` just wrote, without reading it again; not in the session."""
    payment = Payment(
        id=order.payment_id,
        user_id=actor.user_id,
        run_id=order.run_id,
        amount=done.amount,
        currency=done.currency,
        method=order.method,
        state=done.payment_state,
        provider=order.provider,
        refunded_amount=0,
        succeeded_at=done.succeeded_at,
        created_at=done.payment_created_at,
    )
    enrollment = Enrollment(
        id=enrollment_id,
        user_id=actor.user_id,
        run_id=order.run_id,
        version_id=done.version_id,
        payment_id=order.payment_id,
        attempt=done.attempt,
        state=done.enrollment_state,
        percent=0,
        hold_until=done.hold_until,
        activated_at=done.activated_at,
        created_at=done.enrollment_created_at,
    )
    return Purchase(payment, enrollment)


def _refuse(session: Session, actor: Actor, order: Order, done: Row[Any]) -> NoReturn:
    """Explain which step found no row; those before it did, and are rolled back with this."""
    run = session.execute(FIND_RUN, {"run_id": order.run_id}).one_or_none()
    if run is None or run.state == "draft":
        raise NotFoundError("There is no such run.")
    if not done.run:
        raise _refusal_of_run(order, run)
    enrollment_id = _live_enrollment(session, actor, order.run_id)
    if order.method == "wallet" and not done.paid and enrollment_id is None:
        raise _refusal_of_wallet(session, actor, Money(run.price_amount, run.currency))
    if not done.enrolled:
        raise AlreadyEnrolledError(
            "You are enrolled in this run already, or are just enrolling.",
            enrollment_id=enrollment_id,
        )
    raise _refusal_of_seats(session, order)


def _refusal_of_seats(session: Session, order: Order) -> RunFullError:
    values = {"run_id": order.run_id, "payment_id": order.payment_id}
    seats = session.execute(FIND_SEATS, values).one()
    return RunFullError(
        "Every seat of this run is taken.",
        capacity=seats.capacity,
        next_hold_until=None if seats.hold_until is None else _utc(seats.hold_until),
    )


def _refusal_of_run(
    order: Order, run: Row[Any]
) -> EnrollmentClosedError | PaymentMethodError | RunChangedError:
    if run.state != "scheduled" or not run.is_open:
        return EnrollmentClosedError(
            "This run does not take enrollments now.",
            run_state=run.state,
            opens_at=_utc(run.enrollment_opens_at),
            closes_at=_utc(run.enrollment_closes_at),
        )
    expected = ["free"] if run.price_amount == 0 else ["wallet", "provider"]
    if order.method not in expected:
        return PaymentMethodError(
            f"This run costs {Money(run.price_amount, run.currency)}; it is not paid as"
            f" {order.method}.",
            expected=expected,
            price={"amount": run.price_amount, "currency": run.currency},
        )
    return RunChangedError("The run changed at this moment; read it and try again.")


def _refusal_of_wallet(
    session: Session, actor: Actor, price: Money
) -> CurrencyMismatchError | InsufficientFundsError | WalletFrozenError:
    wallet = session.scalars(select(Wallet).where(Wallet.user_id == actor.user_id)).one_or_none()
    if wallet is not None and wallet.currency != price.currency:
        return CurrencyMismatchError(
            f"The price is in {price.currency}, your wallet in {wallet.currency}; pay by the"
            " provider instead.",
            expected=price.currency,
            wallet=wallet.currency,
        )
    if wallet is not None and wallet.frozen_at is not None:
        owed = Money(wallet.owed, wallet.currency)
        return WalletFrozenError(
            f"Your wallet is frozen: a deposit was taken back, and {owed} are owed. What you"
            " deposit pays that first.",
            owed={"amount": owed.amount, "currency": owed.currency},
        )
    balance = Money(0 if wallet is None else wallet.balance, price.currency)
    missing = Money(max(price.amount - balance.amount, 0), price.currency)
    return InsufficientFundsError(
        f"Your wallet holds {balance}, {missing} less than the price of {price}; top it up.",
        balance={"amount": balance.amount, "currency": balance.currency},
        missing={"amount": missing.amount, "currency": missing.currency},
    )


def _live_enrollment(session: Session, actor: Actor, run_id: UUID) -> UUID | None:
    return session.scalar(
        select(Enrollment.id).where(
            Enrollment.user_id == actor.user_id,
            Enrollment.run_id == run_id,
            Enrollment.state.in_(LIVE_STATES),
        )
    )


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
