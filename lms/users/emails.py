"""E-mail addresses in the one form in which they are stored and compared."""

from __future__ import annotations

from email_validator import EmailNotValidError, validate_email

from lms.users.errors import InvalidEmailError


def normalize_email(address: str) -> str:
    """Return an address as it is stored: syntax checked, Unicode normalised, in lower case.

    No name server is asked. Domains that can never receive mail from outside (`.test`, `.local`,
    `.localhost`: RFC 6761) are refused; `.example` serves for samples.

    Raises:
        InvalidEmailError: with a message for the one who typed it.
    """
    try:
        checked = validate_email(address.strip(), check_deliverability=False)
    except EmailNotValidError as error:
        raise InvalidEmailError(str(error)) from error
    return checked.normalized.lower()
