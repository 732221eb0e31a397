"""Tables as CSV (RFC 4180) for people who open them in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

Cell = str | int | Decimal | datetime | UUID | None

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet runs a text that begins with one of these (OWASP, CSV injection)."""


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return a table as CSV with a line of headers.

    Texts that a spreadsheet would run get an apostrophe in front; numbers are numbers and stay as
    they are, negative ones too.

    Args:
        columns: the headers.
        rows: cells in the order of the columns.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(columns)
    writer.writerows([_written(cell) for cell in row] for row in rows)
    return file.getvalue()


def _written(cell: Cell) -> str | int:
    if cell is None:
        return ""
    if isinstance(cell, int):
        return cell
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).isoformat().replace("+00:00", "Z")
    text = str(cell)
    return "'" + text if text.startswith(FORMULA) else text
