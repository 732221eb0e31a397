"""The time, always aware and in UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the present moment in UTC.

    Leases and the phases of runs use PostgreSQL's clock instead, so that machines need not agree.
    """
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """Return a moment as it stands in problems: RFC 3339, in UTC with `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
