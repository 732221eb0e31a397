"""A source that is already what we would make is copied into the top rung."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import av
import pytest

from jobs.ffmpeg import ladder, playlists, remux, verify
from jobs.ffmpeg import run as running
from jobs.ffmpeg.errors import PermanentMediaError
from jobs.ffmpeg.fragments import first_times
from jobs.ffmpeg.inspection import inspect
from jobs.ffmpeg.limits import Limits
from jobs.ffmpeg.rate import constant_rate
from jobs.ffmpeg.survey import survey
from jobs.ffmpeg.transcode import Encoded

if TYPE_CHECKING:
    from conftest import Studio

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
GRID = (
    *(*H264, "-b:v", "100k", "-maxrate", "120k", "-bufsize", "120k"),
    *("-force_key_frames", "expr:gte(t,n_forced*2)", "-sc_threshold", "0", "-g", "999"),
)
STEREO = ("-c:a", "aac", "-ac", "2", "-ar", "48000")

Encode = Callable[[Path], Encoded]


def fitting(studio: Studio, name: str = "fitting.mp4", *options: str) -> Path:
    """A clip that fits, unless the options change that."""
    return studio.make(
        name, *studio.picture(seconds=7), *studio.tone(seconds=7), *GRID, *STEREO, *options
    )


def may_be_copied(clip: Path) -> bool:
    found = inspect(clip, Limits().max_pixels)
    size = ladder.display_size(found.width, found.height, found.sample_aspect, found.rotation)
    top = ladder.rungs(*size, (720, 240, 120))[0]
    return remux.fits(found, top, constant_rate(found.frame_rate))


def packets(file: Path, kind: Literal["video", "audio"]) -> list[bytes]:
    """The coded pictures or sounds of a file."""
    with av.open(str(file), "r") as container:
        stream = container.streams.get({kind: 0})[0]
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


def copies(encoded: Encoded) -> list[bool]:
    return [rendition.is_copy for rendition in encoded.renditions]


@pytest.mark.parametrize("name", ["fitting.mp4", "fitting.mkv"])
def test_picture_and_sound_that_fit_are_in_the_top_rung_as_they_were(
    studio: Studio, encode: Encode, name: str
) -> None:
    # Without the encoder's own note, which is left out as all such notes are.
    clip = fitting(studio, f"bare-{name}", "-bsf:v", "filter_units=remove_types=6")
    encoded = encode(clip)
    assert copies(encoded) == [True, False]
    top = encoded.renditions[0].media
    assert packets(top, "video") == packets(clip, "video")
    assert packets(top, "audio") == packets(clip, "audio")


def test_a_copy_is_cut_where_the_other_rungs_are_and_starts_with_them(
    studio: Studio, encode: Encode
) -> None:
    # Without B-frames the source's pictures are not behind, as our encoder's are.
    encoded = encode(fitting(studio, "prompt.mp4", "-bf", "0"))
    assert copies(encoded) == [True, False]
    starts: list[list[float]] = []
    for rendition in encoded.renditions:
        playlist = playlists.parse(rendition.playlist.read_text())
        starts.append(list(accumulate(segment.duration for segment in playlist.segments)))
        assert first_times(rendition.media)[b"vide"] == pytest.approx(0, abs=0.001)
    assert starts[0] == pytest.approx(starts[1], abs=0.03)


def test_sound_that_does_not_fit_is_encoded_beside_the_copied_picture(
    studio: Studio, encode: Encode
) -> None:
    clip = fitting(studio, "mono.mp4", "-ac", "1", "-ar", "44100")
    encoded = encode(clip)
    assert copies(encoded) == [True, False]
    with av.open(str(encoded.renditions[0].media), "r") as container:
        sound = container.streams.audio[0]
        assert (sound.channels, sound.rate) == (2, 48_000)


def test_a_source_of_one_rung_is_copied_alone(studio: Studio, encode: Encode) -> None:
    clip = studio.make("small.mp4", *studio.picture("160x90", seconds=3), *GRID)
    assert copies(encode(clip)) == [True]


def test_a_copy_without_colour_description_gets_one(studio: Studio, encode: Encode) -> None:
    encoded = encode(fitting(studio))
    colours: list[tuple[int, int, int]] = []
    for rendition in encoded.renditions:
        with av.open(str(rendition.media), "r") as container:
            picture = next(container.decode(container.streams.video[0]))
            colours.append((picture.colorspace, picture.color_trc, picture.color_primaries))
    assert colours == [(6, 6, 6), (6, 6, 6)]  # BT.601, as players assume for small pictures


def test_a_copy_carries_neither_title_nor_place(studio: Studio, encode: Encode) -> None:
    private = ("-metadata", "title=Kitchen", "-metadata", "location=+52.5200+013.4050/")
    encoded = encode(fitting(studio, "private.mp4", *private))
    assert copies(encoded)[0]
    content = encoded.renditions[0].media.read_bytes()
    assert b"Kitchen" not in content
    assert b"+52.5200" not in content


def test_a_copy_carries_nothing_that_a_camera_hid_in_the_picture(
    studio: Studio, encode: Encode
) -> None:
    hidden = "086f3693-b7b3-4f2c-9653-21492feee5b8+SECRETPLACE"
    clip = studio.make(
        "camera.mp4",
        *(
            "-i",
            str(fitting(studio)),
            "-c",
            "copy",
            "-bsf:v",
            f"h264_metadata=sei_user_data={hidden}",
        ),
    )
    assert b"SECRETPLACE" in clip.read_bytes()
    encoded = encode(clip)
    assert copies(encoded)[0]
    assert b"SECRETPLACE" not in encoded.renditions[0].media.read_bytes()


def test_a_copy_that_fails_its_verification_is_encoded_instead(
    studio: Studio, encode: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_checked: object) -> None:
        raise PermanentMediaError("unreadable", "It is damaged.", detail="cut elsewhere")

    monkeypatch.setattr(running, "require_alignment", refuse)
    encoded = encode(fitting(studio))
    assert copies(encoded) == [False, False]
    assert encoded.duration_seconds == pytest.approx(7, abs=0.1)


def test_renditions_that_are_cut_elsewhere_are_refused(lecture: Encoded) -> None:
    tracks = [verify.inspect(rendition.media) for rendition in lecture.renditions]
    lists = [playlists.parse(one.playlist.read_text()) for one in lecture.renditions]
    checked = list(zip(tracks, lists, strict=True))
    verify.require_alignment(checked)
    late = replace(tracks[1], start_seconds=tracks[1].start_seconds + 0.1)
    with pytest.raises(PermanentMediaError):
        verify.require_alignment([checked[0], (late, lists[1])])


def test_what_fits_may_be_copied(studio: Studio) -> None:
    assert may_be_copied(fitting(studio))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("off_the_grid", ("-force_key_frames", "expr:gte(t,n_forced*3)")),
        ("ten_bit", ("-pix_fmt", "yuv420p10le")),
        ("full_colour", ("-pix_fmt", "yuv444p")),
        ("full_range", ("-vf", "scale=out_range=full,format=yuvj420p", "-color_range", "pc")),
        ("not_square", ("-vf", "setsar=4/3")),
        ("interlaced", ("-vf", "tinterlace=interleave_top", "-flags", "+ildct+ilme")),
        ("hdr", ("-vf", "setparams=color_trc=arib-std-b67")),
        ("too_fast", ("-r", "100")),
        ("not_a_rung", ("-vf", "scale=302:230")),
        ("above_the_cap", ("-b:v", "900k", "-maxrate", "900k", "-bufsize", "900k")),
        ("longer_sound", ("-t", "7", "-filter:v", "trim=end=5")),
        ("absurd_level", ("-level", "6.2")),
        ("another_codec", ("-c:v", "libx265", "-x265-params", "log-level=none:keyint=50")),
    ],
)
def test_what_does_not_fit_may_not(studio: Studio, name: str, options: tuple[str, ...]) -> None:
    assert not may_be_copied(fitting(studio, f"{name}.mp4", *options))


def test_a_burst_that_no_players_buffer_holds_may_not_be_copied(studio: Studio) -> None:
    found = inspect(fitting(studio), Limits().max_pixels)
    top, rate = ladder.Rung("240p", 320, 240), Fraction(25)
    cap = ladder.max_rate(top, rate)
    assert found.copyable
    fits: list[bool] = []
    for peak in (2 * cap, 2 * cap + 1):
        burst = replace(found.copyable, peak_bits_per_second=peak)
        fits.append(remux.fits(replace(found, copyable=burst), top, rate))
    assert fits == [True, False]


def test_a_file_that_takes_too_long_to_read_is_encoded(studio: Studio) -> None:
    clip = fitting(studio)
    surveyed: list[bool] = []
    for patience in (60.0, -1.0):
        with av.open(str(clip), "r") as container:
            picture = container.streams.video[0]
            found = survey(container, picture, None, rate=Fraction(25), patience_seconds=patience)
            surveyed.append(found is not None)
    assert surveyed == [True, False]


def test_a_rotated_picture_may_not_be_copied(studio: Studio) -> None:
    rotated = studio.make(
        *("turned.mp4", "-display_rotation", "90", "-i", str(fitting(studio)), "-c", "copy")
    )
    assert not may_be_copied(rotated)


def test_open_groups_of_pictures_may_not_be_copied(studio: Studio) -> None:
    # Matroska marks their first pictures as keyframes too, though players cannot start there.
    clip = fitting(studio, "open.mkv", *("-bf", "2", "-x264-params", "open-gop=1:keyint=50"))
    assert not may_be_copied(clip)


def test_a_variable_frame_rate_may_not_be_copied(studio: Studio) -> None:
    clip = fitting(studio, "gaps.mkv", "-vf", r"select=gt(mod(n\,20)\,0)", "-fps_mode", "vfr")
    assert not may_be_copied(clip)


def test_what_an_edit_list_cuts_off_may_not_be_copied(studio: Studio) -> None:
    # Copying from the middle of a group keeps what it needs, and hides it by an edit list.
    cut = studio.make("cut.mp4", "-ss", "1", "-i", str(fitting(studio)), "-c", "copy")
    assert not may_be_copied(cut)
