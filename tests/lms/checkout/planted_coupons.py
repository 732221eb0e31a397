"""Ways in which coupons' counters and discounts can be wrong, and what finds each."""

from __future__ import annotations

from tests.lms.checkout.planted_wallets import Found

PLANTED: dict[str, tuple[tuple[str, ...], Found]] = {
    "a coupon that counts a use that nobody made": (
        ("UPDATE coupons SET uses = uses + 1 WHERE id = :coupon",),
        {("coupon_uses", "coupon", "{coupon}")},
    ),
    "a learner who has used a coupon more often than is counted": (
        (
            (
                "UPDATE coupon_learners SET uses = uses - 1"
                " WHERE coupon_id = :coupon AND user_id = :coupon_user"
            ),
        ),
        {("coupon_learner_uses", "coupon_learner", "{coupon}/{coupon_user}")},
    ),
    "a learner whose uses of a coupon nobody counts": (
        ("DELETE FROM coupon_learners WHERE coupon_id = :coupon AND user_id = :coupon_user",),
        {("coupon_learner_uses", "coupon_learner", "{coupon}/{coupon_user}")},
    ),
    "a discount that the coupon does not give": (
        ("UPDATE payments SET discount_amount = discount_amount + 100 WHERE id = :coupon_payment",),
        {("coupon_discount", "payment", "{coupon_payment}")},
    ),
    "a price that the discount does not belong to": (
        ("UPDATE payments SET amount = amount + 100 WHERE id = :coupon_unpaid",),
        {("coupon_discount", "payment", "{coupon_unpaid}")},
    ),
    "discounts by a coupon for another run": (
        ("UPDATE coupons SET run_id = :run WHERE id = :coupon",),
        {
            ("coupon_discount", "payment", "{coupon_payment}"),
            ("coupon_discount", "payment", "{coupon_left}"),
            ("coupon_discount", "payment", "{coupon_unpaid}"),
        },
    ),
    "a use of a coupon that was not given back": (
        (
            "UPDATE payments SET coupon_used = true WHERE id = :coupon_unpaid",
            "UPDATE coupons SET uses = uses + 1 WHERE id = :coupon",
            (
                "UPDATE coupon_learners SET uses = uses + 1"
                " WHERE coupon_id = :coupon AND user_id = :coupon_unpaid_user"
            ),
        ),
        {("coupon_used", "payment", "{coupon_unpaid}")},
    ),
    "a use of a coupon that was given back though it was paid": (
        (
            "UPDATE payments SET coupon_used = false WHERE id = :coupon_left",
            "UPDATE coupons SET uses = uses - 1 WHERE id = :coupon",
            (
                "UPDATE coupon_learners SET uses = uses - 1"
                " WHERE coupon_id = :coupon AND user_id = :coupon_user"
            ),
        ),
        {("coupon_used", "payment", "{coupon_left}")},
    ),
}
