"""Files of lessons: what goes in and out."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import validate

from lms.http.schemas import Integer, Schema, Text, UtcDateTime
from lms.media.models import ASSET_STATES

MAX_DECLARED_BYTES = 2**53 - 1
"""Largest integer that every JSON parser reads exactly."""


class MediaFileIn(Schema):
    """A file that is about to be uploaded."""

    file_name = Text(
        max_length=255,
        required=True,
        metadata={
            "description": "The name under which learners download it; never a storage path.",
            "example": "lecture-1.mp4",
        },
    )
    content_type = Text(
        max_length=127,
        required=True,
        validate=validate.Regexp(
            r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+$",
            error="Give a media type, such as video/mp4.",
        ),
        metadata={
            "description": "What the client takes it for; decided by its content on completion.",
            "example": "video/mp4",
        },
    )
    size = Integer(
        minimum=1,
        maximum=MAX_DECLARED_BYTES,
        required=True,
        metadata={"description": "Bytes.", "example": 73400320},
    )
    sha256 = Text(
        min_length=64,
        max_length=64,
        load_default=None,
        allow_none=True,
        validate=validate.Regexp(
            r"^[0-9a-f]{64}$", error="Give a SHA-256 as 64 digits from 0 to 9 and a to f."
        ),
        metadata={"description": "Checksum in hex; verified when given."},
    )


class UploadPartOut(Schema):
    """Where and how one part is sent."""

    number = ma.fields.Integer(required=True, metadata={"description": "From 1."})
    method = ma.fields.String(required=True, metadata={"example": "PUT"})
    url = ma.fields.String(
        required=True, metadata={"description": "Signed and expiring; a secret.", "format": "uri"}
    )
    offset = ma.fields.Integer(required=True, metadata={"description": "First byte in the file."})
    size = ma.fields.Integer(required=True, metadata={"description": "Bytes; exactly so many."})
    headers = ma.fields.Dict(
        keys=ma.fields.String(),
        values=ma.fields.String(),
        required=True,
        metadata={"description": "To send besides Content-Length."},
    )


class UploadOut(Schema):
    """An unfinished upload: what has arrived, and how to send the rest."""

    parts = ma.fields.List(
        ma.fields.Nested(UploadPartOut),
        required=True,
        metadata={"description": "Parts still to be sent, in any order, several at once."},
    )
    received_parts = ma.fields.List(
        ma.fields.Integer(), required=True, metadata={"description": "Numbers that have arrived."}
    )
    received_bytes = ma.fields.Integer(required=True)
    expires_at = UtcDateTime(
        required=True,
        metadata={"description": "When the addresses stop working; read the file again for more."},
    )


class MediaFileOut(Schema):
    """A file of a lesson."""

    id = ma.fields.UUID(required=True)
    lesson_id = ma.fields.UUID(required=True)
    file_name = ma.fields.String(required=True)
    kind = ma.fields.String(
        required=True,
        metadata={
            "description": "By content: video, audio, image, document, captions; unknown until "
            "the upload is complete."
        },
    )
    content_type = ma.fields.String(required=True)
    size = ma.fields.Integer(required=True, metadata={"description": "Bytes."})
    sha256 = ma.fields.String(required=True, allow_none=True)
    state = ma.fields.String(required=True, validate=validate.OneOf(ASSET_STATES))
    error_code = ma.fields.String(required=True, allow_none=True)
    error_message = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "For the teacher."}
    )
    video_id = ma.fields.UUID(
        required=True, allow_none=True, metadata={"description": "Of a video that was accepted."}
    )
    upload = ma.fields.Nested(
        UploadOut,
        required=True,
        allow_none=True,
        metadata={"description": "While the state is awaiting_upload."},
    )
    created_at = UtcDateTime(required=True)


class MediaFileDownloadOut(Schema):
    """A signed address that downloads one file."""

    url = ma.fields.String(
        required=True, metadata={"description": "A secret until it expires.", "format": "uri"}
    )
    expires_at = UtcDateTime(required=True)
