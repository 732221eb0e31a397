"""Reconciling one organization: its own books, then the provider's. Nothing is written."""

from __future__ import annotations

from datetime import datetime

from lms.checkout.reconcile import provider as at_provider
from lms.checkout.reconcile.books import check_books
from lms.checkout.reconcile.report import Report
from lms.checkout.reconcile.steps import Bounds, Step
from lms.payments.providers.interface import PaymentProvider


def reconcile(
    step: Step,
    *,
    provider: PaymentProvider | None = None,
    since: datetime | None = None,
    bounds: Bounds | None = None,
) -> Report:
    """Check an organization's books, and compare them with the provider's when it is given.

    Args:
        step: opens one transaction of the organization; the provider is asked between two.
        provider: the organization's account; None leaves the comparison out.
        since: compare only the provider's payments made since then; None for all.
        bounds: how much the provider may be asked; None to read its whole list.

    Raises:
        ProviderUnavailable: the provider could not be asked.
        ProviderRejected: it lists nothing for us.
    """
    with step() as session:
        checks = check_books(session)
    if provider is None:
        return Report(tuple(checks))
    compared, listed = at_provider.compare(step, provider, since=since, bounds=bounds)
    return Report((*checks, *compared), listed)
