"""What a transcode hands back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class EncodedRendition:
    """One rung, made and verified.

    Attributes:
        label: as "720p".
        width: pixels.
        height: pixels.
        media: the fragmented MP4 file with the whole rendition.
        playlist: its HLS byte-range playlist, which names `media` by file name only.
        bytes: size of `media`.
        bandwidth: BANDWIDTH, peak bits per second.
        average_bandwidth: AVERAGE-BANDWIDTH, bits per second.
        codecs: CODECS (RFC 6381), as "avc1.640028,mp4a.40.2".
        frame_rate: frames per second.
        is_copy: whether its picture is the source's own, not encoded again.
    """

    label: str
    width: int
    height: int
    media: Path
    playlist: Path
    bytes: int
    bandwidth: int
    average_bandwidth: int
    codecs: str
    frame_rate: float
    is_copy: bool


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """What a player shows while somebody seeks.

    Attributes:
        image: a JPEG, the sheet of all thumbnails.
        cues: WebVTT, which names parts of `image` by file name only.
    """

    image: Path
    cues: Path


@dataclass(frozen=True, slots=True)
class Encoded:
    """A transcoded video.

    Attributes:
        duration_seconds: of the source, seconds.
        width: of the source as displayed (rotated, square pixels).
        height: of the source as displayed.
        renditions: largest first.
        poster: a JPEG.
        thumbnails: from beginning to end.
        cpu_seconds: spent in all child processes.
    """

    duration_seconds: float
    width: int
    height: int
    renditions: tuple[EncodedRendition, ...]
    poster: Path
    thumbnails: Thumbnails
    cpu_seconds: float
