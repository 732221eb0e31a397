"""What goes in and out about accounts and sign-ins."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import validate
from sqlalchemy import inspect
from sqlalchemy.orm import DeclarativeBase

from lms.http.schemas import Boolean, PageQuery, Schema, Text, UtcDateTime
from lms.users.emails import normalize_email
from lms.users.errors import InvalidEmailError
from lms.users.models import ACCOUNT_TYPES
from lms.users.passwords import MAX_LENGTH, MIN_LENGTH

MAX_EMAIL = 254
MAX_TOKEN = 4096


class Email(ma.fields.String):
    """An e-mail address, normalised on the way in."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs["metadata"] = {"format": "email", "example": "dana@acme.example"} | kwargs.get(
            "metadata", {}
        )
        super().__init__(validate=validate.Length(min=3, max=MAX_EMAIL), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        address = super()._deserialize(value, attr, data, **kwargs)
        try:
            return normalize_email(address[: MAX_EMAIL + 1])
        except InvalidEmailError as error:
            raise ma.ValidationError(error.detail) from error


class AccountType(ma.fields.String):
    """What a user may do in the organization."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=validate.OneOf(ACCOUNT_TYPES), **kwargs)


class IsSet(ma.fields.Boolean):
    """Shows whether a nullable column has a value, and not the value."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> bool:
        del attr, obj, kwargs
        return value is not None


def row_with(row: DeclarativeBase, **more: Any) -> dict[str, Any]:
    """Return a row's columns and more members, for answers that show both as one object."""
    columns = inspect(row).mapper.column_attrs
    return {**{column.key: getattr(row, column.key) for column in columns}, **more}


class LoginIn(Schema):
    """Credentials."""

    email = Text(required=True, max_length=320, metadata={"example": "dana@acme.example"})
    password = ma.fields.String(
        required=True,
        validate=validate.Length(min=1, max=MAX_LENGTH),
        metadata={"format": "password", "example": "correct horse battery"},
    )


class RefreshIn(Schema):
    """The refresh token that `login` or the last `refresh` answered."""

    refresh_token = ma.fields.String(required=True, validate=validate.Length(min=1, max=MAX_TOKEN))


class AcceptInvitationIn(Schema):
    """The secret of an invitation, and the password to set."""

    token = ma.fields.String(required=True, validate=validate.Length(min=1, max=200))
    password = ma.fields.String(
        required=True,
        validate=validate.Length(min=MIN_LENGTH, max=MAX_LENGTH),
        metadata={
            "format": "password",
            "description": "Any characters; not the e-mail address.",
            "example": "correct horse battery",
        },
    )
    name = Text(metadata={"description": "Replaces the name that the invitation came with."})


class TokensOut(Schema):
    """Tokens of one sign-in, good for this host only."""

    access_token = ma.fields.String(
        required=True, metadata={"description": "Send as `Authorization: Bearer`."}
    )
    refresh_token = ma.fields.String(
        required=True,
        metadata={"description": "Exchange it once at `refresh`; a second time ends the sign-in."},
    )
    token_type = ma.fields.String(required=True, metadata={"example": "Bearer"})
    expires_in = ma.fields.Integer(
        required=True, metadata={"description": "Seconds that the access token lasts."}
    )


class UserOut(Schema):
    """A person's account in this organization."""

    id = ma.fields.UUID(required=True)
    email = Email(required=True)
    name = ma.fields.String(required=True, metadata={"example": "Dana Reyes"})
    account_type = AccountType(required=True)
    joined = IsSet(
        required=True,
        attribute="password_hash",
        metadata={"description": "False until the invitation is accepted."},
    )
    deactivated = IsSet(
        required=True,
        attribute="deactivated_at",
        metadata={"description": "True: keeps their history and can do nothing."},
    )
    created_at = UtcDateTime(required=True)


class InvitationOut(Schema):
    """Shown once; pass the token on to the invited person."""

    token = ma.fields.String(
        required=True, metadata={"description": "For `acceptInvitation`; works once."}
    )
    expires_at = UtcDateTime(required=True)


class InvitedUserOut(UserOut):
    """An account whose owner has not joined yet, and their invitation."""

    invitation = ma.fields.Nested(InvitationOut, required=True)


class UserIn(Schema):
    """A person to invite."""

    email = Email(required=True)
    name = Text(required=True, metadata={"example": "Dana Reyes"})
    account_type = AccountType(required=True)


class UserPatch(Schema):
    """Members that are sent are changed."""

    name = Text()
    account_type = AccountType()
    deactivated = Boolean(
        metadata={"description": "True ends all sign-ins at once; false lets them in again."},
    )


class MePatch(Schema):
    """Members that are sent are changed."""

    name = Text()


class UserQuery(PageQuery):
    """Which users."""

    account_type = AccountType(load_default=None)
    email = Email(load_default=None, metadata={"description": "Exactly this address."})
