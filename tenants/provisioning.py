"""Create, suspend and resume organizations.

Creating is one transaction: the organization's row, its role, its schema with every table, its
grants and whatever the caller seeds; the schema is a spare where there is one. A failure anywhere
leaves nothing behind.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from uuid import UUID

import psycopg
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tenants import ddl, roles, schemas, spares
from tenants.errors import InvalidSlugError, SlugTakenError
from tenants.resolver import RESERVED_SLUGS
from tenants.session import BoundOrganization

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

INSERT_ROW = text("""
    INSERT INTO platform.organizations
           (id, slug, name, state, revision, currency, time_zone, locale, version)
    VALUES (:id, :slug, :name, 'active', :revision, :currency, :time_zone, :locale, 1)
""")


@dataclass(frozen=True, slots=True)
class NewOrganization:
    """What a new organization is made of.

    Attributes:
        id: UUIDv7; a spare schema has its own.
        slug: host label below the base domain.
        name: as people write it.
        currency: ISO 4217 code; fixed once the first wallet exists.
        time_zone: IANA name; receipts' years and mails follow it.
        locale: BCP 47 tag of mails and branding.
    """

    id: UUID
    slug: str
    name: str
    currency: str = "EUR"
    time_zone: str = "UTC"
    locale: str = "en"


def check_slug(slug: str) -> None:
    """Refuse a slug that cannot be a host label or belongs to the platform.

    Raises:
        InvalidSlugError: with a message for the one who chose it.
    """
    if not SLUG.fullmatch(slug) or slug[2:4] == "--":
        raise InvalidSlugError(
            "A slug is 1 to 63 lower-case letters, digits and inner hyphens (a host label)."
        )
    if slug in RESERVED_SLUGS:
        raise InvalidSlugError(f"The slug {slug!r} is reserved for the platform.")


def create_organization(
    admin: Engine,
    new: NewOrganization,
    *,
    login_role: str,
    seed: Callable[[Session], None] | None = None,
    take_spare: bool = False,
) -> UUID:
    """Create an organization, ready to use when this returns.

    Args:
        admin: engine of the schemas' owner.
        new: what to create.
        login_role: the restricted role that serves requests.
        seed: writes first rows (the first admin's invitation) inside the same transaction; it gets
            a session bound to the new schema.
        take_spare: use a spare schema where one stands ready (`tenants.spares`).

    Returns:
        The organization's id: the spare's, or `new.id`.

    Raises:
        InvalidSlugError: the slug cannot be used.
        SlugTakenError: another organization has it.
        sqlalchemy.exc.OperationalError: what it needs stayed locked (`roles.limit_lock_waits`).
    """
    check_slug(new.slug)
    with Session(admin) as session, session.begin():
        connection = session.connection()
        roles.limit_lock_waits(connection)
        spare = spares.claim(connection, login_role) if take_spare else None
        made = new if spare is None else replace(new, id=spare)
        _insert_row(session, made)
        if spare is None:
            schemas.build(connection, made.id, login_role)
        schemas.enter(connection, made.id)
        if seed is not None:
            session.info["organization"] = BoundOrganization(
                id=made.id,
                revision=ddl.head_revision(),
                slug=made.slug,
                name=made.name,
                currency=made.currency,
                time_zone=made.time_zone,
                locale=made.locale,
                settings={},
            )
            seed(session)
    return made.id


def _insert_row(session: Session, new: NewOrganization) -> None:
    values = {**asdict(new), "revision": ddl.head_revision()}
    try:
        session.execute(INSERT_ROW, values)
    except IntegrityError as error:
        if isinstance(error.orig, psycopg.errors.UniqueViolation):
            raise SlugTakenError(new.slug) from error
        raise


def suspend(session: Session, organization_id: UUID, *, reason: str) -> bool:
    """Suspend an active organization; its host answers 404 from the next transaction on.

    Args:
        session: a platform session.
        organization_id: which one.
        reason: kept with the organization.

    Returns:
        Whether it was active before.
    """
    changed = session.execute(
        text("""
            UPDATE platform.organizations
               SET state = 'suspended', suspended_at = now(), suspended_reason = :reason,
                   version = version + 1
             WHERE id = :id AND state = 'active'
         RETURNING id
        """),
        {"id": organization_id, "reason": reason},
    )
    return changed.first() is not None


def resume(session: Session, organization_id: UUID) -> bool:
    """Take a suspension back.

    Returns:
        Whether it was suspended before.
    """
    changed = session.execute(
        text("""
            UPDATE platform.organizations
               SET state = 'active', suspended_at = NULL, suspended_reason = NULL,
                   version = version + 1
             WHERE id = :id AND state = 'suspended'
         RETURNING id
        """),
        {"id": organization_id},
    )
    return changed.first() is not None
