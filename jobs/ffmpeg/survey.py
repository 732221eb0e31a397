"""Follows a source packet by packet: may it go into a rendition as it is, without being encoded?

A picture may when nobody can tell it from one that we encoded: constant rate, closed groups of
pictures that begin on the ladder's grid, one set of parameters. Reading stops at the first packet
that speaks against it, which in most files is within the first seconds.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from av import Packet
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Stream

from jobs.ffmpeg.ladder import KEYFRAME_SECONDS
from jobs.ffmpeg.source import Copyable

REORDERED_FRAMES = 2
"""How many pictures our encoder is behind, as its B-frames are references of others. A source that
is further behind cannot begin at the same time as the other rungs."""

_AAC_SAMPLES = 1024
"""Of each packet (ISO/IEC 14496-3)."""
_ROUNDING_SECONDS = 0.002
"""Matroska's clock ticks once in a millisecond."""
_SOUND_WANDERING_SECONDS = 0.01


def survey(
    container: InputContainer,
    picture: Stream,
    sound: AudioStream | None,
    *,
    rate: Fraction,
    patience_seconds: float = 90.0,
) -> Copyable | None:
    """Read a source from its beginning and say whether its picture may be copied.

    Args:
        container: just opened.
        picture: an H.264 stream of it that fits by its description.
        sound: an AAC stream of it that fits by its description; None where there is none.
        rate: the constant frame rate that the picture should have, frames per second.
        patience_seconds: how long to read, on the clock; less than a probe's bounds are.

    Returns:
        None when the picture has to be encoded, or the file is too large to find out.

    Raises:
        FFmpegError: it cannot be read on.
    """
    start = Fraction(container.start_time or 0, 1_000_000)
    seen = PictureSurvey(rate, start)
    heard = None if sound is None else SoundSurvey(sound.codec_context.sample_rate, start)
    deadline = time.monotonic() + patience_seconds
    for packet in container.demux([picture] if sound is None else [picture, sound]):
        if time.monotonic() > deadline:
            return None
        if not packet.size:
            continue
        if packet.stream_index == picture.index:
            if not seen.add(packet):
                return None
        elif heard:
            heard.add(packet)
    return seen.result(with_sound=heard is not None and heard.fits)


@dataclass(slots=True)
class PictureSurvey:
    """What the packets of a picture have said so far.

    Attributes:
        rate: frames per second that they should keep.
        start: where the file begins, seconds of its clock.
    """

    rate: Fraction
    start: Fraction
    _count: int = 0
    _last: int = -1
    _keyframe: int = 0
    _due: int = 0
    """Which picture has to be the grid's next keyframe."""
    _periods: list[int] = field(default_factory=list)
    """Bytes from each keyframe of the grid to the next."""

    def add(self, packet: Packet[Stream]) -> bool:
        """Take the next packet, in the order of decoding; return whether it fits."""
        number = self._number(packet)
        if number is None:
            return False
        if packet.is_keyframe and number == self._due:
            self._periods.append(0)
            self._due = ceil(len(self._periods) * KEYFRAME_SECONDS * self.rate)
        elif number >= self._due:
            return False
        if packet.is_keyframe:
            self._keyframe = number
        self._periods[-1] += packet.size
        self._last = max(self._last, number)
        self._count += 1
        # A picture shown before the keyframe that it follows belongs to an open group.
        return self._keyframe <= number and self._count - 1 - number <= REORDERED_FRAMES

    def _number(self, packet: Packet[Stream]) -> int | None:
        """Return the picture's place in the order of showing; None where it has none."""
        # What an edit list cuts off is marked to be discarded, and would be shown when copied.
        unusable = packet.is_corrupt or packet.is_discard or packet.has_sidedata("new_extradata")
        if packet.pts is None or unusable:
            return None
        position = _seconds_since(self.start, packet.pts, packet.time_base) * float(self.rate)
        number = round(position)
        if number < 0 or abs(position - number) > _ROUNDING_SECONDS * float(self.rate):
            return None
        return number

    def result(self, *, with_sound: bool) -> Copyable | None:
        """Return what is to be known for copying; None when pictures are missing.

        Args:
            with_sound: whether the sound fits, too.
        """
        if not self._count or self._count != self._last + 1:
            return None
        seconds = self._count / self.rate
        return Copyable(
            seconds=float(seconds),
            bits_per_second=ceil(8 * sum(self._periods) / max(seconds, KEYFRAME_SECONDS)),
            peak_bits_per_second=8 * max(self._periods) // KEYFRAME_SECONDS,
            with_sound=with_sound,
        )


@dataclass(slots=True)
class SoundSurvey:
    """What the packets of a sound have said so far.

    Attributes:
        sample_rate: per second.
        start: where the file begins, seconds of its clock.
        fits: whether each follows the one before, from the start on.
    """

    sample_rate: int
    start: Fraction
    fits: bool = True
    _first: float | None = None
    _count: int = 0

    def add(self, packet: Packet[Stream]) -> None:
        """Take the next packet."""
        if packet.pts is None or packet.is_corrupt:
            self.fits = False
            return
        now = _seconds_since(self.start, packet.pts, packet.time_base)
        length = _AAC_SAMPLES / self.sample_rate
        if self._first is None:
            self._first = now
            # Encoders begin one packet early, which is not heard.
            self.fits = abs(now) <= length + _ROUNDING_SECONDS
        expected = self._first + self._count * length
        self.fits = self.fits and abs(now - expected) <= _SOUND_WANDERING_SECONDS
        self._count += 1


def _seconds_since(start: Fraction, ticks: int, clock: Fraction) -> float:
    """Return a time of a stream's clock as seconds from the file's start.

    In floating point, as a lecture has millions of packets: a microsecond is exact enough.
    """
    return ticks * clock.numerator / clock.denominator - float(start)
