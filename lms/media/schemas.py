"""What goes out about videos and their conversion."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import validate

from lms.http.schemas import Schema, UtcDateTime
from lms.media.models import JOB_STATES, VIDEO_STATES


class VideoOut(Schema):
    """The playable side of an uploaded video."""

    id = ma.fields.UUID(required=True)
    asset_id = ma.fields.UUID(
        required=True, metadata={"description": "The bytes; copies of a version share them."}
    )
    state = ma.fields.String(required=True, validate=validate.OneOf(VIDEO_STATES))
    duration_seconds = ma.fields.Float(
        required=True, allow_none=True, metadata={"description": "Known once converted."}
    )
    width = ma.fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Pixels of the source as displayed."},
    )
    height = ma.fields.Integer(required=True, allow_none=True)
    created_at = UtcDateTime(required=True)


class VideoRenditionOut(Schema):
    """One resolution of a video."""

    id = ma.fields.UUID(required=True)
    label = ma.fields.String(required=True, metadata={"example": "720p"})
    width = ma.fields.Integer(required=True, metadata={"description": "Pixels."})
    height = ma.fields.Integer(required=True, metadata={"description": "Pixels."})
    bytes = ma.fields.Integer(required=True, metadata={"description": "Size in storage."})
    bandwidth = ma.fields.Integer(required=True, metadata={"description": "Peak, bits per second."})
    average_bandwidth = ma.fields.Integer(
        required=True, metadata={"description": "Bits per second."}
    )
    codecs = ma.fields.String(required=True, metadata={"example": "avc1.64001f,mp4a.40.2"})
    frame_rate = ma.fields.Float(required=True, metadata={"description": "Frames per second."})
    created_at = UtcDateTime(required=True)


class TranscodingJobOut(Schema):
    """One conversion of a video."""

    id = ma.fields.UUID(required=True)
    video_id = ma.fields.UUID(required=True)
    state = ma.fields.String(required=True, validate=validate.OneOf(JOB_STATES))
    attempt = ma.fields.Integer(
        required=True, metadata={"description": "How often a worker has started it."}
    )
    progress = ma.fields.Integer(
        required=True, metadata={"description": "Percent; never runs backwards."}
    )
    error_code = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Why it failed; `cancelled` when somebody ended it."},
    )
    error_message = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "For the teacher."}
    )
    cpu_seconds = ma.fields.Float(
        required=True, allow_none=True, metadata={"description": "What the conversion used."}
    )
    started_at = UtcDateTime(required=True, allow_none=True)
    finished_at = UtcDateTime(required=True, allow_none=True)
    created_at = UtcDateTime(required=True)
