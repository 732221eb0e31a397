"""Rare but honest sources: what cameras, editors and screen recorders make of a lesson."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest

from jobs.ffmpeg.transcode import Encoded, transcode

if TYPE_CHECKING:
    from conftest import Studio

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
AAC = ("-c:a", "aac")
SAMPLES = Path(__file__).parents[4] / "shared" / "media"
"""Clips of real cameras and films; they are not part of the repository."""

Encode = Callable[[Path], Encoded]


def sizes(encoded: Encoded) -> list[tuple[str, int, int]]:
    return [(rung.label, rung.width, rung.height) for rung in encoded.renditions]


def first_picture(file: Path) -> av.VideoFrame:
    with av.open(str(file), "r") as container:
        return next(container.decode(video=0))


def colour_at(picture: av.VideoFrame, x: int, y: int) -> str:
    """Name the strongest part of a pixel."""
    (plane,) = picture.reformat(format="rgb24").planes
    pixel = bytes(plane)[y * plane.line_size + 3 * x :][:3]
    return ("red", "green", "blue")[max(range(3), key=lambda part: pixel[part])]


def loudest(file: Path) -> float:
    """Return the largest sample of a sound, of at most 1."""
    peak = 0.0
    with av.open(str(file), "r") as container:
        for frame in container.decode(audio=0):
            for plane in frame.planes:
                samples = array("f", bytes(plane))
                peak = max(peak, max(samples, default=0.0))
    return peak


def streams_of(file: Path) -> list[str]:
    with av.open(str(file), "r") as container:
        return [stream.type for stream in container.streams]


def test_a_phone_held_upright_shows_its_picture_upright(studio: Studio, encode: Encode) -> None:
    flag = "color=red:size=160x240:duration=1[l];color=blue:size=160x240:duration=1[r];[l][r]hstack"
    lying = studio.make("lying.mp4", "-f", "lavfi", "-i", flag, *H264)
    held = studio.make("held.mp4", "-display_rotation", "90", "-i", str(lying), "-c", "copy")
    picture = first_picture(encode(held).renditions[0].media)
    assert (picture.width, picture.height) == (240, 320)
    assert (colour_at(picture, 120, 40), colour_at(picture, 120, 280)) == ("blue", "red")


def test_a_picture_held_upside_down_is_turned(studio: Studio, encode: Encode) -> None:
    flag = "color=red:size=160x240:duration=1[l];color=blue:size=160x240:duration=1[r];[l][r]hstack"
    lying = studio.make("lying.mp4", "-f", "lavfi", "-i", flag, *H264)
    turned = studio.make(
        "upside_down.mp4", "-display_rotation", "180", "-i", str(lying), "-c", "copy"
    )
    picture = first_picture(encode(turned).renditions[0].media)
    assert (colour_at(picture, 40, 120), colour_at(picture, 280, 120)) == ("blue", "red")


def test_an_anamorphic_picture_held_upright_has_the_shape_that_players_show(
    studio: Studio, encode: Encode
) -> None:
    wide = studio.make("anamorphic.mp4", *studio.picture(), "-vf", "setsar=4/3", *H264)
    held = studio.make(
        "anamorphic_held.mp4", "-display_rotation", "90", "-i", str(wide), "-c", "copy"
    )
    encoded = encode(held)
    # 320 x 240 samples are shown 427 wide, and then turned.
    assert (encoded.width, encoded.height) == (240, 427)
    assert sizes(encoded)[0] == ("240p", 240, 426)


@pytest.mark.parametrize(
    ("size", "rungs"),
    [
        ("321x241", [("240p", 320, 240), ("120p", 160, 120)]),
        ("161x121", [("120p", 160, 120)]),
        ("17x17", [("16p", 16, 16)]),
    ],
)
def test_odd_sizes_become_even(
    studio: Studio, encode: Encode, size: str, rungs: list[tuple[str, int, int]]
) -> None:
    clip = studio.make(f"odd{size}.mkv", *studio.picture(size), "-c:v", "ffv1", "-pix_fmt", "gbrp")
    assert sizes(encode(clip)) == rungs


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("h264", ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le")),
        ("prores", ("-c:v", "prores_ks", "-pix_fmt", "yuv422p10le")),
        ("vp9", ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-pix_fmt", "yuv444p10le")),
        ("hevc", ("-c:v", "libx265", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p12le")),
    ],
)
def test_more_bits_and_more_colour_become_what_browsers_play(
    studio: Studio, encode: Encode, name: str, options: tuple[str, ...]
) -> None:
    clip = studio.make(
        f"deep_{name}.mov" if name != "vp9" else "deep.mkv",
        *studio.picture("160x120", seconds=0.4),
        *options,
    )
    (rendition,) = encode(clip).renditions
    assert rendition.codecs.startswith("avc1.6400")
    assert first_picture(rendition.media).format.name == "yuv420p"


def test_of_several_sounds_the_default_is_taken_and_only_it(studio: Studio, encode: Encode) -> None:
    clip = studio.make(
        "languages.mkv",
        *studio.picture("160x120"),
        *("-f", "lavfi", "-i", "anullsrc=duration=1"),
        *studio.tone(),
        *("-map", "0", "-map", "1", "-map", "2", *H264, *AAC),
        *("-disposition:a:0", "0", "-disposition:a:1", "default"),
    )
    media = encode(clip).renditions[0].media
    assert streams_of(media) == ["video", "audio"]
    assert loudest(media) > 0.05


def test_subtitles_chapters_and_attachments_are_left_behind(studio: Studio, encode: Encode) -> None:
    words = studio.root / "words.srt"
    words.write_text("1\n00:00:00,000 --> 00:00:01,000\nKitchen secrets\n")
    chapters = studio.root / "chapters.txt"
    chapters.write_text(";FFMETADATA1\n[CHAPTER]\nSTART=0\nEND=500000000\ntitle=Private\n")
    clip = studio.make(
        "extras.mkv",
        *(*studio.picture("160x120"), "-i", str(words), "-i", str(chapters)),
        *("-map", "0", "-map", "1", "-map_chapters", "2", *H264, "-c:s", "srt"),
        *("-attach", str(words), "-metadata:s:t", "mimetype=text/plain"),
    )
    media = encode(clip).renditions[0].media
    assert streams_of(media) == ["video"]
    assert b"Private" not in media.read_bytes()
    assert b"Kitchen secrets" not in media.read_bytes()


def test_sound_that_starts_late_stays_with_its_picture(studio: Studio, encode: Encode) -> None:
    clip = studio.make(
        "late.mkv",
        *studio.picture("160x120", seconds=3),
        *("-itsoffset", "2", *studio.tone()),
        *(*H264, *AAC),
    )
    media = encode(clip).renditions[0].media
    with av.open(str(media), "r") as container:
        loud = [
            frame.time
            for frame in container.decode(audio=0)
            if max(array("f", bytes(frame.planes[0])), default=0.0) > 0.05
        ]
    assert loud[0] == pytest.approx(2, abs=0.15)


def test_mono_is_heard_on_both_sides(studio: Studio, encode: Encode) -> None:
    clip = studio.make(
        "mono.mkv", *studio.picture("160x120"), *studio.tone(), *H264, *AAC, "-ac", "1"
    )
    with av.open(str(encode(clip).renditions[0].media), "r") as container:
        frame = list(container.decode(audio=0))[5]
        left, right = (max(array("f", bytes(plane))) for plane in frame.planes[:2])
    assert left == pytest.approx(right, abs=0.01)
    assert left > 0.05


@pytest.mark.parametrize(
    "name",
    [
        "-y my lesson (final).mp4",
        "100%d of %03d.mp4",
        "http:__evil|concat:a'b\"c\\.mp4",
        "\u043b\u0435\u043a\u0446\u0438\u044f \U0001f3a5\n2.mp4",
        "*.mp4?x=[a,b];c",
    ],
)
def test_a_name_is_never_an_option_a_pattern_or_a_protocol(
    studio: Studio, tmp_path: Path, encode: Encode, name: str
) -> None:
    clip = tmp_path / name
    clip.write_bytes(studio.make("plain.mp4", *studio.picture("160x120"), *H264).read_bytes())
    assert sizes(encode(clip)) == [("120p", 160, 120)]


def sample(name: str) -> Path:
    """A clip of the samples; skips the test where they are not at hand."""
    clip = SAMPLES / name
    if not clip.is_file():
        pytest.skip("the sample clips are not here")
    return clip


def small(clip: Path, tmp_path: Path, *short_sides: int) -> Encoded:
    return transcode(
        clip,
        tmp_path,
        short_sides=short_sides,
        on_progress=lambda _fraction: None,
        tick_seconds=5,
    )


def test_a_film_clip_keeps_its_picture_and_gets_stereo(tmp_path: Path) -> None:
    encoded = small(sample("bbb_1080p60_5.1_2s.mp4"), tmp_path, 1080, 180)
    assert [(one.label, one.is_copy) for one in encoded.renditions] == [
        ("1080p", True),
        ("180p", False),
    ]
    for rendition in encoded.renditions:
        assert rendition.frame_rate == pytest.approx(60)
        with av.open(str(rendition.media), "r") as container:
            assert container.streams.audio[0].channels == 2


def test_a_film_clip_held_upright_is_a_portrait(tmp_path: Path) -> None:
    encoded = small(sample("bbb_1080p_rotated-90_5.1_2s.mp4"), tmp_path, 180)
    assert (encoded.width, encoded.height) == (1080, 1920)
    assert sizes(encoded) == [("180p", 180, 320)]


def test_a_web_film_of_half_a_minute_is_whole(tmp_path: Path) -> None:
    encoded = small(sample("bbb_720p_vp8_vorbis_30s.webm"), tmp_path, 180)
    assert encoded.duration_seconds == pytest.approx(30, abs=0.5)
    every_two_seconds = ceil(encoded.duration_seconds / 2)
    assert encoded.thumbnails.cues.read_text().count("#xywh=") == every_two_seconds


def test_a_broadcast_with_many_tracks_gives_its_largest_picture(tmp_path: Path) -> None:
    encoded = small(sample("nasa_speech_multitrack_13s.mp4"), tmp_path, 270)
    assert sizes(encoded) == [("270p", 480, 270)]
    assert streams_of(encoded.renditions[0].media) == ["video", "audio"]
    assert encoded.duration_seconds == pytest.approx(13, abs=0.2)
