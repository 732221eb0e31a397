"""Between us and Stripe: the HTTP client, and errors in the providers' own words."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import stripe

from lms.payments.providers import stripe_errors
from lms.payments.providers.base import ProviderPayment, ProviderRejected, ProviderUnavailable
from lms.payments.providers.stripe_objects import read_payment


class Declined(Exception):
    """A decline is an answer: it carries the payment."""

    def __init__(self, payment: ProviderPayment) -> None:
        super().__init__(payment.id)
        self.payment = payment


@contextmanager
def answering(
    reading: Callable[[stripe.StripeError], ProviderRejected | ProviderUnavailable],
) -> Iterator[None]:
    """Turn what goes wrong between us and Stripe into the providers' own errors.

    Args:
        reading: What an error means for what is asked.

    Raises:
        Declined: Stripe declined a payment.
        ProviderRejected: Stripe definitely did not do what was asked.
        ProviderUnavailable: Nobody knows whether it did.
    """
    try:
        try:
            yield
        except stripe.StripeError as error:
            intent = stripe_errors.declined_intent(error)
            if intent is None:
                raise reading(error) from error
            raise Declined(read_payment(intent)) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ProviderUnavailable("Stripe's answer makes no sense") from error


@cache
def http_client(timeouts: tuple[float, float]) -> stripe.HTTPClient:
    """Return one client for all accounts: it keeps connections, one set for each thread.

    Args:
        timeouts: seconds to wait for a connection, and for each part of an answer.
    """
    # At lower levels the library logs bodies, with client secrets in them.
    logging.getLogger("stripe").setLevel(logging.WARNING)
    return stripe.RequestsClient(timeout=timeouts)
