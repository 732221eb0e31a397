"""What both tools that open a source, PyAV and ffmpeg, may open: no network, no playlists."""

from __future__ import annotations

from pathlib import Path

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,mpeg,asf,ogg"
"""ffmpeg's names of the containers that we take. Playlists (hls, dash, concat, sdp) read other
files and other hosts; picture formats and raw streams are no lessons."""


def safe_options(max_pixels: int) -> dict[str, str]:
    """Return ffmpeg's input options that keep a hostile file inside itself.

    Args:
        max_pixels: largest picture a decoder may allocate, width x height.
    """
    return {
        "protocol_whitelist": "file",
        "format_whitelist": CONTAINERS,
        "max_pixels": str(max_pixels),
    }


def file_url(path: Path) -> str:
    """Name a local file so that no part of its name is taken for a protocol or an option."""
    return f"file:{path.resolve()}"
