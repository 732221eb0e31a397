"""Builds the one ffmpeg command of a video: one decode, split, every rung; or a copy for the top.

Outputs are named by their rung (`720p.mp4`, `720p.m3u8`) relative to the working directory, so
playlists name their media by file name only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import cast

import ffmpeg
from ffmpeg.nodes import FilterableStream, OutputStream

from jobs.ffmpeg.demuxing import file_url, safe_options
from jobs.ffmpeg.filters import apply, split
from jobs.ffmpeg.ladder import BUFFER_SECONDS, KEYFRAME_SECONDS, Rung, max_rate
from jobs.ffmpeg.rate import MAX_RATE
from jobs.ffmpeg.remux import AUDIO_SAMPLE_RATE, LONGER_SOUND_SECONDS
from jobs.ffmpeg.source import UNSPECIFIED, Source

SEGMENT_SECONDS = 6
AUDIO_BITS_PER_SECOND = 128_000
PRESET = "faster"
"""Nearly libx264's default quality for three quarters of its CPU.

Measured with libvmaf on the 720p rung of a 1080p60 film clip at CRF 23: veryfast 83.0 (470 kB,
2.0 CPU s), faster 88.5 (579 kB, 3.2 s), fast 89.3 (600 kB, 4.2 s), medium 89.8 (594 kB, 4.3 s).
"""

_THREADS = min(os.cpu_count() or 1, 8)
"""Of each decoder, filter and encoder. Every thread takes address space, of which there is a limit;
the encoders of the ladder run at the same time and fill a larger machine together."""

_HD_SHORT_SIDE = 720
"""From here on an undescribed picture is BT.709, below BT.601: what players assume too."""
_COLOUR_NUMBERS = {"bt709": 1, "smpte170m": 6}
"""As ITU-T H.273 numbers them, primaries, transfer and matrix alike."""


def playlist_name(rung: Rung) -> str:
    """Name a rung's playlist."""
    return f"{rung.label}.m3u8"


def media_name(rung: Rung) -> str:
    """Name a rung's media file."""
    return f"{rung.label}.mp4"


def encode_command(
    executable: str,
    path: Path,
    source: Source,
    rungs: Sequence[Rung],
    rate: Fraction,
    *,
    read_seconds: float,
    max_pixels: int,
    tone_map: bool,
    copies_top: bool,
) -> list[str]:
    """Build the command that makes all rungs; it reports progress on standard output.

    Args:
        executable: ffmpeg.
        path: the source's file.
        source: what the probe found in it.
        rungs: the sizes to make, largest first.
        rate: constant frame rate of all rungs, frames per second.
        read_seconds: where to stop reading, seconds of the source.
        max_pixels: largest picture a decoder may allocate, width x height.
        tone_map: whether this ffmpeg can turn HDR into BT.709; the picture of an HDR source is
            flat where it cannot.
        copies_top: whether the largest rung gets the source's own picture, which must fit.

    Returns:
        The program and its arguments.
    """
    file = ffmpeg.input(
        file_url(path), **safe_options(max_pixels), t=f"{read_seconds:.3f}", threads=_THREADS
    )
    copied = source.copyable if copies_top else None
    encoded = rungs[1:] if copied else rungs
    colours = _undescribed_colours(source, rungs[0])
    pictures = _pictures(
        file, source, encoded, rate, colours=colours, tone_map=tone_map and source.is_hdr
    )
    sounds = _sounds(file, source, len(encoded if copied and copied.with_sound else rungs))
    outputs: list[OutputStream] = []
    if copied:
        picture = file[str(source.video_index)]
        sound = [file[str(source.audio_index)]] if copied.with_sound else next(sounds)
        options = _copying(colours)
        outputs.append(
            _output([picture, *sound], rungs[0], options, copies_sound=copied.with_sound)
        )
    outputs += [
        _output([picture, *sound], rung, _encoding(rung, rate))
        for rung, picture, sound in zip(encoded, pictures, sounds, strict=True)
    ]
    everything = ffmpeg.merge_outputs(*outputs).global_args(
        *("-nostdin", "-hide_banner", "-loglevel", "error", "-nostats", "-progress", "pipe:1"),
        *("-filter_complex_threads", str(_THREADS)),
    )
    return cast("list[str]", ffmpeg.compile(everything, cmd=executable, overwrite_output=True))


def _undescribed_colours(source: Source, top: Rung) -> str | None:
    """Name the colours of a picture that is not described; None where it is, or is RGB.

    Otherwise players guess by each rung's height, and colours shift when rungs change.
    """
    if source.is_rgb or source.matrix != UNSPECIFIED:
        return None
    return "bt709" if top.height >= _HD_SHORT_SIDE else "smpte170m"


def _pictures(
    file: FilterableStream,
    source: Source,
    rungs: Sequence[Rung],
    rate: Fraction,
    *,
    colours: str | None,
    tone_map: bool,
) -> Iterator[FilterableStream]:
    """Yield the picture of each rung. ffmpeg itself applies the display matrix before."""
    if not rungs:
        return
    picture = file[str(source.video_index)]
    if source.frame_rate is not None and source.frame_rate > MAX_RATE:
        # Before scaling, as every frame dropped here is one less to scale; the encoders' own
        # frame-rate conversion, which survives changes of resolution, does the rest.
        picture = apply(picture, "fps", fps=str(rate))
    if source.video_seconds is not None:
        missing = source.duration_seconds - source.video_seconds
        if missing > LONGER_SOUND_SECONDS:
            picture = apply(picture, "tpad", stop_mode="clone", stop_duration=f"{missing:.3f}")
    if tone_map:
        picture = _to_sdr(_scale(picture, rungs[0]), source)
    elif colours:
        picture = apply(
            picture, "setparams", colorspace=colours, color_primaries=colours, color_trc=colours
        )
    for branch, rung in zip(split(picture, "split", len(rungs)), rungs, strict=True):
        scaled = _scale(branch, rung, out_range="limited", **_matrix(source))
        yield apply(apply(scaled, "setsar", 1), "format", "yuv420p")


def _scale(picture: FilterableStream, rung: Rung, **options: str) -> FilterableStream:
    return apply(picture, "scale", w=rung.width, h=rung.height, **options)


def _matrix(source: Source) -> dict[str, str]:
    """Say which matrix RGB becomes; YCbCr keeps its own."""
    return {"out_color_matrix": "bt709"} if source.is_rgb else {}


def _to_sdr(picture: FilterableStream, source: Source) -> FilterableStream:
    """Turn PQ or HLG into BT.709: to linear light, other primaries, a film-like curve, back."""
    described: dict[str, str] = {}
    if source.primaries == UNSPECIFIED:
        described["primariesin"] = "bt2020"
    if source.matrix == UNSPECIFIED:
        described["matrixin"] = "bt2020nc"
    # 100 cd/m2 is the reference white of BT.709.
    picture = apply(picture, "zscale", transfer="linear", npl=100, **described)
    picture = apply(picture, "format", "gbrpf32le")
    picture = apply(picture, "zscale", primaries="bt709")
    picture = apply(picture, "tonemap", "hable", desat=0)
    picture = apply(picture, "zscale", transfer="bt709", matrix="bt709", range="limited")
    return apply(picture, "format", "yuv420p")


def _sounds(file: FilterableStream, source: Source, count: int) -> Iterator[list[FilterableStream]]:
    """Yield the sound of each of so many rungs: a list of one, or of none."""
    if source.audio_index is None or not count:
        yield from ([] for _ in range(count))
        return
    # Fills gaps and a late start with silence: picture and sound stay together.
    filling: dict[str, str | int] = {"first_pts": 0, "async": 1}
    sound = apply(file[str(source.audio_index)], "aresample", AUDIO_SAMPLE_RATE, **filling)
    sound = apply(sound, "aformat", sample_rates=AUDIO_SAMPLE_RATE, channel_layouts="stereo")
    yield from ([branch] for branch in split(sound, "asplit", count))


def _encoding(rung: Rung, rate: Fraction) -> dict[str, str | int]:
    """Return how a rung's picture is encoded."""
    cap = max_rate(rung, rate)
    return {
        "c:v": "libx264",
        "profile:v": "high",
        "threads:v": _THREADS,
        "preset": PRESET,
        "crf": 23,
        "maxrate": cap,
        "bufsize": BUFFER_SECONDS * cap,
        "r": str(rate),
        "fps_mode": "cfr",
        # Keyframes on the grid and nowhere else, so that players change rungs at any of them.
        "force_key_frames": f"expr:gte(t,n_forced*{KEYFRAME_SECONDS})",
        "g": ceil(KEYFRAME_SECONDS * rate) + 1,
        "sc_threshold": 0,
    }


_WITHOUT_SEI = "filter_units=remove_types=6"
"""Cameras write date and place into the stream itself, too (H.264 Annex D: user data)."""


def _copying(colours: str | None) -> dict[str, str | int]:
    """Return how the source's own picture gets into a rung.

    Args:
        colours: what to describe its colours as; None where they are described.
    """
    options: dict[str, str | int] = {"c:v": "copy", "bsf:v": _WITHOUT_SEI}
    if colours:
        number = _COLOUR_NUMBERS[colours]
        options["bsf:v"] = (
            f"{_WITHOUT_SEI},h264_metadata=colour_primaries={number}"
            f":transfer_characteristics={number}:matrix_coefficients={number}"
        )
    return options


def _output(
    streams: Sequence[FilterableStream],
    rung: Rung,
    picture: dict[str, str | int],
    *,
    copies_sound: bool = False,
) -> OutputStream:
    """Put a picture, made with these options, and its sound into a rung's files."""
    sound: dict[str, str | int] = {"c:a": "aac", "b:a": AUDIO_BITS_PER_SECOND}
    if copies_sound:
        sound = {"c:a": "copy"}
    return ffmpeg.output(
        *streams,
        playlist_name(rung),
        format="hls",
        **{
            **(sound if len(streams) > 1 else {}),
            **picture,
            # The device, the place and the author are nobody's business.
            "map_metadata": -1,
            "map_chapters": -1,
            "hls_time": SEGMENT_SECONDS,
            "hls_playlist_type": "vod",
            "hls_segment_type": "fmp4",
            "hls_flags": "single_file+independent_segments",
            # Pictures are reordered without delaying the first one. Else everything is moved to
            # begin after zero, and an edit list undoes that, which browsers skip: the sound would
            # be two pictures early.
            "avoid_negative_ts": "disabled",
            "hls_segment_options": "movflags=+negative_cts_offsets",
            "hls_segment_filename": media_name(rung),
        },
    )
