"""Reads over all organizations and the queue, as the platform's own role."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from lms.core.pagination import DEFAULT_LIMIT, Page, paginate
from lms.platform.errors import UnknownJobError, UnknownOrganizationError
from tenants.models import Organization, Work


def get_organization(session: Session, organization_id: UUID) -> Organization:
    """Return an organization in any state.

    Raises:
        UnknownOrganizationError: there is none with this id.
    """
    organization = session.get(Organization, organization_id)
    if organization is None:
        raise UnknownOrganizationError
    return organization


def find_organization(session: Session, slug: str) -> Organization:
    """Return an organization in any state by its slug.

    Raises:
        UnknownOrganizationError: there is none with this slug.
    """
    found = session.scalars(select(Organization).where(Organization.slug == slug)).first()
    if found is None:
        raise UnknownOrganizationError(slug)
    return found


def list_organizations(
    session: Session,
    *,
    state: str | None = None,
    slug: str | None = None,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
) -> Page[Organization]:
    """Return one page of organizations, oldest first.

    Args:
        session: the platform's.
        state: only in this state.
        slug: only this one.
        limit: most to return.
        cursor: of the page before.
    """
    query = select(Organization)
    if state is not None:
        query = query.where(Organization.state == state)
    if slug is not None:
        query = query.where(Organization.slug == slug)
    return paginate(session, query, Organization.id, limit=limit, cursor=cursor)


def get_job(session: Session, job_id: UUID) -> Work:
    """Return a row of the queue.

    Raises:
        UnknownJobError: there is none with this id.
    """
    job = session.get(Work, job_id)
    if job is None:
        raise UnknownJobError
    return job


def list_jobs(
    session: Session,
    *,
    organization_id: UUID | None,
    state: str | None,
    queue: str | None,
    limit: int,
    cursor: str | None,
) -> Page[Work]:
    """Return one page of the queue, newest first.

    Args:
        session: the platform's.
        organization_id: only of this organization.
        state: only in this state.
        queue: only of this queue.
        limit: most to return.
        cursor: of the page before.
    """
    query = select(Work)
    if organization_id is not None:
        query = query.where(Work.organization_id == organization_id)
    if state is not None:
        query = query.where(Work.state == state)
    if queue is not None:
        query = query.where(Work.queue == queue)
    return paginate(session, query, Work.id, limit=limit, cursor=cursor, newest_first=True)
