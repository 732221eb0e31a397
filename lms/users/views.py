"""The organization's people, for its admins."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.core.pagination import Page
from lms.http.blueprint import ADMINS, TenantBlueprint
from lms.http.call import Call
from lms.users import operations, queries
from lms.users.models import User
from lms.users.schemas import InvitedUserOut, UserIn, UserOut, UserPatch, UserQuery, row_with

blp = TenantBlueprint("Users", __name__, description="The organization's people and what they are.")


@blp.operation(
    "GET", "/users", id="listUsers", query=UserQuery, returns=UserOut, paged=True, roles=ADMINS
)
def list_users(call: Call, query: dict[str, Any]) -> Page[User]:
    """List users, oldest first.

    For admins.
    """
    return queries.list_users(call.session, **query)


@blp.operation(
    "POST",
    "/users",
    id="createUser",
    body=UserIn,
    returns=InvitedUserOut,
    status=201,
    roles=ADMINS,
    refusals=(409,),
)
def create_user(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Invite a person.

    For admins. The invitation's token is shown in this answer only; pass it on. It holds for seven
    days. Somebody who has not joined yet can be invited again: the account keeps its id, takes the
    name and account type sent now, and older invitations stop working. An address whose account
    has joined or is deactivated is 409 `email_taken`.
    """
    user, invitation = operations.create_user(call.session, call.actor.user_id, **body)
    return row_with(user, invitation=invitation)


@blp.operation(
    "GET", "/users/<uuid:user_id>", id="getUser", returns=UserOut, etag=True, roles=ADMINS
)
def get_user(call: Call, user_id: UUID) -> User:
    """Read a user.

    For admins.
    """
    return queries.get_user(call.session, user_id)


@blp.operation(
    "PATCH",
    "/users/<uuid:user_id>",
    id="updateUser",
    body=UserPatch,
    returns=UserOut,
    etag=True,
    if_match="optional",
    roles=ADMINS,
    refusals=(409,),
)
def update_user(call: Call, user_id: UUID, body: dict[str, Any]) -> User:
    """Change a user's name or account type, or deactivate them.

    For admins. Deactivating ends all sign-ins at once and keeps the history. The organization's
    last active admin cannot be removed: 409 `last_admin`.
    """
    return operations.update_user(
        call.session,
        call.actor,
        user_id,
        expected_version=call.expected_version(),
        changes=body,
    )
