"""Refusals of coupons: what buyers are told, and what admins are."""

from __future__ import annotations

from lms.core.errors import ConflictError


class CouponRefusedError(ConflictError):
    """A coupon is not taken here and now; each reason has its own code."""

    code = "coupon_refused"


class CouponUnknownError(CouponRefusedError):
    """No coupon has this code, or it is switched off: told alike, so that guessing shows less."""

    code = "coupon_unknown"
    remedy = "Check the code, or leave it out."


class CouponNotForRunError(CouponRefusedError):
    """The coupon is for another run."""

    code = "coupon_not_for_run"
    remedy = "Use it for the run that it was made for, or leave it out."


class CouponCurrencyMismatchError(CouponRefusedError):
    """The coupon's amount is in another currency than the price; `expected` says which it is."""

    code = "coupon_currency_mismatch"
    remedy = "Leave it out, or use one in the currency of the price."


class CouponNotYetValidError(CouponRefusedError):
    """The coupon's time has not come; `valid_from` says when it does."""

    code = "coupon_not_yet_valid"
    remedy = "Wait until `valid_from`, or leave it out."


class CouponExpiredError(CouponRefusedError):
    """The coupon's time is over since `valid_until`."""

    code = "coupon_expired"
    remedy = "Leave it out, or use another."


class CouponAlreadyUsedError(CouponRefusedError):
    """The learner has used the coupon `max_uses_per_learner` times."""

    code = "coupon_already_used"
    remedy = "Leave it out, or use another."


class CouponUsedUpError(CouponRefusedError):
    """All uses of the coupon are taken."""

    code = "coupon_used_up"
    remedy = "Leave it out, or try again later: uses of unpaid purchases come back."


class CouponWithoutEffectError(CouponRefusedError):
    """The coupon takes nothing off this price: it is 0, or too low for a part to make one unit."""

    code = "coupon_without_effect"
    remedy = "Leave it out."


class CouponCodeTakenError(ConflictError):
    """Another coupon has this code."""

    code = "coupon_code_taken"
    remedy = "Choose another code, or change the coupon that has this one."


class CouponInUseError(ConflictError):
    """Payments name the coupon, so it stays; `payments` says how many."""

    code = "coupon_in_use"
    remedy = "Switch it off instead: set `is_active` to false."


class MaxUsesBelowUsesError(ConflictError):
    """More uses are taken than the coupon would have; `uses` says how many."""

    code = "max_uses_below_uses"
    remedy = "Allow at least the uses that are taken."


BUYERS_REFUSALS: tuple[type[CouponRefusedError], ...] = (
    CouponUnknownError,
    CouponNotForRunError,
    CouponCurrencyMismatchError,
    CouponNotYetValidError,
    CouponExpiredError,
    CouponAlreadyUsedError,
    CouponUsedUpError,
    CouponWithoutEffectError,
)
"""In the order in which they are looked for: the first that holds is told."""
