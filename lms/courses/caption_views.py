"""Captions of lessons' videos over HTTP, for those who teach the course."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.core.pagination import Page
from lms.courses import caption_operations as operations
from lms.http.blueprint import STAFF, TenantBlueprint
from lms.http.call import Call
from lms.media.captions.models import VideoCaption
from lms.media.captions.schemas import (
    CAPTION_EXAMPLE,
    CAPTION_SUMMARY_EXAMPLE,
    VideoCaptionIn,
    VideoCaptionOut,
    VideoCaptionPatch,
    VideoCaptionSummaryOut,
)

blp = TenantBlueprint(
    "Captions",
    __name__,
    description="Subtitles and captions of lessons' videos. They belong to the video, which the"
    " versions of a course share: a change shows in all of them, published ones too.",
)
CAPTION = "/video-captions/<uuid:caption_id>"


@blp.operation(
    "GET",
    "/videos/<uuid:video_id>/captions",
    id="listVideoCaptions",
    returns=VideoCaptionSummaryOut,
    paged=True,
    roles=STAFF,
    example={"items": [CAPTION_SUMMARY_EXAMPLE], "next_cursor": None},
)
def list_video_captions(call: Call, query: dict[str, Any], video_id: UUID) -> Page[VideoCaption]:
    """List a video's captions, without their texts.

    For those who teach its course, and admins; 404 for others. Learners get theirs from the video's
    playback.
    """
    return operations.list_captions(call.session, call.actor, video_id, **query)


@blp.operation(
    "POST",
    "/videos/<uuid:video_id>/captions",
    id="createVideoCaption",
    body=VideoCaptionIn,
    returns=VideoCaptionOut,
    status=201,
    roles=STAFF,
    etag=True,
    refusals=(409,),
    example=CAPTION_EXAMPLE,
)
def create_video_caption(call: Call, body: dict[str, Any], video_id: UUID) -> VideoCaption:
    """Add a caption to a video.

    For those who teach its course, and admins; 404 for others. Also while the video is converted,
    and when its versions are published. Learners see it the next time that they load the video.

    422 `invalid_captions` with a message for the teacher, and with the `line` where it is known,
    when the file is neither WebVTT nor SRT, has no cue, or has times that are out of order; 413
    `captions_too_large` beyond 512 KiB of UTF-8; the whole body is at most 1 MiB. 409
    `caption_exists` with the `caption_id` that has this language and kind, `caption_label_taken`
    with the one that has this label, `too_many_captions` when the video has 50.
    """
    return operations.create_caption(call.session, call.actor, video_id, **body)


@blp.operation(
    "GET",
    CAPTION,
    id="getVideoCaption",
    returns=VideoCaptionOut,
    roles=STAFF,
    etag=True,
    example=CAPTION_EXAMPLE,
)
def get_video_caption(call: Call, caption_id: UUID) -> VideoCaption:
    """Read a caption with its text.

    For those who teach a course with its video, and admins; 404 for others.
    """
    return operations.get_caption(call.session, call.actor, caption_id)


@blp.operation(
    "PATCH",
    CAPTION,
    id="updateVideoCaption",
    body=VideoCaptionPatch,
    returns=VideoCaptionOut,
    roles=STAFF,
    etag=True,
    if_match="required",
    refusals=(409,),
    example=CAPTION_EXAMPLE,
)
def update_video_caption(call: Call, body: dict[str, Any], caption_id: UUID) -> VideoCaption:
    """Change a caption; with `content`, its text is replaced.

    For those who teach a course with its video, and admins; 404 for others. Members that are sent
    are changed, for all versions with the video. Refused as in adding one: 422 `invalid_captions`,
    413 `captions_too_large`, 409 `caption_exists` and `caption_label_taken`.
    """
    expected = call.expected_version(required=True)
    return operations.update_caption(call.session, call.actor, caption_id, body, expected=expected)


@blp.operation(
    "DELETE",
    CAPTION,
    id="deleteVideoCaption",
    status=204,
    roles=STAFF,
    if_match="required",
)
def delete_video_caption(call: Call, caption_id: UUID) -> None:
    """Delete a caption.

    For those who teach a course with its video, and admins; 404 for others. It is gone for all
    versions with the video.
    """
    expected = call.expected_version(required=True)
    operations.delete_caption(call.session, call.actor, caption_id, expected=expected)
