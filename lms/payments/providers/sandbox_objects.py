"""The sandbox server's JSON, read as the providers' own values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

from lms.payments.providers.base import (
    DisputeKind,
    DisputePage,
    DisputeStatus,
    PaymentPage,
    PaymentStatus,
    ProviderDispute,
    ProviderEvent,
    ProviderPayment,
    ProviderRefund,
    RefundStatus,
)


def read_payment(answer: Any) -> ProviderPayment:
    """Read a payment.

    Raises:
        ValueError: It is none; so for LookupError and TypeError, here and below.
    """
    status: PaymentStatus = answer["status"]
    if status not in get_args(PaymentStatus):
        raise ValueError("not a payment's status")
    return ProviderPayment(
        id=read_text(answer, "id"),
        status=status,
        amount=_whole(answer, "amount"),
        currency=read_text(answer, "currency"),
        client_secret=_text_or_none(answer, "client_secret"),
        decline_code=_text_or_none(answer, "decline_code"),
        refunded_amount=_whole(answer, "refunded_amount"),
        metadata=_metadata(answer),
    )


def read_payments(answer: Any) -> PaymentPage:
    """Read a page of payments."""
    return PaymentPage([read_payment(one) for one in _list(answer)], _text_or_none(answer, "next"))


def read_refund(answer: Any) -> ProviderRefund:
    """Read a refund."""
    status: RefundStatus = answer["status"]
    if status not in get_args(RefundStatus):
        raise ValueError("not a refund's status")
    return ProviderRefund(
        id=read_text(answer, "id"),
        payment_id=read_text(answer, "payment_id"),
        amount=_whole(answer, "amount"),
        status=status,
        metadata=_metadata(answer),
    )


def read_refunds(answer: Any) -> list[ProviderRefund]:
    """Read all refunds of a payment."""
    return [read_refund(one) for one in _list(answer)]


def read_dispute(answer: Any) -> ProviderDispute:
    """Read a dispute."""
    kind: DisputeKind = answer["kind"]
    status: DisputeStatus = answer["status"]
    if kind not in get_args(DisputeKind) or status not in get_args(DisputeStatus):
        raise ValueError("not a dispute's kind or status")
    return ProviderDispute(
        id=read_text(answer, "id"),
        payment_id=read_text(answer, "payment_id"),
        amount=_whole(answer, "amount"),
        currency=read_text(answer, "currency"),
        kind=kind,
        status=status,
        reason=read_text(answer, "reason"),
        evidence_due_at=_moment(answer, "evidence_due_at"),
        opened_at=_moment(answer, "created"),
        metadata=_metadata(answer),
    )


def read_disputes(answer: Any) -> DisputePage:
    """Read a page of disputes."""
    return DisputePage([read_dispute(one) for one in _list(answer)], _text_or_none(answer, "next"))


def read_event(answer: Any) -> ProviderEvent:
    """Read an event about a payment or one of its disputes."""
    kind, about = read_text(answer, "type"), answer["data"]["object"]
    is_dispute = kind.startswith("dispute.")
    return ProviderEvent(
        id=read_text(answer, "id"),
        type=kind,
        payment_id=read_text(about, "payment_id" if is_dispute else "id"),
        account=read_text(answer, "account"),
        created=_moment(answer, "created"),
        metadata=_metadata(about),
        dispute_id=read_text(about, "id") if is_dispute else None,
    )


def _moment(answer: Any, name: str) -> datetime:
    return datetime.fromtimestamp(_whole(answer, name), UTC)


def _list(answer: Any) -> list[Any]:
    if not isinstance(answer["data"], list):
        raise TypeError("data is not a list")
    return answer["data"]


def _metadata(answer: Any) -> dict[str, str]:
    metadata = answer.get("metadata", {})
    if not isinstance(metadata, dict):
        raise TypeError("metadata is not an object")
    return {str(name): str(value) for name, value in metadata.items()}


def read_text(answer: Any, name: str) -> str:
    """Read a member that must be text."""
    value = answer[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is not text")
    return value


def _text_or_none(answer: Any, name: str) -> str | None:
    return None if answer[name] is None else read_text(answer, name)


def _whole(answer: Any, name: str) -> int:
    value = answer[name]
    # bool is an int to Python and 1.0 equals 1, but neither is an amount
    if type(value) is not int:
        raise TypeError(f"{name} is not a whole number")
    return value
