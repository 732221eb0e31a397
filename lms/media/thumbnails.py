"""Thumbnails of a video: a sheet of pictures, and WebVTT that says which part belongs to when.

They lie beside the poster and are found there by name.
"""

from __future__ import annotations

SHEET, CUES = "thumbnails.jpg", "thumbnails.vtt"


def key_beside(poster_key: str, name: str) -> str:
    """Return where a file of a video's thumbnails is stored.

    Args:
        poster_key: of the same video; the same conversion makes both.
        name: `SHEET` or `CUES`.
    """
    return f"{poster_key.rpartition('/')[0]}/{name}"


def point_cues(text: str, sheet_url: str) -> str:
    """Point stored cues at a signed address of the sheet.

    Args:
        text: the cues as stored; each names a part of the sheet (`thumbnails.jpg#xywh=...`).
        sheet_url: address of the sheet, without a fragment of its own.

    Raises:
        ValueError: the address could break out of its line.
    """
    if any(character in sheet_url for character in "#\r\n"):
        raise ValueError("an address in a cue has neither a fragment nor line ends")
    prefix = f"{SHEET}#"
    return "".join(
        line.replace(prefix, f"{sheet_url}#", 1) if line.startswith(prefix) else line
        for line in text.splitlines(keepends=True)
    )
