"""A version's content as learners' clients get it."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import validate

from lms.courses.models import COMPLETION_RULES, LESSON_KINDS
from lms.courses.schemas.content import AVAILABILITY, SEQUENTIAL, Availability
from lms.http.schemas import Schema


class OutlineCompletion(Schema):
    """What completes a lesson; `percent` of the video or `seconds` where the rule has them."""

    rule = ma.fields.String(required=True, validate=validate.OneOf(COMPLETION_RULES))
    percent = ma.fields.Integer()
    seconds = ma.fields.Integer()


class OutlineMedia(Schema):
    """A file of a lesson. `size` is in bytes; `video_id` is for playback."""

    media_file_id = ma.fields.UUID(required=True)
    kind = ma.fields.String(required=True)
    content_type = ma.fields.String(required=True)
    file_name = ma.fields.String(required=True)
    size = ma.fields.Integer(required=True)
    video_id = ma.fields.UUID(required=True, allow_none=True)
    duration_seconds = ma.fields.Float(required=True, allow_none=True)


class FrozenLessonOut(Schema):
    """A lesson as its published version has it; `content` is Markdown."""

    id = ma.fields.UUID(required=True)
    lineage_id = ma.fields.UUID(required=True)
    kind = ma.fields.String(required=True, validate=validate.OneOf(LESSON_KINDS))
    title = ma.fields.String(required=True)
    content = ma.fields.String(required=True)
    content_html = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "`content` as sanitised HTML, to be shown as it is, frozen with the"
            " version; null in versions that were published before there was any."
        },
    )
    estimated_seconds = ma.fields.Integer(required=True)
    required = ma.fields.Boolean(required=True)
    preview = ma.fields.Boolean(required=True)
    weight = ma.fields.Integer(required=True)
    completion = ma.fields.Nested(OutlineCompletion, required=True)
    availability = ma.fields.Nested(
        Availability,
        allow_none=True,
        metadata={
            "description": f"{AVAILABILITY} Absent in versions published before there was any."
        },
    )
    media = ma.fields.List(ma.fields.Nested(OutlineMedia), required=True)


class OutlineLesson(FrozenLessonOut):
    """A lesson in its place; `content` is Markdown."""

    content = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "Null for learners where the lesson has an `availability`, or comes"
            " after another one in a `sequential` module: it may be locked, so its text is read by"
            " itself, with `getEnrollmentLesson`."
        },
    )
    content_html = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "`content` as sanitised HTML, to be shown as it is, frozen with the"
            " version; null with `content`, and in versions that were published before there was"
            " any."
        },
    )


class OutlineModule(Schema):
    """A module with its lessons, in order."""

    id = ma.fields.UUID(required=True)
    lineage_id = ma.fields.UUID(required=True)
    title = ma.fields.String(required=True)
    summary = ma.fields.String(required=True)
    sequential = ma.fields.Boolean(
        metadata={"description": f"{SEQUENTIAL} Absent in versions published before there was any."}
    )
    lessons = ma.fields.List(ma.fields.Nested(OutlineLesson), required=True)


class OutlineOut(Schema):
    """The whole content of a version, in order."""

    version_id = ma.fields.UUID(required=True)
    course_id = ma.fields.UUID(required=True)
    number = ma.fields.Integer(required=True)
    published = ma.fields.Boolean(
        required=True, metadata={"description": "It is frozen: this content never changes."}
    )
    modules = ma.fields.List(ma.fields.Nested(OutlineModule), required=True)
