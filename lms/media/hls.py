"""HLS playlists (RFC 8216 and its second edition) for players. Pure text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class SubtitleTrack:
    """What is said in one language.

    Attributes:
        uri: address of its media playlist; absolute, or relative to the master playlist.
        name: what people choose by; unlike that of any other track, and without double quotes.
        language: BCP 47 tag.
        describes_sounds: it also tells what is to be heard besides words.
    """

    uri: str
    name: str
    language: str
    describes_sounds: bool


R = TypeVar("R", bound=Rendition)

START_SHORT_SIDE = 480
"""Players begin with the first variant: one that starts at once and still looks decent."""

SUBTITLES = "subtitles"
"""Name of the group of all tracks, which goes with every variant."""

FOR_WHO_DOES_NOT_HEAR = (
    "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound"
)
TIMESTAMP_MAP = "X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000"
"""Cues count from the video's beginning (RFC 8216, 3.5), where renditions decode from zero on."""


def master_playlist(
    renditions: Sequence[R],
    uri_for: Callable[[R], str],
    tracks: Sequence[SubtitleTrack] = (),
) -> str:
    """Write the multivariant playlist.

    The first variant is the largest of at most 480p (else the smallest), because native players
    start with the first; the others follow from small to large.

    Args:
        renditions: at least one.
        uri_for: address of a rendition's media playlist; absolute, or relative to this playlist.
        tracks: subtitles, in the order in which players list them.

    Raises:
        ValueError: a track's name could break out of its place.
    """
    ascending = sorted(renditions, key=lambda rendition: rendition.bandwidth)
    decent = [
        rendition
        for rendition in ascending
        if min(rendition.width, rendition.height) <= START_SHORT_SIDE
    ]
    first = decent[-1] if decent else ascending[0]
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    lines += map(_track_line, tracks)
    with_tracks = (f'SUBTITLES="{SUBTITLES}"',) if tracks else ()
    for rendition in [first, *(other for other in ascending if other is not first)]:
        attributes = (
            f"BANDWIDTH={rendition.bandwidth}",
            f"AVERAGE-BANDWIDTH={rendition.average_bandwidth}",
            f'CODECS="{rendition.codecs}"',
            f"RESOLUTION={rendition.width}x{rendition.height}",
            f"FRAME-RATE={rendition.frame_rate:.3f}",
            *with_tracks,
        )
        lines += [f"#EXT-X-STREAM-INF:{','.join(attributes)}", uri_for(rendition)]
    return "\n".join(lines) + "\n"


def subtitle_playlist(uri: str, duration_seconds: float) -> str:
    """Write the media playlist of a subtitle track: one segment that lasts as long as the video.

    Args:
        uri: address of the WebVTT file; absolute, or relative to this playlist.
        duration_seconds: of the video.
    """
    lines = (
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{math.ceil(duration_seconds)}",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        f"#EXTINF:{duration_seconds:.3f},",
        uri,
        "#EXT-X-ENDLIST",
    )
    return "\n".join(lines) + "\n"


def subtitle_segment(webvtt: str) -> str:
    """Say in a WebVTT file where in the video its times begin, as players of HLS want it.

    Others take the line for a header that they do not know.

    Args:
        webvtt: as `captions.files` writes it: its first line is WEBVTT alone.
    """
    return webvtt.replace("WEBVTT\n", f"WEBVTT\n{TIMESTAMP_MAP}\n", 1)


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
    _check_quotable(media_url)
    return "\n".join(_point_line(line, media_url) for line in text.splitlines()) + "\n"


def _track_line(track: SubtitleTrack) -> str:
    """Return a track's line; players choose it by the languages that their user has set."""
    for text in (track.uri, track.name, track.language):
        _check_quotable(text)
    attributes = [
        "TYPE=SUBTITLES",
        f'GROUP-ID="{SUBTITLES}"',
        f'NAME="{track.name}"',
        f'LANGUAGE="{track.language}"',
        "DEFAULT=NO",
        "AUTOSELECT=YES",
        "FORCED=NO",
        f'URI="{track.uri}"',
    ]
    if track.describes_sounds:
        attributes.append(f'CHARACTERISTICS="{FOR_WHO_DOES_NOT_HEAR}"')
    return f"#EXT-X-MEDIA:{','.join(attributes)}"


def _check_quotable(text: str) -> None:
    if any(character in text for character in '"\r\n'):
        raise ValueError("what a playlist quotes has neither quotes nor line ends")


def _point_line(line: str, media_url: str) -> str:
    if line.startswith("#EXT-X-MAP:"):
        before, _, rest = line.partition('URI="')
        after = rest.partition('"')[2]
        return f'{before}URI="{media_url}"{after}'
    return media_url if line and not line.startswith("#") else line
