"""Files of learners: CSV with a column `email`, and `name` for those who are to be invited.

What spreadsheets make of CSV is read as it is meant: a byte order mark, both kinds of line ends,
and semicolons or tabs between the fields. Which of them it is, the first line says, because it must
name a column `email`; guesses from the rest go wrong.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lms.checkout.imports.errors import InvalidCsvError

COLUMNS = ("email", "name")
DELIMITERS = (",", ";", "\t")
MAX_ROWS = 10_000
MAX_CHARACTERS = 1_000_000
MAX_FIELD = 254
"""Characters of a field that are kept: more are in no address or name that is taken."""

MAX_HEADER = 10_000
"""Characters of the first line that are looked at for what separates its columns."""

MOST_NAMED = 20
"""Unknown columns that are told of."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row as it is written.

    Attributes:
        line: on which it begins; the header's is 1.
        email: as written, without white space around it.
        name: the same; empty when there is none.
        fields: how many it has; other than the header has, and nothing of it can be told.
    """

    line: int
    email: str
    name: str
    fields: int


@dataclass(frozen=True, slots=True)
class LearnerFile:
    """A file that could be read.

    Attributes:
        columns: how many fields a row has.
        ignored_columns: names of columns that are not ours, the first `MOST_NAMED` of them.
        rows: in their order; empty lines are left out.
    """

    columns: int
    ignored_columns: Sequence[str]
    rows: Sequence[FileRow]


def read_learners(text: str) -> LearnerFile:
    """Read a file of learners.

    Args:
        text: the whole file.

    Raises:
        InvalidCsvError: it is no such file at all, or has too many rows; says in which line.
    """
    text = text.removeprefix("\N{BYTE ORDER MARK}")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InvalidCsvError(f"Line {line} has a NUL character; this is not a text file.", line)
    records = _records(text, _delimiter_of(text))
    line, header = next(records, (1, []))
    columns = _columns(header, line)
    places = {name: columns.index(name) for name in COLUMNS if name in columns}
    rows: list[FileRow] = []
    for line, fields in records:
        if len(rows) == MAX_ROWS:
            raise InvalidCsvError(
                f"The file has more than {MAX_ROWS} rows: line {line} is one too many."
                " Send it in parts.",
                line,
            )
        found = {name: fields[place] for name, place in places.items() if place < len(fields)}
        rows.append(FileRow(line, _kept(found, "email"), _kept(found, "name"), len(fields)))
    if not rows:
        raise InvalidCsvError("The file names nobody: there is no row after the header.", line)
    unknown = [name[:MAX_FIELD] for name in columns if name not in COLUMNS]
    return LearnerFile(len(columns), unknown[:MOST_NAMED], rows)


def _delimiter_of(text: str) -> str:
    """Return what separates the first line into columns of which one is `email`."""
    header = [line[:MAX_HEADER] for line in text.lstrip("\r\n").splitlines()[:1]]
    for delimiter in DELIMITERS:
        for names in csv.reader(header, delimiter=delimiter):
            if "email" in (name.strip().casefold() for name in names):
                return delimiter
    return DELIMITERS[0]


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield what is not empty, with the line on which it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InvalidCsvError(f"The row that begins in line {line}: {error}.", line) from error
        if "".join(fields).strip():
            yield line, fields


def _columns(header: list[str], line: int) -> list[str]:
    columns = [name.strip().casefold() for name in header]
    if "email" not in columns:
        raise InvalidCsvError(
            "The first line must name the columns, and one of them `email`:"
            " `email,name` for example.",
            line,
        )
    for name in COLUMNS:
        if columns.count(name) > 1:
            raise InvalidCsvError(f"The first line names the column `{name}` twice.", line)
    return columns


def _kept(fields: dict[str, str], name: str) -> str:
    return fields.get(name, "").strip()[: MAX_FIELD + 1]
