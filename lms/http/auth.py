"""Bearer access tokens (JWT, HS256), bound to the organization on whose host they are used."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import jwt
from flask import Flask, Request, current_app
from flask_jwt_extended import JWTManager, create_access_token, create_refresh_token, decode_token
from sqlalchemy.orm import Session

from lms.core.actor import Actor, ActorQuery, PlatformActor
from lms.core.errors import UnauthenticatedError
from tenants.session import OrganizationScope, PipelinedQuery, PlatformScope, first_rows

ALGORITHM = "HS256"
PLATFORM_AUDIENCE = "platform"


class InvalidTokenError(UnauthenticatedError):
    """The token is missing, expired, revoked, altered, or was made for another host."""

    code = "invalid_token"


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a verified token says: whose (`subject_id`), of which sign-in, and its own id."""

    subject_id: UUID
    session_id: UUID
    token_id: UUID


@dataclass(frozen=True, slots=True)
class Authenticator:
    """How the two sides find who acts; handed in by the composition root.

    Attributes:
        users: on organizations' hosts.
        admins: on the platform's.
    """

    users: ActorQuery
    admins: ActorQuery

    def ask(self, claims: TokenClaims, scope: OrganizationScope | PlatformScope) -> PipelinedQuery:
        """Return the query that finds who acts, to be sent along with the binding."""
        return PipelinedQuery(self._query(scope).sql, (claims.subject_id, claims.session_id))

    def actor(
        self, claims: TokenClaims, scope: OrganizationScope | PlatformScope, session: Session
    ) -> Actor | PlatformActor:
        """Return who acts, from what the transaction's first query found.

        Raises:
            InvalidTokenError: the sign-in has ended.
        """
        row = first_rows(session)[0]
        if row is None:
            raise InvalidTokenError("This sign-in has ended; sign in again.")
        return self._query(scope).make(row, claims.session_id)

    def _query(self, scope: OrganizationScope | PlatformScope) -> ActorQuery:
        return self.users if isinstance(scope, OrganizationScope) else self.admins


def configure(app: Flask, *, secret_key: str, access_seconds: int, refresh_seconds: int) -> None:
    """Set flask-jwt-extended up; tokens travel in the Authorization header only."""
    app.config.update(
        JWT_SECRET_KEY=secret_key,
        JWT_ALGORITHM=ALGORITHM,
        JWT_TOKEN_LOCATION=["headers"],
        JWT_ACCESS_TOKEN_EXPIRES=timedelta(seconds=access_seconds),
        JWT_REFRESH_TOKEN_EXPIRES=timedelta(seconds=refresh_seconds),
    )
    JWTManager(app)


def audience_of(scope: OrganizationScope | PlatformScope) -> str:
    """Return what a token's `org` claim must say: the organization's id, or `platform`."""
    return str(scope.id) if isinstance(scope, OrganizationScope) else PLATFORM_AUDIENCE


def issue_tokens(
    scope: OrganizationScope | PlatformScope, subject_id: UUID, session_id: UUID, refresh_id: UUID
) -> dict[str, Any]:
    """Make an access and a refresh token of one sign-in.

    Args:
        scope: where they hold, and nowhere else.
        subject_id: user or super-admin.
        session_id: the sign-in.
        refresh_id: the id by which this refresh token is known; using another one is reuse.

    Returns:
        `access_token`, `refresh_token`, `token_type` and `expires_in` (seconds).
    """
    claims = {"org": audience_of(scope), "sid": str(session_id)}
    access = create_access_token(str(subject_id), additional_claims=claims)
    refresh = create_refresh_token(
        str(subject_id), additional_claims={**claims, "rid": str(refresh_id)}
    )
    decoded = decode_token(access)
    return {
        "access_token": access,
        "refresh_token": refresh,
        "token_type": "Bearer",
        "expires_in": decoded["exp"] - decoded["iat"],
    }


def bearer_of(request: Request) -> str:
    """Return the bearer token of a request.

    Raises:
        InvalidTokenError: there is none.
    """
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise InvalidTokenError("Sign in, and send the access token as Authorization: Bearer.")
    return token.strip()


@dataclass(frozen=True, slots=True)
class _Verified:
    """What a token with our signature says; `expires` in seconds since 1970."""

    expires: float
    kind: str
    audience: str
    claims: TokenClaims


@lru_cache(maxsize=16_384)
def _verified(token: str, secret_key: str) -> _Verified:
    """Return what a token with our signature says.

    Remembered (about 1 kB each), because a client sends the same one many times in its few
    minutes; whoever asks checks what time changes. (flask-jwt-extended's decode_token reads each
    token twice.)

    Raises:
        jwt.PyJWTError: it is not ours, or had expired when it first came.
        KeyError, ValueError, TypeError: it says less than ours do.
    """
    said = jwt.decode(
        token, secret_key, algorithms=[ALGORITHM], options={"require": ["exp", "sub", "jti"]}
    )
    kind = said["type"]
    token_id = said["rid"] if kind == "refresh" else said["jti"]
    claims = TokenClaims(UUID(said["sub"]), UUID(said["sid"]), UUID(token_id))
    return _Verified(said["exp"], kind, said["org"], claims)


def read_token(token: str, scope: OrganizationScope | PlatformScope, *, kind: str) -> TokenClaims:
    """Verify a token for this host.

    Args:
        token: as sent.
        scope: of the host that was called.
        kind: `access` or `refresh`.

    Raises:
        InvalidTokenError: altered, expired, of the other kind, or of another organization.
    """
    try:
        found = _verified(token, current_app.config["JWT_SECRET_KEY"])
    except (jwt.PyJWTError, KeyError, ValueError, TypeError) as error:
        raise InvalidTokenError("This token does not hold; sign in again.") from error
    if found.expires <= time.time():
        raise InvalidTokenError("This token has expired; sign in again.")
    if found.kind != kind or found.audience != audience_of(scope):
        raise InvalidTokenError("This token does not hold here; sign in on this host.")
    return found.claims
