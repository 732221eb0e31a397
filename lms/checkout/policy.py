"""What a learner gets back, as pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any


def refund_percent(
    refund_policy: Iterable[Mapping[str, Any]], *, now: datetime, starts_at: datetime
) -> int:
    """Return which part of the price is given back to one who withdraws now.

    Args:
        refund_policy: the run's at the time of paying: `{"until": RFC 3339, "percent": 0..100}`.
            Empty means all before the run starts and nothing after.
        now: UTC, by the database's clock.
        starts_at: when the run starts, UTC.

    Returns:
        Percent, 0 to 100: that of the earliest `until` still ahead, 0 when none is.
    """
    steps = sorted(
        (datetime.fromisoformat(step["until"]), int(step["percent"])) for step in refund_policy
    )
    if not steps:
        return 100 if now < starts_at else 0
    return next((percent for until, percent in steps if now < until), 0)
