"""Booking what a comparison found that the provider took back, and no webhook told us of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import structlog
from sqlalchemy import text

from lms.checkout import news
from lms.checkout.reconcile import provider_disputes
from lms.checkout.reconcile.report import CheckResult, Finding
from lms.checkout.reconcile.steps import Step
from lms.core.queue import Doorbell
from lms.payments.providers.base import ProviderDispute, ProviderRejected
from lms.payments.providers.interface import PaymentProvider

log = structlog.get_logger()

FOLLOWED = frozenset({"provider_refunded", provider_disputes.CHECK})

NAME = text("""
    SELECT provider_payment_id FROM payments WHERE id = CAST(:id AS uuid)
    UNION ALL
    SELECT provider_payment_id FROM wallet_top_ups WHERE id = CAST(:id AS uuid)
""")


def follow(
    step: Step, doorbell: Doorbell, provider: PaymentProvider, results: Iterable[CheckResult]
) -> int:
    """Apply how refunds and disputes stand at the provider, where ours were found to differ.

    The same is done as for a webhook about them, so what is done already changes nothing.

    Args:
        step: opens a transaction of the organization.
        doorbell: rung when a refund has to follow.
        provider: its account; asked outside any transaction.
        results: of `compare`: what they list is followed.

    Returns:
        How many differences were looked at.

    Raises:
        ProviderUnavailable: the provider could not be asked.
    """
    looked_at = 0
    for finding in _followed(results):
        looked_at += 1
        try:
            _follow(step, doorbell, provider, finding)
        except ProviderRejected as error:
            log.warning("not_followed", subject_id=finding.subject_id, error=str(error))
    return looked_at


def _followed(results: Iterable[CheckResult]) -> Iterator[Finding]:
    for result in results:
        if result.name in FOLLOWED:
            yield from result.findings


def _follow(step: Step, doorbell: Doorbell, provider: PaymentProvider, finding: Finding) -> None:
    dispute: ProviderDispute | None = None
    if finding.check == provider_disputes.CHECK:
        dispute = provider.fetch_dispute(finding.subject_id)
        name, metadata = (None, {}) if dispute is None else (dispute.payment_id, dispute.metadata)
    else:
        with step() as session:
            name, metadata = session.execute(NAME, {"id": finding.subject_id}).scalar(), {}
    if name is None:
        return
    with step() as session:
        heard = news.find(session, provider.name, name, metadata)
    if heard is None:
        return
    seen = news.look_at(provider, heard, dispute)
    with step() as session:
        news.write(session, doorbell, provider.name, seen)
