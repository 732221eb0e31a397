"""HLS playlists (RFC 8216 and its second edition) for players. Pure text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar


class Rendition(Protocol):
    """What a variant's line says; `VideoRendition` has it.

    `bandwidth` (peak) and `average_bandwidth` are bits per second, `frame_rate` frames per second.
    """

    width: int
    height: int
    bandwidth: int
    average_bandwidth: int
    codecs: str
    frame_rate: float


R = TypeVar("R", bound=Rendition)

START_SHORT_SIDE = 480
"""Players begin with the first variant: one that starts at once and still looks decent."""


def master_playlist(renditions: Sequence[R], uri_for: Callable[[R], str]) -> str:
    """Write the multivariant playlist.

    The first variant is the largest of at most 480p (else the smallest), because native players
    start with the first; the others follow from small to large.

    Args:
        renditions: at least one.
        uri_for: address of a rendition's media playlist; absolute, or relative to this playlist.
    """
    ascending = sorted(renditions, key=lambda rendition: rendition.bandwidth)
    decent = [
        rendition
        for rendition in ascending
        if min(rendition.width, rendition.height) <= START_SHORT_SIDE
    ]
    first = decent[-1] if decent else ascending[0]
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for rendition in [first, *(other for other in ascending if other is not first)]:
        attributes = (
            f"BANDWIDTH={rendition.bandwidth}",
            f"AVERAGE-BANDWIDTH={rendition.average_bandwidth}",
            f'CODECS="{rendition.codecs}"',
            f"RESOLUTION={rendition.width}x{rendition.height}",
            f"FRAME-RATE={rendition.frame_rate:.3f}",
        )
        lines += [f"#EXT-X-STREAM-INF:{','.join(attributes)}", uri_for(rendition)]
    return "\n".join(lines) + "\n"


def point_playlist(text: str, media_url: str) -> str:
    """Point a stored media playlist at a signed address.

    Players do not hand a playlist's query string on to what it names, so every name of the media
    file (segments and `EXT-X-MAP`) is replaced by the whole address.

    Args:
        text: the playlist as stored; it names one media file.
        media_url: address of that file; must need no quoting inside double quotes.

    Raises:
        ValueError: the address could break out of its place in the playlist.
    """
    if any(character in media_url for character in '"\r\n'):
        raise ValueError("an address in a playlist has neither quotes nor line ends")
    return "\n".join(_point_line(line, media_url) for line in text.splitlines()) + "\n"


def _point_line(line: str, media_url: str) -> str:
    if line.startswith("#EXT-X-MAP:"):
        before, _, rest = line.partition('URI="')
        after = rest.partition('"')[2]
        return f'{before}URI="{media_url}"{after}'
    return media_url if line and not line.startswith("#") else line
