"""What super-admins do to organizations and to the queue of work. Every write is audited."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lms.core.actor import PlatformActor
from lms.core.queue import Doorbell
from lms.core.versions import check_version
from lms.platform import audit, queries
from lms.platform.errors import (
    JobAlreadyOpenError,
    JobNotFailedError,
    OrganizationStateError,
)
from lms.platform.provisioning import check_time_zone
from tenants import provisioning
from tenants.models import Organization, Work
from tenants.session import on_commit

# `fence` stays: it must only ever grow, so that a worker that comes back from the dead has lost.
RETRY = text("""
    UPDATE platform.work
       SET state = 'waiting', attempts = 0, claims = 0, due_at = now(), handed_out_at = NULL,
           error = NULL, finished_at = NULL
     WHERE id = :id AND state = 'failed'
 RETURNING id
""")


def update_organization(
    session: Session,
    actor: PlatformActor,
    organization_id: UUID,
    *,
    expected_version: int | None,
    changes: dict[str, Any],
) -> Organization:
    """Change an organization's name, time zone, locale or settings.

    Args:
        session: the platform's.
        actor: the super-admin.
        organization_id: which one.
        expected_version: the version that the client read.
        changes: members of `OrganizationPatch`, those that were sent.

    Raises:
        UnknownOrganizationError: no such organization.
        StaleVersionError: it was changed since the client read it.
        UnknownTimeZoneError: not an IANA time zone.
    """
    organization = queries.get_organization(session, organization_id)
    check_version(organization, expected_version)
    if "time_zone" in changes:
        check_time_zone(changes["time_zone"])
    merged = {**organization.settings, **changes.get("settings", {})}
    for member, value in {**changes, "settings": merged}.items():
        setattr(organization, member, value)
    session.flush()
    if changes:
        audit.record(
            session,
            "organization.update",
            actor_id=actor.admin_id,
            organization_id=organization_id,
            detail=changes,
        )
    return organization


def suspend_organization(
    session: Session, actor_id: UUID | None, organization_id: UUID, *, reason: str
) -> Organization:
    """Suspend an organization; its host answers 404 from the next transaction on.

    A suspended one stays as it is, so a repeated request is harmless.

    Args:
        session: the platform's.
        actor_id: the super-admin; None for the command line.
        organization_id: which one.
        reason: kept with the organization.

    Raises:
        UnknownOrganizationError: no such organization.
        OrganizationStateError: neither active nor suspended.
    """
    changed = provisioning.suspend(session, organization_id, reason=reason)
    organization = _in_state(session, organization_id, "suspended")
    if changed:
        audit.record(
            session,
            "organization.suspend",
            actor_id=actor_id,
            organization_id=organization_id,
            detail={"reason": reason},
        )
    return organization


def resume_organization(
    session: Session, actor_id: UUID | None, organization_id: UUID
) -> Organization:
    """Take a suspension back; an active organization stays as it is.

    Args:
        session: the platform's.
        actor_id: the super-admin; None for the command line.
        organization_id: which one.

    Raises:
        UnknownOrganizationError: no such organization.
        OrganizationStateError: neither active nor suspended.
    """
    changed = provisioning.resume(session, organization_id)
    organization = _in_state(session, organization_id, "active")
    if changed:
        audit.record(
            session, "organization.resume", actor_id=actor_id, organization_id=organization_id
        )
    return organization


def retry_job(
    session: Session, actor_id: UUID | None, doorbell: Doorbell | None, job_id: UUID
) -> Work:
    """Put a failed job back into the queue, with all its attempts.

    Args:
        session: the platform's.
        actor_id: the super-admin; None for the command line.
        doorbell: rung after the commit; None where none is at hand: the dispatcher finds the job at
            its next look.
        job_id: which one.

    Raises:
        UnknownJobError: no such job.
        JobNotFailedError: it has not failed.
        JobAlreadyOpenError: a newer job for the same subject is open.
    """
    job = queries.get_job(session, job_id)
    try:
        retried = session.execute(RETRY, {"id": job_id}).first()
    except IntegrityError as error:
        # The only unique index over what changes here is that of open subjects.
        if isinstance(error.orig, psycopg.errors.UniqueViolation):
            raise JobAlreadyOpenError from error
        raise
    session.refresh(job)
    if retried is None:
        raise JobNotFailedError(job.state)
    audit.record(
        session,
        "job.retry",
        actor_id=actor_id,
        organization_id=job.organization_id,
        detail={"job_id": str(job_id), "kind": job.kind},
    )
    if doorbell is not None:
        on_commit(session, doorbell.ring, job.queue)
    return job


def _in_state(session: Session, organization_id: UUID, state: str) -> Organization:
    organization = queries.get_organization(session, organization_id)
    session.refresh(organization)
    if organization.state != state:
        raise OrganizationStateError(organization.state)
    return organization
