"""Proves what ffmpeg made: `python -m jobs.ffmpeg.verify FILE...` prints a line of JSON for each.

Exit status 0 proves nothing: ffmpeg ends well on half a file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError
from av.error import MemoryError as OutOfMemoryError
from av.stream import Stream

from jobs.ffmpeg import codecs, failures, process
from jobs.ffmpeg.errors import PermanentMediaError
from jobs.ffmpeg.fragments import first_times
from jobs.ffmpeg.limits import Limits
from jobs.ffmpeg.playlists import Playlist, parse
from jobs.ffmpeg.source import Source

_TRUNCATED = (
    "This video is incomplete: only {made:.0f} of {stated:.0f} seconds can be played. "
    "Please upload it again."
)


@dataclass(frozen=True, slots=True)
class Track:
    """What is inside one rendition's file.

    Attributes:
        frames: pictures.
        duration_seconds: of the longer of picture and sound, seconds.
        start_seconds: when the first picture is shown, seconds.
        width: pixels.
        height: pixels.
        frame_rate: frames per second.
        codecs: CODECS attribute (RFC 6381).
    """

    frames: int
    duration_seconds: float
    start_seconds: float
    width: int
    height: int
    frame_rate: float
    codecs: str


def tolerance_seconds(duration_seconds: float) -> float:
    """Return how far a rendition's length may be from the source's: headers round, sound pads."""
    return max(0.5, 0.02 * duration_seconds)


def verify(
    media: Sequence[Path],
    source: Source,
    workdir: Path,
    limits: Limits,
    *,
    on_tick: Callable[[], None],
    tick_seconds: float,
) -> tuple[list[tuple[Track, Playlist]], float]:
    """Check every rendition against its playlist and its source.

    Args:
        media: the renditions' files; each playlist has the same name with `.m3u8`.
        source: what they were made from.
        workdir: where the child process works.
        limits: bounds on the child process.
        on_tick: called at least every `tick_seconds`; may raise to abort.
        tick_seconds: seconds.

    Returns:
        What is in each rendition, in the order of `media`, and the CPU seconds it took.

    Raises:
        PermanentMediaError: `truncated` or `unreadable`.
        TransientMediaError: the child was killed or ran out of time.
    """
    for file in media:
        if not file.is_file() or not file.with_suffix(".m3u8").is_file():
            raise PermanentMediaError("unreadable", failures.UNREADABLE, detail=f"no {file.name}")
    lines: list[str] = []
    bounds = limits.for_verification(source.duration_seconds, len(media))
    finished = process.run(
        [sys.executable, "-m", "jobs.ffmpeg.verify", *(str(file.resolve()) for file in media)],
        limits=bounds,
        cwd=workdir,
        tick_seconds=tick_seconds,
        on_tick=on_tick,
        on_line=lines.append,
    )
    failures.raise_for(finished, bounds)
    tracks = [_track(file, json.loads(line)) for file, line in zip(media, lines, strict=True)]
    checked = [
        (track, _check(file, track, source)) for file, track in zip(media, tracks, strict=True)
    ]
    return checked, finished.cpu_seconds


def _track(file: Path, answer: dict[str, Any]) -> Track:
    """Read the child's answer about one file."""
    if "error" in answer:
        raise _broken(file, answer["error"])
    return Track(**answer)


def _check(file: Path, track: Track, source: Source) -> Playlist:
    """Compare one rendition with its playlist and the source; return the playlist."""
    stated, made = source.duration_seconds, track.duration_seconds
    if made < stated - tolerance_seconds(stated):
        message = _TRUNCATED.format(made=made, stated=stated)
        raise PermanentMediaError("truncated", message)
    try:
        playlist = parse(file.with_suffix(".m3u8").read_text())
    except ValueError as error:
        raise _broken(file, str(error)) from error
    if not playlist.complete or playlist.media != file.name:
        raise _broken(file, "its playlist is not finished")
    if not playlist.covers(file.stat().st_size):
        raise _broken(file, "its playlist's byte ranges do not cover it")
    if abs(playlist.duration - made) > tolerance_seconds(stated):
        raise _broken(file, f"it lasts {made:.3f} s, its playlist {playlist.duration:.3f} s")
    # Generous, as ffmpeg closes a jump of the clock differently from how we measured it.
    if made > 1.5 * stated + 2:
        raise _broken(file, f"it lasts {made:.3f} s, the source {stated:.3f} s")
    if source.has_audio != ("mp4a" in track.codecs):
        raise _broken(file, "its sound is missing")
    return playlist


def require_alignment(checked: Sequence[tuple[Track, Playlist]]) -> None:
    """Check that players may go from any rendition to any other at the start of each segment.

    Args:
        checked: as `verify` returns it; the first is compared with the others.

    Raises:
        PermanentMediaError: `unreadable`.
    """
    (first, cut), *others = checked
    frame_seconds = 1 / first.frame_rate if first.frame_rate else 0.0
    for track, playlist in others:
        starts = zip(cut.starts(), playlist.starts(), strict=False)
        if (
            abs(first.start_seconds - track.start_seconds) > frame_seconds / 2
            or len(cut.segments) != len(playlist.segments)
            or any(abs(one - other) > frame_seconds / 2 for one, other in starts)
        ):
            detail = f"{cut.media} and {playlist.media} are cut at different places"
            raise PermanentMediaError("unreadable", failures.UNREADABLE, detail=detail)


def _broken(file: Path, detail: str) -> PermanentMediaError:
    return PermanentMediaError("unreadable", failures.UNREADABLE, detail=f"{file.name}: {detail}")


def inspect(file: Path) -> Track:
    """Read through a rendition, decode its first picture and say what is in it.

    Raises:
        ValueError: there is no H.264 picture in it that decodes, or it is not fragmented.
        FFmpegError: it cannot be read.
    """
    with av.open(str(file), "r") as container:
        if not container.streams.video:
            raise ValueError("no picture")
        video = container.streams.video[0]
        video.codec_context.thread_count = 1
        names = [
            codecs.h264(video.codec_context.extradata or b""),
            *(
                codecs.aac(sound.codec_context.extradata or b"")
                for sound in container.streams.audio
            ),
        ]
        frames, decoded = 0, 0
        # In ticks of each stream's own clock: a lecture has millions of packets.
        starts: dict[int, int] = {}
        ends: dict[int, int] = {}
        for packet in container.demux():
            start = packet.pts
            if start is None:
                continue
            index = packet.stream_index
            starts[index] = min(starts.get(index, start), start)
            ends[index] = max(ends.get(index, start), start + (packet.duration or 0))
            if index == video.index:
                frames += 1
                decoded += 0 if decoded else len(packet.decode())
        begins = first_times(file)
        if b"vide" not in begins:
            raise ValueError("no fragment with a picture")
        if not decoded and not video.codec_context.decode(None):
            raise ValueError("no picture that decodes")
        first = min(_seconds(container.streams[index], ticks) for index, ticks in starts.items())
        last = max(_seconds(container.streams[index], ticks) for index, ticks in ends.items())
        return Track(
            frames=frames,
            duration_seconds=float(last - first),
            start_seconds=begins[b"vide"],
            width=video.width,
            height=video.height,
            frame_rate=float(video.average_rate or 0),
            codecs=",".join(names),
        )


def _seconds(stream: Stream, ticks: int) -> Fraction:
    """Convert from a stream's clock."""
    if stream.time_base is None:
        raise ValueError("no clock")
    return ticks * stream.time_base


def main(arguments: list[str]) -> None:
    """Print a `Track`, or `{"error": reason}`, as one line of JSON for each file."""
    for argument in arguments:
        try:
            answer = asdict(inspect(Path(argument)))
        except OutOfMemoryError:
            raise
        except (FFmpegError, ValueError) as error:
            answer = {"error": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
