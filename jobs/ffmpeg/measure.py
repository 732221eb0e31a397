"""Measures a file by its packets, where the header does not say how long it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from av import Packet
from av.stream import Stream

_FORWARD_JUMP_SECONDS = 10
_BACKWARD_JUMP_SECONDS = Fraction(1, 10)
"""Jumps of a discontinuous clock that ffmpeg closes (`-dts_delta_threshold`, and any step back)."""


@dataclass(slots=True)
class _Track:
    """One stream so far, in seconds of its own clock."""

    packets: int = 0
    first: Fraction | None = None
    last: Fraction | None = None
    end: Fraction = Fraction(0)
    removed: Fraction = Fraction(0)


@dataclass(slots=True)
class Measure:
    """Adds up packets.

    Attributes:
        jumps: whether the container's clock may jump (recordings put end to end), as in MPEG-TS;
            jumps then do not count, because ffmpeg closes them.
    """

    jumps: bool
    _tracks: dict[int, _Track] = field(default_factory=dict)

    def add(self, packet: Packet[Stream]) -> None:
        """Count one packet. Packets come in the order of decoding."""
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None or not packet.size:
            return
        base = packet.time_base
        now = stamp * base
        track = self._tracks.setdefault(packet.stream_index, _Track())
        if self.jumps and track.last is not None and _is_jump(now - track.last):
            track.removed += now - track.end
        if track.first is None:
            track.first = now
        track.last = now
        track.end = now + (packet.duration or 0) * base
        track.packets += 1

    def seconds(self, index: int | None = None) -> float:
        """Return the length, seconds.

        Args:
            index: of one stream; None for the longest.
        """
        tracks = self._tracks.values() if index is None else [self._tracks.get(index, _Track())]
        return float(max((_length(track) for track in tracks), default=Fraction(0)))

    def frame_rate(self, index: int) -> Fraction | None:
        """Return the average frames per second of a stream; None from fewer than two packets."""
        track = self._tracks.get(index, _Track())
        # From first to last: the last packet's own duration is often not stated.
        between = (track.last or Fraction(0)) - (track.first or Fraction(0)) - track.removed
        return (track.packets - 1) / between if between > 0 else None


def _is_jump(step: Fraction) -> bool:
    return step > _FORWARD_JUMP_SECONDS or step < -_BACKWARD_JUMP_SECONDS


def _length(track: _Track) -> Fraction:
    return track.end - (track.first or Fraction(0)) - track.removed
