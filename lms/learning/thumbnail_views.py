"""Thumbnails for players, behind the same links as the renditions."""

from __future__ import annotations

from flask import Response

from lms.core.clock import now
from lms.core.errors import NotFoundError
from lms.core.storage.base import ObjectNotFound, Storage
from lms.http.blueprint import PUBLIC, TenantBlueprint
from lms.http.call import Call
from lms.http.sharing import share_with_any_origin
from lms.learning import access
from lms.learning.playback_answers import WEBVTT_TYPE, for_players, read_link
from lms.media.errors import storage_troubles
from lms.media.thumbnails import CUES, SHEET, key_beside, point_cues

NONE_THERE = "This video has no thumbnails; they are made when it is converted."

blp = TenantBlueprint(
    "Thumbnails",
    __name__,
    description="What players show while somebody seeks in a video.",
)
share_with_any_origin(blp, below="/playback/")


@blp.operation(
    "GET",
    "/playback/<token>/thumbnails.vtt",
    id="getThumbnails",
    roles=PUBLIC,
    transaction="steps",
    content_type=WEBVTT_TYPE,
    refusals=(403, 409),
)
def get_thumbnails(call: Call, token: str) -> Response:
    """Read which thumbnail belongs to which time of a video, as WebVTT.

    The video's playback names it. Refused as the master playlist is; 404 for a video that was
    converted before there were thumbnails, until it is converted again. Each cue is the address of
    one image, the same in all, with the part to show: `#xywh=160,90,160,90` is left, top, width and
    height in pixels. The address works as long as the token does.
    """
    link = read_link(call, token)
    with call.transaction() as session:
        poster_key = access.find_video(session, link.user_id, link.video_id).poster_key
    if poster_key is None:
        raise NotFoundError(NONE_THERE)
    storage = call.use(Storage)
    with storage_troubles():
        try:
            stored = storage.read(key_beside(poster_key, CUES))
        except ObjectNotFound as error:
            raise NotFoundError(NONE_THERE) from error
    sheet_url = storage.signed_url(
        key_beside(poster_key, SHEET),
        expires_in=link.expires_at - now(),
        base_url=f"{call.base_url}/api/v1",
        content_type="image/jpeg",
    )
    return for_players(point_cues(stored.decode(), sheet_url), WEBVTT_TYPE)
