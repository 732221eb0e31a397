"""Refusals of the checkout."""

from __future__ import annotations

from typing import ClassVar

from lms.core.errors import ConflictError, Kind, RecordedRefusalError


class EnrollmentClosedError(ConflictError):
    """The run takes nobody now; `opens_at` and `closes_at` say when it does."""

    code = "enrollment_closed"
    remedy = "Choose another run."


class AlreadyEnrolledError(ConflictError):
    """The learner has a live enrollment in this run; `enrollment_id` names it."""

    code = "already_enrolled"
    remedy = "Go on with the enrollment that there is, or withdraw it first."


class ApprovalRequiredError(ConflictError):
    """The run's learners are approved; asking for it takes a seat without paying."""

    code = "approval_required"
    remedy = "Ask for it by enrolling; nothing is paid until it is approved."


class OfferNotOpenError(ConflictError):
    """There is no offered seat to accept; `state`, `awaiting` and `lapsed_at` say why."""

    code = "offer_not_open"
    remedy = "Read the enrollment, and enroll again with `wait` when it has ended."


class PaymentMethodError(ConflictError):
    """The run's price is not paid this way; `expected` lists how it is."""

    code = "payment_method_not_possible"
    remedy = "Pay by one of the methods in `expected`."


class RunChangedError(ConflictError):
    """The run, or the coupon, changed while the request was decided."""

    code = "run_changed"
    remedy = "Read the run, and try again."


class SeatGoneError(RecordedRefusalError):
    """The money came when the seat was gone; `refund` gives it back."""

    kind: ClassVar[Kind] = "conflict"
    code: ClassVar[str] = "run_full"
    remedy: ClassVar[str | None] = (
        "Wait for the refund, and enroll again with `wait` to be offered the next seat."
    )


class RefundRefusedError(RecordedRefusalError):
    """The provider definitely gave nothing back; payment and enrollment stand as before."""

    kind: ClassVar[Kind] = "conflict"
    code: ClassVar[str] = "refund_refused"
    remedy: ClassVar[str | None] = (
        "Give the money back into the learner's wallet, or ask the provider."
    )
