"""Sums as Stripe writes them, which is ISO 4217's minor units but for a few currencies.

https://docs.stripe.com/currencies, as of November 2026: "zero-decimal" and "special cases". All
others are the same on both sides: whole units for JPY, KRW and their like, three decimals for KWD
and its like.
"""

from __future__ import annotations

STRIPE_DECIMALS_MORE = {"ISK": 2, "MGA": -2}
"""Decimals that Stripe counts beyond ISO's: 5 ISK are 500 to Stripe, 5.00 MGA are 5."""

ENDS_IN_ZERO = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""Three decimals, of which card networks take two: Stripe wants the last digit to be 0."""

CONTRADICTED = frozenset({"UGX"})
"""On Stripe's list of zero-decimal currencies and, with a factor of 100, among its special cases.
A guess could be wrong a hundredfold, so nothing is paid in it."""


def to_stripe(amount: int, currency: str) -> int:
    """Return a sum as Stripe takes it.

    Args:
        amount: minor units by ISO 4217.
        currency: ISO 4217 code, upper case.

    Raises:
        ValueError: Stripe cannot take this sum exactly; nothing is rounded.
    """
    if currency in CONTRADICTED:
        raise ValueError(f"it is not certain how Stripe counts {currency}")
    if currency in ENDS_IN_ZERO and amount % 10:
        raise ValueError(f"the last of the three decimals of {currency} must be 0")
    more = STRIPE_DECIMALS_MORE.get(currency, 0)
    if more >= 0:
        return amount * 10**more
    whole, rest = divmod(amount, 10**-more)
    if rest:
        raise ValueError(f"sums in {currency} must be whole")
    return whole


def from_stripe(amount: int, currency: str) -> int:
    """Return one of Stripe's sums in minor units by ISO 4217.

    Args:
        amount: as Stripe writes it.
        currency: ISO 4217 code, upper case.

    Raises:
        ValueError: it has no such sum.
    """
    if currency in CONTRADICTED:
        raise ValueError(f"it is not certain how Stripe counts {currency}")
    more = STRIPE_DECIMALS_MORE.get(currency, 0)
    if more <= 0:
        return amount * 10**-more
    whole, rest = divmod(amount, 10**more)
    if rest:
        raise ValueError(f"sums in {currency} must be whole")
    return whole
