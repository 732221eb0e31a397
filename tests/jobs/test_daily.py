"""What every organization needs once a day is asked for once, and spread over the day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from jobs import daily
from jobs.daily import Daily, ask_for_all
from tenants.session import PLATFORM
from tests.factories.jobs import Stack


def asked(stack: Stack) -> list[dict[str, Any]]:
    """The open work, in the order in which it is due."""
    with stack.database.transaction(PLATFORM) as session:
        rows = session.execute(
            text(
                "SELECT id, organization_id, subject_id, queue, kind, due_at FROM platform.work"
                " WHERE state = 'waiting' ORDER BY due_at, id"
            )
        ).mappings()
        return [dict(row) for row in rows]


def set_state(stack: Stack, organization_id: UUID, state: str) -> None:
    with stack.database.transaction(PLATFORM) as session:
        session.execute(
            text("UPDATE platform.organizations SET state = :state WHERE id = :id"),
            {"state": state, "id": organization_id},
        )


def test_each_organization_is_asked_for_once_however_often_one_asks(
    stack: Stack, new_organization: Callable[[], UUID]
) -> None:
    made = {new_organization() for _ in range(3)}
    ask_for_all(stack.database)
    first = asked(stack)
    ask_for_all(stack.database)
    assert asked(stack) == first
    assert made <= {row["organization_id"] for row in first}
    assert {(row["kind"], row["queue"]) for row in first} == {
        ("forget_keys", "default"),
        ("collect_media", "media"),
    }
    assert all(row["subject_id"] == row["organization_id"] for row in first)


def test_the_work_is_spread_over_the_day(
    stack: Stack, new_organization: Callable[[], UUID]
) -> None:
    for _ in range(3):
        new_organization()
    ask_for_all(stack.database)
    for kind in daily.KINDS:
        moments = [row["due_at"] for row in asked(stack) if row["kind"] == kind]
        pauses = {after - before for before, after in pairwise(moments)}
        assert all(
            abs(pause - timedelta(days=1) / len(moments)) < timedelta(milliseconds=1)
            for pause in pauses
        )


def test_organizations_that_still_settle_money_are_not_left_out(
    stack: Stack, new_organization: Callable[[], UUID]
) -> None:
    suspended, unfinished = new_organization(), new_organization()
    set_state(stack, suspended, "suspended")
    set_state(stack, unfinished, "provisioning")
    try:
        ask_for_all(stack.database)
        found = {row["organization_id"] for row in asked(stack)}
    finally:
        set_state(stack, unfinished, "active")
    assert suspended in found
    assert unfinished not in found


def test_a_dispatcher_asks_an_hour_after_its_start_and_then_each_day(
    stack: Stack, new_organization: Callable[[], UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    new_organization()
    clock = [1000.0]
    monkeypatch.setattr(daily, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    seen = list[int]()
    one = Daily(stack.database)
    for seconds in (0.0, 3599.0, 1.0, 24 * 3600 - 1.0, 1.0):
        clock[0] += seconds
        one.ask_when_due()
        seen.append(len(asked(stack)))
        with stack.database.transaction(PLATFORM) as session:
            session.execute(text("DELETE FROM platform.work"))
    assert [count > 0 for count in seen] == [False, False, True, False, True]
