"""An academy on the running product, and people who call it over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.academy import OnlineAcademy
from tests.faults.stand import Stand, fresh_slug


@pytest.fixture
def online(shared_stand: Stand) -> Iterator[Callable[[], OnlineAcademy]]:
    """Make an academy of one's own; the processes' logs are shown if the test failed."""
    shared_stand.reconnect()

    def make() -> OnlineAcademy:
        slug = fresh_slug("cohorts")
        return OnlineAcademy(shared_stand, shared_stand.make_organization(slug), slug)

    yield make
    print(shared_stand.logs())
