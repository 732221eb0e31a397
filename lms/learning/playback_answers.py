"""What views of playback share: reading links, and answers to players."""

from __future__ import annotations

from flask import Response

from lms.config import Settings
from lms.core.clock import now
from lms.http.call import Call
from lms.learning.playback import PlaybackLink, PlaybackSigner

PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
WEBVTT_TYPE = "text/vtt"


def signer_of(call: Call) -> PlaybackSigner:
    """Return what signs the installation's playback links."""
    return PlaybackSigner(call.use(Settings).secret_key)


def read_link(call: Call, token: str) -> PlaybackLink:
    """Return what a token permits on the host that was called.

    Raises:
        NotFoundError: altered, or of another organization.
        PlaybackLinkExpiredError: its time is over.
    """
    return signer_of(call).read(token, organization_id=call.organization_id, now=now())


def for_players(text: str, media_type: str) -> Response:
    """Answer players; the address was a secret, so nobody keeps what it shows.

    Args:
        text: a playlist, or captions.
        media_type: without parameters; UTF-8 goes without saying in both.
    """
    response = Response(text, content_type=media_type)
    response.headers["Cache-Control"] = "private, no-store"
    # What is opened in a browser tab runs in an empty sandbox, not as our origin.
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response
