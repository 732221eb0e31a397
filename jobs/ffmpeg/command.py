"""Builds the one ffmpeg command of a video: one decode, split, every rung.

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
from jobs.ffmpeg.ladder import Rung
from jobs.ffmpeg.rate import MAX_RATE
from jobs.ffmpeg.source import UNSPECIFIED, Source

SEGMENT_SECONDS = 6
KEYFRAME_SECONDS = 2
AUDIO_BITS_PER_SECOND = 128_000
AUDIO_SAMPLE_RATE = 48_000
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

_LONGER_SOUND_SECONDS = 1.0
"""Sound that outlasts the picture by more gets the last picture held."""


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
) -> list[str]:
    """Build the command that encodes all rungs; it reports progress on standard output.

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

    Returns:
        The program and its arguments.
    """
    file = ffmpeg.input(
        file_url(path), **safe_options(max_pixels), t=f"{read_seconds:.3f}", threads=_THREADS
    )
    pictures = _pictures(file, source, rungs, rate, tone_map=tone_map and source.is_hdr)
    sounds = _sounds(file, source, len(rungs))
    outputs = [
        _output([picture, *sound], rung, rate)
        for picture, sound, rung in zip(pictures, sounds, rungs, strict=True)
    ]
    everything = ffmpeg.merge_outputs(*outputs).global_args(
        *("-nostdin", "-hide_banner", "-loglevel", "error", "-nostats", "-progress", "pipe:1"),
        *("-filter_complex_threads", str(_THREADS)),
    )
    return cast("list[str]", ffmpeg.compile(everything, cmd=executable, overwrite_output=True))


def poster_command(executable: str, path: Path, seconds: float, name: str) -> list[str]:
    """Build the command that makes a poster from a rendition.

    Args:
        executable: ffmpeg.
        path: a rendition's media file.
        seconds: where to look for a telling picture.
        name: the JPEG to write, relative to the working directory.
    """
    file = ffmpeg.input(f"file:{path}", protocol_whitelist="file", ss=f"{seconds:.3f}")
    # The most typical of the next 50 pictures: no black, no cross-fade.
    picture = _filter(file.video, "thumbnail", n=50)
    # JPEG (JFIF) has samples of full range.
    picture = _filter(picture, "scale", out_range="full")
    picture = _filter(picture, "format", "yuvj420p")
    options = {"frames:v": 1, "q:v": 3, "map_metadata": -1, "update": 1}
    poster = ffmpeg.output(picture, name, format="image2", **options).global_args(
        "-nostdin", "-hide_banner", "-loglevel", "error"
    )
    return cast("list[str]", ffmpeg.compile(poster, cmd=executable, overwrite_output=True))


def _filter(
    stream: FilterableStream, name: str, *values: str | int, **options: str | int
) -> FilterableStream:
    # The module's function, as the methods of the same names are attached at run time.
    return cast("FilterableStream", ffmpeg.filter(stream, name, *values, **options))


def _split(stream: FilterableStream, name: str, count: int) -> list[FilterableStream]:
    branches = ffmpeg.filter_multi_output(stream, name)
    return [branches[number] for number in range(count)]


def _pictures(
    file: FilterableStream,
    source: Source,
    rungs: Sequence[Rung],
    rate: Fraction,
    *,
    tone_map: bool,
) -> Iterator[FilterableStream]:
    """Yield the picture of each rung. ffmpeg itself applies the display matrix before."""
    picture = file[str(source.video_index)]
    if source.frame_rate is not None and source.frame_rate > MAX_RATE:
        # Before scaling, as every frame dropped here is one less to scale; the encoders' own
        # frame-rate conversion, which survives changes of resolution, does the rest.
        picture = _filter(picture, "fps", fps=str(rate))
    if source.video_seconds is not None:
        missing = source.duration_seconds - source.video_seconds
        if missing > _LONGER_SOUND_SECONDS:
            picture = _filter(picture, "tpad", stop_mode="clone", stop_duration=f"{missing:.3f}")
    if tone_map:
        picture = _to_sdr(_scale(picture, rungs[0]), source)
    elif not source.is_rgb and source.matrix == UNSPECIFIED:
        # Otherwise players guess by each rung's height, and colours shift when rungs change.
        description = "bt709" if rungs[0].height >= _HD_SHORT_SIDE else "smpte170m"
        picture = _filter(
            picture,
            "setparams",
            colorspace=description,
            color_primaries=description,
            color_trc=description,
        )
    for branch, rung in zip(_split(picture, "split", len(rungs)), rungs, strict=True):
        scaled = _scale(branch, rung, out_range="limited", **_matrix(source))
        yield _filter(_filter(scaled, "setsar", 1), "format", "yuv420p")


def _scale(picture: FilterableStream, rung: Rung, **options: str) -> FilterableStream:
    return _filter(picture, "scale", w=rung.width, h=rung.height, **options)


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
    picture = _filter(picture, "zscale", transfer="linear", npl=100, **described)
    picture = _filter(picture, "format", "gbrpf32le")
    picture = _filter(picture, "zscale", primaries="bt709")
    picture = _filter(picture, "tonemap", "hable", desat=0)
    picture = _filter(picture, "zscale", transfer="bt709", matrix="bt709", range="limited")
    return _filter(picture, "format", "yuv420p")


def _sounds(file: FilterableStream, source: Source, count: int) -> list[list[FilterableStream]]:
    """Return each rung's sound: a list of one, or of none."""
    if source.audio_index is None:
        return [[] for _ in range(count)]
    # Fills gaps and a late start with silence: picture and sound stay together.
    filling: dict[str, str | int] = {"first_pts": 0, "async": 1}
    sound = _filter(file[str(source.audio_index)], "aresample", AUDIO_SAMPLE_RATE, **filling)
    sound = _filter(sound, "aformat", sample_rates=AUDIO_SAMPLE_RATE, channel_layouts="stereo")
    return [[branch] for branch in _split(sound, "asplit", count)]


def max_rate(rung: Rung, rate: Fraction) -> int:
    """Return the cap on a rung's video bit rate, bits per second.

    6 Mbit/s at 1080p, growing a little slower than the number of pixels, as larger pictures have
    less detail per pixel: 3 at 720p, 1.5 at 480p, 0.9 at 360p; half as much again above 30 fps.
    """
    size = 6_000_000 * (rung.width * rung.height / (1920 * 1080)) ** 0.85
    return max(150_000, int(size * (1.5 if rate > 31 else 1)))


def _output(streams: list[FilterableStream], rung: Rung, rate: Fraction) -> OutputStream:
    cap = max_rate(rung, rate)
    sound = {
        "c:a": "aac",
        "b:a": AUDIO_BITS_PER_SECOND,
    }
    options = {
        "c:v": "libx264",
        "profile:v": "high",
        "threads:v": _THREADS,
        "preset": PRESET,
        "crf": 23,
        "maxrate": cap,
        "bufsize": 2 * cap,
        "r": str(rate),
        "fps_mode": "cfr",
        # Keyframes on the grid and nowhere else, so that players change rungs at any of them.
        "force_key_frames": f"expr:gte(t,n_forced*{KEYFRAME_SECONDS})",
        "g": ceil(KEYFRAME_SECONDS * rate) + 1,
        "sc_threshold": 0,
        # The device, the place and the author are nobody's business.
        "map_metadata": -1,
        "map_chapters": -1,
        "hls_time": SEGMENT_SECONDS,
        "hls_playlist_type": "vod",
        "hls_segment_type": "fmp4",
        "hls_flags": "single_file+independent_segments",
        # Pictures are reordered without delaying the first one. Else an edit list has to undo the
        # delay, which browsers skip: the sound would be two pictures early.
        "hls_segment_options": "movflags=+negative_cts_offsets",
        "hls_segment_filename": media_name(rung),
    }
    if len(streams) > 1:
        options |= sound
    return ffmpeg.output(*streams, playlist_name(rung), format="hls", **options)
