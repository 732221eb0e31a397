"""Videos and their conversion for staff, and the signed bytes of the local store."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, request

from lms.core.pagination import Page
from lms.core.queue import Doorbell
from lms.core.storage.base import Storage
from lms.http.blueprint import PUBLIC, STAFF, TenantBlueprint
from lms.http.call import Call
from lms.media import files, queries, transcoding
from lms.media.models import TranscodingJob, Video, VideoRendition
from lms.media.schemas import TranscodingJobOut, VideoOut, VideoRenditionOut

blp = TenantBlueprint(
    "Media",
    __name__,
    description="Videos, their renditions and conversions; bytes behind signed addresses.",
)
FILES = "/files/<token>"


@blp.operation("GET", "/videos/<uuid:video_id>", id="getVideo", returns=VideoOut, roles=STAFF)
def get_video(call: Call, video_id: UUID) -> Video:
    """Get a video.

    For staff. Learners get what they need to play it from its lesson.
    """
    return queries.get_video(call.session, video_id)


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

    For staff. Empty until the first conversion succeeds; a later one replaces all at once.
    """
    return queries.list_renditions(call.session, video_id, **query)


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

    For staff. Poll this for `state` and `progress`.
    """
    return queries.list_transcoding_jobs(call.session, video_id, **query)


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

    For staff. What is published keeps playing until the new renditions replace it. 409 while a
    conversion is queued or running.
    """
    return transcoding.begin_again(call.session, call.use(Doorbell), video_id)


@blp.operation(
    "GET",
    FILES,
    id="readFile",
    roles=PUBLIC,
    transaction="steps",
    content_type="application/octet-stream",
)
def read_file(call: Call, token: str) -> Response:
    """Read the bytes behind a signed address.

    For whoever has the address, until it expires. Addresses come from other operations; never
    make one up. Ranges and conditional requests work.
    """
    storage, claim = files.read_claim(call.use(Storage), call.organization_id, token)
    return files.send(storage, claim)


@blp.operation(
    "PUT",
    FILES,
    id="writeFilePart",
    status=204,
    roles=PUBLIC,
    transaction="steps",
    refusals=(400, 409, 413),
)
def write_file_part(call: Call, token: str) -> None:
    """Send one part of an upload to its signed address.

    For whoever has the address, until it expires. The body is the part's bytes, exactly as many as
    announced; a part that is sent again replaces the earlier one. 409 when the upload was
    completed or dropped.
    """
    storage, claim = files.part_claim(call.use(Storage), call.organization_id, token)
    files.receive(storage, claim, call.request)


@blp.after_request
def _share_files(response: Response) -> Response:
    """Let players of other origins read and write signed addresses."""
    if request.endpoint in (f"{blp.name}.readFile", f"{blp.name}.writeFilePart"):
        response.headers.update(files.CORS)
        if request.method == "OPTIONS":
            response.headers.update(files.PREFLIGHT)
    return response
