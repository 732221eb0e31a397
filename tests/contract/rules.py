"""Which refusals of well-formed requests are rules that a schema cannot say, each with its reason.

Schemathesis calls a request good when it follows the schema. Whatever is refused beyond that must
be one of these: a rule of the domain, known by its stable `code`, or one of a few checks of form.
"""

from __future__ import annotations

CODES = {
    "invalid_cursor": "cursors are opaque; only those that a page gave are good",
    "invalid_invitation": "tokens of invitations are opaque, and work once",
    "invalid_webhook": "a provider's events are signed; no schema makes signatures",
    "invalid_input": "relations between members: dates in order, ids of the same course",
    "invalid_slug": "slugs that hosts need themselves are reserved",
    "unknown_time_zone": "the list of time zones is IANA's",
    "unknown_currency": "the list of currencies is ISO 4217's",
    "invalid_email": "which addresses can exist is more than the format `email` says",
    "weak_password": "a password is compared with its owner's address",
    "order_mismatch": "an order names what there is, each once",
    "wrong_part_size": "a part has the size that its signed address says",
    "file_too_large": "the limit depends on the kind of file",
    "version_full": "how much a version holds is counted over all its content",
    "interval_too_long": "what was played is compared with the video's length",
    "currency_mismatch": "an organization has one currency",
    "top_up_too_large": "the limit of one deposit is a setting",
    "wrong_shares": "who is there, the schema does not know",
    "period_too_long": "how much happened in a period, the schema does not know",
    "invalid_csv": "no schema says what CSV is",
    "invalid_archive": "no schema says what a ZIP is, or what is in it",
    "idempotency_key_reused": "a key belongs to the first request that came with it",
    "idempotency_key_missing": "header values are trimmed on their way; a blank key is none",
    "requested_range_not_satisfiable": "how long a file is, the schema does not know",
    "stale_version": "which version is the present one, the schema does not know",
}

DETAILS = {
    "A text in the body has NUL or lone surrogates.": "no store can hold them; no schema says so",
    "The query parameter '…' has unsafe characters.": "the same, in queries",
    "A number in the body is out of range.": "numbers beyond 64 bits are refused before all else",
}

MEMBERS = {"email": "which addresses can exist is more than the format `email` says"}
"""Members, by name, whose values are looked at by more than their schema."""

MESSAGES = {
    "Has control characters.": "texts are one line; patterns would bury the document",
    "Shorter than minimum length 1.": "lengths count after white space is trimmed",
    "Not a user id or e-mail address.": "which addresses can exist is more than a pattern says",
    "Must be later than `from`.": "two moments in order",
    "Must not be zero.": "two ranges with a hole between them would bury the document",
    "Both keys must be of the same mode, live or test.": "two members that belong together",
    "Not an IANA time zone.": "the list of time zones is IANA's",
    "Not an ISO 4217 currency.": "the list of currencies is ISO 4217's",
    "Give one of `percent_off` and `amount_off`.": "one of two members",
    "Only for payments by the provider.": "a token belongs to one method of payment",
    "Only for 'dwell'.": "members of the other completion rules",
    "Only for 'watched'.": "members of the other completion rules",
    "Report at least one member.": "any one of the members will do",
    "'dwell' needs it.": "members of this completion rule",
    "'watched' needs it.": "members of this completion rule",
    "Needed to pay by the provider.": "a token belongs to one method of payment",
    "Each `until` must be later than the one before.": "steps in order",
    "Give a year from 1970 to 9998.": "every offset stays a year then",
    "Give a date and time with its offset, such as 2026-01-31T12:00:00Z.": "RFC 3339 knows years"
    " and leap seconds that Python does not",
    "An interval must end after it begins.": "two numbers in order",
}
