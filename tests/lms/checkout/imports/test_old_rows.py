"""Addresses in the rows of imports: kept for 90 days, then forgotten; what was done stays."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from jobs import housekeeping
from lms.core.clock import now
from lms.core.queue import FORGET_KEYS, enqueue_for
from tenants.session import PLATFORM
from tests.factories.importing import file_of, joined, read_import, rows_of, run_import, start
from tests.factories.money import Academy


def let_days_pass(academy: Academy, import_id: str, days: int) -> None:
    academy.execute_as_owner(
        "UPDATE learner_imports SET finished_at = finished_at - make_interval(days => :days),"
        " created_at = created_at - make_interval(days => :days) WHERE id = :id",
        id=UUID(import_id),
        days=days,
    )


def forget(academy: Academy) -> None:
    with academy.database.transaction(PLATFORM) as session:
        enqueue_for(session, FORGET_KEYS, {academy.organization_id: now()})
    academy.do_work(FORGET_KEYS, academy.organization_id)


@pytest.mark.parametrize("at_once", [1, 1000])
def test_rows_are_forgotten_after_90_days_and_what_was_done_stays(
    academy: Academy, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(housekeeping, "AT_ONCE", at_once)
    admin, run_id, people = academy.person("admin"), academy.run(), joined(academy, 2)
    done = run_import(academy, admin, run_id, file_of(*(f"{one.email}," for one in people)))
    let_days_pass(academy, done["id"], 89)
    forget(academy)
    assert len(rows_of(academy, admin, done["id"])) == 2
    let_days_pass(academy, done["id"], 1)
    forget(academy)
    assert rows_of(academy, admin, done["id"]) == []
    assert read_import(academy, admin, done["id"])["enrolled"] == 2
    assert academy.seats_taken(run_id) == 2


def test_rows_of_an_import_that_has_not_ended_are_kept(academy: Academy) -> None:
    admin, [ada] = academy.person("admin"), joined(academy)
    import_id = start(academy, admin, academy.run(), file_of(f"{ada.email},"))
    let_days_pass(academy, import_id, 91)
    forget(academy)
    assert len(rows_of(academy, admin, import_id)) == 1


def test_keys_are_forgotten_first_so_that_no_trouble_with_rows_keeps_them(
    academy: Academy, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, [ada] = academy.person("admin"), joined(academy)
    start(academy, admin, academy.run(), file_of(f"{ada.email},"))
    academy.execute_as_owner(
        "UPDATE idempotency_keys SET created_at = now() - interval '31 days' WHERE user_id = :id",
        id=admin.id,
    )
    count = text("SELECT count(*) FROM idempotency_keys WHERE user_id = :id")
    kept: list[int] = []

    def note_keys(session: Session, *, most: int) -> int:
        del most
        kept.append(session.execute(count, {"id": admin.id}).scalar_one())
        return 0

    monkeypatch.setattr(housekeeping, "forget_old_rows", note_keys)
    forget(academy)
    assert kept == [0]
