"""Reads the media playlists that ffmpeg wrote (RFC 8216) and reckons their bandwidths."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from math import ceil


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a single media file.

    Attributes:
        duration: seconds.
        length: bytes.
        offset: bytes from the start of the file.
    """

    duration: float
    length: int
    offset: int


@dataclass(frozen=True, slots=True)
class Playlist:
    """A byte-range playlist.

    Attributes:
        target_duration: EXT-X-TARGETDURATION, seconds.
        header_bytes: length of the initialization section, which starts the file.
        segments: in order.
        media: the file that all ranges are in, as named by the playlist.
        complete: whether EXT-X-ENDLIST is there.
    """

    target_duration: int
    header_bytes: int
    segments: tuple[Segment, ...]
    media: str
    complete: bool

    @property
    def duration(self) -> float:
        """Seconds of all segments."""
        return sum(segment.duration for segment in self.segments)

    def starts(self) -> list[float]:
        """Return where each segment begins, seconds."""
        return list(accumulate((one.duration for one in self.segments[:-1]), initial=0.0))

    def covers(self, size: int) -> bool:
        """Whether header and segments follow each other without a gap through a file of `size`."""
        position = self.header_bytes
        for segment in self.segments:
            if segment.offset != position:
                return False
            position += segment.length
        return position == size

    def average_bandwidth(self) -> int:
        """Return AVERAGE-BANDWIDTH (RFC 8216, 4.3.4.2), bits per second, rounded up."""
        return _bits_per_second(list(self.segments))

    def peak_bandwidth(self) -> int:
        """Return BANDWIDTH, bits per second, rounded up.

        RFC 8216, 4.1: the largest bit rate of any contiguous set of segments that lasts between
        0.5 and 1.5 times the target duration.
        """
        rates = [self.average_bandwidth()]
        for start in range(len(self.segments)):
            for end in range(start + 1, len(self.segments) + 1):
                window = list(self.segments[start:end])
                duration = sum(segment.duration for segment in window)
                if duration > 1.5 * self.target_duration:
                    break
                if duration >= 0.5 * self.target_duration:
                    rates.append(_bits_per_second(window))
        return max(rates)


def parse(text: str) -> Playlist:
    """Read a single-file media playlist as ffmpeg's hls muxer writes it.

    Args:
        text: the playlist.

    Raises:
        ValueError: it is no such playlist: no segments, a segment without its length, more than
            one media file.
    """
    target, header, complete = 0, 0, False
    duration, byte_range = 0.0, ""
    segments: list[Segment] = []
    names: set[str] = set()
    for line in text.splitlines():
        tag, _, value = line.partition(":")
        if tag == "#EXT-X-TARGETDURATION":
            target = int(value)
        elif tag == "#EXT-X-MAP":
            header = _range(value.partition('BYTERANGE="')[2].rstrip('"'), 0)[0]
        elif tag == "#EXTINF":
            duration = float(value.rstrip(","))
        elif tag == "#EXT-X-BYTERANGE":
            byte_range = value
        elif tag == "#EXT-X-ENDLIST":
            complete = True
        elif line and not line.startswith("#"):
            follows = segments[-1].offset + segments[-1].length if segments else header
            segments.append(Segment(duration, *_range(byte_range, follows)))
            names.add(line)
    if len(names) != 1:
        raise ValueError("a playlist of one media file was expected")
    return Playlist(target, header, tuple(segments), names.pop(), complete)


def _range(value: str, follows: int) -> tuple[int, int]:
    """Read `length[@offset]`; without an offset a range follows the one before."""
    length, _, offset = value.partition("@")
    return int(length), int(offset) if offset else follows


def _bits_per_second(segments: list[Segment]) -> int:
    duration = sum(segment.duration for segment in segments)
    return ceil(8 * sum(segment.length for segment in segments) / duration) if duration else 0
