"""What a probe finds out about a source, and how it travels out of the probe's process."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from fractions import Fraction

PQ = 16
"""SMPTE ST 2084, as numbered by ITU-T H.273."""
HLG = 18
"""ARIB STD-B67, as numbered by ITU-T H.273."""
UNSPECIFIED = 2
"""Colour description left open, as numbered by ITU-T H.273."""
FULL_RANGE = 2
"""Samples from 0 to 255, as numbered by ffmpeg."""


@dataclass(frozen=True, slots=True)
class Copyable:
    """A picture that may be copied into a rendition as it is, as far as it does not need too much.

    Attributes:
        seconds: how long it lasts.
        bits_per_second: on average.
        peak_bits_per_second: of the largest group between two keyframes of the ladder's grid.
        with_sound: whether the sound may be copied, too.
    """

    seconds: float
    bits_per_second: int
    peak_bits_per_second: int
    with_sound: bool


@dataclass(frozen=True, slots=True)
class Source:
    """One video file, seen from inside.

    Attributes:
        container: ffmpeg's name of the format, as "matroska,webm".
        duration_seconds: of the longer of picture and sound, seconds.
        video_index: number of the chosen stream in the file.
        video_codec: ffmpeg's name, as "h264".
        video_seconds: where the picture ends, seconds; None where the file does not say.
        width: coded, pixels.
        height: coded, pixels.
        sample_aspect: width of a sample over its height.
        rotation: degrees of the display matrix.
        frame_rate: average, frames per second; None where the file does not say.
        pixel_format: ffmpeg's name, as "yuv420p".
        is_rgb: whether samples are red, green, blue.
        is_interlaced: whether a picture is made of two, of every other line.
        transfer: colour transfer, as numbered by ITU-T H.273.
        primaries: colour primaries, as numbered by ITU-T H.273.
        matrix: colour matrix, as numbered by ITU-T H.273.
        color_range: 0 unspecified, 1 limited, 2 full (ffmpeg's numbers).
        audio_index: number of the chosen stream in the file; None without (readable) sound.
        audio_codec: ffmpeg's name, as "aac"; None without sound.
        copyable: None when the picture has to be encoded.
    """

    container: str
    duration_seconds: float
    video_index: int
    video_codec: str
    video_seconds: float | None
    width: int
    height: int
    sample_aspect: Fraction
    rotation: int
    frame_rate: Fraction | None
    pixel_format: str
    is_rgb: bool
    is_interlaced: bool
    transfer: int
    primaries: int
    matrix: int
    color_range: int
    audio_index: int | None
    audio_codec: str | None
    copyable: Copyable | None = None

    @property
    def has_audio(self) -> bool:
        """Whether there is sound that decodes."""
        return self.audio_index is not None

    @property
    def is_hdr(self) -> bool:
        """Whether the picture is made for screens of high dynamic range."""
        return self.transfer in (PQ, HLG)

    def to_json(self) -> str:
        """Return this as one line of JSON; fractions become "num/den"."""
        return json.dumps(
            {
                key: str(value) if isinstance(value, Fraction) else value
                for key, value in asdict(self).items()
            }
        )

    @classmethod
    def from_json(cls, line: str) -> Source:
        """Read what `to_json` wrote."""
        values = json.loads(line)
        rate = values["frame_rate"]
        values["sample_aspect"] = Fraction(values["sample_aspect"])
        values["frame_rate"] = None if rate is None else Fraction(rate)
        copyable = values["copyable"]
        values["copyable"] = None if copyable is None else Copyable(**copyable)
        return cls(**values)
