"""Signed links to playlists: players cannot send headers, so the link itself says who watches.

A link has one purpose and a short life, and access is checked again whenever it is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from itsdangerous import BadData, URLSafeSerializer

from lms.core.clock import rfc3339
from lms.core.errors import NotFoundError
from lms.learning.errors import PlaybackLinkExpiredError

PURPOSE = "lms.learning.playback"
GRACE = timedelta(hours=1)
"""Beyond the video's duration, because players never reload a finished playlist."""


@dataclass(frozen=True, slots=True)
class PlaybackLink:
    """What a link permits.

    Attributes:
        organization_id: on whose host it works.
        video_id: the one video.
        user_id: who watches; whether they still may is asked at each use.
        expires_at: UTC, whole seconds.
    """

    organization_id: UUID
    video_id: UUID
    user_id: UUID
    expires_at: datetime


def expiry(now: datetime, duration_seconds: float | None) -> datetime:
    """Return until when links to a video live: its duration and an hour, in whole seconds."""
    return now.replace(microsecond=0) + GRACE + timedelta(seconds=round(duration_seconds or 0))


class PlaybackSigner:
    """Makes and reads tokens.

    Args:
        secret_key: the installation's; the purpose is mixed in, so that nothing else that it signs
            can be used here.
    """

    def __init__(self, secret_key: str) -> None:
        self._serializer = URLSafeSerializer(
            secret_key,
            salt=PURPOSE,
            signer_kwargs={"key_derivation": "hmac", "digest_method": sha256},
        )

    def sign(self, link: PlaybackLink) -> str:
        """Return a link's token, of letters that a path segment may hold."""
        token = self._serializer.dumps(
            [
                link.organization_id.hex,
                link.video_id.hex,
                link.user_id.hex,
                int(link.expires_at.timestamp()),
            ]
        )
        return token if isinstance(token, str) else token.decode()

    def read(self, token: str, *, organization_id: UUID, now: datetime) -> PlaybackLink:
        """Return what a token permits.

        Args:
            token: as it came.
            organization_id: whose host was called.
            now: UTC.

        Raises:
            NotFoundError: altered, or of another organization.
            PlaybackLinkExpiredError: its time is over.
        """
        try:
            organization, video, user, expires = self._serializer.loads(token)
        except BadData as error:
            raise NotFoundError("This link is not one of ours.") from error
        link = PlaybackLink(
            UUID(organization), UUID(video), UUID(user), datetime.fromtimestamp(expires, UTC)
        )
        if link.organization_id != organization_id:
            raise NotFoundError("This link is not one of ours.")
        if link.expires_at <= now:
            raise PlaybackLinkExpiredError(
                "This link has run out; ask for the video's playback again.",
                expired_at=rfc3339(link.expires_at),
            )
        return link
