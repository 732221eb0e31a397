"""The route by which payment providers report."""

from __future__ import annotations

import structlog
from sqlalchemy.orm import Session

from lms.checkout import news, webhooks
from lms.checkout.news import Heard, Seen
from lms.core import clock
from lms.core.encryption import UnreadableSecretError
from lms.core.errors import NotFoundError
from lms.core.queue import Doorbell
from lms.http.blueprint import PUBLIC, TenantBlueprint
from lms.http.bodies import read_body
from lms.http.call import Call
from lms.payments.errors import (
    InvalidWebhookError,
    ProviderAwayError,
    ProviderNotConfiguredError,
)
from lms.payments.presenting import provider_of
from lms.payments.providers.base import (
    InvalidWebhook,
    ProviderDispute,
    ProviderEvent,
    ProviderRejected,
    ProviderUnavailable,
)
from lms.payments.providers.interface import PaymentProvider
from tenants.session import STILL_SETTLING

log = structlog.get_logger()

blp = TenantBlueprint(
    "Webhooks", __name__, description="For payment providers: news of what became of the money."
)


@blp.operation(
    "POST",
    "/webhooks/<string:provider_name>",
    id="receiveWebhook",
    raw_body="application/json",
    status=204,
    roles=PUBLIC,
    transaction="steps",
    states=STILL_SETTLING,
    refusals=(400, 413),
)
def receive_webhook(call: Call, provider_name: str) -> None:
    """Take a payment provider's event.

    For providers. The signature is checked on the raw body (400 `invalid_webhook`). The event only
    says that it is time to look: the payment is fetched and applied as it stands now, so repeated
    and late events do no harm; so are its refunds, and the dispute that it is about. 204 once it is
    stored; 503 asks the provider to send it again.
    """
    doorbell, body = call.use(Doorbell), read_body(call.request)
    heard = dispute = None
    with call.transaction() as session:
        provider = _provider(call, session, provider_name)
        event = _event(call, provider, body)
        if event is None or webhooks.is_applied(session, provider.name, event):
            return
        if event.dispute_id is None:
            heard = news.find(session, provider.name, event.payment_id, event.metadata)
            if heard is None and event.surely_ours:
                webhooks.store(session, provider.name, event, applied=False)
    if event.dispute_id is not None:
        heard, dispute = _heard_of_dispute(call, provider, event, event.dispute_id)
    if heard is None:
        return
    seen = _look(provider, heard, dispute)
    with call.transaction() as session:
        is_complete = news.write(session, doorbell, provider.name, seen)
        webhooks.store(session, provider.name, event, applied=is_complete)


def _provider(call: Call, session: Session, name: str) -> PaymentProvider:
    try:
        return provider_of(call, session, name)
    except ProviderNotConfiguredError as error:
        raise NotFoundError("There is no such provider.") from error
    except UnreadableSecretError as error:
        # how this installation keeps its secrets is nobody's business who sends events
        log.error(error.code, error=error.detail)  # noqa: TRY400 - expected: no trace is needed
        raise ProviderAwayError("Events cannot be taken now; send it again.") from error


def _event(call: Call, provider: PaymentProvider, body: bytes) -> ProviderEvent | None:
    signature = call.request.headers.get(provider.signature_header, "")
    try:
        return provider.parse_webhook(body, signature, now=clock.now())
    except InvalidWebhook as error:
        raise InvalidWebhookError(f"This is not an event of the provider: {error}.") from error


def _heard_of_dispute(
    call: Call, provider: PaymentProvider, event: ProviderEvent, dispute_id: str
) -> tuple[Heard | None, ProviderDispute | None]:
    """Fetch a dispute, and find what it is about; nothing for one of somebody else's payment.

    Raises:
        ProviderAwayError: the provider cannot be asked, or we do not know the payment yet.
    """
    try:
        dispute = provider.fetch_dispute(dispute_id)
    except (ProviderUnavailable, ProviderRejected) as error:
        raise ProviderAwayError("The dispute cannot be fetched now; send it again.") from error
    if dispute is None:
        return None, None
    with call.transaction() as session:
        heard = news.find(session, provider.name, dispute.payment_id, dispute.metadata)
        if heard is None:
            webhooks.store(session, provider.name, event, applied=False)
    if heard is None:
        raise ProviderAwayError("Its payment is not known here yet; send it again.")
    return heard, dispute


def _look(provider: PaymentProvider, heard: Heard, dispute: ProviderDispute | None) -> Seen:
    try:
        return news.look_at(provider, heard, dispute)
    except (ProviderUnavailable, ProviderRejected) as error:
        raise ProviderAwayError("The payment cannot be fetched now; send it again.") from error
