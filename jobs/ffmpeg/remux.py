"""When a source is copied into its top rung instead of being encoded.

First by its description (`suits`), then packet by packet (`jobs.ffmpeg.survey`), at last against
the rung (`fits`).
"""

from __future__ import annotations

from fractions import Fraction

from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from jobs.ffmpeg.ladder import BUFFER_SECONDS, KEYFRAME_SECONDS, Rung, max_rate
from jobs.ffmpeg.rate import constant_rate
from jobs.ffmpeg.source import FULL_RANGE, Source

AUDIO_SAMPLE_RATE = 48_000
LONGER_SOUND_SECONDS = 1.0
"""Sound that outlasts the picture by more gets the last picture held, which needs an encoder."""

_AVCC_VERSION = 1
_PROFILES = (66, 77, 100)
"""Baseline, Main and High, as numbered by ITU-T H.264: what browsers play."""
_MAX_LEVEL = 52
"""5.2: 4096 x 2304 at 60 pictures a second. Players refuse a file for its name of more."""
_RATE_ROUNDING = Fraction(1, 1000)


def suits(source: Source, video: VideoStream) -> bool:
    """Whether nothing in a picture's description speaks against copying it.

    Args:
        source: what is known of it.
        video: the same stream, for its parameter sets.
    """
    parameters = video.codec_context.extradata or b""
    return (
        source.video_codec == "h264"
        and len(parameters) > 3
        and parameters[0] == _AVCC_VERSION
        and parameters[1] in _PROFILES
        and parameters[3] <= _MAX_LEVEL
        and source.pixel_format == "yuv420p"
        and source.color_range != FULL_RANGE
        and not source.is_hdr
        and not source.is_interlaced
        and source.rotation == 0
        and source.sample_aspect == 1
        and source.frame_rate is not None
        and abs(constant_rate(source.frame_rate) - source.frame_rate) <= _RATE_ROUNDING
    )


def sound_suits(audio: AudioStream) -> bool:
    """Whether a sound is described as the one that we would make: stereo AAC-LC at 48 kHz."""
    context = audio.codec_context
    return (
        context.name == "aac"
        and context.profile == "LC"
        and context.sample_rate == AUDIO_SAMPLE_RATE
        and context.layout.name == "stereo"
    )


def fits(source: Source, rung: Rung, rate: Fraction) -> bool:
    """Whether a source may be copied into a rung: its size, its length, within the rung's caps.

    Args:
        source: what the probe found.
        rung: the largest of its ladder.
        rate: of all rungs, frames per second.
    """
    found, cap = source.copyable, max_rate(rung, rate)
    # What comes in the time between two keyframes, and a buffer full of it.
    peak = cap * (1 + Fraction(BUFFER_SECONDS, KEYFRAME_SECONDS))
    return (
        found is not None
        and (source.width, source.height) == (rung.width, rung.height)
        and found.bits_per_second <= cap
        and found.peak_bits_per_second <= peak
        and source.duration_seconds - found.seconds <= LONGER_SOUND_SECONDS
    )
