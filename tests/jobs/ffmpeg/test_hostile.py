"""Sources that must fail, clearly and without leaving anything running."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs.ffmpeg.transcode import (
    Limits,
    PermanentMediaError,
    TransientMediaError,
    transcode,
)

if TYPE_CHECKING:
    from conftest import Studio

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
AAC = ("-c:a", "aac")


def refusal(source: Path, tmp_path: Path, limits: Limits | None = None) -> PermanentMediaError:
    with pytest.raises(PermanentMediaError) as raised:
        transcode(
            source, tmp_path, limits=limits, on_progress=lambda _fraction: None, tick_seconds=5
        )
    return raised.value


def processes_about(path: Path) -> list[str]:
    """Command lines of running processes that name this path."""
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(path) in line:
            found.append(line)
    return found


def test_a_text_file_is_no_video(tmp_path: Path) -> None:
    text = tmp_path / "essay.mp4"
    text.write_text("Dear students, " * 100)
    assert refusal(text, tmp_path).code == "not_a_video"


def test_an_empty_file_is_no_video(tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    assert refusal(empty, tmp_path).code == "not_a_video"


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{target}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{target}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        (
            '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
            "<Period><AdaptationSet><Representation><BaseURL>{target}</BaseURL></Representation>"
            "</AdaptationSet></Period></MPD>\n"
        ),
        "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY f SYSTEM '{target}'>]><x>&f;</x>",
    ],
    ids=["hls", "concat", "sdp", "dash", "xml"],
)
def test_a_playlist_in_disguise_reads_no_other_file(
    studio: Studio, tmp_path: Path, text: str
) -> None:
    disguise = tmp_path / "lesson.mp4"
    disguise.write_text(text.format(target=studio.lecture()))
    assert refusal(disguise, tmp_path).code == "not_a_video"


def test_a_picture_is_no_video(studio: Studio, tmp_path: Path) -> None:
    picture = studio.make("slide.png", *studio.picture(), "-frames:v", "1")
    assert refusal(picture, tmp_path).code == "not_a_video"


def test_sound_alone_has_no_video(studio: Studio, tmp_path: Path) -> None:
    sound = studio.make("sound.m4a", *studio.tone(), *AAC)
    assert refusal(sound, tmp_path).code == "no_video"


def test_sound_with_cover_art_has_no_video(studio: Studio, tmp_path: Path) -> None:
    song = studio.make(
        "song.m4a",
        *studio.tone(),
        *studio.picture(),
        *("-map", "0", "-map", "1", *AAC, "-c:v", "mjpeg", "-pix_fmt", "yuvj420p"),
        *("-frames:v", "1", "-disposition:v", "attached_pic", "-f", "mp4"),
    )
    error = refusal(song, tmp_path)
    assert error.code == "no_video"
    assert "MP3 or M4A" in error.message


def test_a_video_cut_off_in_the_middle_is_incomplete(studio: Studio, tmp_path: Path) -> None:
    whole = studio.lecture().read_bytes()
    half = tmp_path / "half.mp4"
    half.write_bytes(whole[: len(whole) // 2])
    error = refusal(half, tmp_path)
    assert error.code == "truncated"
    assert "of 3 seconds" in error.message


def test_a_video_whose_index_is_missing_is_unreadable(studio: Studio, tmp_path: Path) -> None:
    whole = studio.silent().read_bytes()
    half = tmp_path / "half.mp4"
    half.write_bytes(whole[: len(whole) // 2])
    assert refusal(half, tmp_path).code == "unreadable"


def test_a_video_of_noise_is_unreadable(studio: Studio, tmp_path: Path) -> None:
    content = bytearray(studio.lecture().read_bytes())
    start = content.index(b"mdat") + 4
    content[start:] = b"\xa5" * (len(content) - start)
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(content)
    assert refusal(noise, tmp_path).code == "unreadable"


def test_an_encrypted_video_is_named_so(studio: Studio, tmp_path: Path) -> None:
    encrypted = studio.make(
        "encrypted.mp4",
        *("-i", str(studio.lecture()), "-c", "copy", "-encryption_scheme", "cenc-aes-ctr"),
        *("-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb"),
        *("-encryption_kid", "a7e61c373e219033c21091fa607bf3b8"),
    )
    assert refusal(encrypted, tmp_path).code == "encrypted"


def test_a_gap_of_twenty_hours_is_too_long(studio: Studio, tmp_path: Path) -> None:
    gap = studio.make(
        "gap.mkv",
        *("-i", str(studio.silent()), "-c", "copy"),
        *("-bsf:v", r"setts=ts=TS+if(gte(N\,20)\,72000/TB\,0)"),
    )
    error = refusal(gap, tmp_path)
    assert error.code == "too_long"
    assert "at most 8:00:00" in error.message


def test_more_pixels_than_allowed_are_refused_before_decoding(
    studio: Studio, tmp_path: Path
) -> None:
    limits = Limits(max_pixels=320 * 240 - 1)
    assert refusal(studio.silent(), tmp_path, limits).code == "too_large"


def test_a_bomb_of_few_bytes_is_refused_before_it_takes_memory(
    studio: Studio, tmp_path: Path
) -> None:
    bomb = studio.make(
        *("bomb.mp4", "-f", "lavfi", "-i", "color=black:size=8000x8000:duration=0.04", *H264),
    )
    assert bomb.stat().st_size < 400_000
    assert refusal(bomb, tmp_path).code == "too_large"


def test_a_picture_that_grows_into_a_bomb_on_the_way_stops_there(
    studio: Studio, tmp_path: Path
) -> None:
    parts = [
        studio.make(f"grown{size}.ts", *studio.picture(size), *H264)
        for size in ("160x120", "640x480")
    ]
    grown = tmp_path / "grown.ts"
    grown.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert refusal(grown, tmp_path, Limits(max_pixels=320 * 240)).code == "truncated"


@pytest.mark.parametrize("size", ["1x1", "8x8", "1920x1"])
def test_a_picture_of_a_few_pixels_is_refused(studio: Studio, tmp_path: Path, size: str) -> None:
    colour = ("-f", "lavfi", "-i", f"color=red:size={size}:duration=1")
    dot = studio.make(f"dot{size}.mkv", *colour, "-c:v", "ffv1", "-pix_fmt", "gbrp")
    assert refusal(dot, tmp_path).code == "too_small"


def test_a_rendition_larger_than_allowed_is_refused(studio: Studio, tmp_path: Path) -> None:
    limits = replace(Limits(), file_bytes=10_000)
    assert refusal(studio.lecture(), tmp_path, limits).code == "too_large"


def test_a_source_that_is_not_there_may_be_there_later(tmp_path: Path) -> None:
    with pytest.raises(TransientMediaError) as raised:
        transcode(tmp_path / "none", tmp_path, on_progress=lambda _fraction: None, tick_seconds=5)
    assert raised.value.code == "source_missing"


def test_an_ffmpeg_that_is_not_there_is_the_installations_fault(
    studio: Studio, tmp_path: Path
) -> None:
    with pytest.raises(TransientMediaError) as raised:
        transcode(
            studio.silent(),
            tmp_path,
            on_progress=lambda _fraction: None,
            tick_seconds=5,
            ffmpeg="/nonexistent/ffmpeg",
        )
    assert raised.value.code == "installation"


def test_an_encode_without_progress_is_given_up(studio: Studio, tmp_path: Path) -> None:
    stuck = tmp_path / "ffmpeg"
    stuck.write_text("#!/bin/sh\nwhile echo out_time_us=N/A; do sleep 0.1; done\n")
    stuck.chmod(0o755)
    with pytest.raises(TransientMediaError) as raised:
        transcode(
            studio.silent(),
            tmp_path,
            limits=Limits(stall_seconds=0.5),
            on_progress=lambda _fraction: None,
            tick_seconds=0.1,
            ffmpeg=str(stuck),
        )
    assert raised.value.code == "stalled"
    assert processes_about(stuck) == []


def test_a_lost_lease_stops_the_encode_and_leaves_nothing_running(
    studio: Studio, tmp_path: Path
) -> None:
    class LostLeaseError(Exception):
        pass

    clip = studio.make("long.mp4", *studio.picture("640x480", seconds=60, rate="30"), *H264)

    def lose(_fraction: float) -> None:
        encoding = [line for line in processes_about(clip) if "-progress" in line]
        if encoding:
            raise LostLeaseError

    with pytest.raises(LostLeaseError):
        transcode(clip, tmp_path, on_progress=lose, tick_seconds=0.1)
    assert processes_about(clip) == []
