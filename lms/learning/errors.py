"""What a learner may be refused, each with what is missing and what would change it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from lms.core.clock import rfc3339
from lms.core.errors import ConflictError, ForbiddenError, InvalidInputError
from lms.learning.availability import Lock

REMEDIES = {
    "payment": "Finish the payment.",
    "approval": "Wait until it is approved.",
    "offer": "Accept the seat that is offered.",
    "invitation": "Accept the invitation to the academy.",
    "waitlisted": "Wait for an offered seat and accept it.",
    "suspended": "Ask the course's staff to reinstate it.",
    "expired": "Ask the course's staff to extend it.",
    "withdrawn": "Enroll again.",
    "cancelled": "Enroll again.",
    "transferred": "Go on in the run that it was transferred to.",
}
"""By an enrollment's state, or what it is awaiting: what would let the learner go on."""

STAFF_REMEDIES = {
    "payment": "Wait until the learner has paid.",
    "approval": "Approve it.",
    "offer": "Wait until the learner accepts the seat that is offered.",
    "invitation": "Wait until the learner accepts the invitation to the academy.",
    "waitlisted": "Wait until the learner has a seat.",
    "suspended": "Reinstate it.",
    "expired": "Extend it.",
    "withdrawn": "Enroll the learner again.",
    "cancelled": "Enroll the learner again.",
    "transferred": "Mark the lesson in the run that it was transferred to.",
}
"""By an enrollment's state, or what it is awaiting: what would let staff mark its lessons."""


class EnrollmentNotActiveError(ConflictError):
    """Progress is recorded only for active and completed enrollments."""

    code = "enrollment_not_active"

    def __init__(self, state: str, since: datetime | None, remedy: str) -> None:
        super().__init__(
            f"This enrollment is {state}, so nothing is recorded. {remedy}",
            state=state,
            since=since and rfc3339(since),
            remedy=remedy,
        )


class EnrollmentHasNoAccessError(ForbiddenError):
    """The learner has an enrollment with this content, but it does not open it now."""

    code = "enrollment_has_no_access"

    def __init__(self, state: str, since: datetime | None, remedy: str) -> None:
        super().__init__(
            f"Your enrollment is {state}, so its content is closed. {remedy}",
            state=state,
            since=since and rfc3339(since),
            remedy=remedy,
        )


class AccessEndedError(ConflictError):
    """The run's content may no longer be read: its access has ended."""

    code = "access_ended"

    def __init__(self, ended_at: datetime) -> None:
        remedy = "Ask the course's staff to prolong it."
        super().__init__(
            f"Access to this run's content ended at {rfc3339(ended_at)}. {remedy}",
            access_ended_at=rfc3339(ended_at),
            remedy=remedy,
        )


class LessonOfAnotherVersionError(ConflictError):
    """The lesson is of a version in which the enrollment is not, or not any more.

    Its run was upgraded, most likely, while the learner had the content open.
    """

    code = "lesson_of_another_version"

    def __init__(
        self,
        version_id: UUID,
        lesson_id: str | None,
        remedy: str = "Read the outline of that version, and go on there.",
    ) -> None:
        super().__init__(
            "This lesson is not of the version of the course in which this enrollment is by now."
            f" {remedy}",
            version_id=str(version_id),
            lesson_id=lesson_id,
            remedy=remedy,
        )


class LessonLockedError(ConflictError):
    """The lesson does not open yet: too early, or lessons before it are not done."""

    code = "lesson_locked"

    def __init__(self, lock: Lock) -> None:
        super().__init__(
            f"This lesson is locked. {lock.remedy}",
            reason=lock.reason,
            available_at=lock.available_at and rfc3339(lock.available_at),
            lessons=[str(lesson_id) for lesson_id in lock.lessons],
            remedy=lock.remedy,
        )


class NotMarkableByLearnerError(ForbiddenError):
    """The lesson's rule does not let the learner say that it is done."""

    code = "not_markable_by_learner"
    remedy = "Do what completes the lesson by its own rule."


class UnknownDurationError(InvalidInputError):
    """Intervals beyond a day, of a video whose duration is not known."""

    code = "interval_too_long"
    remedy = "Report what lies within the first 24 hours of the video."


class PlaybackLinkExpiredError(ForbiddenError):
    """A playlist's link was used after its time."""

    code = "playback_link_expired"
    remedy = "Ask for the video's playback again."


class VideoNotReadyError(ConflictError):
    """The video has no rendition yet, or could not be transcoded."""

    code = "video_not_ready"
    remedy = (
        "Wait until it is transcoded; if that failed, the course's staff can have it done again."
    )


class TransferNotPossibleError(ConflictError):
    """The learner cannot go on in that run; `reason` says why."""

    code = "transfer_not_possible"
    remedy = "Choose another run of the same course that takes learners, and has not got this one."

    def __init__(
        self,
        reason: Literal["same_run", "other_course", "run_not_open", "already_enrolled"],
        detail: str,
        *,
        run_state: str | None = None,
        enrollment_id: str | None = None,
    ) -> None:
        super().__init__(detail, reason=reason, run_state=run_state, enrollment_id=enrollment_id)
