"""The steps of one transcode, each in a child process under limits, and what they cost together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg

from jobs.ffmpeg import command, failures, process, stills
from jobs.ffmpeg.errors import PermanentMediaError, TransientMediaError
from jobs.ffmpeg.ladder import Rung
from jobs.ffmpeg.limits import Limits
from jobs.ffmpeg.playlists import Playlist
from jobs.ffmpeg.probe import probe
from jobs.ffmpeg.rate import constant_rate
from jobs.ffmpeg.results import EncodedRendition, Thumbnails
from jobs.ffmpeg.source import Source
from jobs.ffmpeg.verify import Track, require_alignment, tolerance_seconds, verify
from lms.media.thumbnails import CUES, SHEET

_PROBED, _ENCODED, _VERIFIED = 0.01, 0.96, 0.98
"""How far the work is after each step; encoding is nearly all of it."""

_POSTER = "poster.jpg"
_POSTER_SHORT_SIDE = 720


class Run:
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
        self._position = 0

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

    def renditions(
        self, source: Path, found: Source, rungs: Sequence[Rung], *, copies_top: bool
    ) -> tuple[EncodedRendition, ...]:
        """Run the one ffmpeg and verify what it made, the largest rung first."""
        self.encode(source, found, rungs, copies_top=copies_top)
        checked = self.verify(found, rungs)
        made = tuple(
            _rendition(self._workdir, rung, track, playlist)
            for rung, (track, playlist) in zip(rungs, checked, strict=True)
        )
        if not copies_top:
            return made
        require_alignment(checked)
        # A copy's clock may tick in milliseconds only, which blurs the rate.
        rate = float(constant_rate(found.frame_rate))
        return _falling(replace(made[0], is_copy=True, frame_rate=rate), made[1:])

    def encode(
        self, source: Path, found: Source, rungs: Sequence[Rung], *, copies_top: bool
    ) -> None:
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
            copies_top=copies_top,
        )
        self._moved, self._position = time.monotonic(), 0
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
            # Of this run: after a copy that was refused, what people see stands still for long.
            if int(value) > self._position:
                self._position, self._moved = int(value), time.monotonic()
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
        line = stills.poster_command(self._ffmpeg, origin.media.resolve(), seconds, _POSTER)
        self._execute(line, self.limits.for_inspection())
        return self._written(_POSTER)

    def thumbnails(self, origin: EncodedRendition, duration_seconds: float) -> Thumbnails:
        """Make the thumbnails from the keyframes of a rendition."""
        sheet = stills.sheet_of(origin.width, origin.height, duration_seconds)
        line = stills.sheet_command(self._ffmpeg, origin.media.resolve(), sheet, SHEET)
        self._execute(line, self.limits.for_verification(duration_seconds, 1))
        cues = self._workdir / CUES
        cues.write_text(stills.webvtt(sheet, duration_seconds, SHEET))
        return Thumbnails(self._written(SHEET), cues)

    def _written(self, name: str) -> Path:
        """Return a picture that ffmpeg should have written."""
        picture = self._workdir / name
        if not picture.is_file():
            raise PermanentMediaError("unreadable", failures.UNREADABLE, detail=f"no {name}")
        return picture

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


def _falling(
    top: EncodedRendition, others: Sequence[EncodedRendition]
) -> tuple[EncodedRendition, ...]:
    """Leave out what is smaller than a copy and needs more: players go by what they need."""
    kept = [top]
    for one in others:
        if one.bandwidth < kept[-1].bandwidth:
            kept.append(one)
    return tuple(kept)


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
        is_copy=False,
    )
