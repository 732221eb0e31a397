"""The super-admins' API: organizations and the queue of work."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from lms.config import ConfigurationError, Settings
from lms.core.ids import new_id
from lms.core.pagination import Page
from lms.core.queue import Doorbell
from lms.http.auth import issue_tokens
from lms.http.blueprint import PUBLIC, PlatformBlueprint
from lms.http.call import Call
from lms.platform import accounts, operations, provisioning, queries
from lms.platform.errors import ProvisioningUnavailableError
from lms.platform.provisioning import FirstAdmin, Owner
from lms.platform.schemas import (
    CreatedOrganizationOut,
    JobOut,
    JobQuery,
    OrganizationIn,
    OrganizationOut,
    OrganizationPatch,
    OrganizationQuery,
    PlatformTokenOut,
    SuspensionIn,
)
from lms.users.schemas import LoginIn, row_with
from lms.users.sign_in import with_password
from tenants.models import Organization, Work
from tenants.provisioning import NewOrganization

blp = PlatformBlueprint(
    "Platform",
    __name__,
    description="For super-admins: organizations, and the work that runs for them.",
)


@blp.operation(
    "POST",
    "/auth/login",
    id="login",
    body=LoginIn,
    returns=PlatformTokenOut,
    roles=PUBLIC,
    transaction="steps",
    refusals=(401,),
)
def login(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Sign in as a super-admin.

    Accounts of organizations do not work here, nor these there. A wrong password and an unknown
    address get the same 401 (`invalid_credentials`). While too many sign in at once, some get 503
    `busy`: repeat after `Retry-After` seconds.
    """
    lifetime = call.use(Settings).access_token_seconds
    actor = with_password(
        call.transaction,
        body["password"],
        find=partial(accounts.find_credentials, email=body["email"]),
        start=partial(accounts.start_session, lifetime=lifetime),
    )
    return issue_tokens(call.scope, actor.admin_id, actor.session_id, new_id())


@blp.operation("POST", "/auth/logout", id="logout", status=204)
def logout(call: Call) -> None:
    """End this sign-in; its token ends at once.

    Only the token that is sent ends; other sign-ins of the same person stay.
    """
    accounts.sign_out(call.session, call.platform_actor)


@blp.operation(
    "GET",
    "/organizations",
    id="listOrganizations",
    query=OrganizationQuery,
    returns=OrganizationOut,
    paged=True,
)
def list_organizations(call: Call, query: dict[str, Any]) -> Page[Organization]:
    """List organizations in any state, by id: about oldest first.

    Suspended ones are among them; `state` picks some.
    """
    return queries.list_organizations(call.session, **query)


@blp.operation(
    "POST",
    "/organizations",
    id="createOrganization",
    body=OrganizationIn,
    returns=CreatedOrganizationOut,
    status=201,
    transaction="steps",
    refusals=(409,),
)
def create_organization(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Create an organization, ready to use when this answers.

    The first admin's invitation is shown in this answer only: pass its token on, to be accepted on
    the organization's own host. A slug that is taken is 409 `slug_taken`; one that cannot be a
    host label or is reserved is 422 `invalid_slug`. A failure leaves nothing behind.
    """
    first_admin = FirstAdmin(**body.pop("admin"))
    new = NewOrganization(id=new_id(), **body)
    owner = _owner(call)
    made = provisioning.create_organization(
        owner, new, first_admin, actor_id=call.platform_actor.admin_id
    )
    with call.transaction() as session:
        organization = queries.get_organization(session, made.organization_id)
    provisioning.refill_spares_in_background(owner, call.use(Settings).spare_organizations)
    return row_with(organization, invitation=made.invitation)


@blp.operation(
    "GET",
    "/organizations/<uuid:organization_id>",
    id="getOrganization",
    returns=OrganizationOut,
    etag=True,
)
def get_organization(call: Call, organization_id: UUID) -> Organization:
    """Read an organization.

    Its data is not among what is read: that is behind the organization's own host.
    """
    return queries.get_organization(call.session, organization_id)


@blp.operation(
    "PATCH",
    "/organizations/<uuid:organization_id>",
    id="updateOrganization",
    body=OrganizationPatch,
    returns=OrganizationOut,
    etag=True,
    if_match="required",
)
def update_organization(call: Call, organization_id: UUID, body: dict[str, Any]) -> Organization:
    """Change an organization's name, time zone, locale or settings.

    Members that are sent are changed. `slug`, host and `currency` stay as they were
    provisioned: addresses and money depend on them.
    """
    return operations.update_organization(
        call.session,
        call.platform_actor,
        organization_id,
        expected_version=call.expected_version(required=True),
        changes=body,
    )


@blp.operation(
    "POST",
    "/organizations/<uuid:organization_id>/suspend",
    id="suspendOrganization",
    body=SuspensionIn,
    returns=OrganizationOut,
    etag=True,
    refusals=(409,),
)
def suspend_organization(call: Call, organization_id: UUID, body: dict[str, Any]) -> Organization:
    """Suspend an organization.

    From now on its host answers like a host that nobody has. Its data stays; payments that are
    under way are settled. A suspended organization stays as it is; one that is being deleted is
    409 `organization_state`.
    """
    return operations.suspend_organization(
        call.session, call.platform_actor.admin_id, organization_id, reason=body["reason"]
    )


@blp.operation(
    "POST",
    "/organizations/<uuid:organization_id>/resume",
    id="resumeOrganization",
    returns=OrganizationOut,
    etag=True,
    refusals=(409,),
)
def resume_organization(call: Call, organization_id: UUID) -> Organization:
    """Take a suspension back.

    An active organization stays as it is; one that is being deleted is 409 `organization_state`.
    """
    return operations.resume_organization(
        call.session, call.platform_actor.admin_id, organization_id
    )


@blp.operation("GET", "/jobs", id="listJobs", query=JobQuery, returns=JobOut, paged=True)
def list_jobs(call: Call, query: dict[str, Any]) -> Page[Work]:
    """List the work of all organizations, newest first.

    What is waiting, running, done and failed, with the last error. Ids only: what a job is
    about is in the organization's own data.
    """
    return queries.list_jobs(call.session, **query)


@blp.operation("POST", "/jobs/<uuid:job_id>/retry", id="retryJob", returns=JobOut, refusals=(409,))
def retry_job(call: Call, job_id: UUID) -> Work:
    """Try a failed job again, with all its attempts.

    A job that has not failed is 409 `job_not_failed`; one whose subject has a newer open job is
    409 `job_already_open`.
    """
    return operations.retry_job(
        call.session, call.platform_actor.admin_id, call.use(Doorbell), job_id
    )


def _owner(call: Call) -> Owner:
    settings = call.use(Settings)
    try:
        return Owner(settings.admin_url(), settings.database_url)
    except ConfigurationError as error:
        raise ProvisioningUnavailableError from error
