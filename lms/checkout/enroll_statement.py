"""Enrolling as one statement: free, from the wallet or by a provider, with a coupon or without.

It is written down once. What a way to pay and a coupon add is put into its places when this module
is loaded, so that nobody pays for what they do not use: PostgreSQL would set up every part of it
each time.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Integer,
    Text,
    Uuid,
    column,
    text,
)

from lms.checkout.orders import Method
from lms.checkout.redemptions import COUNTED
from lms.coupons.policy import DISCOUNT

MOMENT = DateTime(timezone=True)

# Each step reads the one before it, so they run, and lock, in this order: run (shared: it must not
# change under the purchase), wallet, payment, enrollment, seats, coupon. A payment with this id
# means that the request is repeated: nothing happens.
STEPS = """
    WITH run AS (
        SELECT r.version_id, {price} AS price_amount, r.currency, r.refund_policy{terms}
          FROM course_runs r{coupons}
         WHERE r.id = :run_id AND r.state = 'scheduled' AND {admits}
           AND {price} {costs}
           AND NOT EXISTS (SELECT FROM payments p WHERE p.id = :payment_id)
           FOR SHARE OF r
    ), {paying}payment AS (
        INSERT INTO payments
               (id, user_id, run_id, amount, currency, method, provider, state, succeeded_at,
                refund_policy{payment_columns})
        SELECT CAST(:payment_id AS uuid), CAST(:user_id AS uuid), CAST(:run_id AS uuid),
               agreed.price_amount, agreed.currency, '{method}', {provider}, '{payment_state}',
               {since}, agreed.refund_policy{payment_values}
          FROM {agreed} AS agreed
        ON CONFLICT DO NOTHING
        RETURNING id, amount, currency, state, succeeded_at, created_at
    ), enrolled AS ({enrolling}
    ), seated AS ({seating}
    ), {redemption}{posting}recorded AS (
        INSERT INTO enrollment_changes (id, enrollment_id, from_state, to_state, actor_id, reason)
        SELECT CAST(:change_id AS uuid), enrolled.id, {from_state}, enrolled.state,
               CAST({actor} AS uuid), '{reason}'
          FROM enrolled
    )
    SELECT EXISTS (SELECT FROM run) AS run,
           EXISTS (SELECT FROM seated) AS seated,{redeemed}
           p.amount, p.currency, p.state AS payment_state, p.succeeded_at,
           p.created_at AS payment_created_at,
           e.version_id, e.attempt, e.state AS enrollment_state, e.awaiting, e.hold_until,
           e.activated_at, e.created_at AS enrollment_created_at
      FROM (VALUES (1)) AS always LEFT JOIN payment p ON true LEFT JOIN enrolled e ON true
"""

ENROLLED = "id, version_id, attempt, state, awaiting, hold_until, activated_at, created_at"
TAKES_ENROLLMENTS = "now() >= r.enrollment_opens_at AND now() < r.enrollment_closes_at"

# A seat that comes free while others wait for one is theirs.
NEW_ENROLLMENT = {
    "admits": f"{TAKES_ENROLLMENTS} AND NOT r.approval_required",
    "enrolling": f"""
        INSERT INTO enrollments
               (id, user_id, run_id, version_id, payment_id, attempt, state, awaiting, hold_until,
                activated_at, accepts_waitlist)
        SELECT CAST(:enrollment_id AS uuid), CAST(:user_id AS uuid), CAST(:run_id AS uuid),
               run.version_id, payment.id,
               (SELECT COALESCE(max(e.attempt), 0) + 1 FROM enrollments e
                 WHERE e.user_id = :user_id AND e.run_id = :run_id),
               '{{enrollment_state}}', {{awaiting}}, {{hold_until}}, {{since}}, {{accepts_waitlist}}
          FROM payment CROSS JOIN run
        ON CONFLICT DO NOTHING
        RETURNING {ENROLLED}""",  # noqa: S608 - our own words
    "seating": """
        UPDATE run_seats
           SET taken = run_seats.taken + 1
          FROM enrolled
         WHERE run_seats.run_id = :run_id
           AND (run_seats.capacity IS NULL
                OR run_seats.taken + run_seats.waitlisted < run_seats.capacity)
        RETURNING run_seats.run_id""",
    "from_state": "NULL",
    "actor": ":user_id",
}
IS_OFFERED = """{offer}.id = CAST(:enrollment_id AS uuid)
                        AND {offer}.user_id = CAST(:user_id AS uuid)
                        AND {offer}.state = 'pending' AND {offer}.awaiting = 'offer'
                        AND {offer}.hold_until > now()"""

# Whoever is offered a seat has it already, until the offer lapses.
OFFERED_SEAT = {
    "admits": f"""EXISTS (SELECT FROM enrollments e
                   WHERE e.run_id = r.id AND {IS_OFFERED.format(offer="e")})""",
    "enrolling": f"""
        UPDATE enrollments
           SET payment_id = payment.id, version_id = run.version_id,
               state = '{{enrollment_state}}', awaiting = {{awaiting}}, activated_at = {{since}},
               hold_until = GREATEST({{hold_until}},
                                     CASE WHEN '{{enrollment_state}}' = 'pending'
                                          THEN enrollments.hold_until END),
               version = enrollments.version + 1
          FROM payment CROSS JOIN run
         WHERE {IS_OFFERED.format(offer="enrollments")}
        RETURNING enrollments.id, enrollments.version_id, attempt, enrollments.state, awaiting,
                  hold_until, activated_at, enrollments.created_at""",  # noqa: S608 - our own words
    "seating": " SELECT enrolled.id AS run_id FROM enrolled",
    "from_state": "'pending'",
    "actor": "CAST(:actor_id AS uuid)",
}
AT_ONCE = {
    "paying": "",
    "agreed": "run",
    "posting": "",
    "provider": "NULL",
    "payment_state": "succeeded",
    "enrollment_state": "active",
    "since": "now()",
    "awaiting": "NULL",
    "hold_until": "CAST(NULL AS timestamptz)",
    "accepts_waitlist": "false",
}
PAYING = """paid AS (
        UPDATE wallets
           SET balance = wallets.balance - run.price_amount, seq = wallets.seq + 1
          FROM run
         WHERE wallets.user_id = :user_id AND wallets.currency = run.currency
           AND wallets.balance >= run.price_amount AND wallets.frozen_at IS NULL
        RETURNING wallets.id, wallets.seq, wallets.balance, run.*
    ), """
POSTING = """posted AS (
        INSERT INTO wallet_transactions
               (wallet_id, seq, kind, amount, currency, balance_after, counter_account,
                payment_id, reference, created_by)
        SELECT paid.id, paid.seq, 'deduction', -payment.amount, payment.currency, paid.balance,
               'run:' || CAST(:run_id AS uuid), payment.id, 'payment:' || payment.id,
               CAST(:user_id AS uuid)
          FROM paid CROSS JOIN payment
    ), """
WAYS_TO_PAY: dict[Method, dict[str, str]] = {
    "free": {**AT_ONCE, "costs": "= 0", "reason": "free"},
    "wallet": {
        **AT_ONCE,
        "costs": "> 0",
        "paying": PAYING,
        "agreed": "paid",
        "posting": POSTING,
        "reason": "paid",
    },
    "provider": {
        **AT_ONCE,
        "costs": "> 0",
        "provider": "CAST(:provider AS text)",
        "payment_state": "created",
        "enrollment_state": "pending",
        "since": "CAST(NULL AS timestamptz)",
        "awaiting": "'payment'",
        "accepts_waitlist": "CAST(:accepts_waitlist AS boolean)",
        "hold_until": "now() + make_interval(secs => CAST(:hold_seconds AS double precision))",
        "reason": "awaiting_payment",
    },
}

WITHOUT_COUPON = {
    "price": "r.price_amount",
    "terms": "",
    "coupons": "",
    "payment_columns": "",
    "payment_values": "",
    "redemption": "",
    "redeemed": "",
}

# What of a coupon may change. Asked twice: at first of what is seen without a lock, so that nobody
# holds a seat's row for a coupon that is used up; and of the locked row, which decides.
IS_OPEN = """{coupon}.is_active AND now() >= {coupon}.valid_from
                        AND ({coupon}.valid_until IS NULL OR now() < {coupon}.valid_until)
                        AND ({coupon}.max_uses IS NULL OR {coupon}.uses < {coupon}.max_uses)"""
REDEMPTION = """coupon AS (
        UPDATE coupons
           SET uses = coupons.uses + 1
          FROM seated
         WHERE coupons.code = CAST(:coupon_code AS text) AND {is_open}
        RETURNING coupons.id, coupons.max_uses_per_learner, CAST(:user_id AS uuid) AS user_id
    ), {counted}, """

# A coupon's terms never change, so the price is reckoned from what is read without a lock.
OFF = DISCOUNT.format(price="r.price_amount")
WITH_COUPON = {
    "price": f"(r.price_amount - {OFF})",
    "terms": f""",
               c.code AS coupon_code, {OFF} AS discount_amount""",
    "coupons": f"""
          JOIN coupons c ON c.code = CAST(:coupon_code AS text)
                        AND (c.run_id IS NULL OR c.run_id = r.id)
                        AND (c.currency IS NULL OR c.currency = r.currency)
                        AND {OFF} > 0 AND {IS_OPEN.format(coupon="c")}""",
    "payment_columns": ", coupon_code, discount_amount, coupon_used",
    "payment_values": ", agreed.coupon_code, agreed.discount_amount, true",
    "redemption": REDEMPTION.format(counted=COUNTED, is_open=IS_OPEN.format(coupon="coupons")),
    "redeemed": """
           EXISTS (SELECT FROM counted) AS counted,
           (SELECT discount_amount FROM run) AS discount_amount,""",
}

FOUND = tuple(column(step, Boolean) for step in ("run", "seated"))
REDEEMED = (column("counted", Boolean), column("discount_amount", BigInteger))
MADE = (
    *(column("amount", BigInteger), column("currency", Text), column("payment_state", Text)),
    *(column("succeeded_at", MOMENT), column("payment_created_at", MOMENT)),
    *(column("version_id", Uuid), column("attempt", Integer), column("enrollment_state", Text)),
    column("awaiting", Text),
    *(column("hold_until", MOMENT), column("activated_at", MOMENT)),
    column("enrollment_created_at", MOMENT),
)
"""Columns are declared, so that SQLAlchemy does not read the answer's description every time."""


def _sql(*parts: Mapping[str, str]) -> str:
    """Put parts into the places of STEPS; those that have places themselves, from the others."""
    places = {name: part for each in parts for name, part in each.items()}
    return STEPS.format(**{name: part.format(**places) for name, part in places.items()})


ENROLL = {
    method: text(_sql(NEW_ENROLLMENT, way, WITHOUT_COUPON, {"method": method})).columns(
        *FOUND, *MADE
    )
    for method, way in WAYS_TO_PAY.items()
}
ENROLL_WITH_COUPON = {
    method: text(_sql(NEW_ENROLLMENT, way, WITH_COUPON, {"method": method})).columns(
        *FOUND, *REDEEMED, *MADE
    )
    for method, way in WAYS_TO_PAY.items()
}
ACCEPT = {
    method: text(_sql(OFFERED_SEAT, way, WITHOUT_COUPON, {"method": method})).columns(*FOUND, *MADE)
    for method, way in WAYS_TO_PAY.items()
}
ACCEPT_WITH_COUPON = {
    method: text(_sql(OFFERED_SEAT, way, WITH_COUPON, {"method": method})).columns(
        *FOUND, *REDEEMED, *MADE
    )
    for method, way in WAYS_TO_PAY.items()
}
"""By way to pay: enrolling anew, and accepting a seat that was offered."""

GRANTED = {
    "method": "free",
    "admits": TAKES_ENROLLMENTS,
    "price": "CAST(0 AS bigint)",
    "reason": "granted",
    "actor": ":actor_id",
}
GRANT_SEAT = text(_sql(NEW_ENROLLMENT, WAYS_TO_PAY["free"], WITHOUT_COUPON, GRANTED)).columns(
    *FOUND, *MADE
)
"""A seat that staff give: whatever the price is, nothing is paid, and nobody has to approve it."""
