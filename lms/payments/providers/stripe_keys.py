"""Whether Stripe takes an account's keys."""

from __future__ import annotations

from stripe import AuthenticationError
from stripe import PermissionError as MayNot

from lms.core import clock
from lms.payments.providers.base import ProviderRejected, ProviderUnavailable
from lms.payments.providers.interface import PaymentProvider


def refusal_of(provider: PaymentProvider) -> str | None:
    """Ask an account for payments that nobody can have made yet, outside any transaction.

    Args:
        provider: the account.

    Returns:
        Why Stripe does not take the secret key, in English; None when it does.

    Raises:
        ProviderUnavailable: Stripe could not be asked.
    """
    try:
        provider.list_payments(created_after=clock.now())
    except ProviderRejected as error:
        return f"Stripe says: {error.message}"
    except ProviderUnavailable as error:
        refusal = refused_key(error)
        if refusal is None:
            raise
        return refusal
    return None


def refused_key(error: ProviderUnavailable) -> str | None:
    """Tell in English whether a request failed for its secret key; None when it did not."""
    if isinstance(error.__cause__, AuthenticationError):
        return "Stripe does not know this key, or not any more."
    if isinstance(error.__cause__, MayNot):
        return (
            "This restricted key may not list payments. Let it write PaymentIntents and Refunds,"
            " and read what belongs to them."
        )
    return None
