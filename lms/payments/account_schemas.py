"""Accounts at payment providers as clients see them."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import validate

from lms.http.schemas import Schema, Text, UtcDateTime

MAX_KEY = 255
OF_A_MODE = "Both keys must be of the same mode, live or test."


class PaymentAccountIn(Schema):
    """An account's keys, as the provider's dashboard shows them."""

    publishable_key = Text(
        max_length=MAX_KEY,
        required=True,
        validate=validate.Regexp(
            r"^pk_(live|test)_[A-Za-z0-9_]+$",
            error="A publishable key begins with pk_live_ or pk_test_.",
        ),
        metadata={"description": "For front ends; no secret.", "example": "pk_test_51Hq8"},
    )
    secret_key = Text(
        max_length=MAX_KEY,
        required=True,
        load_only=True,
        validate=validate.Regexp(
            r"^(sk|rk)_(live|test)_[A-Za-z0-9_]+$",
            error="A secret key begins with sk_live_ or sk_test_, a restricted one with rk_live_ or"
            " rk_test_.",
        ),
        metadata={
            "description": "Secret or restricted key. Never shown again.",
            "example": "sk_test_51Hq8",
        },
    )
    webhook_secret = Text(
        max_length=MAX_KEY,
        required=True,
        load_only=True,
        validate=validate.Regexp(
            r"^whsec_[A-Za-z0-9_+/=]+$",
            error="A webhook's signing secret begins with whsec_.",
        ),
        metadata={
            "description": "Signing secret of the endpoint `/api/v1/webhooks/stripe` on this host."
            " Never shown again.",
            "example": "whsec_8Kq2",
        },
    )

    @ma.validates_schema
    def _of_one_mode(self, data: dict[str, Any], **_kwargs: Any) -> None:
        modes = {data[name].split("_")[1] for name in ("publishable_key", "secret_key")}
        if len(modes) > 1:
            raise ma.ValidationError(OF_A_MODE, "secret_key")


class OpenThereOut(Schema):
    """How much at a provider is not settled yet."""

    payments = ma.fields.Integer(required=True, metadata={"example": 1})
    top_ups = ma.fields.Integer(required=True, metadata={"example": 0})
    refunds = ma.fields.Integer(required=True, metadata={"example": 0})
    disputes = ma.fields.Integer(required=True, metadata={"example": 0})


class PaymentAccountOut(Schema):
    """An account at a payment provider, without its secrets."""

    provider = ma.fields.String(required=True, metadata={"example": "stripe"})
    publishable_key = ma.fields.String(required=True, metadata={"example": "pk_test_51Hq8"})
    secret_key_last4 = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Null when it cannot be decrypted: enter it anew."},
    )
    webhook_secret_last4 = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Null when it cannot be decrypted: enter it anew."},
    )
    created_at = UtcDateTime(required=True)
    updated_at = UtcDateTime(required=True)
    open = ma.fields.Nested(
        OpenThereOut,
        required=True,
        metadata={
            "description": "What is not settled at the provider yet: it needs this account's keys."
        },
    )


class PaymentAccountsOut(Schema):
    """All accounts of the organization."""

    items = ma.fields.List(ma.fields.Nested(PaymentAccountOut), required=True)


class PaymentProviderOut(Schema):
    """Who takes this organization's payments."""

    provider = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Null when only wallets and free runs work.", "example": "stripe"},
    )
    publishable_key = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "For the provider's own script, which turns cards into tokens.",
            "example": "pk_test_51Hq8",
        },
    )
