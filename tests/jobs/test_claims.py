"""Claims: one holder at a time, and only the last holder ends the work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Row, text

from jobs import claims
from jobs.claims import Claim, LostLeaseError
from lms.core.ids import new_id
from lms.core.queue import TRANSCODE_VIDEO
from tenants.session import Database, OrganizationScope

ADD = text("""
    INSERT INTO platform.work (id, organization_id, queue, kind, subject_id)
    VALUES (:id, :organization_id, 'media', :kind, :subject_id)
""")


@pytest.fixture
def scope(acme: UUID) -> OrganizationScope:
    return OrganizationScope(acme)


@pytest.fixture
def work_id(database: Database, scope: OrganizationScope) -> UUID:
    return add_work(database, scope)


def add_work(database: Database, scope: OrganizationScope) -> UUID:
    work_id = new_id()
    with database.transaction(scope) as session:
        session.execute(
            ADD,
            {
                "id": work_id,
                "organization_id": scope.id,
                "kind": TRANSCODE_VIDEO,
                "subject_id": new_id(),
            },
        )
    return work_id


def claim(
    database: Database, scope: OrganizationScope, work_id: UUID, seconds: float = 60
) -> Claim | None:
    with database.transaction(scope) as session:
        return claims.claim(session, scope.id, work_id, lease_seconds=seconds)


def row(database: Database, scope: OrganizationScope, work_id: UUID) -> Row[Any]:
    with database.transaction(scope) as session:
        return session.execute(
            text("SELECT * FROM platform.work WHERE id = :id"), {"id": work_id}
        ).one()


def claimed(database: Database, scope: OrganizationScope, work_id: UUID, **kwargs: Any) -> Claim:
    found = claim(database, scope, work_id, **kwargs)
    assert found is not None
    return found


def test_of_many_claimers_at_once_one_wins(
    database: Database, scope: OrganizationScope, work_id: UUID
) -> None:
    count = 4
    start = Barrier(count)

    def compete(_number: int) -> Claim | None:
        start.wait()
        return claim(database, scope, work_id)

    with ThreadPoolExecutor(count) as pool:
        outcomes = list(pool.map(compete, range(count)))
    assert sum(outcome is not None for outcome in outcomes) == 1


def test_an_expired_lease_is_claimed_again_with_a_higher_fence_and_the_loser_cannot_finish(
    database: Database, scope: OrganizationScope, work_id: UUID
) -> None:
    loser = claimed(database, scope, work_id, seconds=-1)
    winner = claimed(database, scope, work_id)
    assert winner.fence == loser.fence + 1
    for end in (claims.finish, claims.renew, claims.give_back):
        with pytest.raises(LostLeaseError), database.transaction(scope) as session:
            end(session, loser)
    with database.transaction(scope) as session:
        claims.finish(session, winner)
    assert row(database, scope, work_id).state == "done"


def test_what_a_loser_wrote_beside_its_finish_is_rolled_back(
    database: Database, scope: OrganizationScope, work_id: UUID
) -> None:
    loser = claimed(database, scope, work_id, seconds=-1)
    claimed(database, scope, work_id)
    other = add_work(database, scope)
    with pytest.raises(LostLeaseError), database.transaction(scope) as session:
        session.execute(
            text("UPDATE platform.work SET error = 'written' WHERE id = :id"), {"id": other}
        )
        claims.finish(session, loser)
    assert row(database, scope, other).error is None


def test_a_renewed_lease_keeps_others_out(
    database: Database, scope: OrganizationScope, work_id: UUID
) -> None:
    held = claimed(database, scope, work_id, seconds=-1)
    longer = Claim(
        **{name: getattr(held, name) for name in held.__slots__ if name != "lease_seconds"},
        lease_seconds=60,
    )
    with database.transaction(scope) as session:
        claims.renew(session, longer)
    assert claim(database, scope, work_id) is None


def test_failed_work_is_tried_again_later_three_times_and_then_given_up(
    database: Database, scope: OrganizationScope, work_id: UUID
) -> None:
    outcomes = []
    for _ in range(4):
        with database.transaction(scope) as session:
            session.execute(
                text("UPDATE platform.work SET due_at = now() WHERE id = :id"), {"id": work_id}
            )
        held = claimed(database, scope, work_id)
        with database.transaction(scope) as session:
            outcomes.append(claims.fail(session, held, "disk full"))
        assert claim(database, scope, work_id) is None
    assert outcomes == ["waiting", "waiting", "waiting", "failed"]
    assert row(database, scope, work_id).error == "disk full"


def test_work_that_is_handed_back_is_due_at_once_and_counts_no_failure(
    database: Database, scope: OrganizationScope, work_id: UUID
) -> None:
    held = claimed(database, scope, work_id)
    with database.transaction(scope) as session:
        claims.give_back(session, held)
    assert claimed(database, scope, work_id).attempts == 0


def test_another_organization_cannot_claim_it(
    database: Database, globex: UUID, work_id: UUID
) -> None:
    assert claim(database, OrganizationScope(globex), work_id) is None
