"""Asking a provider, outside any transaction, and what of its answers may be believed."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from lms.payments.attempts import UNKNOWN, Answer, Attempt, Subject
from lms.payments.providers.base import (
    NEVER_RECEIVED,
    ProviderPayment,
    ProviderRefund,
    ProviderRejected,
    ProviderUnavailable,
)
from lms.payments.providers.interface import PaymentProvider

log = structlog.get_logger()

REFUSED_MEANS = frozenset({"unknown_token", "declined", "amount_not_accepted"})
"""Rejections that are about the means of payment or the sum: no money moved and none will."""

REFUSED_REFUNDS = frozenset(
    {"refund_exceeds_payment", "payment_not_refundable", "payment_disputed"}
)
"""Rejections that are about the payment to be given back, and not about how we asked."""


def ask(provider: PaymentProvider, attempt: Attempt) -> Answer:
    """Ask the provider, outside any transaction. Never raises for what a network may do.

    What the provider has named already is fetched. A repeated request gets the first answer,
    however old, so what was pending then is fetched too, to learn how it stands now.
    """
    try:
        if attempt.operation == "refund":
            return _ask_refund(provider, attempt)
        return _ask_payment(provider, attempt)
    except ProviderUnavailable as error:
        log.warning("provider_unavailable", subject_id=str(attempt.subject_id), error=str(error))
        return UNKNOWN
    except ProviderRejected as error:
        if attempt.operation == "refund" and error.code in REFUSED_REFUNDS:
            return _refused_refund(provider, attempt, error)
        return _rejected(attempt, error)


def cancel(provider: PaymentProvider, subject: Subject, provider_id: str) -> Answer:
    """Cancel a payment that waits for the learner, outside any transaction. Never raises.

    Args:
        provider: the organization's.
        subject: what it is to us.
        provider_id: its identifier at the provider.

    Returns:
        How it stands then: what is paid or on its way stays so.
    """
    try:
        return _answer_of_payment(provider, subject, provider.cancel_payment(provider_id))
    except (ProviderUnavailable, ProviderRejected) as error:
        log.warning("provider_cancel_failed", provider_id=provider_id, error=str(error))
        return UNKNOWN


def look(provider: PaymentProvider, subject: Subject, provider_id: str) -> Answer:
    """Fetch how a payment, top-up or refund stands now, outside any transaction.

    Args:
        provider: the organization's.
        subject: what it is to us.
        provider_id: its identifier at the provider.

    Raises:
        ProviderUnavailable: the provider could not be asked.
        ProviderRejected: it has no such payment or refund.
    """
    if subject.operation == "refund":
        return _answer_of_refund(provider, subject, provider.fetch_refund(provider_id))
    return _answer_of_payment(provider, subject, provider.fetch_payment(provider_id))


def recognize(provider: PaymentProvider, attempt: Attempt, provider_ids: Iterable[str]) -> Answer:
    """Find an attempt's payment among ones that the provider told of, by what we sent along.

    Args:
        provider: the organization's.
        attempt: a payment or top-up that the provider has not named to us.
        provider_ids: payments at the provider that we do not know yet.

    Returns:
        How it stands now; unknown when none of them is ours.
    """
    for provider_id in provider_ids:
        try:
            payment = provider.fetch_payment(provider_id)
            if payment.metadata.get(attempt.operation) == str(attempt.subject_id):
                return _answer_of_payment(provider, attempt, payment)
        except ProviderUnavailable:
            return UNKNOWN
        except ProviderRejected:
            continue
    return UNKNOWN


def _ask_payment(provider: PaymentProvider, attempt: Attempt) -> Answer:
    if attempt.provider_id is not None:
        return look(provider, attempt, attempt.provider_id)
    payment = provider.create_payment(
        idempotency_key=attempt.key,
        amount=attempt.amount,
        currency=attempt.currency,
        token=attempt.token or "",
        metadata={attempt.operation: str(attempt.subject_id)},
        first_asked=attempt.first_asked,
    )
    answer = _answer_of_payment(provider, attempt, payment)
    return answer if answer.status != "pending" else _look_again(provider, attempt, answer)


def _ask_refund(provider: PaymentProvider, attempt: Attempt) -> Answer:
    if attempt.provider_id is not None:
        return look(provider, attempt, attempt.provider_id)
    if attempt.provider_payment_id is None:
        raise ValueError("a refund needs the payment's id at the provider")
    refund = provider.refund(
        idempotency_key=attempt.key,
        payment_id=attempt.provider_payment_id,
        amount=attempt.amount,
        metadata={attempt.operation: str(attempt.subject_id)},
        first_asked=attempt.first_asked,
    )
    answer = _answer_of_refund(provider, attempt, refund)
    return answer if answer.status != "pending" else _look_again(provider, attempt, answer)


def _look_again(provider: PaymentProvider, attempt: Attempt, pending: Answer) -> Answer:
    """Learn how a pending thing stands now; a fetch that fails leaves it pending."""
    try:
        return look(provider, attempt, pending.provider_id or "")
    except (ProviderUnavailable, ProviderRejected) as error:
        log.warning("provider_fetch_failed", provider_id=pending.provider_id, error=str(error))
        return pending


def _rejected(attempt: Attempt, error: ProviderRejected) -> Answer:
    """Believe a rejection only when it is about the money and the first request itself got it.

    After an unknown outcome, a rejection says nothing about what the first request did, but for
    one that says that it never arrived.
    """
    definite = REFUSED_REFUNDS if attempt.operation == "refund" else REFUSED_MEANS
    if error.code == NEVER_RECEIVED or (attempt.is_first and error.code in definite):
        log.warning("provider_rejected", subject_id=str(attempt.subject_id), code=error.code)
        return Answer("failed", None, error.code)
    log.error(
        "provider_rejected_unclear",
        subject_id=str(attempt.subject_id),
        operation=attempt.operation,
        code=error.code,
        error=error.message,
    )
    return UNKNOWN


def _refused_refund(provider: PaymentProvider, attempt: Attempt, error: ProviderRejected) -> Answer:
    """Look for a refund that the provider will not make among those that it has made.

    If an earlier request made it, it is there. If not, the refusal is definite, however often was
    asked; what others gave back of the payment comes along, because it may be the reason.
    """
    try:
        listed = provider.list_refunds(attempt.provider_payment_id or "")
    except (ProviderUnavailable, ProviderRejected) as failure:
        log.warning("provider_fetch_failed", subject_id=str(attempt.subject_id), error=str(failure))
        return _rejected(attempt, error)
    for refund in listed:
        if refund.metadata.get("refund") == str(attempt.subject_id) and refund.status != "failed":
            return _answer_of_refund(provider, attempt, refund)
    log.warning("provider_rejected", subject_id=str(attempt.subject_id), code=error.code)
    return Answer("failed", None, error.code, refunds=tuple(listed))


def _answer_of_payment(
    provider: PaymentProvider, subject: Subject, payment: ProviderPayment
) -> Answer:
    if (payment.amount, payment.currency) != (subject.amount, subject.currency):
        return _differs(subject, payment.id, payment.amount, payment.currency)
    refunds = provider.list_refunds(payment.id) if payment.refunded_amount > 0 else ()
    return Answer(
        payment.status, payment.id, payment.decline_code, payment.client_secret, tuple(refunds)
    )


def _answer_of_refund(
    provider: PaymentProvider, subject: Subject, refund: ProviderRefund
) -> Answer:
    """Return what a refund says; with one that failed, what was given back in its place."""
    if refund.amount != subject.amount:
        return _differs(subject, refund.id, refund.amount, subject.currency)
    if refund.status != "failed":
        return Answer(refund.status, refund.id)
    listed = provider.list_refunds(refund.payment_id)
    return Answer("failed", refund.id, "refund_failed", refunds=tuple(listed))


def _differs(subject: Subject, provider_id: str, amount: int, currency: str) -> Answer:
    """Never book another sum than what was asked for: people have to look."""
    log.error(
        "provider_amount_differs",
        subject_id=str(subject.subject_id),
        operation=subject.operation,
        provider_id=provider_id,
        ours=f"{subject.amount} {subject.currency}",
        theirs=f"{amount} {currency}",
    )
    return UNKNOWN
