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
    ],
    ids=["hls", "concat"],
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
    assert refusal(song, tmp_path).code == "no_video"


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


def test_a_picture_of_a_few_pixels_is_refused(studio: Studio, tmp_path: Path) -> None:
    dot = studio.make("dot.mkv", *studio.picture("8x8"), "-c:v", "ffv1")
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
