"""Days as arguments of commands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

FIRST_YEAR, LAST_YEAR = 1970, 9998
"""As in the API: days before or after these fit into no other time zone, or no provider's list."""


class Day(click.ParamType[datetime]):
    """A day as ISO 8601 writes it; becomes its first moment in UTC."""

    name = "day"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read what was written.

        Raises:
            click.BadParameter: it is no such day.
        """
        if isinstance(value, datetime):
            return value
        try:
            day = datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            self.fail(f"{value!r} is not a day; write it like 2027-01-31.", param, ctx)
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            self.fail(f"{value!r} is not in the years {FIRST_YEAR} to {LAST_YEAR}.", param, ctx)
        return day
