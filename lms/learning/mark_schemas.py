"""What staff send and get who mark lessons as complete."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import validate

from lms.courses.models import COMPLETION_RULES
from lms.http.schemas import Schema, Text, UtcDateTime
from lms.learning.marks import MOST_MARKED, OUTCOMES
from lms.learning.schemas import EnrollmentStandingOut


class LessonMarkIn(Schema):
    """Why staff mark a lesson as complete."""

    reason = Text(
        required=True,
        metadata={
            "description": "For the audit log; without personal data.",
            "example": "Attended the live session of 12 January.",
        },
    )


class LessonMarksIn(LessonMarkIn):
    """Whose lesson staff mark as complete, and why."""

    enrollment_ids = ma.fields.List(
        ma.fields.UUID(),
        required=True,
        validate=validate.Length(min=1, max=MOST_MARKED),
        metadata={"description": "Of this run; naming one twice does no harm."},
    )


class LessonMarkOut(Schema):
    """What became of one enrollment's lesson."""

    enrollment_id = ma.fields.UUID(required=True)
    outcome = ma.fields.String(
        required=True,
        validate=validate.OneOf(OUTCOMES),
        metadata={
            "description": "`marked` now; `already_complete`, with its first date; or `refused`,"
            " which only happens among many: alone it is a problem."
        },
    )
    code = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "Why it is refused: `not_found`, `enrollment_not_active` or"
            " `lesson_of_another_version`; else null."
        },
    )
    message = ma.fields.String(required=True, allow_none=True)
    completed_at = UtcDateTime(
        required=True, allow_none=True, metadata={"description": "Of the lesson."}
    )
    completed_how = ma.fields.String(
        required=True, allow_none=True, validate=validate.OneOf(COMPLETION_RULES)
    )
    enrollment = ma.fields.Nested(EnrollmentStandingOut, required=True, allow_none=True)


class LessonMarksOut(Schema):
    """What became of everybody's lesson, in the order in which they were named."""

    items = ma.fields.List(ma.fields.Nested(LessonMarkOut), required=True)
