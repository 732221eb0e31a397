"""The files of an archive, and the answer to an import."""

from __future__ import annotations

from typing import get_args

import marshmallow as ma
from marshmallow import validate

from lms.courses.archives.format import MAX_MEDIA
from lms.courses.media_schemas import MediaFileIn
from lms.courses.schemas.content import LessonIn, ModuleIn
from lms.courses.schemas.versions import VERSION_EXAMPLE, CourseVersionOut
from lms.http.schemas import Integer, Schema, Text
from lms.media.content_types import Kind

MEDIA_KINDS = (*get_args(Kind), "unknown")


class MediaEntry(MediaFileIn):
    """A file of a lesson, without its bytes."""

    kind = ma.fields.String(required=True, validate=validate.OneOf(MEDIA_KINDS))
    asset_id = ma.fields.UUID(load_default=None, allow_none=True)


class LessonEntry(LessonIn):
    """A lesson with its files."""

    lineage_id = ma.fields.UUID(load_default=None, allow_none=True)
    media = ma.fields.List(
        ma.fields.Nested(MediaEntry), load_default=list, validate=validate.Length(max=MAX_MEDIA)
    )


class ModuleEntry(ModuleIn):
    """A module with its lessons."""

    lineage_id = ma.fields.UUID(load_default=None, allow_none=True)
    lessons = ma.fields.List(ma.fields.Nested(LessonEntry), required=True)


class ContentFile(Schema):
    """`version.json`."""

    modules = ma.fields.List(ma.fields.Nested(ModuleEntry), required=True)


class CourseEntry(Schema):
    """The course that an archive was made of."""

    id = ma.fields.UUID(required=True)
    title = Text(required=True)
    language = Text(required=True)


class VersionEntry(Schema):
    """The version that an archive was made of."""

    id = ma.fields.UUID(required=True)
    number = Integer(minimum=1, maximum=2**31 - 1, required=True)
    label = Text(min_length=0, required=True)


class ManifestFile(Schema):
    """`manifest.json`."""

    format = Text(required=True)
    format_version = Integer(minimum=1, maximum=2**31 - 1, required=True)
    content_hash = ma.fields.String(
        required=True,
        validate=validate.Regexp(
            "^[0-9a-f]{64}$", error="Give a SHA-256 as 64 digits from 0 to 9 and a to f."
        ),
    )
    course = ma.fields.Nested(CourseEntry, required=True)
    version = ma.fields.Nested(VersionEntry, required=True)


class MissingMediaOut(Schema):
    """A file whose bytes are not here, with what adding it to its lesson takes."""

    lesson_id = ma.fields.UUID(required=True, metadata={"description": "The draft's lesson."})
    lesson_title = ma.fields.String(required=True)
    file_name = ma.fields.String(required=True)
    kind = ma.fields.String(required=True, metadata={"enum": list(MEDIA_KINDS)})
    content_type = ma.fields.String(required=True)
    size = ma.fields.Integer(required=True, metadata={"description": "Bytes."})
    sha256 = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Checksum in hex; null when it was never told."},
    )


class ImportedVersionOut(Schema):
    """A draft that was made of an archive, and the files that it still lacks."""

    draft = ma.fields.Nested(CourseVersionOut, required=True)
    missing_media = ma.fields.List(ma.fields.Nested(MissingMediaOut), required=True)


IMPORT_EXAMPLE = {
    "draft": VERSION_EXAMPLE,
    "missing_media": [
        {
            "lesson_id": "01935b83-77c1-7e55-a1b2-c3d4e5f60718",
            "lesson_title": "Dialling in",
            "file_name": "dialling-in.mp4",
            "kind": "video",
            "content_type": "video/mp4",
            "size": 73400320,
            "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
        }
    ],
}
