"""The Content-Disposition header of a download."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

# RFC 5987's attr-char: what needs no escape besides letters and digits, which `quote` always keeps.
_ATTR_CHAR = "!#$&+-.^_`|~"

# Control characters could end the header; slashes could name a folder to a careless client.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f/\\]+")

# RFC 6266, appendix D: clients differ in how they read these in the plain form.
_AMBIGUOUS = re.compile(r'["%]')


def content_disposition(name: str) -> str:
    """Return the header's value that makes a browser save a file under ``name``.

    RFC 6266: a plain ASCII ``filename``, and a ``filename*`` (RFC 5987, UTF-8) behind it when the
    name needs more. Control characters and slashes become underscores.
    """
    safe = _UNSAFE.sub("_", name).strip() or "download"
    ascii_only = unicodedata.normalize("NFKD", safe).encode("ascii", "ignore").decode()
    plain = _AMBIGUOUS.sub("_", ascii_only).strip()
    if not plain or (plain.startswith(".") and not safe.startswith(".")):
        plain = f"download{plain}"
    header = f'attachment; filename="{plain}"'
    if plain != safe:
        # "replace" because a name from outside may hold a lone surrogate, which UTF-8 cannot.
        encoded = quote(safe.encode("utf-8", "replace"), safe=_ATTR_CHAR)
        header += f"; filename*=UTF-8''{encoded}"
    return header
