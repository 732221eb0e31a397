"""Ordinary sources: what comes out."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest

from jobs.ffmpeg.source import HLG, PQ
from jobs.ffmpeg.transcode import Encoded, transcode

if TYPE_CHECKING:
    from conftest import Studio

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
AAC = ("-c:a", "aac")

Encode = Callable[[Path], Encoded]


def sizes(encoded: Encoded) -> list[tuple[str, int, int]]:
    return [(rung.label, rung.width, rung.height) for rung in encoded.renditions]


def decode(playlist: Path) -> tuple[list[av.VideoFrame], int]:
    """Every picture of a rendition, and its sound in samples, as a player gets them."""
    pictures: list[av.VideoFrame] = []
    samples = 0
    with av.open(str(playlist), "r") as container:
        for packet in container.demux():
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    pictures.append(frame)
                elif isinstance(frame, av.AudioFrame):
                    samples += frame.samples
    return pictures, samples


def test_every_rendition_decodes_through_its_playlist_to_the_whole_length(
    lecture: Encoded,
) -> None:
    assert sizes(lecture) == [("240p", 320, 240), ("120p", 160, 120)]
    for rendition in lecture.renditions:
        pictures, samples = decode(rendition.playlist)
        assert len(pictures) == pytest.approx(90, abs=2)
        assert {(picture.width, picture.height) for picture in pictures} == {
            (rendition.width, rendition.height)
        }
        assert samples / 48_000 == pytest.approx(3, abs=0.1)


def test_a_playlist_names_its_media_by_file_name_only(lecture: Encoded) -> None:
    for rendition in lecture.renditions:
        names = [
            line
            for line in rendition.playlist.read_text().splitlines()
            if line and not line.startswith("#")
        ]
        assert set(names) == {rendition.media.name}
        assert rendition.media.parent == rendition.playlist.parent


def test_all_rungs_have_their_keyframes_on_the_same_two_second_grid(lecture: Encoded) -> None:
    grids: list[list[float]] = []
    for rendition in lecture.renditions:
        with av.open(str(rendition.media), "r") as container:
            stamps = [
                float(packet.pts * packet.time_base)
                for packet in container.demux(container.streams.video[0])
                if packet.is_keyframe and packet.pts is not None
            ]
        grids.append([stamp - stamps[0] for stamp in stamps])
    assert grids[0] == grids[1]
    assert grids[0] == [0, pytest.approx(2, abs=1 / 29)]


def test_a_rendition_carries_neither_title_nor_place(lecture: Encoded) -> None:
    for rendition in lecture.renditions:
        content = rendition.media.read_bytes()
        assert b"Kitchen" not in content
        assert b"+52.5200" not in content


def test_what_a_master_playlist_needs_is_true(lecture: Encoded) -> None:
    for rendition in lecture.renditions:
        assert rendition.bytes == rendition.media.stat().st_size
        bits = 8 * rendition.bytes / lecture.duration_seconds
        assert rendition.average_bandwidth == pytest.approx(bits, rel=0.1)
        assert rendition.bandwidth >= rendition.average_bandwidth
        assert rendition.codecs.startswith("avc1.6400")
        assert rendition.codecs.endswith(",mp4a.40.2")
        assert rendition.frame_rate == pytest.approx(30000 / 1001, abs=0.01)


def test_the_source_is_described_and_its_cost_told(lecture: Encoded) -> None:
    assert lecture.duration_seconds == pytest.approx(3, abs=0.1)
    assert (lecture.width, lecture.height) == (320, 240)
    assert lecture.cpu_seconds > 0


def test_the_poster_is_a_picture_of_the_video(lecture: Encoded) -> None:
    assert lecture.poster.read_bytes().startswith(b"\xff\xd8\xff")
    with av.open(str(lecture.poster), "r") as poster:
        assert (poster.streams.video[0].width, poster.streams.video[0].height) == (320, 240)


def test_progress_starts_at_nothing_ends_at_one_and_never_runs_backwards(
    studio: Studio, tmp_path: Path
) -> None:
    reports: list[float] = []
    transcode(
        studio.lecture(),
        tmp_path,
        short_sides=(240,),
        on_progress=reports.append,
        tick_seconds=0.05,
    )
    assert reports == sorted(reports)
    assert (reports[0], reports[-1]) == (0, 1)
    assert len(set(reports)) > 3


def test_a_video_without_sound_works(studio: Studio, encode: Encode) -> None:
    encoded = encode(studio.silent())
    pictures, samples = decode(encoded.renditions[0].playlist)
    assert (len(pictures), samples) == (25, 0)
    assert "mp4a" not in encoded.renditions[0].codecs


def test_a_rotated_video_comes_out_upright(studio: Studio, encode: Encode) -> None:
    flat = studio.silent()
    rotated = studio.make("rotated.mp4", "-display_rotation", "90", "-i", str(flat), "-c", "copy")
    encoded = encode(rotated)
    assert (encoded.width, encoded.height) == (240, 320)
    assert sizes(encoded)[0] == ("240p", 240, 320)
    pictures, _ = decode(encoded.renditions[0].playlist)
    assert {picture.rotation for picture in pictures} == {0}


def test_a_video_of_a_single_picture_works(studio: Studio, encode: Encode) -> None:
    encoded = encode(studio.make("single.mp4", *studio.picture(seconds=0.04), *H264))
    assert len(decode(encoded.renditions[0].playlist)[0]) == 1
    assert encoded.poster.stat().st_size > 0


def test_samples_that_are_not_square_come_out_square(studio: Studio, encode: Encode) -> None:
    wide = studio.make("wide.mp4", *studio.picture(), "-vf", "setsar=4/3", *H264)
    encoded = encode(wide)
    assert sizes(encoded)[0] == ("240p", 426, 240)
    with av.open(str(encoded.renditions[0].media), "r") as container:
        assert container.streams.video[0].sample_aspect_ratio == 1


def test_the_largest_picture_that_is_no_cover_art_is_taken(studio: Studio, encode: Encode) -> None:
    several = studio.make(
        "several.mp4",
        *studio.picture("160x120"),
        *studio.picture("320x240"),
        *studio.picture("640x480", seconds=0.04),
        *("-map", "0", "-map", "1", "-map", "2"),
        *(*H264, "-c:v:2", "mjpeg", "-pix_fmt:v:2", "yuvj420p"),
        *("-disposition:v:2", "attached_pic"),
    )
    assert sizes(encode(several))[0] == ("240p", 320, 240)


@pytest.mark.parametrize(("rate", "expected"), [("60", 60), ("120", 60), ("1000", 30), ("15", 15)])
def test_the_frame_rate_is_kept_up_to_sixty_and_replaced_where_absurd(
    studio: Studio, encode: Encode, rate: str, expected: int
) -> None:
    clip = studio.make(f"rate{rate}.mkv", *studio.picture("160x120", rate=rate), *H264)
    (rendition,) = encode(clip).renditions
    pictures, _ = decode(rendition.playlist)
    assert rendition.frame_rate == pytest.approx(expected, abs=0.01)
    assert len(pictures) == pytest.approx(expected, abs=2)


def test_a_variable_frame_rate_becomes_constant(studio: Studio, encode: Encode) -> None:
    # Every third picture is missing.
    clip = studio.make(
        "variable.mkv",
        *studio.picture("160x120", seconds=2, rate="30"),
        *("-vf", r"select=mod(n\,3)", "-fps_mode", "vfr", *H264),
    )
    (rendition,) = encode(clip).renditions
    pictures, _ = decode(rendition.playlist)
    stamps = [Fraction(picture.pts or 0) * (picture.time_base or 0) for picture in pictures]
    steps = {later - earlier for earlier, later in pairwise(stamps)}
    assert max(steps) - min(steps) < Fraction(1, 1000)


@pytest.mark.parametrize(
    ("name", "transfer"), [("smpte2084", PQ), ("arib-std-b67", HLG)], ids=["PQ", "HLG"]
)
def test_a_high_dynamic_range_becomes_bt709(
    studio: Studio, encode: Encode, name: str, transfer: int
) -> None:
    clip = studio.make(
        f"{name}.mp4",
        *studio.picture("160x120"),
        *("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"),
        *("-x265-params", f"log-level=none:colorprim=bt2020:transfer={name}:colormatrix=bt2020nc"),
    )
    with av.open(str(clip), "r") as container:
        assert container.streams.video[0].color_trc == transfer
    pictures, _ = decode(encode(clip).renditions[0].playlist)
    picture = pictures[0]
    assert (picture.color_trc, picture.color_primaries, picture.colorspace) == (1, 1, 1)
    assert picture.format.name == "yuv420p"


def test_a_full_range_becomes_limited(studio: Studio, encode: Encode) -> None:
    clip = studio.make(
        "full.avi",
        *("-f", "lavfi", "-i", "color=white:size=160x120:duration=1"),
        *("-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-color_range", "pc"),
    )
    pictures, _ = decode(encode(clip).renditions[0].playlist)
    luma = bytes(pictures[0].planes[0])[80]
    assert luma == pytest.approx(235, abs=2)


def test_a_picture_without_colour_description_gets_one(studio: Studio, encode: Encode) -> None:
    clip = studio.make("undescribed.mp4", *studio.picture("160x120"), *H264)
    pictures, _ = decode(encode(clip).renditions[0].playlist)
    assert pictures[0].colorspace == 6  # BT.601, as players assume for small pictures


def test_sound_that_outlasts_the_picture_holds_the_last_picture(
    studio: Studio, encode: Encode
) -> None:
    clip = studio.make(
        "podcast.mp4", *studio.picture("160x120"), *studio.tone(seconds=3), *H264, *AAC
    )
    pictures, samples = decode(encode(clip).renditions[0].playlist)
    assert len(pictures) == pytest.approx(75, abs=2)
    assert samples / 48_000 == pytest.approx(3, abs=0.1)


def test_surround_sound_becomes_stereo(studio: Studio, encode: Encode) -> None:
    clip = studio.make(
        "surround.mkv",
        *studio.picture("160x120"),
        *("-f", "lavfi", "-i", "anoisesrc=duration=1,pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0"),
        *(*H264, "-c:a", "flac"),
    )
    with av.open(str(encode(clip).renditions[0].media), "r") as container:
        sound = container.streams.audio[0]
        assert (sound.channels, sound.rate, sound.codec_context.name) == (2, 48_000, "aac")


def test_a_recording_without_a_length_in_its_header_is_measured(
    studio: Studio, encode: Encode
) -> None:
    # As browsers record: to a pipe, so the header is never completed.
    clip = studio.make(
        "live.webm",
        *studio.picture("160x120", seconds=2),
        *studio.tone(seconds=2),
        *("-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus", "-live", "1"),
    )
    encoded = encode(clip)
    assert encoded.duration_seconds == pytest.approx(2, abs=0.1)
    assert len(decode(encoded.renditions[0].playlist)[0]) == pytest.approx(50, abs=2)


def test_recordings_put_end_to_end_in_different_sizes_play_through(
    studio: Studio, encode: Encode
) -> None:
    joined = studio.root / "joined.ts"
    parts = [
        studio.make(f"{size}.ts", *studio.picture(size), *studio.tone(), *H264, *AAC)
        for size in ("320x240", "160x120")
    ]
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    encoded = encode(joined)
    assert encoded.duration_seconds == pytest.approx(2, abs=0.2)
    pictures, _ = decode(encoded.renditions[0].playlist)
    assert len(pictures) == pytest.approx(50, abs=5)
    assert {(picture.width, picture.height) for picture in pictures} == {(320, 240)}
