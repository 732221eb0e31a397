"""News of a payment at a provider: what it is about, how it stands now, and writing that down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from lms.checkout import webhooks
from lms.checkout.cancellations import refund_after_dispute
from lms.checkout.external_refunds import unbooked
from lms.checkout.offers import look_again
from lms.checkout.settlement import apply
from lms.checkout.subjects import find_subject, open_refunds
from lms.core.queue import Doorbell
from lms.payments.asking import look
from lms.payments.attempts import Answer, Subject
from lms.payments.disputes import record_dispute
from lms.payments.providers.base import ProviderDispute
from lms.payments.providers.interface import PaymentProvider


@dataclass(frozen=True, slots=True)
class Heard:
    """What news are about.

    Attributes:
        subject: the payment or top-up.
        waiting: it, and refunds of it that wait at the provider; each with its identifier there.
    """

    subject: Subject
    waiting: tuple[tuple[Subject, str], ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """How things stand at the provider.

    Attributes:
        subject: the payment or top-up.
        answers: about it, first, and its refunds.
        dispute: the dispute that the news are about, if they are about one.
    """

    subject: Subject
    answers: Sequence[tuple[Subject, Answer]]
    dispute: ProviderDispute | None = None


def find(
    session: Session, provider: str, provider_payment_id: str, metadata: Mapping[str, str]
) -> Heard | None:
    """Return what a provider's payment is to us, None for one that we do not know.

    Args:
        session: the organization's session.
        provider: the provider's name.
        provider_payment_id: its identifier of the payment.
        metadata: what we sent along with it.
    """
    subject = find_subject(session, provider, provider_payment_id, metadata)
    if subject is None:
        return None
    waiting = open_refunds(session, subject.subject_id)
    return Heard(subject, ((subject, provider_payment_id), *waiting))


def look_at(
    provider: PaymentProvider, heard: Heard, dispute: ProviderDispute | None = None
) -> Seen:
    """Fetch how a payment and its waiting refunds stand now, outside any transaction.

    Args:
        provider: the organization's.
        heard: what to look at.
        dispute: as it was fetched, when the news are about one.

    Raises:
        ProviderUnavailable: the provider could not be asked.
        ProviderRejected: it has no such payment or refund.
    """
    answers = [(subject, look(provider, subject, name)) for subject, name in heard.waiting]
    return Seen(heard.subject, answers, dispute)


def write(session: Session, doorbell: Doorbell, provider: str, seen: Seen) -> bool:
    """Write down how things stand.

    Args:
        session: the organization's session.
        doorbell: rung when a refund has to follow.
        provider: the provider's name.
        seen: as it was fetched.

    Returns:
        Whether what they are about, a dispute or a payment with its refunds, is in our books.
    """
    about, first = seen.answers[0]
    is_complete = first.status != "unknown"
    for subject, answer in seen.answers:
        is_complete &= apply(session, doorbell, subject.operation, subject.subject_id, answer)
    if about.operation == "payment" and first.status == "succeeded":
        # a refund that failed may have made room for what did not fit before it
        is_complete = not unbooked(session, about.subject_id, first.refunds)
    if seen.dispute is not None:
        is_complete = record_dispute(session, seen.subject, provider, seen.dispute)
        if is_complete:
            webhooks.dispute_recorded(session, provider, seen.dispute.id)
        if seen.subject.operation == "payment":
            refund_after_dispute(session, doorbell, seen.subject.subject_id)
            look_again(session, doorbell, seen.subject.subject_id)
    return is_complete
