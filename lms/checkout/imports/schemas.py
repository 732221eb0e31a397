"""Imports of learners as clients see them."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import validate

from lms.checkout.imports.files import MAX_CHARACTERS
from lms.checkout.imports.models import FAILURES, MODES, OUTCOMES, STATES
from lms.http.schemas import Boolean, PageQuery, Schema, Text, UtcDateTime


class LearnerImportIn(Schema):
    """A file of learners, and what is to be done with it."""

    csv = ma.fields.String(
        required=True,
        validate=validate.Length(min=1, max=MAX_CHARACTERS),
        metadata={
            "description": "The file's text: a first line that names the columns, `email` and, for"
            " people who are to be invited, `name`, in any order and case; other columns are"
            " ignored. Separated by commas, semicolons or tabs; with or without a byte order mark,"
            " and any line ends. At most 10,000 rows.",
            "example": "email,name\nada@acme.example,Ada Lovelace\n",
        },
    )
    mode = ma.fields.String(
        required=True,
        validate=validate.OneOf(MODES),
        metadata={
            "description": "`all_or_nothing`: one refused row, and nobody is enrolled. `partial`:"
            " whoever can be is."
        },
    )
    dry_run = Boolean(
        load_default=False,
        metadata={"description": "Do nothing but tell what would become of each row."},
    )
    reason = Text(
        required=True,
        metadata={
            "description": "For the audit log; without personal data.",
            "example": "Paid by invoice 2027-14.",
        },
    )


class LearnerImportOut(Schema):
    """An import of learners and how far it is. What became of each row is a list of its own."""

    id = ma.fields.UUID(required=True)
    run_id = ma.fields.UUID(required=True)
    mode = ma.fields.String(required=True, validate=validate.OneOf(MODES))
    dry_run = ma.fields.Boolean(required=True)
    reason = ma.fields.String(required=True)
    ignored_columns = ma.fields.List(
        ma.fields.String(),
        required=True,
        metadata={"description": "Columns of the file that mean nothing here: the first twenty."},
    )
    state = ma.fields.String(
        required=True,
        validate=validate.OneOf(STATES),
        metadata={
            "description": "Poll until it is `done` or `failed`. A partial import is `done` also"
            " when rows were refused."
        },
    )
    failure = ma.fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(FAILURES),
        metadata={
            "description": "Why it failed. `rows_refused`: all or nothing, and so nothing was done."
            " `gave_up`: by a fault of ours; what its rows say was done stands."
        },
    )
    rows_total = ma.fields.Integer(required=True, metadata={"example": 120})
    rows_done = ma.fields.Integer(
        required=True, metadata={"description": "Rows that are no longer pending."}
    )
    enrolled = ma.fields.Integer(required=True)
    invited = ma.fields.Integer(required=True)
    refused = ma.fields.Integer(required=True)
    created_by = ma.fields.UUID(required=True)
    created_at = UtcDateTime(required=True)
    started_at = UtcDateTime(required=True, allow_none=True)
    finished_at = UtcDateTime(required=True, allow_none=True)


class LearnerImportRowQuery(PageQuery):
    """Which rows to list."""

    outcome = ma.fields.String(load_default=None, validate=validate.OneOf(OUTCOMES))


class LearnerImportRowOut(Schema):
    """What became of one row of the file; of a dry run, what would."""

    line = ma.fields.Integer(
        required=True, metadata={"description": "Where it begins; the header is line 1."}
    )
    email = ma.fields.String(
        required=True, metadata={"description": "As accounts have it; as written when refused."}
    )
    outcome = ma.fields.String(
        required=True,
        validate=validate.OneOf(OUTCOMES),
        metadata={
            "description": "`enrolled`: active at once. `invited`: the seat waits until they accept"
            " their invitation. `pending`: not done yet, or ever when the import has failed."
        },
    )
    code = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "Why it is refused: `wrong_number_of_fields`, `invalid_email`,"
            " `duplicate_row`, `no_account` (also of a deactivated one, when no admin asks),"
            " `name_missing`, `invalid_name`, `account_deactivated`, `already_enrolled`,"
            " `run_full`, `enrollment_closed`, `forbidden`; else null."
        },
    )
    message = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "The same, for people."}
    )
    user_id = ma.fields.UUID(
        required=True,
        allow_none=True,
        metadata={
            "description": "Whose account; the invited get their token by `createUser`. Null of a"
            " dry run."
        },
    )
    enrollment_id = ma.fields.UUID(required=True, allow_none=True)
