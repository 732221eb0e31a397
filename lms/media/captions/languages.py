"""Languages by their BCP 47 tags."""

from __future__ import annotations

import langcodes

MAX_TAG = 35
"""Characters of the longest tag that RFC 5646 (4.4.1) reckons with."""


def canonical_language(tag: str) -> str | None:
    """Return the one tag under which a language is kept, `pt-BR` for `PT_br` or `por-BR`.

    Args:
        tag: as somebody wrote it.

    Returns:
        None when it is not well-formed, or a part of it means nothing in IANA's registry.
    """
    if len(tag) > MAX_TAG or not langcodes.tag_is_valid(tag):
        return None
    return langcodes.standardize_tag(tag)
