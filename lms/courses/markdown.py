"""Markdown as HTML that a page may show as it is."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version

import nh3
from markdown_it import MarkdownIt

TAGS = frozenset(
    {
        *("p", "br", "hr", "blockquote", "pre", "code", "em", "strong", "s"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li"),
        *("a", "img", "table", "thead", "tbody", "tr", "th", "td"),
    }
)
"""All that Markdown makes; anything else has no business in a lesson."""

ATTRIBUTES = {
    "a": frozenset({"href", "title"}),
    "img": frozenset({"src", "alt", "title"}),
    "ol": frozenset({"start"}),
    "code": frozenset({"class"}),
}
"""A code block's class names its language, `language-python` for example."""

CACHED_LENGTH = 8000
"""Longest Markdown, in characters, whose HTML is remembered; with `CACHED_TEXTS` and `MAX_CELLS` it
bounds the memory of a process, whatever authors write."""

CACHED_TEXTS = 1024

MAX_CELLS = 2000
"""Most cells that tables may have. A row that lacks cells gets them, so that a few thousand
characters could become megabytes; with more, tables stay text."""

LINK_REL = "noopener noreferrer nofollow"
SCHEMES = frozenset({"http", "https", "mailto"})

RENDERER = f"1, markdown-it-py {version('markdown-it-py')}, nh3 {version('nh3')}"
"""What the HTML of the same Markdown depends on. Raise the number when a rule of this module is
another, or clients keep drafts as they were rendered before."""

# CommonMark. HTML in it becomes text, so that authors see that it does nothing.
_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_PARSER_WITHOUT_TABLES = MarkdownIt("commonmark", {"html": False}).enable("strikethrough")

# Escaping is the parser's work and this the second line: what it does not know, it removes.
_CLEANER = nh3.Cleaner(
    tags=set(TAGS),
    attributes={tag: set(names) for tag, names in ATTRIBUTES.items()},
    url_schemes=set(SCHEMES),
    link_rel=LINK_REL,
)


def to_html(markdown: str) -> str:
    """Return Markdown as sanitised HTML: CommonMark, tables and strikethrough; no raw HTML.

    Links and images lead to `SCHEMES` or are relative; links carry `LINK_REL`.

    Rendering takes about a millisecond a kilobyte, and authors read the same lessons again and
    again, in lists too; so the usual ones are remembered.
    """
    if len(markdown) > CACHED_LENGTH:
        return _render(markdown)
    return _render_cached(markdown)


def _render(markdown: str) -> str:
    parser = _PARSER if _most_cells(markdown) <= MAX_CELLS else _PARSER_WITHOUT_TABLES
    return _CLEANER.clean(parser.render(markdown))


def _most_cells(markdown: str) -> int:
    """Return how many cells its tables have at most: a header's columns, in every line."""
    lines = markdown.splitlines()
    widest = max((line.count("|") for line in lines), default=0)
    return 0 if widest == 0 else (widest + 1) * len(lines)


_render_cached = lru_cache(maxsize=CACHED_TEXTS)(_render)
