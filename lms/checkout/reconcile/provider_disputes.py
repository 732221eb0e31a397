"""Our disputes against the provider's own list of them, in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from lms.checkout.reconcile.report import Finding
from lms.checkout.reconcile.steps import LOOKED_AT_AGAIN, Allowance, Step, listed_since
from lms.payments.providers.base import ProviderDispute, ProviderRejected
from lms.payments.providers.interface import PaymentProvider

CHECK = "provider_dispute"

OURS = text("""
    SELECT provider_dispute_id, amount, currency, kind, status, opened_at
      FROM disputes WHERE provider = :provider
""")


def compare_disputes(
    step: Step, provider: PaymentProvider, *, since: datetime | None, allowance: Allowance
) -> tuple[list[Finding], bool]:
    """Compare our disputes with the provider's; it is asked outside any transaction.

    What differs is fetched and read once more, so that what is told meanwhile is no difference.

    Args:
        step: opens a transaction of the organization.
        provider: its account.
        since: only what was opened since then; None for all.
        allowance: how much may be asked.

    Returns:
        What differs, and whether the list was read to its end.

    Raises:
        ProviderUnavailable: the provider could not be asked.
        ProviderRejected: it lists nothing for us.
    """
    if allowance.is_over:
        return [], False
    listed, is_complete = _read_list(provider, since, allowance)
    with step() as session:
        ours = _read(session, provider)
    pairs: dict[str, ProviderDispute | None] = {
        name: None
        for name, row in (ours.items() if is_complete else ())
        if since is None or row.opened_at >= since
    }
    pairs.update({one.id: one for one in listed})
    suspects = sorted(name for name, theirs in pairs.items() if _differs(ours.get(name), theirs))
    for name in suspects[:LOOKED_AT_AGAIN]:
        if allowance.is_over:
            break
        pairs[name] = _fetched(provider, name)
    if suspects:
        with step() as session:
            ours = _read(session, provider)
    findings = [
        Finding(
            check=CHECK,
            subject_type="provider_dispute",
            subject_id=name,
            expected=_told(ours.get(name), "in our books"),
            found=_told(pairs[name], "at the provider"),
        )
        for name in suspects
        if _differs(ours.get(name), pairs[name])
    ]
    return findings, is_complete


def _read_list(
    provider: PaymentProvider, since: datetime | None, allowance: Allowance
) -> tuple[list[ProviderDispute], bool]:
    created_after = listed_since(since)

    def page_after(cursor: str | None) -> tuple[Sequence[ProviderDispute], str | None]:
        page = provider.list_disputes(created_after=created_after, cursor=cursor)
        return page.disputes, page.next_cursor

    return allowance.read(page_after)


def _read(session: Session, provider: PaymentProvider) -> dict[str, Row[Any]]:
    rows = session.execute(OURS, {"provider": provider.name}).all()
    return {row.provider_dispute_id: row for row in rows}


def _fetched(provider: PaymentProvider, name: str) -> ProviderDispute | None:
    try:
        return provider.fetch_dispute(name)
    except ProviderRejected:
        return None


def _differs(ours: Row[Any] | None, theirs: ProviderDispute | None) -> bool:
    return _told(ours, "") != _told(theirs, "")


def _told(dispute: Row[Any] | ProviderDispute | None, where: str) -> str:
    if dispute is None:
        return f"nothing {where}"
    return f"{dispute.status} {dispute.kind} of {dispute.amount} {dispute.currency}"
