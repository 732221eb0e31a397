"""Turn an uploaded video into renditions, and publish them exactly once.

Short transactions at both ends, none between: download, encode and upload hold no connection. Each
claim writes below a folder of its own, so a loser's files never mix with the winner's; they are
left for a later collector.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from jobs import claims
from jobs.claims import Claim
from jobs.context import JobContext, Lease
from jobs.ffmpeg.errors import PermanentMediaError
from jobs.ffmpeg.limits import Limits
from jobs.ffmpeg.transcode import Encoded, transcode
from jobs.scratch import scratch
from lms.core.storage.base import Storage
from lms.media import thumbnails, transcoding, transcoding_settings
from lms.media.transcoding import FinishedRendition, FinishedVideo

log = structlog.get_logger()

TICK_SECONDS = 1.0
"""How soon an encode notices that its worker must stop."""

PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
FAILED_FOR_GOOD = "The video could not be converted. Please try again later."


class _UnwantedError(Exception):
    """The conversion was cancelled, or its video deleted: there is nothing to publish."""


@dataclass(frozen=True, slots=True)
class _Source:
    """What the job works on.

    Attributes:
        job_id: the transcoding job.
        key: of the original.
        folder: where this claim alone writes. A video's jobs count their claims each for itself,
            so the job's id is part of it: what plays already is never overwritten.
        short_sides: the ladder in pixels.
        longest_seconds: a longer video is refused.
    """

    job_id: UUID
    key: str
    folder: str
    short_sides: tuple[int, ...]
    longest_seconds: int


def transcode_video(context: JobContext, claim: Claim) -> None:
    """Handle TRANSCODE_VIDEO; the subject is a transcoding job. A repeat finds it done.

    Raises:
        LostLeaseError: another worker has it by now; nothing was published.
        HandBackError: this worker must stop.
        TransientMediaError, StorageError: worth another attempt.
    """
    source = _start(context, claim)
    if source is None:
        return
    try:
        _convert(context, claim, source)
    except _UnwantedError:
        log.info("conversion_unwanted")
        context.storage.delete_prefix(f"{source.folder}/")


def _convert(context: JobContext, claim: Claim, source: _Source) -> None:
    lease = Lease(context, claim)
    with scratch(context.settings.scratch_path) as folder:
        original = folder / "original"
        with lease.kept():
            context.storage.download(source.key, original)
        try:
            encoded = _encode(source, lease, original, folder)
        except PermanentMediaError as error:
            log.info("video_refused", code=error.code, detail=error.detail[-2000:])
            code, message = error.code, error.message
            context.patiently(lambda: _refuse(context, claim, code, message))
            return
        log.info(
            "video_converted",
            copied=[one.label for one in encoded.renditions if one.is_copy],
            cpu_seconds=encoded.cpu_seconds,
        )
        with lease.kept():
            finished = _store(context.storage, source, encoded)
    context.patiently(lambda: _publish(context, claim, finished))


def gave_up(session: Session, claim: Claim, _error: str) -> None:
    """Tell the domain that the last attempt failed."""
    transcoding.fail(session, claim.subject_id, "internal", FAILED_FOR_GOOD)


def _start(context: JobContext, claim: Claim) -> _Source | None:
    """Mark the job running; None when it has ended or was deleted."""
    with context.holding(claim) as session:
        original = transcoding.start(session, claim.subject_id, fence=claim.fence)
        if original is None:
            claims.finish(session, claim)
            return None
        settings = transcoding_settings.in_effect(session)
        return _Source(
            job_id=claim.subject_id,
            key=original,
            folder=f"{original.rpartition('/')[0]}/renditions/{claim.subject_id}"
            f"/attempt-{claim.fence}",
            short_sides=settings.ladder,
            longest_seconds=settings.longest_video_seconds,
        )


def _encode(source: _Source, lease: Lease, original: Path, folder: Path) -> Encoded:
    workdir = folder / "out"
    workdir.mkdir()

    def on_progress(fraction: float) -> None:
        def advance(session: Session) -> None:
            if not transcoding.advance(session, source.job_id, int(100 * fraction)):
                raise _UnwantedError

        lease.tick(advance)

    return transcode(
        original,
        workdir,
        short_sides=source.short_sides,
        limits=Limits(max_duration_s=source.longest_seconds),
        on_progress=on_progress,
        tick_seconds=TICK_SECONDS,
    )


def _store(storage: Storage, source: _Source, encoded: Encoded) -> FinishedVideo:
    """Upload everything below this claim's own folder; media before what refers to them."""
    folder = source.folder
    renditions = []
    for encoded_rendition in encoded.renditions:
        media_key = f"{folder}/{encoded_rendition.media.name}"
        playlist_key = f"{folder}/{encoded_rendition.playlist.name}"
        storage.upload_file(encoded_rendition.media, media_key, content_type="video/mp4")
        storage.upload_file(encoded_rendition.playlist, playlist_key, content_type=PLAYLIST_TYPE)
        renditions.append(
            FinishedRendition(
                label=encoded_rendition.label,
                width=encoded_rendition.width,
                height=encoded_rendition.height,
                bytes=encoded_rendition.bytes,
                bandwidth=encoded_rendition.bandwidth,
                average_bandwidth=encoded_rendition.average_bandwidth,
                codecs=encoded_rendition.codecs,
                frame_rate=encoded_rendition.frame_rate,
                media_key=media_key,
                playlist_key=playlist_key,
            )
        )
    poster_key = f"{folder}/poster.jpg"
    storage.upload_file(encoded.poster, poster_key, content_type="image/jpeg")
    for file, name, content_type in (
        (encoded.thumbnails.image, thumbnails.SHEET, "image/jpeg"),
        (encoded.thumbnails.cues, thumbnails.CUES, "text/vtt"),
    ):
        key = thumbnails.key_beside(poster_key, name)
        storage.upload_file(file, key, content_type=content_type)
    return FinishedVideo(
        duration_seconds=encoded.duration_seconds,
        width=encoded.width,
        height=encoded.height,
        poster_key=poster_key,
        cpu_seconds=encoded.cpu_seconds,
        renditions=tuple(renditions),
    )


def _publish(context: JobContext, claim: Claim, finished: FinishedVideo) -> None:
    with context.holding(claim) as session:
        if not transcoding.succeed(session, claim.subject_id, finished):
            raise _UnwantedError
        claims.finish(session, claim)


def _refuse(context: JobContext, claim: Claim, code: str, message: str) -> None:
    """End it: the file is at fault, which is an outcome and no failure of the queue."""
    with context.holding(claim) as session:
        transcoding.fail(session, claim.subject_id, code, message)
        claims.finish(session, claim)
