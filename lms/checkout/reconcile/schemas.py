"""A reconciliation as super-admins see it."""

from __future__ import annotations

import marshmallow as ma

from lms.http.schemas import Boolean, Schema, UtcDateTime


class ReconciliationIn(Schema):
    """What to look at beside the organization's own books."""

    provider = Boolean(
        load_default=False,
        metadata={"description": "Compare with the payment provider's list as well."},
    )
    since = UtcDateTime(
        load_default=None,
        allow_none=True,
        metadata={"description": "Compare only the provider's payments made since then."},
    )


class FindingOut(Schema):
    """One row that differs."""

    check = ma.fields.String(required=True, metadata={"example": "wallet_balance"})
    subject_type = ma.fields.String(required=True, metadata={"example": "wallet"})
    subject_id = ma.fields.String(
        required=True,
        metadata={
            "description": "Of several columns joined by slashes (wallet and row, for example).",
            "example": "0193a1c2-7f00-7000-8000-000000000006",
        },
    )
    expected = ma.fields.String(
        required=True,
        metadata={
            "description": "What the rest of the books says. Amounts are minor units.",
            "example": "5100 EUR",
        },
    )
    found = ma.fields.String(required=True, metadata={"example": "5000 EUR"})


class CheckOut(Schema):
    """What one check found."""

    name = ma.fields.String(required=True, metadata={"example": "wallet_balance"})
    total = ma.fields.Integer(
        required=True, metadata={"description": "How many rows differ, also those not listed."}
    )
    findings = ma.fields.List(
        ma.fields.Nested(FindingOut),
        required=True,
        metadata={"description": "The first hundred."},
    )


class ProviderListOut(Schema):
    """How far the provider's list was read."""

    payments = ma.fields.Integer(
        required=True, metadata={"description": "How many were compared.", "example": 1000}
    )
    is_complete = ma.fields.Boolean(
        required=True,
        metadata={"description": "Whether they are all. If not, nothing is told to be missing."},
    )


class ReconciliationOut(Schema):
    """What all checks of an organization found; `total` is 0 when the books agree."""

    total = ma.fields.Integer(required=True)
    checks = ma.fields.List(ma.fields.Nested(CheckOut), required=True)
    provider_list = ma.fields.Nested(
        ProviderListOut,
        required=True,
        allow_none=True,
        metadata={"description": "Null when it was not asked for."},
    )
