"""What an enrolled learner does: read the content, watch, download, and make progress."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from flask import Response, after_this_request

from lms.core.clock import now
from lms.core.errors import NotFoundError
from lms.core.storage.base import ObjectNotFound, Storage
from lms.http.blueprint import PUBLIC, Prepared, TenantBlueprint
from lms.http.call import Call
from lms.http.sharing import share_with_any_origin
from lms.learning import access, operations, queries
from lms.learning.caption_queries import list_captions
from lms.learning.errors import VideoNotReadyError
from lms.learning.lessons import find_lesson
from lms.learning.operations import RecordedProgress, Report
from lms.learning.outline_schemas import FrozenLessonOut, OutlineOut
from lms.learning.playback import PlaybackLink, expiry
from lms.learning.playback_answers import PLAYLIST_TYPE, for_players, read_link, signer_of
from lms.learning.queries import Outline, Progress
from lms.learning.schemas import (
    DownloadOut,
    EnrollmentProgressOut,
    LessonProgressIn,
    LessonProgressOut,
    PlaybackOut,
)
from lms.media.errors import storage_troubles
from lms.media.hls import SubtitleTrack, master_playlist, point_playlist
from lms.media.operations import SignedUrl, download_url

OUTLINE_MAX_AGE = 3600
"""Seconds: the content never changes, but the right to read it may end."""

DOWNLOAD_LIFE = timedelta(minutes=15)

blp = TenantBlueprint(
    "Learning",
    __name__,
    description="What an enrolled learner does: content, playback, downloads, progress.",
)
share_with_any_origin(blp, below="/playback/")


@blp.operation(
    "GET",
    "/course-versions/<uuid:version_id>/outline",
    id="getVersionOutline",
    returns=OutlineOut,
    etag=True,
    refusals=(409,),
)
def get_outline(call: Call, version_id: UUID) -> Outline | Prepared:
    """Read the whole content of a version.

    For staff who teach the course, and for learners with an active or completed enrollment in the
    version. A published version never changes: keep it, and ask again with If-None-Match. Drafts
    are for staff only. 403 `enrollment_has_no_access` tells which `state` of the enrollment closes
    the content, `since` when, and what would change it (`remedy`); 409 `access_ended`, with
    `access_ended_at`, that it was open until the run's `access_ends_at`. For learners it is without
    the texts of lessons that may be locked (`content` is null): read these one by one, in the
    enrollment.
    """
    outline = queries.read_outline(call.session, call.actor, version_id)
    if isinstance(outline, Outline):
        return outline
    after_this_request(_keep_outline)
    return Prepared(outline.version, outline.document)


@blp.operation(
    "GET",
    "/enrollments/<uuid:enrollment_id>/lessons/<uuid:lesson_id>",
    id="getEnrollmentLesson",
    returns=FrozenLessonOut,
    refusals=(409,),
)
def get_lesson(call: Call, enrollment_id: UUID, lesson_id: UUID) -> dict[str, Any]:
    """Read one lesson of an enrollment's version, with its text.

    For the learner, while the enrollment is active or completed; else 403
    `enrollment_has_no_access` with its `state`, `since` when and what would change it. 409
    `access_ended` after the run's `access_ends_at`; `lesson_locked` with `reason`, `available_at`
    and `lessons` while it is not open; `lesson_of_another_version` when the run was upgraded
    meanwhile, with the enrollment's `version_id` and this lesson's `lesson_id` there, null when it
    was removed.
    """
    return find_lesson(call.session, call.actor, enrollment_id, lesson_id)


@blp.operation(
    "GET",
    "/enrollments/<uuid:enrollment_id>/progress",
    id="getEnrollmentProgress",
    returns=EnrollmentProgressOut,
)
def get_progress(call: Call, enrollment_id: UUID) -> Progress:
    """Read an enrollment's progress, lesson by lesson.

    For the learner, staff who teach the course, and admins. `locked` tells why a lesson is not open
    and what opens it, by the clock of now; what was completed stays open.
    """
    return queries.read_progress(call.session, call.actor, enrollment_id)


@blp.operation(
    "PUT",
    "/enrollments/<uuid:enrollment_id>/lessons/<uuid:lesson_id>/progress",
    id="recordLessonProgress",
    body=LessonProgressIn,
    returns=LessonProgressOut,
    refusals=(409,),
)
def record_progress(
    call: Call, body: Report, enrollment_id: UUID, lesson_id: UUID
) -> RecordedProgress:
    """Report what the learner did in a lesson.

    For the learner, while the enrollment is active or completed; else 409 `enrollment_not_active`
    with its `state`, `since` when and what would change it. 409 `access_ended` after the run's
    `access_ends_at`; `lesson_locked` while the lesson is not open, with the members of `locked` in
    the enrollment's progress: `reason`, `available_at`, `lessons`; `lesson_of_another_version` when
    the run was upgraded meanwhile, with the enrollment's `version_id` and this lesson's `lesson_id`
    there, null when it was removed.

    Send any of the members, as often as you like: played parts are joined, skipping ahead does not
    count, and what is complete stays complete. The lesson completes by its own rule; 403
    `not_markable_by_learner` with it (`rule`, `threshold`) when the learner marks one whose rule is
    another. 422 `interval_too_long` beyond 24 hours of a video whose duration is not known. With
    the last required lesson the enrollment is completed.
    """
    return operations.record_progress(call.session, call.actor, enrollment_id, lesson_id, body)


@blp.operation(
    "GET",
    "/enrollments/<uuid:enrollment_id>/media-files/<uuid:media_file_id>/download",
    id="getMediaFileDownload",
    returns=DownloadOut,
    refusals=(409,),
)
def get_download(call: Call, enrollment_id: UUID, media_file_id: UUID) -> SignedUrl:
    """Get a link that downloads a file of an enrollment's content.

    For the learner, while the enrollment is active or completed. The link works for 15 minutes. 409
    `access_ended` after the run's `access_ends_at`; `lesson_locked` with `reason`, `available_at`
    and `lessons` while its lesson is not open.
    """
    asset, file_name = access.find_download(
        call.session, call.actor.user_id, enrollment_id, media_file_id
    )
    return download_url(call.use(Storage), asset, file_name, _api(call), DOWNLOAD_LIFE)


@blp.operation(
    "GET",
    "/videos/<uuid:video_id>/playback",
    id="getVideoPlayback",
    returns=PlaybackOut,
    refusals=(409,),
)
def get_playback(call: Call, video_id: UUID) -> dict[str, Any]:
    """Get links that play a video.

    For learners whose active or completed enrollment contains it, for anyone signed in when it is a
    preview lesson's, and for staff who teach the course. The links work without a token, for the
    video's duration and an hour. `captions` are for players that take text tracks by themselves;
    the master playlist names them too. When the right to watch ends, playlists stop at once; the
    picture and the bytes that a playlist has named already stay readable until `expires_at`. 409
    `video_not_ready` until it can be played, `access_ended` after the `access_ends_at` of the
    learner's run, and `lesson_locked` with `reason`, `available_at` and `lessons` while its lesson
    is not open for the learner.
    """
    video = access.find_video(call.session, call.actor.user_id, video_id)
    renditions = queries.list_renditions(call.session, video_id)
    if not renditions:
        raise VideoNotReadyError(
            f"This video cannot be played: it is {video.state}.", state=video.state
        )
    expires_at = expiry(now(), video.duration_seconds)
    link = PlaybackLink(call.organization_id, video_id, call.actor.user_id, expires_at)
    base = f"{_api(call)}/playback/{signer_of(call).sign(link)}"
    return {
        "video_id": video_id,
        "duration_seconds": video.duration_seconds,
        "width": video.width,
        "height": video.height,
        "master_url": f"{base}/master.m3u8",
        "poster_url": video.poster_key and _media_url(call, video.poster_key, expires_at),
        "thumbnails_url": video.poster_key and f"{base}/thumbnails.vtt",
        "expires_at": expires_at,
        "renditions": [
            {
                "label": rendition.label,
                "width": rendition.width,
                "height": rendition.height,
                "bandwidth": rendition.bandwidth,
                "playlist_url": f"{base}/{rendition.label}.m3u8",
            }
            for rendition in renditions
        ],
        "captions": [
            {
                "language": caption.language,
                "kind": caption.kind,
                "label": caption.label,
                "url": f"{base}/captions/{caption.id}.vtt",
                "playlist_url": f"{base}/captions/{caption.id}.m3u8",
            }
            for caption in list_captions(call.session, video_id)
        ],
    }


@blp.operation(
    "GET",
    "/playback/<token>/master.m3u8",
    id="getMasterPlaylist",
    roles=PUBLIC,
    content_type=PLAYLIST_TYPE,
    refusals=(403, 409),
)
def get_master(call: Call, token: str) -> Response:
    """Read a video's HLS master playlist.

    The token comes from a video's playback and stands for the user who asked for it. 403
    `playback_link_expired` after its `expires_at`; what the playback itself is refused for, too.
    """
    link = read_link(call, token)
    video = access.find_video(call.session, link.user_id, link.video_id)
    renditions = queries.list_renditions(call.session, link.video_id)
    if not renditions:
        raise VideoNotReadyError("This video cannot be played any more.", state=video.state)
    # To the type checker a mapped column is a descriptor and so fits no protocol.
    readable = cast("list[Any]", renditions)
    tracks = [
        SubtitleTrack(
            uri=f"captions/{caption.id}.m3u8",
            name=caption.label,
            language=caption.language,
            describes_sounds=caption.kind == "captions",
        )
        for caption in list_captions(call.session, link.video_id)
    ]
    playlist = master_playlist(readable, lambda one: f"{one.label}.m3u8", tracks)
    return for_players(playlist, PLAYLIST_TYPE)


@blp.operation(
    "GET",
    "/playback/<token>/<label>.m3u8",
    id="getRenditionPlaylist",
    roles=PUBLIC,
    transaction="steps",
    content_type=PLAYLIST_TYPE,
    refusals=(403, 409),
)
def get_rendition_playlist(call: Call, token: str, label: str) -> Response:
    """Read the HLS media playlist of one resolution.

    403 `playback_link_expired` as for the master playlist. It names the media by a signed address
    that works as long as the token does.
    """
    link = read_link(call, token)
    with call.transaction() as session:
        access.find_video(session, link.user_id, link.video_id)
        rendition = queries.find_rendition(session, link.video_id, label)
    with storage_troubles():
        try:
            stored = call.use(Storage).read(rendition.playlist_key)
        except ObjectNotFound as error:
            raise NotFoundError("This video was made anew; load its playback again.") from error
    media_url = _media_url(call, rendition.media_key, link.expires_at, "video/mp4")
    return for_players(point_playlist(stored.decode(), media_url), PLAYLIST_TYPE)


def _keep_outline(response: Response) -> Response:
    response.headers["Cache-Control"] = f"private, max-age={OUTLINE_MAX_AGE}, immutable"
    response.headers["Vary"] = "Authorization"
    return response


def _api(call: Call) -> str:
    return f"{call.base_url}/api/v1"


def _media_url(call: Call, key: str, expires_at: datetime, content_type: str | None = None) -> str:
    return call.use(Storage).signed_url(
        key, expires_in=expires_at - now(), base_url=_api(call), content_type=content_type
    )
