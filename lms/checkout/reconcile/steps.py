"""How both comparisons with a provider go about it: step by step, and no further than they may."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TypeVar

from sqlalchemy.orm import Session

Listed = TypeVar("Listed")

Step = Callable[[], AbstractContextManager[Session]]
"""Opens one short transaction of the organization."""

CLOCKS_DIFFER = timedelta(days=1)
"""How much earlier than ours the provider may say that something was made."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Before this, providers take no moment."""

LOOKED_AT_AGAIN = 100
"""Most things that are fetched one by one, to see whether they still differ."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a comparison may ask of the provider.

    Attributes:
        pages: most pages of each of its lists.
        seconds: after which it is asked for nothing more; a request that is under way is waited
            for.
    """

    pages: int
    seconds: float


class Allowance:
    """What is left of the bounds while the provider is asked; without bounds, everything.

    Args:
        bounds: from now on.
    """

    def __init__(self, bounds: Bounds | None) -> None:
        self._pages = None if bounds is None else bounds.pages
        self._until = None if bounds is None else monotonic() + bounds.seconds

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be asked."""
        return self._until is not None and monotonic() >= self._until

    def read(
        self, page_after: Callable[[str | None], tuple[Sequence[Listed], str | None]]
    ) -> tuple[list[Listed], bool]:
        """Read a list, page by page.

        Args:
            page_after: returns the page at a cursor, and the next cursor.

        Returns:
            What was read, and whether it is all.
        """
        listed: list[Listed] = []
        cursor, read = None, 0
        while True:
            page, cursor = page_after(cursor)
            listed += page
            read += 1
            if cursor is None:
                return listed, True
            if read == self._pages or self.is_over:
                return listed, False


def listed_since(since: datetime | None) -> datetime | None:
    """Return from when on a provider's list is read, to have what was made since a moment."""
    return None if since is None else max(since - CLOCKS_DIFFER, EPOCH)
