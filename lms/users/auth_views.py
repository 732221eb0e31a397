"""Signing in and out, joining by invitation, and one's own account."""

from __future__ import annotations

from functools import partial
from typing import Any

from lms.config import Settings
from lms.core.queue import Doorbell
from lms.http.auth import issue_tokens, read_token
from lms.http.blueprint import PUBLIC, TenantBlueprint
from lms.http.call import Call
from lms.users import invitations, operations, passwords, queries, sign_in
from lms.users.models import User
from lms.users.schemas import (
    AcceptInvitationIn,
    LoginIn,
    MePatch,
    RefreshIn,
    TokensOut,
    UserOut,
)
from lms.users.sign_in import SignIn

blp = TenantBlueprint(
    "Sign-in",
    __name__,
    description="Tokens for this organization's host, and one's own account.",
)

TOKENS_EXAMPLE = {
    "access_token": "eyJhbGciOiJIUzI1NiJ9.e30.access",
    "refresh_token": "eyJhbGciOiJIUzI1NiJ9.e30.refresh",
    "token_type": "Bearer",
    "expires_in": 900,
}


@blp.operation(
    "POST",
    "/auth/login",
    id="login",
    body=LoginIn,
    returns=TokensOut,
    roles=PUBLIC,
    transaction="steps",
    refusals=(401,),
    example=TOKENS_EXAMPLE,
)
def login(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Sign in with e-mail and password.

    For everybody with an account here. A wrong password, an unknown address and a deactivated
    account get the same 401 (`invalid_credentials`). While too many sign in at once, some get 503
    `busy`: repeat after `Retry-After` seconds.
    """
    lifetime = call.use(Settings).refresh_token_seconds
    started = sign_in.with_password(
        call.transaction,
        body["password"],
        find=partial(sign_in.find_credentials, email=body["email"]),
        start=partial(sign_in.start_session, lifetime=lifetime),
    )
    return _tokens(call, started)


@blp.operation(
    "POST",
    "/auth/refresh",
    id="refreshTokens",
    body=RefreshIn,
    returns=TokensOut,
    roles=PUBLIC,
    refusals=(401,),
    example=TOKENS_EXAMPLE,
)
def refresh(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Exchange a refresh token for new tokens.

    Each refresh token works once. One that comes a second time may be stolen, so the whole sign-in
    ends (401 `refresh_token_reused`) and every token of it with it.
    """
    claims = read_token(body["refresh_token"], call.scope, kind="refresh")
    return _tokens(call, sign_in.rotate(call.session, claims.session_id, claims.token_id))


@blp.operation("POST", "/auth/logout", id="logout", status=204)
def logout(call: Call) -> None:
    """End this sign-in.

    For everybody signed in. Its tokens end at once; sign-ins on other devices go on.
    """
    sign_in.sign_out(call.session, call.actor)


@blp.operation(
    "POST",
    "/auth/invitations/accept",
    id="acceptInvitation",
    body=AcceptInvitationIn,
    returns=TokensOut,
    roles=PUBLIC,
    transaction="steps",
    example=TOKENS_EXAMPLE,
)
def accept_invitation(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Join with an invitation: set a password and be signed in.

    An invitation works once, for seven days, and until a newer one replaces it; afterwards, and for
    unknown ones, the answer is 422 `invalid_invitation`: an admin can invite again. A password that
    breaks the policy is 422 `weak_password`.
    """
    with call.transaction() as session:
        invitee = invitations.find_invitee(session, body["token"])
    passwords.check_policy(body["password"], invitee.email)
    hashed = passwords.hash_password(body["password"])
    with call.transaction() as session:
        joined = invitations.accept(
            session, call.use(Doorbell), body["token"], hashed, name=body.get("name")
        )
        started = sign_in.start_session(
            session, joined, lifetime=call.use(Settings).refresh_token_seconds
        )
    return _tokens(call, started)


@blp.operation("GET", "/me", id="getMe", returns=UserOut, etag=True)
def get_me(call: Call) -> User:
    """Read one's own account.

    The name, e-mail address and account type behind the token that is sent.
    """
    return queries.get_user(call.session, call.actor.user_id)


@blp.operation(
    "PATCH",
    "/me",
    id="updateMe",
    body=MePatch,
    returns=UserOut,
    etag=True,
    if_match="optional",
)
def update_me(call: Call, body: dict[str, Any]) -> User:
    """Change one's own account.

    Members that are sent are changed. The e-mail address and the account type are an admin's to
    change.
    """
    return operations.update_me(
        call.session, call.actor, expected_version=call.expected_version(), changes=body
    )


def _tokens(call: Call, started: SignIn) -> dict[str, Any]:
    return issue_tokens(call.scope, started.user_id, started.session_id, started.refresh_id)
