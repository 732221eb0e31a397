"""Courses, in and out."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import validate

from lms.http.schemas import Schema, Text, UtcDateTime

LANGUAGE = validate.Regexp(
    r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", error="Give a BCP 47 language tag, such as en or pt-BR."
)
MAX_SUMMARY = 5000


class CourseIn(Schema):
    """A new course."""

    title = Text(required=True, metadata={"example": "Espresso from Bean to Cup"})
    summary = Text(
        min_length=0,
        max_length=MAX_SUMMARY,
        multiline=True,
        load_default="",
        metadata={"description": "A few sentences for the catalog."},
    )
    language = Text(
        load_default="en",
        max_length=35,
        validate=[LANGUAGE],
        metadata={"description": "BCP 47 tag.", "example": "en"},
    )
    instructor_id = ma.fields.UUID(
        load_default=None,
        metadata={"description": "Whose course it becomes; only admins name somebody else."},
    )


class CoursePatch(Schema):
    """The members to change."""

    title = Text()
    summary = Text(min_length=0, max_length=MAX_SUMMARY, multiline=True)
    language = Text(max_length=35, validate=[LANGUAGE])


class CourseInstructorRef(Schema):
    """To whom a course belongs."""

    id = ma.fields.UUID(required=True)
    name = ma.fields.String(required=True)


class CourseOut(Schema):
    """A course."""

    id = ma.fields.UUID(required=True)
    title = ma.fields.String(required=True)
    summary = ma.fields.String(required=True)
    language = ma.fields.String(required=True, metadata={"description": "BCP 47 tag."})
    instructor = ma.fields.Nested(CourseInstructorRef, required=True)
    created_at = UtcDateTime(required=True)


COURSE_EXAMPLE = {
    "id": "01935b7e-3a51-7cc4-9d1e-0f8f3c2b6a10",
    "title": "Espresso from Bean to Cup",
    "summary": "Choose, grind, dose and pull: the craft of a good espresso in six lessons.",
    "language": "en",
    "instructor": {"id": "01935b7d-91c0-7b1a-8a55-5f0c2d9e7b21", "name": "Mara Lindqvist"},
    "created_at": "2027-01-04T09:30:00Z",
}
