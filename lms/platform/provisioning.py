"""Creating an organization with its first admin's invitation, and inviting an admin later."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock, Thread
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psycopg
import structlog
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from lms.core.money import is_currency
from lms.platform import audit, queries
from lms.platform.errors import (
    OrganizationStateError,
    ProvisioningUnavailableError,
    UnknownCurrencyError,
    UnknownTimeZoneError,
)
from lms.users import operations as users
from lms.users.invitations import IssuedInvitation
from tenants import provisioning, roles, spares
from tenants.engines import create_admin_engine
from tenants.provisioning import NewOrganization
from tenants.session import PLATFORM, Database, OrganizationScope, organization_of

log = structlog.get_logger(__name__)
refilling = Lock()


@dataclass(frozen=True, slots=True)
class FirstAdmin:
    """Whom the platform invites to administer an organization.

    Attributes:
        email: normalised (`lms.users.emails`).
        name: as people write it.
    """

    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Owner:
    """How the database is reached to provision.

    Attributes:
        admin_url: as the owner of the schemas (DATABASE_ADMIN_URL).
        app_url: as the login role that will serve requests (DATABASE_URL).
    """

    admin_url: str
    app_url: str


@dataclass(frozen=True, slots=True)
class Provisioned:
    """A new organization, and its first admin's invitation, whose token is stored nowhere."""

    organization_id: UUID
    invitation: IssuedInvitation


def create_organization(
    owner: Owner, new: NewOrganization, first_admin: FirstAdmin, *, actor_id: UUID | None
) -> Provisioned:
    """Create an organization, ready to use, and invite its first admin: all or nothing.

    The organization, its schema and role, the admin's account, the invitation and the audit event
    are one transaction.

    Args:
        owner: how to reach the database.
        new: what to create.
        first_admin: whom to invite.
        actor_id: the super-admin; None for the command line.

    Returns:
        The organization's id and the invitation.

    Raises:
        UnknownCurrencyError: not an ISO 4217 currency.
        UnknownTimeZoneError: not an IANA time zone.
        InvalidSlugError: the slug cannot be used.
        SlugTakenError: another organization has it.
        ProvisioningUnavailableError: the database cannot be reached as its owner.
    """
    check_currency(new.currency)
    check_time_zone(new.time_zone)
    issued: list[IssuedInvitation] = []

    def seed(session: Session) -> None:
        _, invitation = users.create_user(
            session, None, email=first_admin.email, name=first_admin.name, account_type="admin"
        )
        issued.append(invitation)
        audit.record(
            session,
            "organization.create",
            actor_id=actor_id,
            organization_id=organization_of(session).id,
            detail={"slug": new.slug},
        )

    try:
        organization_id = provisioning.create_organization(
            create_admin_engine(owner.admin_url),
            new,
            login_role=roles.login_role(owner.app_url),
            seed=seed,
            take_spare=True,
        )
    except OperationalError as error:
        # Without a SQLSTATE there was no server to say no.
        if getattr(error.orig, "sqlstate", None) is None:
            raise ProvisioningUnavailableError from error
        raise
    return Provisioned(organization_id, issued[0])


def refill_spares(owner: Owner, wanted: int) -> bool:
    """Build the spare schemas that are missing, and remove those of older revisions.

    The organization that took one is there already, so nothing that fails here is raised.

    Args:
        owner: how to reach the database.
        wanted: how many are to stand ready (SPARE_ORGANIZATIONS).

    Returns:
        Whether it went well; the log says why not.
    """
    admin = create_admin_engine(owner.admin_url)
    try:
        spares.refill(admin, login_role=roles.login_role(owner.app_url), wanted=wanted)
        spares.discard_stale(admin)
    except (DBAPIError, psycopg.Error) as error:
        log.warning("spares_not_refilled", error=str(error).strip())
        return False
    return True


def refill_spares_in_background(owner: Owner, wanted: int) -> None:
    """Do so in a thread, unless one does already in this process; the next one makes up for it."""
    if wanted <= 0 or not refilling.acquire(blocking=False):
        return

    def refill() -> None:
        try:
            refill_spares(owner, wanted)
        finally:
            refilling.release()

    try:
        Thread(target=refill, name="spares", daemon=True).start()
    except RuntimeError as error:  # the system has no thread left
        refilling.release()
        log.warning("spares_not_refilled", error=str(error))


def invite_admin(
    database: Database, slug: str, admin: FirstAdmin, *, actor_id: UUID | None
) -> IssuedInvitation:
    """Invite somebody to administer an organization, as its own admins would.

    For a first admin whose invitation expired or was lost, or an organization whose admins are
    gone. On record in the organization's audit log, in the same transaction, and in the platform's.

    Args:
        database: its transactions are opened here, one of each side at a time.
        slug: which organization.
        admin: whom to invite; who has not joined yet is invited anew, as an admin.
        actor_id: the super-admin; None for the command line.

    Returns:
        The invitation; its token is stored nowhere.

    Raises:
        UnknownOrganizationError: no organization has the slug.
        OrganizationStateError: it is not active.
        EmailTakenError: the address belongs to somebody who has joined or is deactivated.
    """
    with database.transaction(PLATFORM) as session:
        organization = queries.find_organization(session, slug)
        if organization.state != "active":
            raise OrganizationStateError(organization.state)
    with database.transaction(OrganizationScope(organization.id)) as session:
        user, invitation = users.create_user(
            session, None, email=admin.email, name=admin.name, account_type="admin"
        )
    with database.transaction(PLATFORM) as session:
        audit.record(
            session,
            "organization.invite_admin",
            actor_id=actor_id,
            organization_id=organization.id,
            detail={"user_id": str(user.id)},
        )
    return invitation


def check_currency(code: str) -> None:
    """Refuse what is not a currency.

    Raises:
        UnknownCurrencyError: ISO 4217 does not have it, or gives it no minor units.
    """
    if not is_currency(code):
        raise UnknownCurrencyError(code)


def check_time_zone(name: str) -> None:
    """Refuse what is not a time zone.

    Raises:
        UnknownTimeZoneError: the IANA database does not have it.
    """
    # `available_timezones` opens all 600 files. What it leaves out is left out here too: posix/,
    # right/ and posixrules.
    if name.startswith(("posix", "right/")):
        raise UnknownTimeZoneError(name)
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownTimeZoneError(name) from error
