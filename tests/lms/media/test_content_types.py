"""What a file is, by its content."""

from __future__ import annotations

import io
import wave
import zipfile
from fractions import Fraction
from pathlib import Path

import av
import pytest
from fpdf import FPDF

from lms.media.content_types import detect
from tests.factories.media import make_clip


def office(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, name * 50)
    return buffer.getvalue()


def sound(container: str, codec: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=48_000)
        frame = av.AudioFrame(format="fltp", layout="stereo", samples=1152)
        frame.sample_rate = 48_000
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return buffer.getvalue()


def wav() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as output:
        output.setnchannels(1)
        output.setsampwidth(2)
        output.setframerate(8000)
        output.writeframes(b"\0" * 100)
    return buffer.getvalue()


def pdf() -> bytes:
    document = FPDF()
    document.add_page()
    return bytes(document.output())


def picture(codec: str, pixels: str) -> bytes:
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 16, 16, pixels
    encoder.time_base = Fraction(1, 25)
    frame = av.VideoFrame(16, 16, pixels)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


PRESENTATION = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
DOCUMENT = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
TYPES = "[Content_Types].xml"
SUBRIP = b"\xef\xbb\xbf1\r\n00:00:01,000 --> 00:00:02,500\r\nHello\r\n"


@pytest.mark.parametrize(
    ("data", "kind", "content_type"),
    [
        (pdf(), "document", "application/pdf"),
        (wav(), "audio", "audio/wav"),
        (sound("mp3", "mp3"), "audio", "audio/mpeg"),
        (sound("ipod", "aac"), "audio", "audio/mp4"),
        (sound("ogg", "libopus"), "audio", "audio/ogg"),
        (picture("png", "rgb24"), "image", "image/png"),
        (picture("mjpeg", "yuvj420p"), "image", "image/jpeg"),
        (b"GIF89a" + b"\0" * 20, "image", "image/gif"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image", "image/webp"),
        (office(TYPES, "ppt/presentation.xml"), "document", PRESENTATION),
        (office(TYPES, "word/document.xml"), "document", DOCUMENT),
        (b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n", "captions", "text/vtt"),
        (SUBRIP, "captions", "application/x-subrip"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_lessons_take_is_recognised(data: bytes, kind: str, content_type: str) -> None:
    found = detect(data, data)
    assert found is not None
    assert (found.kind, found.content_type) == (kind, content_type)


@pytest.mark.parametrize(
    ("suffix", "content_type"),
    [
        ("mp4", "video/mp4"),
        ("mov", "video/quicktime"),
        ("mkv", "video/x-matroska"),
    ],
)
def test_videos_are_recognised(tmp_path: Path, suffix: str, content_type: str) -> None:
    data = make_clip(tmp_path / f"clip.{suffix}", seconds=0.2).read_bytes()
    found = detect(data, data)
    assert found is not None
    assert (found.kind, found.content_type) == ("video", content_type)


def test_a_presentation_is_recognised_by_the_directory_at_its_end() -> None:
    data = office(TYPES, "docProps/" + "a" * 200, "ppt/presentation.xml")
    assert detect(data[:100], data[-400:]) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html><script>alert(1)</script>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n",
        b"MZ\x90\0",
        b"\x7fELF",
        b"just words",
        b"\xff\xfe<\0h\0",
        b"\0\0\0\x18ftypavif",
        office("a.txt"),
        office(TYPES, "xl/workbook.xml"),
        office(TYPES, "word/document.xml", "word/vbaProject.bin"),
        b"ffconcat version 1.0\nfile /etc/passwd\n",
    ],
)
def test_everything_else_is_refused(data: bytes) -> None:
    assert detect(data, data) is None
