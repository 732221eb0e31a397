"""Captions for players, behind the same links as the renditions."""

from __future__ import annotations

from uuid import UUID

from flask import Response

from lms.http.blueprint import PUBLIC, TenantBlueprint
from lms.http.call import Call
from lms.http.sharing import share_with_any_origin
from lms.learning import access
from lms.learning.caption_queries import find_caption
from lms.learning.playback_answers import PLAYLIST_TYPE, WEBVTT_TYPE, for_players, read_link
from lms.media.hls import subtitle_playlist, subtitle_segment

blp = TenantBlueprint(
    "Caption tracks",
    __name__,
    description="What players read of a video's captions.",
)
share_with_any_origin(blp, below="/playback/")
TRACK = "/playback/<token>/captions/<uuid:caption_id>"


@blp.operation(
    "GET",
    TRACK + ".m3u8",
    id="getCaptionPlaylist",
    roles=PUBLIC,
    content_type=PLAYLIST_TYPE,
    refusals=(403, 409),
)
def get_caption_playlist(call: Call, token: str, caption_id: UUID) -> Response:
    """Read the HLS media playlist of a caption.

    The master playlist names it. Refused as the master playlist is; 404 when the caption was
    deleted meanwhile.
    """
    link = read_link(call, token)
    video = access.find_video(call.session, link.user_id, link.video_id)
    caption = find_caption(call.session, link.video_id, caption_id)
    playlist = subtitle_playlist(f"{caption.id}.vtt", video.duration_seconds or 0.0)
    return for_players(playlist, PLAYLIST_TYPE)


@blp.operation(
    "GET",
    TRACK + ".vtt",
    id="getCaptionTrack",
    roles=PUBLIC,
    content_type=WEBVTT_TYPE,
    refusals=(403, 409),
)
def get_caption_track(call: Call, token: str, caption_id: UUID) -> Response:
    """Read a caption as WebVTT, for the `track` element or for HLS.

    The video's playback names it. Refused as the master playlist is; 404 when the caption was
    deleted meanwhile. Always as it is now: a caption may be mended while people watch.
    """
    link = read_link(call, token)
    access.find_video(call.session, link.user_id, link.video_id)
    caption = find_caption(call.session, link.video_id, caption_id)
    return for_players(subtitle_segment(caption.content), WEBVTT_TYPE)
