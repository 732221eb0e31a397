"""Ways in which disputes, and what payments and top-ups say of them, can be wrong."""

from __future__ import annotations

from tests.lms.checkout.planted_wallets import Found

PLANTED: dict[str, tuple[tuple[str, ...], Found]] = {
    "a disputed payment that does not say so": (
        ("UPDATE payments SET disputed_at = NULL WHERE id = :disputed_payment",),
        {("dispute_payment", "payment", "{disputed_payment}")},
    ),
    "a payment that is disputed since another time": (
        (
            (
                "UPDATE payments SET disputed_at = disputed_at - interval '1 day'"
                " WHERE id = :disputed_payment"
            ),
        ),
        {("dispute_payment", "payment", "{disputed_payment}")},
    ),
    "a payment that is disputed by nobody": (
        ("UPDATE payments SET disputed_at = now() WHERE id = :card_payment",),
        {("dispute_payment", "payment", "{card_payment}")},
    ),
    "money that was lost to no dispute": (
        ("UPDATE payments SET lost_amount = lost_amount + 1 WHERE id = :lost_payment",),
        {("dispute_payment", "payment", "{lost_payment}")},
    ),
    "a top-up whose dispute was won and not returned": (
        (
            (
                "UPDATE disputes SET status = 'won', closed_at = now()"
                " WHERE top_up_id = :disputed_top_up"
            ),
        ),
        {("dispute_top_up", "top_up", "{disputed_top_up}")},
    ),
    "a dispute at another provider than its payment's": (
        ("UPDATE disputes SET provider = 'stripe' WHERE id = :dispute",),
        {("dispute_subject", "dispute", "{dispute}")},
    ),
    "a dispute about nothing": (
        ("UPDATE disputes SET payment_id = id WHERE id = :dispute",),
        {
            ("dispute_subject", "dispute", "{dispute}"),
            ("dispute_payment", "payment", "{disputed_payment}"),
        },
    ),
}
