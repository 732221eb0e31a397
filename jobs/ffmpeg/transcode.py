"""From an uploaded file to verified renditions: probe, ladder, one encode, verification, stills.

No database and no storage: files in, files out. Everything that touches the source's bytes runs
in child processes under limits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import structlog

from jobs.ffmpeg import ladder, remux
from jobs.ffmpeg.errors import PermanentMediaError, TransientMediaError
from jobs.ffmpeg.ladder import Rung
from jobs.ffmpeg.limits import Limits
from jobs.ffmpeg.rate import constant_rate
from jobs.ffmpeg.results import Encoded, EncodedRendition
from jobs.ffmpeg.run import Run
from jobs.ffmpeg.source import Source

__all__ = [
    "Encoded",
    "EncodedRendition",
    "Limits",
    "PermanentMediaError",
    "TransientMediaError",
    "transcode",
]

log = structlog.get_logger()


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
    """Make a video in every size of the ladder that is not larger than itself.

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
        The verified renditions, a poster and thumbnails.

    Raises:
        PermanentMediaError: the file is at fault; its message is for the teacher.
        TransientMediaError: the machine is at fault; trying again may help.
        Whatever `on_progress` raises.
    """
    run = Run(workdir, limits or Limits(), on_progress, tick_seconds, ffmpeg)
    found = run.probe(source)
    width, height = ladder.display_size(
        found.width, found.height, found.sample_aspect, found.rotation
    )
    _refuse(found, width, height, run.limits)
    renditions = _make(run, source, found, ladder.rungs(width, height, short_sides))
    poster = run.poster(renditions, found.duration_seconds)
    thumbnails = run.thumbnails(renditions[-1], found.duration_seconds)
    run.advance(1.0)
    return Encoded(
        duration_seconds=found.duration_seconds,
        width=width,
        height=height,
        renditions=renditions,
        poster=poster,
        thumbnails=thumbnails,
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


def _make(
    run: Run, source: Path, found: Source, rungs: Sequence[Rung]
) -> tuple[EncodedRendition, ...]:
    """Make the renditions: the largest from the source's own picture where that fits and works."""
    if remux.fits(found, rungs[0], constant_rate(found.frame_rate)):
        try:
            return run.renditions(source, found, rungs, copies_top=True)
        except PermanentMediaError as error:
            # An encoder mends what a copy carries along.
            log.info("copy_refused", code=error.code, detail=error.detail[-2000:])
    return run.renditions(source, found, rungs, copies_top=False)
