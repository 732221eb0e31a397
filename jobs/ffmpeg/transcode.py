"""From an uploaded file to verified renditions: probe, ladder, one encode, verification, poster.

No database and no storage: files in, files out. Everything that touches the source's bytes runs
in child processes under limits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import imageio_ffmpeg

from jobs.ffmpeg import command, failures, ladder, process
from jobs.ffmpeg.errors import PermanentMediaError, TransientMediaError
from jobs.ffmpeg.ladder import Rung
from jobs.ffmpeg.limits import Limits
from jobs.ffmpeg.playlists import Playlist
from jobs.ffmpeg.probe import probe
from jobs.ffmpeg.rate import constant_rate
from jobs.ffmpeg.results import Encoded, EncodedRendition
from jobs.ffmpeg.source import Source
from jobs.ffmpeg.verify import Track, tolerance_seconds, verify

__all__ = [
    "Encoded",
    "EncodedRendition",
    "Limits",
    "PermanentMediaError",
    "TransientMediaError",
    "transcode",
]

_PROBED, _ENCODED, _VERIFIED = 0.01, 0.96, 0.98
"""How far the work is after each step; encoding is nearly all of it."""

_POSTER = "poster.jpg"
_POSTER_SHORT_SIDE = 720


def transcode(
    source: Path,
    workdir: Path,
    *,
    short_sides: Sequence[int] = (1080, 720, 480, 360),
    limits: Limits | None = None,
    on_progress: Callable[[float], None],
    tick_seconds: float,
    ffmpeg: str | None = None,
) -> Encoded:
    """Encode a video in every size of the ladder that is not larger than itself.

    Args:
        source: the uploaded file; its name and type are not trusted.
        workdir: an existing, empty directory of our own; results stay in it.
        short_sides: the ladder, pixels of the shorter side.
        limits: what the source may cost; the defaults when left out.
        on_progress: called with 0 to 1, never less than before, at least every `tick_seconds`;
            may raise to abort, which kills every child process first.
        tick_seconds: seconds.
        ffmpeg: the executable; the embedded one when left out.

    Returns:
        The verified renditions and a poster.

    Raises:
        PermanentMediaError: the file is at fault; its message is for the teacher.
        TransientMediaError: the machine is at fault; trying again may help.
        Whatever `on_progress` raises.
    """
    run = _Run(workdir, limits or Limits(), on_progress, tick_seconds, ffmpeg)
    found = run.probe(source)
    width, height = ladder.display_size(
        found.width, found.height, found.sample_aspect, found.rotation
    )
    _refuse(found, width, height, run.limits)
    rungs = ladder.rungs(width, height, short_sides)
    run.encode(source, found, rungs)
    renditions = tuple(
        _rendition(workdir, rung, track, playlist)
        for rung, (track, playlist) in zip(rungs, run.verify(found, rungs), strict=True)
    )
    poster = run.poster(renditions, found.duration_seconds)
    run.advance(1.0)
    return Encoded(
        duration_seconds=found.duration_seconds,
        width=width,
        height=height,
        renditions=renditions,
        poster=poster,
        cpu_seconds=run.cpu_seconds,
    )


def _refuse(found: Source, width: int, height: int, limits: Limits) -> None:
    """Refuse what would encode but should not."""
    if found.duration_seconds > limits.max_duration_s:
        length, longest = (
            timedelta(seconds=round(seconds))
            for seconds in (found.duration_seconds, limits.max_duration_s)
        )
        message = (
            f"This video is {length} long; at most {longest} (hours, minutes, seconds) can be"
            " converted. Please upload it in shorter parts."
        )
        raise PermanentMediaError("too_long", message)
    if min(width, height) < ladder.MIN_SIDE:
        message = f"The picture is only {width} x {height} pixels. Please upload a larger video."
        raise PermanentMediaError("too_small", message)


def _rendition(workdir: Path, rung: Rung, track: Track, playlist: Playlist) -> EncodedRendition:
    media = workdir / command.media_name(rung)
    return EncodedRendition(
        label=rung.label,
        width=track.width,
        height=track.height,
        media=media,
        playlist=workdir / command.playlist_name(rung),
        bytes=media.stat().st_size,
        bandwidth=playlist.peak_bandwidth(),
        average_bandwidth=playlist.average_bandwidth(),
        codecs=track.codecs,
        frame_rate=track.frame_rate,
    )


class _Run:
    """One transcode: its directory, its limits, how far it is and what it cost."""

    def __init__(
        self,
        workdir: Path,
        limits: Limits,
        on_progress: Callable[[float], None],
        tick_seconds: float,
        ffmpeg: str | None,
    ) -> None:
        self.limits = limits
        self.cpu_seconds = 0.0
        self._workdir = workdir
        self._on_progress = on_progress
        self._tick_seconds = tick_seconds
        self._ffmpeg = ffmpeg or imageio_ffmpeg.get_ffmpeg_exe()
        self._done = 0.0
        self._moved = time.monotonic()

    def advance(self, fraction: float) -> None:
        """Report how far we are, never backwards."""
        self._move_to(fraction)
        self._report()

    def _move_to(self, fraction: float) -> None:
        if fraction > self._done:
            self._done = min(fraction, 1.0)
            self._moved = time.monotonic()

    def _report(self) -> None:
        self._on_progress(self._done)

    def probe(self, source: Path) -> Source:
        """Look into the source."""
        self.advance(0.0)
        found, cpu_seconds = probe(
            source,
            self._workdir,
            self.limits,
            on_tick=self._report,
            tick_seconds=self._tick_seconds,
        )
        self.cpu_seconds += cpu_seconds
        self.advance(_PROBED)
        return found

    def encode(self, source: Path, found: Source, rungs: Sequence[Rung]) -> None:
        """Run the one ffmpeg."""
        stated = found.duration_seconds
        line = command.encode_command(
            self._ffmpeg,
            source,
            found,
            rungs,
            constant_rate(found.frame_rate),
            # A clock that jumps by hours past the stated end would fill hours with one picture.
            read_seconds=stated + tolerance_seconds(stated),
            max_pixels=self.limits.max_pixels,
            tone_map=found.is_hdr and self._can_tone_map(),
        )
        self._moved = time.monotonic()
        self._execute(
            line,
            self.limits.for_encoding(stated),
            on_line=lambda text: self._progress(text, stated),
            on_tick=self._report_unless_stalled,
        )
        self.advance(_ENCODED)

    def _progress(self, line: str, duration_seconds: float) -> None:
        """Read a line of ffmpeg's `-progress`; reported with the next tick."""
        key, _, value = line.partition("=")
        if key == "out_time_us" and value.isdigit():
            part = min(1.0, int(value) / 1_000_000 / duration_seconds)
            self._move_to(_PROBED + part * (_ENCODED - _PROBED))

    def _report_unless_stalled(self) -> None:
        """Report, and give up on an ffmpeg whose threads wait for each other.

        It happens when one of them could not get memory; the clock's limit is hours away.
        """
        # At the end of a file, what is left in the encoders comes without a later position.
        if time.monotonic() - self._moved > self.limits.stall_seconds:
            raise TransientMediaError("stalled", "ffmpeg makes no progress")
        self._report()

    def _can_tone_map(self) -> bool:
        """Ask this ffmpeg for its filters; builds differ."""
        filters: set[str] = set()
        self._execute(
            [self._ffmpeg, "-hide_banner", "-filters"],
            self.limits.for_inspection(),
            on_line=lambda line: filters.update(line.split()[1:2]),
        )
        return {"zscale", "tonemap"} <= filters

    def verify(self, found: Source, rungs: Sequence[Rung]) -> list[tuple[Track, Playlist]]:
        """Probe the results."""
        checked, cpu_seconds = verify(
            [self._workdir / command.media_name(rung) for rung in rungs],
            found,
            self._workdir,
            self.limits,
            on_tick=self._report,
            tick_seconds=self._tick_seconds,
        )
        self.cpu_seconds += cpu_seconds
        self.advance(_VERIFIED)
        return checked

    def poster(self, renditions: Sequence[EncodedRendition], duration_seconds: float) -> Path:
        """Make the poster from the largest rendition of at most 720p: rotated, square, SDR."""
        small = [
            rendition
            for rendition in renditions
            if min(rendition.width, rendition.height) <= _POSTER_SHORT_SIDE
        ]
        origin = small[0] if small else renditions[-1]
        # Past the opening titles; but a short clip may have its only picture at the start.
        seconds = 0.1 * duration_seconds if duration_seconds > 5 else 0.0
        line = command.poster_command(self._ffmpeg, origin.media.resolve(), seconds, _POSTER)
        self._execute(line, self.limits.for_inspection())
        poster = self._workdir / _POSTER
        if not poster.is_file():
            raise PermanentMediaError("unreadable", failures.UNREADABLE, detail="no poster")
        return poster

    def _execute(
        self,
        line: Sequence[str],
        bounds: process.ProcessLimits,
        *,
        on_line: Callable[[str], None] = process.ignore,
        on_tick: Callable[[], None] | None = None,
    ) -> None:
        finished = process.run(
            line,
            limits=bounds,
            cwd=self._workdir,
            tick_seconds=self._tick_seconds,
            on_tick=on_tick or self._report,
            on_line=on_line,
        )
        self.cpu_seconds += finished.cpu_seconds
        failures.raise_for(finished, bounds)
