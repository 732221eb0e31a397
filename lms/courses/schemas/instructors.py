"""Who teaches a course, out."""

from __future__ import annotations

import marshmallow as ma

from lms.http.schemas import Schema


class CourseInstructorOut(Schema):
    """One who teaches a course."""

    id = ma.fields.UUID(required=True)
    name = ma.fields.String(required=True)
    is_owner = ma.fields.Boolean(
        required=True,
        metadata={"description": "To whom the course belongs; the others are co-instructors."},
    )


OWNER_EXAMPLE = {
    "id": "01935b7d-91c0-7b1a-8a55-5f0c2d9e7b21",
    "name": "Mara Lindqvist",
    "is_owner": True,
}
CO_INSTRUCTOR_EXAMPLE = {
    "id": "01935b7d-a2f4-7e03-9c66-7b1e4d8f0a32",
    "name": "Tomás Oyelaran",
    "is_owner": False,
}
