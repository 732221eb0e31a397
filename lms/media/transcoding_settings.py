"""What an organization's videos are converted to, and how long they may be.

The platform sets each organization a ladder, or leaves the installation's; the organization's
admins choose within it. A conversion reads both when it starts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.core import audit
from lms.core.actor import Actor
from lms.core.errors import InvalidInputError, StaleVersionError
from tenants.models import TranscodingSettings
from tenants.session import organization_of

DEFAULT_LADDER = (1080, 720, 480, 360)
SMALLEST_SIDE, LARGEST_SIDE = 144, 2160
MAX_RUNGS = 8
LONGEST_VIDEO_SECONDS = 8 * 3600
"""The installation's own bound, which is also the default."""

STALE = "The settings were changed since you read them; read them again and repeat."

# The version is that of what was read to be changed: whoever was faster is not overwritten.
PUT = text("""
    INSERT INTO platform.transcoding_settings (organization_id, ladder, longest_video_seconds)
    VALUES (:organization_id, CAST(:ladder AS jsonb), :longest_video_seconds)
    ON CONFLICT (organization_id) DO UPDATE
       SET ladder = excluded.ladder, longest_video_seconds = excluded.longest_video_seconds,
           version = transcoding_settings.version + 1
     WHERE transcoding_settings.version = :version
    RETURNING version
""")


class LadderTooLargeError(InvalidInputError):
    """A size is larger than the platform lets this organization offer."""

    code = "ladder_too_large"


@dataclass(frozen=True, slots=True)
class SettingsInEffect:
    """What the next conversion goes by.

    Attributes:
        ladder: short sides in pixels, the largest first.
        longest_video_seconds: a longer video is refused.
        largest_side: what the platform allows in `ladder`, pixels.
        version: of the admins' choice, for the ETag; 0 when they never chose.
    """

    ladder: tuple[int, ...]
    longest_video_seconds: int
    largest_side: int
    version: int


def resolve(platforms: Mapping[str, Any], chosen: TranscodingSettings | None) -> SettingsInEffect:
    """Lay the admins' choice over what the platform set.

    The platform may have allowed more when they chose, and its settings are data that somebody
    wrote: what makes no sense is left out.

    Args:
        platforms: the organization's settings, as the platform keeps them.
        chosen: what the admins chose, or None.
    """
    set_by_platform = _sides(platforms.get("ladder"), LARGEST_SIDE)
    largest = set_by_platform[0] if set_by_platform else LARGEST_SIDE
    ladder = set_by_platform or DEFAULT_LADDER
    if chosen is None:
        return SettingsInEffect(ladder, LONGEST_VIDEO_SECONDS, largest, 0)
    return SettingsInEffect(
        _sides(chosen.ladder, largest) or ladder,
        min(chosen.longest_video_seconds or LONGEST_VIDEO_SECONDS, LONGEST_VIDEO_SECONDS),
        largest,
        chosen.version,
    )


def in_effect(session: Session) -> SettingsInEffect:
    """Return what the organization's next conversion goes by."""
    organization = organization_of(session)
    chosen = session.get(TranscodingSettings, organization.id, populate_existing=True)
    return resolve(organization.settings, chosen)


def change(
    session: Session, actor: Actor, *, expected_version: int | None, changes: dict[str, Any]
) -> SettingsInEffect:
    """Choose the ladder or the longest video; what is being converted goes by what it began with.

    Args:
        session: the organization's.
        actor: the admin.
        expected_version: the version that the client read; None means any.
        changes: members of `TranscodingSettingsPatch`, those that were sent; None takes a choice
            back.

    Raises:
        StaleVersionError: they were changed since the client read them.
        LadderTooLargeError: a size is larger than the platform allows.
    """
    organization = organization_of(session)
    stored = session.get(TranscodingSettings, organization.id)
    before = resolve(organization.settings, stored)
    if expected_version not in (None, before.version):
        raise StaleVersionError(STALE, current_etag=f'"{before.version}"')
    if not changes:
        return before
    kept = {
        "ladder": stored and stored.ladder,
        "longest_video_seconds": stored and stored.longest_video_seconds,
    }
    if changes.get("ladder"):
        _check_ladder(changes["ladder"], before.largest_side)
    _put(session, before.version, **{**kept, **changes})
    after = in_effect(session)
    audit.record(
        session,
        "transcoding_settings.update",
        ("organization", organization.id),
        actor_id=actor.user_id,
        before=_recorded(before),
        after=_recorded(after),
    )
    return after


def _put(
    session: Session,
    version: int,
    *,
    ladder: Sequence[int] | None,
    longest_video_seconds: int | None,
) -> None:
    values = {
        "organization_id": organization_of(session).id,
        "ladder": None if ladder is None else json.dumps(sorted(set(ladder), reverse=True)),
        "longest_video_seconds": longest_video_seconds,
        "version": version,
    }
    if session.execute(PUT, values).first() is None:
        raise StaleVersionError(STALE)


def _sides(chosen: Any, largest: int) -> tuple[int, ...]:
    """Return the short sides that make sense, the largest first; none of what is no list."""
    listed = chosen if isinstance(chosen, list) else []
    sides = {side for side in listed if type(side) is int and SMALLEST_SIDE <= side <= largest}
    return tuple(sorted(sides, reverse=True)[:MAX_RUNGS])


def _check_ladder(ladder: Sequence[int], largest: int) -> None:
    message = f"The platform allows short sides of up to {largest} pixels."
    errors = [
        {"pointer": f"/ladder/{place}", "message": message}
        for place, side in enumerate(ladder)
        if side > largest
    ]
    if errors:
        raise LadderTooLargeError(message, errors=errors, largest_side=largest)


def _recorded(settings: SettingsInEffect) -> dict[str, Any]:
    return {
        "ladder": list(settings.ladder),
        "longest_video_seconds": settings.longest_video_seconds,
    }
