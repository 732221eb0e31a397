"""Videos of lessons and their conversion, for those who teach the course."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.core.pagination import Page
from lms.core.queue import Doorbell
from lms.courses.videos import taught_video
from lms.http.blueprint import STAFF, TenantBlueprint
from lms.http.call import Call
from lms.media import queries, transcoding
from lms.media.models import TranscodingJob, Video, VideoRendition
from lms.media.schemas import TranscodingJobOut, VideoOut, VideoRenditionOut

blp = TenantBlueprint(
    "Videos",
    __name__,
    description="What lessons' videos were converted to, and how the conversion goes.",
)


@blp.operation("GET", "/videos/<uuid:video_id>", id="getVideo", returns=VideoOut, roles=STAFF)
def get_video(call: Call, video_id: UUID) -> Video:
    """Get a video.

    For those who teach its course. Learners get what they need to play it from its playback.
    """
    return taught_video(call.session, call.actor, video_id)


@blp.operation(
    "GET",
    "/videos/<uuid:video_id>/renditions",
    id="listVideoRenditions",
    returns=VideoRenditionOut,
    paged=True,
    roles=STAFF,
)
def list_video_renditions(
    call: Call, video_id: UUID, query: dict[str, Any]
) -> Page[VideoRendition]:
    """List a video's renditions.

    For those who teach its course. Empty until the first conversion succeeds; a later one replaces
    all at once.
    """
    video = taught_video(call.session, call.actor, video_id)
    return queries.list_renditions(call.session, video, **query)


@blp.operation(
    "GET",
    "/videos/<uuid:video_id>/transcoding-jobs",
    id="listTranscodingJobs",
    returns=TranscodingJobOut,
    paged=True,
    roles=STAFF,
)
def list_transcoding_jobs(
    call: Call, video_id: UUID, query: dict[str, Any]
) -> Page[TranscodingJob]:
    """List a video's conversions, the newest first.

    For those who teach its course. Poll this for `state` and `progress`.
    """
    video = taught_video(call.session, call.actor, video_id)
    return queries.list_transcoding_jobs(call.session, video, **query)


@blp.operation(
    "POST",
    "/videos/<uuid:video_id>/transcoding-jobs",
    id="createTranscodingJob",
    returns=TranscodingJobOut,
    status=202,
    roles=STAFF,
    refusals=(409,),
)
def create_transcoding_job(call: Call, video_id: UUID) -> TranscodingJob:
    """Convert a video again.

    For those who teach its course. What is published keeps playing until the new renditions
    replace it. 409 while a conversion is queued or running.
    """
    video = taught_video(call.session, call.actor, video_id, hold=True)
    return transcoding.begin_again(call.session, call.use(Doorbell), video)
