"""Which revisions of an organization's tables this code serves."""

from __future__ import annotations

import pytest

from tenants import ddl


def test_the_newest_revision_and_the_one_before_are_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    revisions = ddl.tenant_revisions()
    monkeypatch.setattr(ddl, "tenant_scripts", lambda: Scripts(None))
    assert ddl.served_revisions() == frozenset(revisions[-2:])


@pytest.mark.parametrize(("says", "count"), [(True, 2), (False, 1)])
def test_a_migration_may_say_that_nothing_before_it_is_served(
    monkeypatch: pytest.MonkeyPatch, says: bool, count: int
) -> None:
    revisions = ddl.tenant_revisions()
    monkeypatch.setattr(ddl, "tenant_scripts", lambda: Scripts(says))
    assert ddl.served_revisions() == frozenset(revisions[-count:])


class Scripts:
    """A history whose newest migration says, or does not say, whether the one before is served."""

    def __init__(self, says: bool | None) -> None:
        self.module = type("Migration", (), {} if says is None else {"serves_previous": says})

    def get_revision(self, _revision: str) -> Scripts:
        return self
