"""What learners' clients send and get."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import validate

from lms.courses.models import COMPLETION_RULES, LESSON_KINDS
from lms.enrollments.models import LIVE_STATES
from lms.http.schemas import Boolean, Integer, Schema, UtcDateTime
from lms.learning.availability import LOCK_REASONS
from lms.learning.operations import Report
from lms.media.captions.models import CAPTION_KINDS

MAX_SECONDS = 2**31 - 1
MAX_INTERVALS = 1000
ENROLLMENT_STATES = (*LIVE_STATES, "withdrawn", "expired", "cancelled", "transferred")


class Seconds(ma.fields.Float):
    """A JSON number of seconds, not negative; strings are refused."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=validate.Range(0, MAX_SECONDS), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


def _not_empty(interval: list[int]) -> None:
    if len(interval) == 2 and interval[0] >= interval[1]:
        raise ma.ValidationError("An interval must end after it begins.")


class LessonProgressIn(Schema):
    """What happened in a lesson since, or until, now. Repeats and late reports do no harm."""

    position_seconds = Seconds(
        metadata={"description": "Where to resume the video or audio.", "example": 95.5}
    )
    watched = ma.fields.List(
        ma.fields.List(
            Integer(minimum=0, maximum=MAX_SECONDS),
            validate=[validate.Length(equal=2), _not_empty],
        ),
        validate=validate.Length(max=MAX_INTERVALS),
        metadata={
            "description": "Parts of the video that were played, in whole seconds: [from, to), to"
            " not included. Joined with what was reported before.",
            "example": [[0, 30], [60, 95]],
        },
    )
    dwell_seconds = Integer(
        minimum=0,
        maximum=MAX_SECONDS,
        metadata={
            "description": "Time spent in the lesson so far, in total. Counted from the first"
            " report, so send one when the lesson is opened.",
            "example": 60,
        },
    )
    viewed = Boolean(
        validate=validate.Equal(True),
        metadata={"description": "The lesson was opened.", "example": True},
    )
    completed = Boolean(
        validate=validate.Equal(True),
        metadata={
            "description": "The learner marks the lesson as done, where its rule is"
            " `marked_by_learner`. It cannot be taken back.",
            "example": True,
        },
    )

    @ma.validates_schema
    def _says_something(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if not data:
            raise ma.ValidationError("Report at least one member.")

    @ma.post_load
    def _make(self, data: dict[str, Any], **_kwargs: Any) -> Report:
        watched = tuple((start, stop) for start, stop in data.pop("watched", ()))
        return Report(watched=watched, **data)


class EnrollmentStandingOut(Schema):
    """Where the enrollment stands after a report."""

    state = ma.fields.String(required=True, validate=validate.OneOf(ENROLLMENT_STATES))
    percent = ma.fields.Integer(required=True, metadata={"example": 66})
    completed_at = UtcDateTime(required=True, allow_none=True)


class LessonProgressOut(Schema):
    """A lesson's progress after a report, and what it did to the enrollment."""

    lesson_id = ma.fields.UUID(required=True)
    lesson_lineage_id = ma.fields.UUID(required=True)
    position_seconds = ma.fields.Float(required=True)
    dwell_seconds = ma.fields.Integer(required=True)
    watched_seconds = ma.fields.Integer(required=True)
    watched_percent = ma.fields.Integer(
        required=True, allow_none=True, metadata={"description": "Null without a video."}
    )
    completed_at = UtcDateTime(required=True, allow_none=True)
    completed_how = ma.fields.String(
        required=True, allow_none=True, validate=validate.OneOf(COMPLETION_RULES)
    )
    enrollment = ma.fields.Nested(EnrollmentStandingOut, required=True)


class ModuleRef(Schema):
    """The module that a lesson belongs to."""

    id = ma.fields.UUID(required=True)
    title = ma.fields.String(required=True)


class LockOut(Schema):
    """Why a lesson is not open, and what opens it."""

    reason = ma.fields.String(
        required=True,
        validate=validate.OneOf(LOCK_REASONS),
        metadata={
            "description": "`not_yet_available`: too early; `earlier_lessons`: required lessons"
            " before it in its module are to be done first."
        },
    )
    available_at = UtcDateTime(
        required=True,
        allow_none=True,
        metadata={
            "description": "When it is no longer too early; null for `earlier_lessons`, and while"
            " the enrollment is not active yet."
        },
    )
    lessons = ma.fields.List(
        ma.fields.UUID(),
        required=True,
        metadata={
            "description": "Ids of lessons to be done before it, in order: the first ten of them."
        },
    )


class LessonStandingOut(Schema):
    """A lesson of the enrollment's version, with what the learner did in it."""

    lesson_id = ma.fields.UUID(required=True)
    lesson_lineage_id = ma.fields.UUID(
        required=True,
        metadata={"description": "The same for this lesson in every version of the course."},
    )
    module = ma.fields.Nested(ModuleRef, required=True)
    title = ma.fields.String(required=True)
    kind = ma.fields.String(required=True, validate=validate.OneOf(LESSON_KINDS))
    required = ma.fields.Boolean(required=True)
    completed_at = UtcDateTime(required=True, allow_none=True)
    completed_how = ma.fields.String(
        required=True, allow_none=True, validate=validate.OneOf(COMPLETION_RULES)
    )
    position_seconds = ma.fields.Float(required=True)
    watched_seconds = ma.fields.Integer(
        required=True, metadata={"description": "Distinct seconds of the video that were played."}
    )
    watched_percent = ma.fields.Integer(
        required=True, allow_none=True, metadata={"description": "Null without a video."}
    )
    locked = ma.fields.Nested(
        LockOut,
        required=True,
        allow_none=True,
        metadata={"description": "Null when it is open; what is completed always is."},
    )


class EnrollmentProgressOut(Schema):
    """An enrollment's progress, lesson by lesson, in the order of the version."""

    enrollment_id = ma.fields.UUID(required=True)
    version_id = ma.fields.UUID(required=True)
    state = ma.fields.String(required=True, validate=validate.OneOf(ENROLLMENT_STATES))
    percent = ma.fields.Integer(
        required=True,
        metadata={"description": "Completed share of the required lessons' weight, 0 to 100."},
    )
    completed_at = UtcDateTime(required=True, allow_none=True)
    next_lesson = ma.fields.Nested(
        LessonStandingOut,
        required=True,
        allow_none=True,
        metadata={
            "description": "What to do next: the first required lesson that is open and not done,"
            " else an optional one; null when there is none."
        },
    )
    lessons = ma.fields.List(ma.fields.Nested(LessonStandingOut), required=True)


class PlaybackRenditionOut(Schema):
    """One resolution that can be played by itself. `bandwidth` is in bits per second."""

    label = ma.fields.String(required=True, metadata={"example": "720p"})
    width = ma.fields.Integer(required=True)
    height = ma.fields.Integer(required=True)
    bandwidth = ma.fields.Integer(required=True)
    playlist_url = ma.fields.Url(required=True, metadata={"description": "HLS media playlist."})


class PlaybackCaptionOut(Schema):
    """What is said in the video, in one language."""

    language = ma.fields.String(
        required=True, metadata={"description": "BCP 47 tag.", "example": "pt-BR"}
    )
    kind = ma.fields.String(
        required=True,
        validate=validate.OneOf(CAPTION_KINDS),
        metadata={"description": "As the `track` element has it."},
    )
    label = ma.fields.String(required=True, metadata={"example": "Português"})
    url = ma.fields.Url(required=True, metadata={"description": "WebVTT; for a `track` with CORS."})
    playlist_url = ma.fields.Url(required=True, metadata={"description": "HLS media playlist."})


class PlaybackOut(Schema):
    """How to play a video. The links are secrets of this user; ask again when they ran out."""

    video_id = ma.fields.UUID(required=True)
    duration_seconds = ma.fields.Float(required=True, allow_none=True)
    width = ma.fields.Integer(required=True, allow_none=True)
    height = ma.fields.Integer(required=True, allow_none=True)
    master_url = ma.fields.Url(
        required=True, metadata={"description": "HLS master playlist, for any HLS player."}
    )
    poster_url = ma.fields.Url(required=True, allow_none=True)
    thumbnails_url = ma.fields.Url(
        required=True,
        allow_none=True,
        metadata={"description": "WebVTT that names a thumbnail for each time of the video."},
    )
    expires_at = UtcDateTime(required=True)
    renditions = ma.fields.List(ma.fields.Nested(PlaybackRenditionOut), required=True)
    captions = ma.fields.List(
        ma.fields.Nested(PlaybackCaptionOut),
        required=True,
        metadata={"description": "Subtitles and captions, by their labels."},
    )


class DownloadOut(Schema):
    """A link that downloads one file under its own name."""

    url = ma.fields.Url(required=True)
    expires_at = UtcDateTime(required=True)
