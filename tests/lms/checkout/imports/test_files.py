"""Files of learners: what spreadsheets write, and what is no such file."""

from __future__ import annotations

import csv
import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lms.checkout.imports.errors import InvalidCsvError
from lms.checkout.imports.files import MAX_ROWS, FileRow, read_learners

FIELDS = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\u2028\u2029\x85"),
    max_size=20,
)


def refusal(text: str) -> tuple[int, str]:
    with pytest.raises(InvalidCsvError) as caught:
        read_learners(text)
    return caught.value.params["line"], caught.value.detail


def test_a_file_names_people_and_the_lines_they_are_in() -> None:
    file = read_learners("email,name\nada@acme.example,Ada Lovelace\nbob@acme.example,Bob\n")
    assert file.rows == [
        FileRow(2, "ada@acme.example", "Ada Lovelace", 2),
        FileRow(3, "bob@acme.example", "Bob", 2),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_first_line_says_what_separates_the_fields(delimiter: str) -> None:
    text = f"name{delimiter}email\nAda, Countess; of Lovelace{delimiter}ada@acme.example\n"
    if delimiter != "\t":
        text = text.replace("Ada, Countess; of Lovelace", '"Ada, Countess; of Lovelace"')
    [row] = read_learners(text).rows
    assert (row.email, row.name) == ("ada@acme.example", "Ada, Countess; of Lovelace")


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\N{BYTE ORDER MARK}"])
def test_byte_order_marks_and_all_line_ends_are_read(mark: str, ending: str) -> None:
    file = read_learners(f"{mark}E-mail,EMAIL{ending}x,ada@acme.example{ending}")
    assert [(row.line, row.email) for row in file.rows] == [(2, "ada@acme.example")]


def test_the_header_is_read_whatever_its_case_and_spaces() -> None:
    [row] = read_learners(" Email ; NAME \nada@acme.example;Ada\n").rows
    assert (row.email, row.name) == ("ada@acme.example", "Ada")


def test_columns_that_are_not_ours_are_told_of() -> None:
    file = read_learners("email,Phone,name,\nada@acme.example,12,Ada,\n")
    assert (file.ignored_columns, file.columns) == (["phone", ""], 4)


def test_empty_lines_are_left_out_and_counted() -> None:
    file = read_learners("\nemail,name\n\n,\nada@acme.example,Ada\n")
    assert [row.line for row in file.rows] == [5]


def test_a_quoted_field_may_have_line_breaks_and_the_line_is_where_its_row_begins() -> None:
    file = read_learners('email,name\na@b.example,"Ada\nLovelace"\nc@d.example,C\n')
    assert [(row.line, row.name) for row in file.rows] == [(2, "Ada\nLovelace"), (4, "C")]


def test_a_row_with_other_fields_than_the_header_says_how_many() -> None:
    file = read_learners("email,name\nada@acme.example\nbob@acme.example,Bob,x\n")
    assert [row.fields for row in file.rows] == [1, 3]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("\n\n", 1),
        ("ada@acme.example,Ada\n", 1),
        ("name\nAda\n", 1),
        ("email,email\na@b.example,c@d.example\n", 1),
        ("email\n", 1),
        ('email\nada@acme.example\n"bob@acme.example\nc@d.example\n', 3),
        ('email\nada@acme.example\n"bob"@acme.example\n', 3),
        ("email\nada@acme.example\nb\0b@acme.example\n", 3),
        (f"email\n{'x' * 200_000}\n", 2),
        (f"email,{'x' * 200_000}\n", 1),
    ],
)
def test_what_is_no_such_file_is_refused_with_its_line(text: str, line: int) -> None:
    assert refusal(text)[0] == line


def test_more_rows_than_there_may_be_are_refused_with_the_first_one_too_many() -> None:
    rows = "".join(f"p{number}@acme.example\n" for number in range(MAX_ROWS))
    assert len(read_learners(f"email\n{rows}").rows) == MAX_ROWS
    assert refusal(f"email\n{rows}one@acme.example\n")[0] == MAX_ROWS + 2


@given(st.lists(st.tuples(FIELDS, FIELDS), min_size=1, max_size=10), st.sampled_from(",;\t"))
def test_what_a_program_writes_is_read_back(rows: list[tuple[str, str]], delimiter: str) -> None:
    written = io.StringIO()
    writer = csv.writer(written, delimiter=delimiter)
    writer.writerows([("email", "name"), *rows])
    expected = [(email.strip(), name.strip()) for email, name in rows if (email + name).strip()]
    if not expected:
        refusal(written.getvalue())
        return
    file = read_learners(written.getvalue())
    assert [(row.email, row.name) for row in file.rows] == expected


@given(st.text())
def test_whatever_is_sent_is_read_or_refused(text: str) -> None:
    file = None
    with suppress(InvalidCsvError):
        file = read_learners(f"email,name\n{text}")
    assert file is None or file.rows
