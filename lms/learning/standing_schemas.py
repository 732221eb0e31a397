"""How learners get on, as clients see it."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import validate

from lms.enrollments.schemas import STATES, RunEnrollmentQuery
from lms.http.schemas import Schema, UtcDateTime
from lms.learning.schemas import ModuleRef


class RunProgressQuery(RunEnrollmentQuery):
    """Which learners of a run to list."""

    inactive_since = UtcDateTime(
        load_default=None,
        metadata={
            "description": "Only learners who were enrolled before this moment and have done"
            " nothing from then on.",
            "example": "2027-02-01T00:00:00Z",
        },
    )


class LearnerRef(Schema):
    """Whose enrollment it is."""

    id = ma.fields.UUID(required=True)
    name = ma.fields.String(required=True)
    email = ma.fields.String(required=True)


class OpenLessonOut(Schema):
    """A lesson that is still to be done."""

    lesson_id = ma.fields.UUID(required=True)
    lesson_lineage_id = ma.fields.UUID(
        required=True,
        metadata={"description": "The same for this lesson in every version of the course."},
    )
    title = ma.fields.String(required=True)
    module = ma.fields.Nested(ModuleRef, required=True)


class LearnerProgressOut(Schema):
    """How one learner of a run gets on."""

    enrollment_id = ma.fields.UUID(required=True)
    learner = ma.fields.Nested(LearnerRef, required=True)
    state = ma.fields.String(required=True, validate=validate.OneOf(STATES))
    percent = ma.fields.Integer(
        required=True,
        metadata={"description": "Completed share of the required lessons' weight, 0 to 100."},
    )
    activated_at = UtcDateTime(required=True, allow_none=True)
    last_activity_at = UtcDateTime(
        required=True,
        allow_none=True,
        metadata={
            "description": "Null before the first report of progress; marks by staff are none."
        },
    )
    completed_at = UtcDateTime(required=True, allow_none=True)
    required_lessons_done = ma.fields.Integer(required=True)
    required_lessons_total = ma.fields.Integer(
        required=True, metadata={"description": "Of the version that this learner studies."}
    )
    stuck_at = ma.fields.Nested(
        OpenLessonOut,
        required=True,
        allow_none=True,
        metadata={
            "description": "The first required lesson, in order, that is not completed; null when"
            " all are."
        },
    )


class TitledRef(Schema):
    """A course or a run, by name."""

    id = ma.fields.UUID(required=True)
    title = ma.fields.String(required=True)


class TranscriptEntryOut(Schema):
    """One enrollment of a learner's."""

    enrollment_id = ma.fields.UUID(required=True)
    course = ma.fields.Nested(TitledRef, required=True)
    run = ma.fields.Nested(TitledRef, required=True)
    version_number = ma.fields.Integer(
        required=True, metadata={"description": "Of the course's content that was studied."}
    )
    state = ma.fields.String(required=True, validate=validate.OneOf(STATES))
    attempt = ma.fields.Integer(
        required=True, metadata={"description": "Counts this learner's enrollments in the run."}
    )
    percent = ma.fields.Integer(required=True)
    activated_at = UtcDateTime(required=True, allow_none=True)
    completed_at = UtcDateTime(required=True, allow_none=True)
    ended_at = UtcDateTime(required=True, allow_none=True)


LEARNER_PROGRESS_EXAMPLE = {
    "enrollment_id": "01935ba0-1a2b-7c3d-8e4f-5061728394a5",
    "learner": {
        "id": "01935b7d-a2d1-7c2b-9b66-6a1d3e0f8c32",
        "name": "Jonas Weber",
        "email": "jonas.weber@example.com",
    },
    "state": "active",
    "percent": 40,
    "activated_at": "2027-01-11T09:12:00Z",
    "last_activity_at": "2027-01-27T18:45:10Z",
    "completed_at": None,
    "required_lessons_done": 2,
    "required_lessons_total": 5,
    "stuck_at": {
        "lesson_id": "01935b83-77c1-7e55-a1b2-c3d4e5f60718",
        "lesson_lineage_id": "01935b83-77c1-7e55-a1b2-c3d4e5f60718",
        "title": "Dialling in",
        "module": {"id": "01935b82-5e10-7c3b-9f00-1d2e3f4a5b66", "title": "The grind"},
    },
}
TRANSCRIPT_ENTRY_EXAMPLE = {
    "enrollment_id": "01935ba0-1a2b-7c3d-8e4f-5061728394a5",
    "course": {
        "id": "01935b7e-3a51-7cc4-9d1e-0f8f3c2b6a10",
        "title": "Espresso from Bean to Cup",
    },
    "run": {"id": "01935b90-2b3c-7d4e-8f50-617283940a5b", "title": "January 2027 cohort"},
    "version_number": 2,
    "state": "completed",
    "attempt": 1,
    "percent": 100,
    "activated_at": "2027-01-11T09:12:00Z",
    "completed_at": "2027-03-02T20:31:00Z",
    "ended_at": None,
}
