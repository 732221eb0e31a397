"""Files that say who gets how much credit: CSV with the columns `email` and `amount`."""

from __future__ import annotations

import csv
import io
import re

from iso4217 import Currency

from lms.core.money import MAX_AMOUNT, Money
from lms.payments.errors import InvalidCsvError
from lms.payments.grants import Share
from lms.users.emails import normalize_email
from lms.users.errors import InvalidEmailError

COLUMNS = {"email", "amount"}
MAX_ROWS = 5000
MAX_EMAIL = 254
AMOUNT = re.compile(r"([0-9]{1,30})(?:\.([0-9]{1,4}))?")


def read_shares(content: bytes, currency: str) -> tuple[list[Share], list[dict[str, str]]]:
    """Read a file of shares.

    A byte order mark, both kinds of line ends, quoted fields and empty lines are all right; a line
    of commas alone is a row that names nobody.

    Args:
        content: UTF-8 with a line of headers, in any order of the two columns.
        currency: of the amounts, which are decimal numbers: `25` or `25.00` for euros.

    Returns:
        What the rows say, and what is wrong with the others; each names its line.

    Raises:
        InvalidCsvError: it is no such file at all, or has too many rows.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidCsvError("The file is not UTF-8.") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    shares: list[Share] = []
    errors: list[dict[str, str]] = []
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
        if len(columns) != len(COLUMNS) or set(columns) != COLUMNS:
            raise InvalidCsvError("The first line must name the columns: email,amount.")
        for row in reader:
            if len(row) < len(COLUMNS) and not "".join(row).strip():
                continue
            if len(shares) + len(errors) >= MAX_ROWS:
                raise InvalidCsvError(f"The file has more than {MAX_ROWS} rows; send it in parts.")
            line = f"/rows/{reader.line_num}"
            wrong = _wrong_form(row)
            if wrong is not None:
                errors.append({"pointer": line, "message": wrong})
                continue
            fields = dict(zip(columns, row, strict=True))
            share = _share(fields["email"], fields["amount"], currency, line)
            if isinstance(share, Share):
                shares.append(share)
            else:
                errors += share
    except csv.Error as error:
        raise InvalidCsvError(f"Line {reader.line_num} is not CSV: {error}.") from error
    if not shares and not errors:
        raise InvalidCsvError("The file names nobody.")
    return shares, errors


def _wrong_form(row: list[str]) -> str | None:
    """Say why a row cannot be read at all, None when it can."""
    if not "".join(row).strip():
        return "Names nobody; leave the line out."
    if len(row) == 1:
        return "Has 1 field, not two."
    return None if len(row) == len(COLUMNS) else f"Has {len(row)} fields, not two."


def _share(email: str, amount: str, currency: str, line: str) -> Share | list[dict[str, str]]:
    """Return what a row says, or what is wrong with it."""
    wrong: list[dict[str, str]] = []
    learner, minor = "", _minor_units(amount, currency)
    try:
        learner = normalize_email(email[: MAX_EMAIL + 1])
    except InvalidEmailError as error:
        wrong.append({"pointer": f"{line}/email", "message": error.detail})
    if minor is None:
        message = f"Not an amount of {currency}; write it like {_example(currency)}."
    elif minor == 0:
        message = "Must be more than nothing."
    elif minor > MAX_AMOUNT:
        message = f"Too much: at most {Money(MAX_AMOUNT, currency)}."
    else:
        return wrong or Share(learner, minor, f"{line}/email")
    return [*wrong, {"pointer": f"{line}/amount", "message": message}]


def _minor_units(written: str, currency: str) -> int | None:
    """Return a decimal number as minor units, without rounding anything; None if it is none."""
    match = AMOUNT.fullmatch(written.strip())
    exponent = Currency(currency).exponent or 0
    if match is None:
        return None
    whole, fraction = match[1], match[2]
    if fraction is None:
        return int(whole) * 10**exponent
    return int(whole + fraction) if len(fraction) == exponent else None


def _example(currency: str) -> str:
    exponent = Currency(currency).exponent or 0
    return "25" if exponent == 0 else f"25.{'0' * exponent}"
