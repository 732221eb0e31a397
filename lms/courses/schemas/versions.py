"""Course versions, in and out."""

from __future__ import annotations

import marshmallow as ma

from lms.http.schemas import Schema, Text, UtcDateTime


class CourseVersionIn(Schema):
    """A new draft."""

    label = Text(
        min_length=0,
        load_default="",
        metadata={"description": "A name for people.", "example": "Spring revision"},
    )
    base_version_id = ma.fields.UUID(
        load_default=None,
        metadata={
            "description": "The published or archived version to copy; the latest published one"
            " when absent, and an empty draft for a course's first."
        },
    )


class CourseVersionOut(Schema):
    """A version of a course's content. Only a `draft` can be edited."""

    id = ma.fields.UUID(required=True)
    course_id = ma.fields.UUID(required=True)
    number = ma.fields.Integer(
        required=True, metadata={"description": "Counts up per course, from 1."}
    )
    label = ma.fields.String(required=True)
    state = ma.fields.String(required=True, metadata={"enum": ["draft", "published", "archived"]})
    base_version_id = ma.fields.UUID(
        required=True,
        allow_none=True,
        metadata={"description": "The version it was copied from."},
    )
    published_at = UtcDateTime(required=True, allow_none=True)
    archived_at = UtcDateTime(required=True, allow_none=True)
    created_at = UtcDateTime(required=True)


VERSION_EXAMPLE = {
    "id": "01935b80-11aa-7d02-b3c4-9a7e5d1f2c33",
    "course_id": "01935b7e-3a51-7cc4-9d1e-0f8f3c2b6a10",
    "number": 2,
    "label": "Spring revision",
    "state": "draft",
    "base_version_id": "01935b7f-0c2d-7a90-8e11-4b6d8f0a9c44",
    "published_at": None,
    "archived_at": None,
    "created_at": "2027-01-05T10:00:00Z",
}
