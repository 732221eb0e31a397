"""What a file is, by its content: names and declared types are not believed.

Signatures: PDF 32000-1 7.5.2; ISO/IEC 14496-12 4.3 (ftyp); Matroska (RFC 9559); ID3v2.4 3.1 and
ISO/IEC 11172-3 2.4.1.3 (MPEG audio); RIFF/WAVE; Ogg (RFC 3533); PNG; JPEG; WebP (RFC 9649);
GIF89a; ECMA-376 part 2 (Office in zip); WebVTT 4.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["video", "audio", "image", "document", "captions"]

HEAD_BYTES = 64 * 1024
"""How much of a file's beginning and of its end `detect` wants to see."""

OFFICE = "application/vnd.openxmlformats-officedocument."
_SUBRIP = re.compile(
    rb"\s*\d+\s*\r?\n\d{1,2}:\d{2}:\d{2},\d{3}[ \t]+-->[ \t]+\d{1,2}:\d{2}:\d{2},\d{3}"
)
_AUDIO_BRANDS = (b"M4A ", b"M4B ")
_STILL_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis")


@dataclass(frozen=True, slots=True)
class Detected:
    """What a file is: our `kind`, and the media type that it will be served with."""

    kind: Kind
    content_type: str


_PREFIXES: tuple[tuple[bytes, Detected], ...] = (
    (b"%PDF-", Detected("document", "application/pdf")),
    (b"\x89PNG\r\n\x1a\n", Detected("image", "image/png")),
    (b"\xff\xd8\xff", Detected("image", "image/jpeg")),
    (b"GIF87a", Detected("image", "image/gif")),
    (b"GIF89a", Detected("image", "image/gif")),
    (b"ID3", Detected("audio", "audio/mpeg")),
    (b"OggS", Detected("audio", "audio/ogg")),
)


def detect(head: bytes, tail: bytes) -> Detected | None:
    """Tell what a file is.

    Args:
        head: its first `HEAD_BYTES`, or all of it.
        tail: its last `HEAD_BYTES`, or all of it.

    Returns:
        None when it is nothing that lessons take.
    """
    for prefix, found in _PREFIXES:
        if head.startswith(prefix):
            return found
    return (
        _iso_media(head)
        or _matroska(head)
        or _riff(head)
        or _mpeg_audio(head)
        or _office(head, tail)
        or _captions(head)
    )


def _iso_media(head: bytes) -> Detected | None:
    # Recordings of old cameras have no `ftyp` and begin with one of these boxes.
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free"):
        return Detected("video", "video/quicktime")
    if head[4:8] != b"ftyp" or head[8:12] in _STILL_BRANDS:
        return None
    if head[8:12] in _AUDIO_BRANDS:
        return Detected("audio", "audio/mp4")
    return Detected("video", "video/quicktime" if head[8:12] == b"qt  " else "video/mp4")


def _matroska(head: bytes) -> Detected | None:
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    return Detected("video", "video/webm" if b"webm" in head[:64] else "video/x-matroska")


def _riff(head: bytes) -> Detected | None:
    if not head.startswith(b"RIFF"):
        return None
    forms = {
        b"WAVE": Detected("audio", "audio/wav"),
        b"WEBP": Detected("image", "image/webp"),
    }
    return forms.get(head[8:12])


def _mpeg_audio(head: bytes) -> Detected | None:
    """Look for the header of a layer III frame: sync, no reserved version, rate or frequency."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2 or head[1] & 0x18 == 0x08:
        return None
    rate, frequency = head[2] >> 4, head[2] >> 2 & 3
    if rate in (0, 15) or frequency == 3:
        return None
    return Detected("audio", "audio/mpeg")


def _office(head: bytes, tail: bytes) -> Detected | None:
    """Find a presentation or document by the names in its directory, which is at the end."""
    if not head.startswith(b"PK\x03\x04"):
        return None
    names = head + tail
    if b"[Content_Types].xml" not in names or b"vbaProject.bin" in names:
        return None
    if b"ppt/presentation.xml" in names:
        return Detected("document", OFFICE + "presentationml.presentation")
    if b"word/document.xml" in names:
        return Detected("document", OFFICE + "wordprocessingml.document")
    return None


def _captions(head: bytes) -> Detected | None:
    text = head.removeprefix(b"\xef\xbb\xbf")
    if text.startswith(b"WEBVTT") and text[6:7] in (b"", b" ", b"\t", b"\n", b"\r"):
        return Detected("captions", "text/vtt")
    if _SUBRIP.match(text):
        return Detected("captions", "application/x-subrip")
    return None
