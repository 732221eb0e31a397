"""Spare schemas: what is built ahead for the next organization."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from lms.core.ids import new_id
from tenants import catalog, names, provisioning, schemas, spares
from tenants.provisioning import NewOrganization
from tenants.session import Database, OrganizationScope


@pytest.fixture(autouse=True)
def no_spares(admin_engine: Engine) -> Iterator[None]:
    """Begin and end without spares: other tests ask for none."""
    remove_all(admin_engine)
    yield
    remove_all(admin_engine)


def remove_all(admin: Engine) -> None:
    make_stale(admin)
    spares.discard_stale(admin)


def make_stale(admin: Engine, revision: str = "0001") -> None:
    with admin.begin() as connection:
        statement = text("UPDATE platform.spare_schemas SET revision = :revision")
        connection.execute(statement, {"revision": revision})


def refill(admin: Engine, wanted: int) -> int:
    return spares.refill(admin, login_role="app", wanted=wanted)


def ready(admin: Engine) -> list[UUID]:
    with admin.begin() as connection:
        query = "SELECT id FROM platform.spare_schemas ORDER BY id"
        return list(connection.execute(text(query)).scalars())


def create(admin: Engine, seed: Callable[[Session], None] | None = None) -> UUID:
    new = NewOrganization(new_id(), f"spare-{new_id().hex[-12:]}", "New")
    return provisioning.create_organization(
        admin, new, login_role="app", seed=seed, take_spare=True
    )


def left(admin: Engine, organization_id: UUID) -> tuple[bool, bool]:
    """Tell whether there are a schema and a role of this name."""
    query = "SELECT to_regnamespace(:name) IS NOT NULL, to_regrole(:name) IS NOT NULL"
    with admin.begin() as connection:
        values = {"name": names.schema_name(organization_id)}
        schema, role = connection.execute(text(query), values).one()
    return schema, role


def test_a_new_organization_takes_the_oldest_spare_and_builds_nothing(
    admin_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    refill(admin_engine, 2)
    first, second = ready(admin_engine)
    monkeypatch.setattr(schemas, "build", None)
    assert create(admin_engine) == first
    assert ready(admin_engine) == [second]


def test_without_a_spare_it_is_built_there_and_then(admin_engine: Engine) -> None:
    assert left(admin_engine, create(admin_engine)) == (True, True)


def test_an_organization_out_of_a_spare_has_the_same_tables_and_grants(
    admin_engine: Engine,
) -> None:
    built = create(admin_engine)
    refill(admin_engine, 1)
    taken = create(admin_engine)
    with admin_engine.connect() as connection:
        described = [
            catalog.describe(connection, names.schema_name(one), role=names.role_name(one))
            for one in (built, taken)
        ]
    assert catalog.differences(*described) == ([], [])


def test_it_can_be_entered_and_may_leave_work_of_its_own(
    admin_engine: Engine, database: Database
) -> None:
    refill(admin_engine, 1)
    organization_id = create(admin_engine)
    with database.transaction(OrganizationScope(organization_id)) as session:
        session.execute(
            text(
                "INSERT INTO platform.work (id, organization_id, queue, kind, subject_id)"
                " VALUES (:id, :organization_id, 'default', 'nothing', :id)"
            ),
            {"id": new_id(), "organization_id": organization_id},
        )
        session.rollback()
        assert session.execute(text("SELECT count(*) FROM users")).scalar() == 0


def test_a_failing_seed_gives_the_spare_back(admin_engine: Engine) -> None:
    refill(admin_engine, 1)
    before = ready(admin_engine)

    def fail(_session: Session) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        create(admin_engine, fail)
    assert ready(admin_engine) == before
    assert left(admin_engine, before[0]) == (True, True)


def test_organizations_made_at_once_take_different_spares(admin_engine: Engine) -> None:
    refill(admin_engine, 2)
    first, second = ready(admin_engine)
    with admin_engine.connect() as holder:
        assert spares.claim(holder, "app") == first
        assert create(admin_engine) == second  # and does not wait
        holder.rollback()
    assert ready(admin_engine) == [first]


def test_a_spare_of_an_older_revision_is_not_taken_but_removed(admin_engine: Engine) -> None:
    refill(admin_engine, 1)
    [stale] = ready(admin_engine)
    make_stale(admin_engine)
    assert create(admin_engine) != stale
    assert ready(admin_engine) == [stale]
    assert spares.discard_stale(admin_engine) == 1
    assert ready(admin_engine) == []
    assert left(admin_engine, stale) == (False, False)


def test_a_spare_of_newer_code_is_neither_taken_nor_removed(admin_engine: Engine) -> None:
    refill(admin_engine, 1)
    [newer] = ready(admin_engine)
    make_stale(admin_engine, "9999")
    assert create(admin_engine) != newer
    assert spares.discard_stale(admin_engine) == 0
    assert left(admin_engine, newer) == (True, True)


def test_a_spare_that_lost_its_schema_is_not_taken(admin_engine: Engine) -> None:
    refill(admin_engine, 1)
    [broken] = ready(admin_engine)
    with admin_engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {names.schema_name(broken)} CASCADE"))
    assert create(admin_engine) != broken
    assert refill(admin_engine, 1) == 1


def test_a_spare_for_another_login_role_is_not_taken(admin_engine: Engine) -> None:
    refill(admin_engine, 1)
    with admin_engine.connect() as connection:
        assert spares.claim(connection, "another") is None


def test_several_who_refill_at_once_build_no_more_than_is_wanted(admin_engine: Engine) -> None:
    with ThreadPoolExecutor(3) as pool:
        built = list(pool.map(lambda _number: refill(admin_engine, 2), range(3)))
    assert sum(built) == 2
    assert len(ready(admin_engine)) == 2


def test_they_are_built_together_once_half_of_them_are_gone(admin_engine: Engine) -> None:
    assert refill(admin_engine, 4) == 4
    create(admin_engine)
    assert refill(admin_engine, 4) == 0
    create(admin_engine)
    assert refill(admin_engine, 4) == 2
