"""Caption files: WebVTT and SRT in, WebVTT that any player may be given out.

What is stored is written anew from the cues: times, settings and text. Of tags only WebVTT's own
stay, without anything that HTML could take for an attribute, because some players put the text of
cues into their page as it is. Styles, regions, comments and names of cues are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from webvtt import Caption, WebVTT
from webvtt.errors import MalformedCaptionError, MalformedFileError
from webvtt.srt import SRTCueBlock

from lms.media.captions.errors import CaptionsTooLargeError, InvalidCaptionsError

MAX_BYTES = 512 * 1024
"""Of a file, and of what is stored of it; spoken words of eight hours are about as much."""

MAX_CUES = 10_000
MAX_HOURS = 24

LINE_END = re.compile(r"\r\n|\r|\n")
ARROW = "-->"
SHOWN_CHARACTERS = 60
"""How much of a line is repeated in a message."""

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
TAG = re.compile(r"<([^<>]*)>")
NAMED_TAG = re.compile(
    r"(?P<name>/?(?:c|i|b|u|ruby|rt|v|lang))(?P<classes>(?:\.[\w-]+)*)(?:[ \t](?P<annotation>.*))?"
)
MOMENT_TAG = re.compile(r"(?:[0-9]{2,4}:)?[0-9]{2}:[0-9]{2}\.[0-9]{3}")
ANNOTATED = frozenset({"v", "lang"})
NOT_ANNOTATION = re.compile(r"[^\w .,'()-]")


@dataclass(frozen=True, slots=True)
class CaptionFile:
    """Captions that can be shown.

    Attributes:
        webvtt: the whole file, without a byte order mark, its lines ended by LF.
        cues: how many there are.
    """

    webvtt: str
    cues: int


def read_captions(text: str) -> CaptionFile:
    """Read a file of captions.

    Args:
        text: a whole WebVTT or SRT file, with any line ends and perhaps a byte order mark.

    Raises:
        InvalidCaptionsError: it is neither, or its times make no sense; says where.
        CaptionsTooLargeError: it has more than `MAX_BYTES`, or would have.
    """
    _check_size(text)
    lines = LINE_END.split(text.removeprefix("\N{BYTE ORDER MARK}"))
    _check_characters(lines)
    cues = _webvtt(lines) if _is_webvtt(lines) else _srt(lines)
    if len(cues) > MAX_CUES:
        raise InvalidCaptionsError(f"There are {len(cues)} cues; at most {MAX_CUES} are taken.")
    _check_times(cues)
    shown = [cue for cue in map(_contained, cues) if cue.lines]
    if not shown:
        raise InvalidCaptionsError("There is no cue with a text in this file.")
    webvtt = WebVTT(captions=shown).content
    _check_size(webvtt)
    return CaptionFile(webvtt, len(shown))


def _check_size(text: str) -> None:
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_BYTES:
        raise CaptionsTooLargeError(
            f"The captions have {size} bytes; at most {MAX_BYTES} are taken.",
            limit_bytes=MAX_BYTES,
        )


def _check_characters(lines: Sequence[str]) -> None:
    """Refuse what was decoded wrongly: nobody means U+FFFD, and nothing shows NUL."""
    for number, line in enumerate(lines, start=1):
        if "\N{REPLACEMENT CHARACTER}" in line or "\0" in line:
            raise InvalidCaptionsError(
                f"Line {number} has characters that cannot be read. Save the file as UTF-8.", number
            )


def _is_webvtt(lines: Sequence[str]) -> bool:
    return re.match(r"WEBVTT(?:[ \t]|$)", lines[0]) is not None


def _webvtt(lines: Sequence[str]) -> list[Caption]:
    try:
        return WebVTT.from_string("\n".join(lines), strict=True).captions
    except MalformedCaptionError as error:
        line = _malformed_line(lines)
        if line is None:
            raise InvalidCaptionsError("The regions of this WebVTT file are not valid.") from error
        raise InvalidCaptionsError(
            f"Line {line}, {_quoted(lines[line - 1])}, does not begin a cue. Write its times as"
            ' "00:00:05.000 --> 00:00:07.500", nothing but valid settings behind them, and an'
            " empty line before the cue.",
            line,
        ) from error


def _malformed_line(lines: Sequence[str]) -> int | None:
    """Return the line of the first cue that is no cue by itself; the parser does not tell it."""
    start = 1
    for number, line in enumerate([*lines, ""], start=1):
        if line:
            continue
        block = lines[start - 1 : number - 1]
        arrows = [start + place for place, one in enumerate(block) if ARROW in one]
        start = number + 1
        if not arrows:
            continue
        try:
            WebVTT.from_string("\n".join(["WEBVTT", "", *block]), strict=True)
        except MalformedCaptionError:
            return arrows[-1]
    return None


def _srt(lines: Sequence[str]) -> list[Caption]:
    first = next((place for place, line in enumerate(lines) if line.strip()), len(lines))
    for place, line in enumerate(lines):
        if ARROW in line:
            _check_srt_cue(lines, place)
    try:
        return WebVTT.from_buffer(lines[first:], format="srt").captions
    except MalformedFileError as error:
        raise InvalidCaptionsError(
            "This is no caption file: WebVTT begins with a line WEBVTT, and SRT with the number of"
            " the first cue and its times.",
            min(first + 1, len(lines)),
        ) from error


def _check_srt_cue(lines: Sequence[str], place: int) -> None:
    """Refuse a cue that the parser would leave out without a word."""
    if not SRTCueBlock.CUE_TIMINGS_PATTERN.match(lines[place]):
        raise InvalidCaptionsError(
            f"Line {place + 1}, {_quoted(lines[place])}, does not say a cue's times as SRT does:"
            ' "00:00:05,000 --> 00:00:07,500".',
            place + 1,
        )
    above = place - 1
    while above > 0 and not lines[above].strip():
        above -= 1
    if above < 0 or not lines[above].strip().isdigit():
        raise InvalidCaptionsError(
            f"Line {place + 1} has the times of a cue, but there is no number of the cue in the"
            " line above it.",
            place + 1,
        )


def _quoted(line: str) -> str:
    return f'"{line.strip()[:SHOWN_CHARACTERS]}"'


def _check_times(cues: Sequence[Caption]) -> None:
    latest = 0
    for number, cue in enumerate(cues, start=1):
        start, end = cue.start_time.in_milliseconds(), cue.end_time.in_milliseconds()
        which = f"Cue {number}, at {cue.start},"
        if end <= start:
            raise InvalidCaptionsError(f"{which} ends at {cue.end}, before it has begun.")
        if start < latest:
            raise InvalidCaptionsError(
                f"{which} begins before the cue above it. Sort the cues by their times."
            )
        if end > MAX_HOURS * 3_600_000:
            raise InvalidCaptionsError(
                f"{which} ends at {cue.end}: no video is that long, so its times are wrong."
            )
        latest = start


def _contained(cue: Caption) -> Caption:
    """Return a cue of nothing but times, settings and text that no page could take for HTML."""
    lines = [line for line in map(_contained_line, cue.lines) if line.strip()]
    made = Caption(cue.start, cue.end, lines, settings=cue.settings)
    made.settings.region = None
    return made


def _contained_line(line: str) -> str:
    parts = TAG.split(CONTROL.sub("", line))
    parts[::2] = [part.replace("<", "&lt;").replace(">", "&gt;") for part in parts[::2]]
    parts[1::2] = [_contained_tag(part) for part in parts[1::2]]
    return "".join(parts)


def _contained_tag(tag: str) -> str:
    """Return one of WebVTT's own tags without what is not its own; nothing for any other."""
    if MOMENT_TAG.fullmatch(tag):
        return f"<{tag}>"
    found = NAMED_TAG.fullmatch(tag)
    if found is None:
        return ""
    name, classes, annotation = found["name"], found["classes"], found["annotation"]
    if name not in ANNOTATED or annotation is None:
        return f"<{name}{classes}>"
    return f"<{name}{classes} {NOT_ANNOTATION.sub('', annotation)}>"
