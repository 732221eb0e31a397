"""What goes in and out about how an organization's videos are converted."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import validate

from lms.http.schemas import Integer, Schema
from lms.media.transcoding_settings import (
    LARGEST_SIDE,
    LONGEST_VIDEO_SECONDS,
    MAX_RUNGS,
    SMALLEST_SIDE,
)

SIDES = {
    "description": "Short sides, in pixels, in which videos are offered; never larger than the"
    " video itself.",
    "example": [1080, 720, 480],
}


def _seconds(**kwargs: Any) -> Integer:
    return Integer(
        minimum=1,
        maximum=LONGEST_VIDEO_SECONDS,
        metadata={"description": "A longer video is refused when it is converted."},
        **kwargs,
    )


class TranscodingSettingsPatch(Schema):
    """Members that are sent are changed; null is the platform's default again."""

    ladder = ma.fields.List(
        Integer(minimum=SMALLEST_SIDE, maximum=LARGEST_SIDE),
        validate=validate.Length(min=1, max=MAX_RUNGS),
        allow_none=True,
        metadata=SIDES,
    )
    longest_video_seconds = _seconds(allow_none=True)


class TranscodingSettingsOut(Schema):
    """What the next conversion goes by."""

    ladder = ma.fields.List(ma.fields.Integer(), required=True, metadata=SIDES)
    longest_video_seconds = _seconds(required=True)
    largest_side = ma.fields.Integer(
        required=True,
        metadata={"description": "What the platform allows in `ladder`.", "example": LARGEST_SIDE},
    )
