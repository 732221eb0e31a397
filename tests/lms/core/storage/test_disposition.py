"""The name of a download in its header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.http import parse_options_header

from lms.core.storage.disposition import content_disposition


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("Week 1.pdf", 'attachment; filename="Week 1.pdf"'),
        ("Übung.pdf", "attachment; filename=\"Ubung.pdf\"; filename*=UTF-8''%C3%9Cbung.pdf"),
        (
            "講義.pdf",
            "attachment; filename=\"download.pdf\"; filename*=UTF-8''%E8%AC%9B%E7%BE%A9.pdf",
        ),
        ('a"b%.pdf', "attachment; filename=\"a_b_.pdf\"; filename*=UTF-8''a%22b%25.pdf"),
        ("../etc/passwd", 'attachment; filename=".._etc_passwd"'),
        ("a\r\nSet-Cookie: b", 'attachment; filename="a_Set-Cookie: b"'),
        (".gitignore", 'attachment; filename=".gitignore"'),
        ("a\udcff", "attachment; filename=\"a\"; filename*=UTF-8''a%3F"),
        ("  ", 'attachment; filename="download"'),
    ],
)
def test_a_download_keeps_its_name(name: str, header: str) -> None:
    assert content_disposition(name) == header


@given(
    st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Z"], exclude_characters="/\\"),
        min_size=1,
    )
)
def test_any_name_comes_back_from_the_header(name: str) -> None:
    assert parse_options_header(content_disposition(name))[1]["filename"] == name


@given(st.text())
def test_no_name_breaks_out_of_the_header(name: str) -> None:
    header = content_disposition(name)

    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
