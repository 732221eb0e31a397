"""What is done for each kind of work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from jobs import housekeeping, imports, media, payments, runs, transcode, waitlists
from jobs.claims import Claim
from jobs.context import JobContext
from lms.core import queue


@dataclass(frozen=True, slots=True)
class Handler:
    """How one kind of work is done.

    Attributes:
        run: does it. Must be repeatable: it may be killed anywhere and run again. Raising anything
            means another attempt after a pause; it may finish the claim in its own transaction,
            otherwise the runner does so when it returns.
        gave_up: writes into the domain that the last attempt failed, in the transaction that turns
            the row of work into a dead letter. Gets the error's text, for operators.
    """

    run: Callable[[JobContext, Claim], None]
    gave_up: Callable[[Session, Claim, str], None] | None = None


HANDLERS: dict[str, Handler] = {
    queue.TRANSCODE_VIDEO: Handler(transcode.transcode_video, transcode.gave_up),
    queue.CHECK_UPLOAD: Handler(media.check_upload, media.gave_up),
    queue.SETTLE_PAYMENT: Handler(payments.settle_payment),
    queue.EXPIRE_ENROLLMENT: Handler(payments.expire_enrollment),
    queue.CANCEL_RUN: Handler(runs.cancel_run),
    queue.OFFER_SEATS: Handler(waitlists.offer_seats),
    queue.CLOSE_WAITLIST: Handler(waitlists.close_waitlist),
    queue.TAKE_OFFER: Handler(waitlists.take_offer),
    queue.IMPORT_LEARNERS: Handler(imports.import_learners, imports.gave_up_import),
    queue.ENROLL_INVITED: Handler(imports.enroll_invited),
    queue.FORGET_KEYS: Handler(housekeeping.forget_keys),
    queue.COLLECT_MEDIA: Handler(housekeeping.collect_media),
}
