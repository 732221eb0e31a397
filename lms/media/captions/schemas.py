"""Captions as clients see them."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import validate

from lms.http.schemas import Schema, Text, UtcDateTime
from lms.media.captions.languages import MAX_TAG, canonical_language
from lms.media.captions.models import CAPTION_KINDS

WEBVTT = "WEBVTT\n\n00:00:01.000 --> 00:00:03.500\nGood morning, and welcome.\n"
KIND = (
    "`subtitles` say what is spoken; `captions` also tell what else is to be heard, for those who"
    " do not hear it."
)
LABEL = "What people choose by; no other caption of the video has it."
CONTENT = (
    "A whole WebVTT or SRT file, of at most 512 KiB and 10,000 cues in the order of their times."
    " Kept as WebVTT: without styles, regions, comments and tags that are not WebVTT's own."
)


class LanguageTag(Text):
    """A BCP 47 tag that means something, in its canonical form."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_TAG, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        tag = super()._deserialize(value, attr, data, **kwargs)
        canonical = canonical_language(tag)
        if canonical is None:
            raise ma.ValidationError(
                f'There is no language "{tag}". Give a BCP 47 tag, such as en or pt-BR.'
            )
        return canonical


def _language(*, required: bool) -> LanguageTag:
    return LanguageTag(
        required=required,
        metadata={
            "description": "BCP 47 tag; kept in its canonical form.",
            "example": "pt-BR",
        },
    )


def _kind(*, required: bool) -> ma.fields.String:
    return ma.fields.String(
        required=required,
        validate=validate.OneOf(CAPTION_KINDS),
        metadata={"description": KIND, "example": "subtitles"},
    )


def _label(*, required: bool) -> Text:
    return Text(
        max_length=80,
        required=required,
        validate=validate.Regexp(r'^[^"]*$', error="A label has no double quotes."),
        metadata={"description": LABEL, "example": "Português"},
    )


def _content(*, required: bool) -> ma.fields.String:
    return ma.fields.String(
        required=required,
        validate=validate.Length(min=1),
        metadata={"description": CONTENT, "example": WEBVTT},
    )


class VideoCaptionIn(Schema):
    """A caption of a video."""

    language = _language(required=True)
    kind = _kind(required=True)
    label = _label(required=True)
    content = _content(required=True)


class VideoCaptionPatch(Schema):
    """The members to change; with `content`, the file is replaced."""

    language = _language(required=False)
    kind = _kind(required=False)
    label = _label(required=False)
    content = _content(required=False)


class VideoCaptionSummaryOut(Schema):
    """A caption without its text."""

    id = ma.fields.UUID(required=True)
    video_id = ma.fields.UUID(required=True)
    language = ma.fields.String(required=True, metadata={"description": "Canonical BCP 47 tag."})
    kind = ma.fields.String(required=True, validate=validate.OneOf(CAPTION_KINDS))
    label = ma.fields.String(required=True)
    cues = ma.fields.Integer(required=True, metadata={"description": "How many there are."})
    created_at = UtcDateTime(required=True)


class VideoCaptionOut(VideoCaptionSummaryOut):
    """A caption with its text."""

    content = ma.fields.String(required=True, metadata={"description": "A whole WebVTT file."})


CAPTION_SUMMARY_EXAMPLE: dict[str, Any] = {
    "id": "01935b80-11aa-7d02-b3c4-9a7e5d1f2c41",
    "video_id": "01935b80-11aa-7d02-b3c4-9a7e5d1f2c40",
    "language": "pt-BR",
    "kind": "subtitles",
    "label": "Português",
    "cues": 1,
    "created_at": "2027-01-12T09:00:00Z",
}
CAPTION_EXAMPLE: dict[str, Any] = {**CAPTION_SUMMARY_EXAMPLE, "content": WEBVTT}
