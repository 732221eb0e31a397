"""Reads a source with PyAV: which streams to take, and what they need.

Parses hostile bytes: only `jobs.ffmpeg.probe` calls this, in a child process under limits.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import EOFError as EndOfFileError
from av.error import FFmpegError, InvalidDataError
from av.error import MemoryError as OutOfMemoryError
from av.format import Flags
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from jobs.ffmpeg import failures, remux
from jobs.ffmpeg.demuxing import file_url, safe_options
from jobs.ffmpeg.errors import PermanentMediaError
from jobs.ffmpeg.measure import Measure
from jobs.ffmpeg.rate import constant_rate
from jobs.ffmpeg.source import Copyable, Source
from jobs.ffmpeg.survey import survey

_NOT_A_VIDEO = (
    "This file is not a video that we can read. Please upload an MP4, MOV, WebM, MKV or AVI file."
)
_NO_PICTURE = "This file has no moving picture. Please choose a video."
_ONLY_SOUND = (
    "This file has sound but no moving picture. "
    "Please export it as MP3 or M4A and upload that, or choose a video."
)
_ENCRYPTED = (
    "This video is copy-protected (encrypted). Please upload a copy without copy protection."
)
_UNSUPPORTED = (
    "This video's format cannot be decoded. Please export it again as MP4 (H.264) and upload that."
)
_PATIENCE_PACKETS = 300
"""Undecodable packets (about ten seconds of video) after which the picture counts as unreadable."""

_RATE_ROUNDING = Fraction(1, 100)
"""How far an average may be off because the durations of single frames were rounded or missing."""

_NO_PICTURE_DISPOSITIONS = (
    Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
)
_DURATION_IN_HEADER = ("mov", "matroska")
"""Containers whose header states the length, as written when the recording was finished. The
others' is guessed from bit rates or clocks, so the packets are measured instead."""


def inspect(path: Path, max_pixels: int) -> Source:
    """Look into a source in this process. For hostile files use `probe`.

    Args:
        path: the file.
        max_pixels: largest accepted coded picture, width x height.

    Raises:
        PermanentMediaError: what is wrong with the file.
        FFmpegError: it cannot be read on, or memory is short.
    """
    with _open(path, max_pixels) as container:
        video = _choose_video(container)
        _refuse_size(video.width, video.height, max_pixels)
        found = _describe(container, video, _choose_audio(container, video))
        suits = found.container.startswith(_DURATION_IN_HEADER) and remux.suits(found, video)
    return replace(found, copyable=_survey(path, max_pixels, found)) if suits else found


def _survey(path: Path, max_pixels: int, found: Source) -> Copyable | None:
    """Read a source again from its beginning; damage on the way means that it is encoded."""
    with _open(path, max_pixels) as container:
        picture = cast("VideoStream", container.streams[found.video_index])
        sound = None
        if found.audio_index is not None:
            sound = cast("AudioStream", container.streams[found.audio_index])
        try:
            return survey(
                container,
                picture,
                sound if sound and remux.sound_suits(sound) else None,
                rate=constant_rate(found.frame_rate),
            )
        except OutOfMemoryError:
            raise
        except FFmpegError:
            return None


def _open(path: Path, max_pixels: int) -> InputContainer:
    try:
        return av.open(
            file_url(path), "r", options=safe_options(max_pixels), metadata_errors="replace"
        )
    except OutOfMemoryError:
        raise
    except FFmpegError as error:
        if _looks_like_video(path):
            raise PermanentMediaError(
                "unreadable", failures.UNREADABLE, detail=str(error)
            ) from error
        raise PermanentMediaError("not_a_video", _NOT_A_VIDEO, detail=str(error)) from error


def _looks_like_video(path: Path) -> bool:
    """Whether the first bytes are those of MP4/MOV or Matroska/WebM, so the rest must be broken."""
    with path.open("rb") as file:
        head = file.read(8)
    return head[4:8] in (b"ftyp", b"moov", b"mdat") or head[:4] == b"\x1aE\xdf\xa3"


def _choose_video(container: InputContainer) -> VideoStream:
    """Take the largest picture that is no cover art; of equals the default, then the first."""
    moving = [
        stream
        for stream in container.streams.video
        if not stream.disposition & _NO_PICTURE_DISPOSITIONS
    ]
    if not moving:
        message = _ONLY_SOUND if container.streams.audio else _NO_PICTURE
        raise PermanentMediaError("no_video", message)
    # PyAV leaves the context out where its ffmpeg has no decoder.
    decodable = [stream for stream in moving if stream.codec_context]
    if not decodable:
        raise PermanentMediaError("unsupported_codec", _UNSUPPORTED)
    return max(
        decodable,
        key=lambda stream: (
            stream.width * stream.height,
            bool(stream.disposition & Disposition.default),
        ),
    )


def _choose_audio(container: InputContainer, video: VideoStream) -> AudioStream | None:
    """Take what ffmpeg takes: the default track, no commentary for the blind, the best quality."""
    best = container.streams.best("audio", related=video)
    if best is None or not best.codec_context:
        return None
    return cast("AudioStream", best)


def _refuse_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        message = (
            f"The picture is {width} x {height} pixels, more than we can convert. "
            "Please export the video in a smaller size."
        )
        raise PermanentMediaError("too_large", message)


def _describe(container: InputContainer, video: VideoStream, audio: AudioStream | None) -> Source:
    # One thread: a single frame is decoded, and each thread takes address space.
    video.codec_context.thread_count = 1
    stated = _stated_duration(container, video, audio)
    measure = Measure(jumps=bool(container.format.flags & Flags.ts_discont.value))
    reader = _Reader(container, video, audio)
    reader.read(None if stated else measure)
    frame = reader.frame
    if frame is None:
        raise PermanentMediaError("unreadable", failures.UNREADABLE)
    heard = audio if reader.heard else None
    duration = stated or measure.seconds()
    if duration <= 0:
        raise PermanentMediaError("no_video", _NO_PICTURE)
    return Source(
        container=container.format.name,
        duration_seconds=duration,
        video_index=video.index,
        video_codec=video.codec_context.name,
        video_seconds=_end(container, video) if stated else measure.seconds(video.index),
        width=frame.width,
        height=frame.height,
        sample_aspect=_sane_aspect(
            video.sample_aspect_ratio or video.codec_context.sample_aspect_ratio
        ),
        rotation=frame.rotation,
        frame_rate=_frame_rate(video, None if stated else measure),
        pixel_format=frame.format.name,
        is_rgb=frame.format.is_rgb,
        is_interlaced=frame.interlaced_frame,
        transfer=frame.color_trc,
        primaries=frame.color_primaries,
        matrix=frame.colorspace,
        color_range=frame.color_range,
        audio_index=None if heard is None else heard.index,
        audio_codec=None if heard is None else heard.codec_context.name,
    )


class _Reader:
    """Reads packets until a picture and a sound were decoded, or to the end when measuring."""

    def __init__(
        self, container: InputContainer, video: VideoStream, audio: AudioStream | None
    ) -> None:
        self._container = container
        self._streams = [video] if audio is None else [video, audio]
        self._failed_packets = 0
        self.frame: VideoFrame | None = None
        self.heard = audio is None

    def read(self, measure: Measure | None) -> None:
        """Demultiplex; afterwards `frame` and `heard` say what decodes.

        A declared sound track without packets is common (browsers record one without a
        microphone) and would fail the encode, hence the proof by decoding.
        """
        try:
            for packet in self._container.demux(self._streams):
                if measure:
                    measure.add(packet)
                if packet.stream.type == "video":
                    self._see(cast("av.Packet[VideoStream]", packet))
                else:
                    self._hear(cast("av.Packet[AudioStream]", packet))
                if self.frame and self.heard and not measure:
                    return
        except (InvalidDataError, EndOfFileError):
            # The rest is damaged. What decodes up to here decides.
            return

    def _see(self, packet: av.Packet[VideoStream]) -> None:
        if self.frame is not None:
            return
        _refuse_encrypted(packet)
        try:
            self.frame = next(iter(packet.decode()), None)
        except InvalidDataError:
            # A recording may start in the middle of a group of pictures.
            self._failed_packets += 1
            if self._failed_packets > _PATIENCE_PACKETS:
                raise

    def _hear(self, packet: av.Packet[AudioStream]) -> None:
        if self.heard:
            return
        _refuse_encrypted(packet)
        try:
            self.heard = bool(packet.decode())
        except OutOfMemoryError:
            raise
        except FFmpegError:
            # Sound that never decodes is left out; decoders give various reasons.
            return


def _refuse_encrypted(packet: av.Packet[VideoStream] | av.Packet[AudioStream]) -> None:
    if packet.has_sidedata("encryption_info"):
        raise PermanentMediaError("encrypted", _ENCRYPTED)


def _stated_duration(
    container: InputContainer, video: VideoStream, audio: AudioStream | None
) -> float | None:
    """Return the length the header states for the chosen streams, seconds, if trustworthy."""
    if not container.format.name.startswith(_DURATION_IN_HEADER):
        return None
    ends = [_end(container, stream) for stream in (video, audio) if stream is not None]
    known = [end for end in ends if end is not None]
    if len(known) == len(ends):
        return max(known)
    if container.duration:
        return container.duration / av.time_base
    return None


def _end(container: InputContainer, stream: VideoStream | AudioStream) -> float | None:
    """Return where a stream ends, seconds from the start of the file; None where unknown."""
    if not stream.duration or not stream.time_base:
        return None
    end = ((stream.start_time or 0) + stream.duration) * stream.time_base
    return float(end) - (container.start_time or 0) / av.time_base


def _frame_rate(video: VideoStream, measure: Measure | None) -> Fraction | None:
    """Return the average rate, or the rate it was meant to be where that is nearly the same."""
    average = measure.frame_rate(video.index) if measure else video.average_rate
    meant = video.base_rate
    if average and meant and abs(meant - average) <= average * _RATE_ROUNDING:
        return meant
    return average or None


def _sane_aspect(aspect: Fraction | None) -> Fraction:
    """Return the aspect of a sample; 1 where the file states none or nonsense."""
    if aspect is None or not Fraction(1, 8) <= aspect <= 8:
        return Fraction(1)
    return aspect
