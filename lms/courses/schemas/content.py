"""Modules, lessons and their order, in and out."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import validate

from lms.courses.markdown import to_html
from lms.courses.models import AVAILABLE_AFTER, COMPLETION_RULES, LESSON_KINDS
from lms.courses.policy import MAX_AVAILABLE_AFTER, MAX_LESSONS, MAX_MODULES
from lms.http.schemas import (
    MAX_TEXT,
    Boolean,
    Integer,
    PageQuery,
    Schema,
    Text,
    UtcDateTime,
)

HTML_DESCRIPTION = (
    "`content` as sanitised HTML, to be shown as it is: CommonMark, tables and strikethrough; HTML"
    " in the Markdown becomes text."
)
MAX_SUMMARY = 5000
MAX_ESTIMATE = 7 * 24 * 3600
"""A week, in seconds."""

RULE_MEMBERS = {"dwell": "seconds", "watched": "percent"}
"""The number that a completion rule needs; the other rules have none."""

SEQUENTIAL = "Each lesson opens once the required ones before it in the module are done."
AVAILABILITY = "When it opens inside a run; null is from the start."


class MarkdownHtml(ma.fields.String):
    """Shows Markdown as sanitised HTML."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str:
        del attr, obj, kwargs
        return to_html(value)


class ModuleIn(Schema):
    """A new module."""

    title = Text(required=True, metadata={"example": "The grind"})
    summary = Text(min_length=0, max_length=MAX_SUMMARY, multiline=True, load_default="")
    sequential = Boolean(load_default=False, metadata={"description": SEQUENTIAL})


class ModulePatch(Schema):
    """The members to change."""

    title = Text()
    summary = Text(min_length=0, max_length=MAX_SUMMARY, multiline=True)
    sequential = Boolean(metadata={"description": SEQUENTIAL})


class ModuleOut(Schema):
    """A part of a version."""

    id = ma.fields.UUID(required=True)
    version_id = ma.fields.UUID(required=True)
    lineage_id = ma.fields.UUID(
        required=True, metadata={"description": "The same in every version it was copied into."}
    )
    title = ma.fields.String(required=True)
    summary = ma.fields.String(required=True)
    sequential = ma.fields.Boolean(required=True, metadata={"description": SEQUENTIAL})
    position = ma.fields.Integer(
        required=True, metadata={"description": "Its place; may have gaps after deletions."}
    )
    created_at = UtcDateTime(required=True)


class CompletionRule(Schema):
    """What completes a lesson: viewing, dwelling, watching most of a video, or somebody's mark."""

    rule = ma.fields.String(required=True, validate=validate.OneOf(COMPLETION_RULES))
    percent = Integer(
        minimum=1, maximum=100, metadata={"description": "Of the video; with `watched` only."}
    )
    seconds = Integer(
        minimum=1, maximum=86400, metadata={"description": "On the lesson; with `dwell` only."}
    )

    @ma.validates_schema
    def _check_members(self, data: dict[str, Any], **_kwargs: Any) -> None:
        needed = RULE_MEMBERS.get(data["rule"])
        errors = {
            member: [f"Only for {rule!r}."]
            for rule, member in RULE_MEMBERS.items()
            if member in data and member != needed
        }
        if needed is not None and needed not in data:
            errors[needed] = [f"{data['rule']!r} needs it."]
        if errors:
            raise ma.ValidationError(errors)


class Availability(Schema):
    """When a lesson opens: so many days after the run's start, or the enrollment's activation."""

    after = ma.fields.String(required=True, validate=validate.OneOf(AVAILABLE_AFTER))
    days = Integer(
        minimum=0,
        maximum=MAX_AVAILABLE_AFTER,
        required=True,
        metadata={"description": "Of 24 hours each.", "example": 7},
    )


class LessonIn(Schema):
    """All of a lesson that can be set."""

    kind = ma.fields.String(required=True, validate=validate.OneOf(LESSON_KINDS))
    title = Text(required=True, metadata={"example": "Dialling in"})
    content = Text(
        min_length=0,
        max_length=MAX_TEXT,
        multiline=True,
        load_default="",
        metadata={"description": "Markdown."},
    )
    estimated_seconds = Integer(
        minimum=0, maximum=MAX_ESTIMATE, load_default=0, metadata={"description": "For planning."}
    )
    required = Boolean(
        load_default=True,
        metadata={"description": "Whether it counts for completing the course."},
    )
    preview = Boolean(
        load_default=False,
        metadata={"description": "Whether its video plays for those who are not enrolled."},
    )
    weight = Integer(
        minimum=1,
        maximum=1000,
        load_default=1,
        metadata={"description": "Its share of the percentage, when required."},
    )
    completion = ma.fields.Nested(
        CompletionRule,
        load_default=None,
        metadata={"description": "By kind when absent: a video is watched to 90 %, ..."},
    )
    availability = ma.fields.Nested(
        Availability, load_default=None, allow_none=True, metadata={"description": AVAILABILITY}
    )


class LessonPatch(Schema):
    """The members to change."""

    kind = ma.fields.String(validate=validate.OneOf(LESSON_KINDS))
    title = Text()
    content = Text(
        min_length=0, max_length=MAX_TEXT, multiline=True, metadata={"description": "Markdown."}
    )
    estimated_seconds = Integer(minimum=0, maximum=MAX_ESTIMATE)
    required = Boolean()
    preview = Boolean()
    weight = Integer(minimum=1, maximum=1000)
    completion = ma.fields.Nested(CompletionRule)
    availability = ma.fields.Nested(
        Availability, allow_none=True, metadata={"description": AVAILABILITY}
    )


class LessonOut(Schema):
    """What is learned in one sitting."""

    id = ma.fields.UUID(required=True)
    module_id = ma.fields.UUID(required=True)
    version_id = ma.fields.UUID(required=True)
    lineage_id = ma.fields.UUID(
        required=True, metadata={"description": "The same in every version it was copied into."}
    )
    kind = ma.fields.String(required=True, metadata={"enum": list(LESSON_KINDS)})
    title = ma.fields.String(required=True)
    content = ma.fields.String(required=True, metadata={"description": "Markdown."})
    content_html = MarkdownHtml(
        required=True,
        dump_only=True,
        attribute="content",
        metadata={"description": HTML_DESCRIPTION},
    )
    estimated_seconds = ma.fields.Integer(required=True)
    required = ma.fields.Boolean(required=True)
    preview = ma.fields.Boolean(required=True)
    weight = ma.fields.Integer(required=True)
    completion = ma.fields.Nested(CompletionRule, required=True)
    availability = ma.fields.Nested(
        Availability, required=True, allow_none=True, metadata={"description": AVAILABILITY}
    )
    position = ma.fields.Integer(
        required=True, metadata={"description": "Its place; may have gaps after deletions."}
    )
    created_at = UtcDateTime(required=True)


class VersionLessonQuery(PageQuery):
    """Which lessons of a version."""

    title = Text(
        load_default=None,
        metadata={
            "description": "A part of their titles, in upper or lower case; no wildcards.",
            "example": "grind",
        },
    )


class ModuleOrderRef(Schema):
    """A module with all of its lessons, in order."""

    id = ma.fields.UUID(required=True)
    lesson_ids = ma.fields.List(
        ma.fields.UUID(), required=True, validate=validate.Length(max=MAX_LESSONS)
    )


class ContentOrderIn(Schema):
    """The whole order: every module of the version and every lesson, each exactly once."""

    modules = ma.fields.List(
        ma.fields.Nested(ModuleOrderRef),
        required=True,
        validate=validate.Length(max=MAX_MODULES),
    )


class ContentOrderOut(Schema):
    """The whole order of a version."""

    modules = ma.fields.List(ma.fields.Nested(ModuleOrderRef), required=True)


MODULE_EXAMPLE = {
    "id": "01935b82-5e10-7c3b-9f00-1d2e3f4a5b66",
    "version_id": "01935b80-11aa-7d02-b3c4-9a7e5d1f2c33",
    "lineage_id": "01935b82-5e10-7c3b-9f00-1d2e3f4a5b66",
    "title": "The grind",
    "summary": "Why fineness decides more than the machine.",
    "sequential": True,
    "position": 1,
    "created_at": "2027-01-05T10:02:00Z",
}
LESSON_EXAMPLE = {
    "id": "01935b83-77c1-7e55-a1b2-c3d4e5f60718",
    "module_id": "01935b82-5e10-7c3b-9f00-1d2e3f4a5b66",
    "version_id": "01935b80-11aa-7d02-b3c4-9a7e5d1f2c33",
    "lineage_id": "01935b83-77c1-7e55-a1b2-c3d4e5f60718",
    "kind": "video",
    "title": "Dialling in",
    "content": "Watch how the shot changes with **one step** of the grinder.",
    "content_html": "<p>Watch how the shot changes with <strong>one step</strong> of the"
    " grinder.</p>\n",
    "estimated_seconds": 420,
    "required": True,
    "preview": False,
    "weight": 1,
    "completion": {"rule": "watched", "percent": 90},
    "availability": {"after": "run_start", "days": 7},
    "position": 1,
    "created_at": "2027-01-05T10:03:00Z",
}
ORDER_EXAMPLE = {
    "modules": [
        {
            "id": "01935b82-5e10-7c3b-9f00-1d2e3f4a5b66",
            "lesson_ids": ["01935b83-77c1-7e55-a1b2-c3d4e5f60718"],
        }
    ]
}
