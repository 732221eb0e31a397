"""What goes in and out on the platform's side."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import validate

from lms.core.money import is_currency
from lms.http.schemas import CURRENCY, Integer, PageQuery, Schema, Text, UtcDateTime
from lms.users.schemas import Email, InvitationOut
from tenants.models import ORGANIZATION_STATES, WORK_STATES

QUEUES = ("media", "default")


class Currency(Text):
    """An ISO 4217 code."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("metadata", {"example": "EUR", "description": "ISO 4217."})
        rules = [CURRENCY, _known_currency]
        super().__init__(min_length=3, max_length=3, validate=rules, **kwargs)


def _known_currency(code: str) -> None:
    if not is_currency(code):
        raise ma.ValidationError("Not an ISO 4217 currency.")


def _slug() -> Text:
    return Text(
        required=True,
        max_length=63,
        metadata={
            "description": "Host label below the base domain: lower-case letters, digits, hyphens.",
            "example": "acme",
        },
    )


def _locale(**kwargs: Any) -> Text:
    return Text(
        max_length=35,
        validate=validate.Regexp(
            r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$",
            error="Give a BCP 47 language tag, such as en or pt-BR.",
        ),
        metadata={"description": "BCP 47 tag of mails and branding.", "example": "en"},
        **kwargs,
    )


def _time_zone(**kwargs: Any) -> Text:
    return Text(
        max_length=64,
        metadata={"description": "IANA name.", "example": "Europe/Lisbon"},
        **kwargs,
    )


class PlatformTokenOut(Schema):
    """An access token of a super-admin, good for the platform's host only."""

    access_token = ma.fields.String(
        required=True, metadata={"description": "Send as `Authorization: Bearer`."}
    )
    token_type = ma.fields.String(required=True, metadata={"example": "Bearer"})
    expires_in = ma.fields.Integer(
        required=True, metadata={"description": "Seconds until a new sign-in is needed."}
    )


class FirstAdminIn(Schema):
    """Who will administer the organization."""

    email = Email(required=True)
    name = Text(required=True, metadata={"example": "Dana Reyes"})


class OrganizationIn(Schema):
    """A new organization."""

    slug = _slug()
    name = Text(required=True, metadata={"example": "Acme Academy"})
    currency = Currency(load_default="EUR")
    time_zone = _time_zone(load_default="UTC")
    locale = _locale(load_default="en")
    admin = ma.fields.Nested(FirstAdminIn, required=True)


class OrganizationSettings(Schema):
    """What an organization's jobs and front ends read."""

    ladder = ma.fields.List(
        Integer(minimum=144, maximum=2160),
        validate=validate.Length(min=1, max=8),
        metadata={
            "description": "Short sides, in pixels, in which videos are offered.",
            "example": [1080, 720, 480, 360],
        },
    )


class OrganizationPatch(Schema):
    """Members that are sent are changed."""

    name = Text()
    time_zone = _time_zone()
    locale = _locale()
    settings = ma.fields.Nested(
        OrganizationSettings, metadata={"description": "Settings that are sent are changed."}
    )


class OrganizationOut(Schema):
    """A company with an academy of its own."""

    id = ma.fields.UUID(required=True)
    slug = ma.fields.String(required=True, metadata={"example": "acme"})
    name = ma.fields.String(required=True, metadata={"example": "Acme Academy"})
    state = ma.fields.String(required=True, validate=validate.OneOf(ORGANIZATION_STATES))
    revision = ma.fields.String(
        required=True, metadata={"description": "Migration that its schema is at."}
    )
    currency = Currency(required=True)
    time_zone = ma.fields.String(required=True, metadata={"example": "Europe/Lisbon"})
    locale = ma.fields.String(required=True, metadata={"example": "en"})
    settings = ma.fields.Nested(OrganizationSettings, required=True)
    created_at = UtcDateTime(required=True)
    suspended_at = UtcDateTime(required=True, allow_none=True)
    suspended_reason = ma.fields.String(required=True, allow_none=True)


class CreatedOrganizationOut(OrganizationOut):
    """A new organization and its first admin's invitation."""

    invitation = ma.fields.Nested(InvitationOut, required=True)


class OrganizationQuery(PageQuery):
    """Which organizations."""

    state = ma.fields.String(load_default=None, validate=validate.OneOf(ORGANIZATION_STATES))
    slug = Text(load_default=None, max_length=63)


class SuspensionIn(Schema):
    """Why an organization is suspended."""

    reason = Text(
        required=True, max_length=1000, multiline=True, metadata={"example": "Invoice unpaid."}
    )


class JobOut(Schema):
    """One thing to be done, in some organization."""

    id = ma.fields.UUID(required=True)
    organization_id = ma.fields.UUID(required=True)
    queue = ma.fields.String(required=True, validate=validate.OneOf(QUEUES))
    kind = ma.fields.String(required=True, metadata={"example": "transcode_video"})
    subject_id = ma.fields.UUID(
        required=True, metadata={"description": "What it is about, in the organization's data."}
    )
    state = ma.fields.String(required=True, validate=validate.OneOf(WORK_STATES))
    attempts = ma.fields.Integer(required=True)
    max_attempts = ma.fields.Integer(required=True)
    error = ma.fields.String(required=True, allow_none=True)
    due_at = UtcDateTime(required=True)
    lease_until = UtcDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "While running: when it is taken from a silent worker."},
    )
    created_at = UtcDateTime(required=True)
    finished_at = UtcDateTime(required=True, allow_none=True)


class JobQuery(PageQuery):
    """Which jobs."""

    organization_id = ma.fields.UUID(load_default=None)
    state = ma.fields.String(load_default=None, validate=validate.OneOf(WORK_STATES))
    queue = ma.fields.String(load_default=None, validate=validate.OneOf(QUEUES))
