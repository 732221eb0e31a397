"""Reading caption files: what teachers have, and what must not come through."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webvtt import WebVTT

from lms.media.captions import files
from lms.media.captions.errors import CaptionsTooLargeError, InvalidCaptionsError
from lms.media.captions.files import read_captions
from lms.media.captions.languages import canonical_language

TIMES = "00:00:01.000 --> 00:00:02.500"
SRT_TIMES = "00:00:01,000 --> 00:00:02,500"
OWN_TAG = re.compile(
    r"</?(?:c|i|b|u|ruby|rt|v|lang)(?:\.[\w-]+)*(?: [\w .,'()-]*)?>|<[0-9]{2}[0-9:.]*>"
)


def webvtt(*lines: str, times: str = TIMES) -> str:
    return "\n".join(["WEBVTT", "", times, *lines]) + "\n"


def test_webvtt_is_kept_as_its_cues() -> None:
    read = read_captions(webvtt("Good morning.", "And welcome."))
    assert read.webvtt == f"WEBVTT\n\n{TIMES}\nGood morning.\nAnd welcome.\n"
    assert read.cues == 1


def test_srt_becomes_webvtt() -> None:
    read = read_captions(
        "1\n00:00:01,000 --> 00:00:02,500\nOne\n\n2\n00:00:02,500 --> 00:00:04,000\nTwo\nlines\n"
    )
    assert read.webvtt == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nOne\n\n"
        "00:00:02.500 --> 00:00:04.000\nTwo\nlines\n"
    )
    assert read.cues == 2


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
@pytest.mark.parametrize("mark", ["", "\N{BYTE ORDER MARK}"])
@pytest.mark.parametrize("file", [webvtt("Olá"), f"1\n{SRT_TIMES}\nOlá\n"])
def test_line_ends_and_a_byte_order_mark_make_no_difference(file: str, mark: str, end: str) -> None:
    assert read_captions(mark + file.replace("\n", end)).webvtt == webvtt("Olá")


def test_settings_of_cues_stay() -> None:
    file = webvtt("Up here", times=f"{TIMES} line:0 align:start")
    assert read_captions(file).webvtt == file


def test_styles_regions_comments_and_names_of_cues_are_left_out() -> None:
    read = read_captions(
        "WEBVTT Kind: captions\nX-SECRET=1\n\nSTYLE\n::cue { background: url(//evil) }\n\n"
        "REGION\nid:top\nwidth:40%\n\nNOTE who reads this?\n\n"
        f"<img src=x>\n{TIMES} region:top line:0\nHello\n"
    )
    assert read.webvtt == webvtt("Hello", times=f"{TIMES} line:0")


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("<i>soft</i> <b.loud>loud</b>", "<i>soft</i> <b.loud>loud</b>"),
        ("<v.host Dr. Ana>Hi", "<v.host Dr. Ana>Hi"),
        ("<00:00:01.500>now", "<00:00:01.500>now"),
        ("<font color='red'>red</font>", "red"),
        ("<script>alert(1)</script>", "alert(1)"),
        ("<b onclick=alert(1)>x</b>", "<b>x</b>"),
        ("<v a onclick=alert(1)>x", "<v a onclickalert(1)>x"),
        ("<v a\tonclick='x\">y", "<v aonclick'x>y"),
        ("<img src=x onerror=alert(1)", "&lt;img src=x onerror=alert(1)"),
        ("<b <script>x", "&lt;b x"),
        ("a -<q>-> b", "a --&gt; b"),
        ("AT&T &amp; &lt;3", "AT&T &amp; &lt;3"),
        ("bell\x07 and \x1b[31m", "bell and [31m"),
    ],
)
def test_of_tags_only_webvtts_own_come_through_and_nothing_that_html_takes_for_one(
    line: str, kept: str
) -> None:
    assert read_captions(webvtt(line)).webvtt == webvtt(kept)


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        ("Dear all,\nsee below", 1, "no caption file"),
        ("", 1, "no caption file"),
        ("\n\nWEBVTT\n", 3, "no caption file"),
        ("WEBVTTX\n", 1, "no caption file"),
        (webvtt("x", times="00:01,000 --> 00:02,000"), 3, "does not begin a cue"),
        (webvtt("x", times="00:61.000 --> 00:62.000"), 3, "does not begin a cue"),
        (webvtt("x", times=f"{TIMES} colour:red"), 3, "does not begin a cue"),
        (webvtt("x", "00:03.000 --> 00:04.000", "y"), 5, "does not begin a cue"),
        (f"1\n{SRT_TIMES}\nx\n\n2\n00:03 --> 00:04\ny", 6, "does not say a cue's times"),
        (f"1\n{SRT_TIMES}\nx\n\n00:00:03,000 --> 00:00:04,000\ny", 5, "no number of the cue"),
        (webvtt("caf\ufffd"), 4, "Save the file as UTF-8"),
        (webvtt("nul\0"), 4, "Save the file as UTF-8"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(file: str, line: int, said: str) -> None:
    with pytest.raises(InvalidCaptionsError, match=said) as refused:
        read_captions(file)
    assert refused.value.params["line"] == line


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (webvtt("x", times="00:02.000 --> 00:02.000"), "Cue 1, at 00:00:02.000, ends"),
        (webvtt("x", "", "00:00.500 --> 00:09.000", "y"), "Cue 2, at 00:00:00.500, begins before"),
        (webvtt("x", times="00:01.000 --> 25:00:00.000"), "no video is that long"),
        ("WEBVTT\n", "no cue with a text"),
        (webvtt("<font>"), "no cue with a text"),
        ("WEBVTT\n\nREGION\nwidth:400%\n", "regions"),
    ],
)
def test_captions_that_make_no_sense_are_refused_with_what_is_wrong(file: str, said: str) -> None:
    with pytest.raises(InvalidCaptionsError, match=said):
        read_captions(file)


def test_too_many_bytes_are_refused_and_as_many_as_allowed_are_not() -> None:
    most = webvtt("x" * (files.MAX_BYTES - len(webvtt(""))))
    assert read_captions(most).webvtt == most
    with pytest.raises(CaptionsTooLargeError):
        read_captions(most.replace("x\n", "é\n"))


def test_what_would_be_too_large_once_it_is_escaped_is_refused() -> None:
    with pytest.raises(CaptionsTooLargeError):
        read_captions(webvtt("<" * (files.MAX_BYTES // 2)))


def test_more_cues_than_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_CUES", 1)
    with pytest.raises(InvalidCaptionsError, match="There are 2 cues"):
        read_captions(webvtt("x", "", TIMES, "y"))


PIECES = st.sampled_from(
    [
        *("WEBVTT", "\n", "\n\n", "\r\n", "\ufeff", TIMES, SRT_TIMES, "-->", "1", "2", "NOTE "),
        *("STYLE\n", "REGION\n", "<", ">", "<b", "<v ", "</", "onclick=", "&", "\0", "\x0b", "é"),
        *("align:start", "region:x", "<script>", "00:00:00.000", " ", "\u2028", "x"),
    ]
)
FILES = st.builds(
    lambda head, rest: head + "".join(rest),
    st.sampled_from(["", "WEBVTT\n\n", webvtt("x", ""), f"1\n{SRT_TIMES}\n"]),
    st.lists(PIECES, max_size=30),
)


@given(FILES | st.text())
def test_whatever_comes_is_refused_or_becomes_plain_strict_webvtt(file: str) -> None:
    try:
        read = read_captions(file)
    except (InvalidCaptionsError, CaptionsTooLargeError):
        return
    again = WebVTT.from_string(read.webvtt, strict=True)
    assert len(again.captions) == read.cues
    assert read_captions(read.webvtt) == read
    for cue in again.captions:
        left = OWN_TAG.sub("", cue.raw_text)
        assert "<" not in left
        assert ">" not in left


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        *(("en", "en"), ("EN_us", "en-US"), ("por-BR", "pt-BR"), ("zh-hant-tw", "zh-Hant-TW")),
        *(("iw", "he"), ("en-Latn", "en"), ("x-klingon", "x-klingon")),
        *(("jp", None), ("english", None), ("", None), ("en-", None), ("en--US", None)),
        *(("en-XX-YY", None), ("é", None), ("en\n", None), ("en-" + "a" * 40, None)),
    ],
)
def test_a_language_is_kept_under_one_tag_or_refused(written: str, kept: str | None) -> None:
    assert canonical_language(written) == kept
