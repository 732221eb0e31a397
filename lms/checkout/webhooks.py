"""Providers' events: stored once, in the transaction of their effect."""

from __future__ import annotations

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lms.payments.models import WebhookEvent
from lms.payments.providers.base import ProviderEvent
from tenants.session import organization_of

STORE = text("""
    INSERT INTO webhook_events
           (provider, account, event_id, type, provider_payment_id, provider_dispute_id,
            applied_at)
    VALUES (:provider, :account, :event_id, :type, :provider_payment_id, :provider_dispute_id,
            CASE WHEN CAST(:applied AS boolean) THEN now() END)
    ON CONFLICT (provider, account, event_id) DO UPDATE SET applied_at = excluded.applied_at
     WHERE webhook_events.applied_at IS NULL AND excluded.applied_at IS NOT NULL
""")
KEPT_OF_DISPUTE_APPLIED = text("""
    UPDATE webhook_events SET applied_at = now()
     WHERE provider = :provider AND account = :account AND provider_dispute_id = :dispute_id
       AND applied_at IS NULL
""")

KEPT_READ_AT_ONCE = 20
"""How many kept events are looked at in one go, the newest first."""

KEPT = text("""
    SELECT provider_payment_id FROM webhook_events
     WHERE provider = :provider AND account = :account AND applied_at IS NULL
       AND provider_payment_id IS NOT NULL
     GROUP BY provider_payment_id ORDER BY max(received_at) DESC LIMIT :limit
""")


def kept_payments(session: Session, provider: str) -> list[str]:
    """Return the provider's payments that kept events are about, the newest first."""
    account = str(organization_of(session).id)
    values = {"provider": provider, "account": account, "limit": KEPT_READ_AT_ONCE}
    return list(session.execute(KEPT, values).scalars())


def is_applied(session: Session, provider: str, event: ProviderEvent) -> bool:
    """Tell whether an event has had its effect already."""
    applied_at = session.scalar(
        select(WebhookEvent.applied_at).where(
            WebhookEvent.provider == provider,
            WebhookEvent.account == event.account,
            WebhookEvent.event_id == event.id,
        )
    )
    return applied_at is not None


def dispute_recorded(session: Session, provider: str, dispute_id: str) -> None:
    """Note that kept events about a dispute, now that it is recorded, have had their effect.

    Args:
        session: the organization's session, in which it was recorded.
        provider: the provider's name.
        dispute_id: its identifier there.
    """
    account = str(organization_of(session).id)
    values = {"provider": provider, "account": account, "dispute_id": dispute_id}
    session.execute(KEPT_OF_DISPUTE_APPLIED, values)


def store(session: Session, provider: str, event: ProviderEvent, *, applied: bool) -> None:
    """Keep an event; a repeated delivery changes nothing.

    Args:
        session: the organization's session, the same in which its effect is applied, before this:
            payments are locked before events.
        provider: the provider's name.
        event: as the provider signed it.
        applied: False for an event about a payment that we do not know yet, or about something
            that could not be booked.
    """
    session.execute(
        STORE,
        {
            "provider": provider,
            "account": event.account,
            "event_id": event.id,
            "type": event.type,
            "provider_payment_id": event.payment_id,
            "provider_dispute_id": event.dispute_id,
            "applied": applied,
        },
    )
