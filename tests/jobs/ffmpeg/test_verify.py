from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs.ffmpeg.errors import PermanentMediaError
from jobs.ffmpeg.inspection import inspect
from jobs.ffmpeg.limits import Limits
from jobs.ffmpeg.playlists import Playlist
from jobs.ffmpeg.source import Source
from jobs.ffmpeg.transcode import Encoded
from jobs.ffmpeg.verify import Track, require_alignment, verify

if TYPE_CHECKING:
    from conftest import Studio


@pytest.fixture
def source(studio: Studio) -> Source:
    return inspect(studio.lecture(), Limits().max_pixels)


@pytest.fixture
def media(lecture: Encoded, tmp_path: Path) -> Path:
    """A copy of a good rendition, with its playlist beside it."""
    rendition = lecture.renditions[-1]
    shutil.copy(rendition.playlist, tmp_path)
    return Path(shutil.copy(rendition.media, tmp_path))


def check(media: Path, source: Source) -> Track:
    ((track, _),), _ = verify(
        [media], source, media.parent, Limits(), on_tick=lambda: None, tick_seconds=5
    )
    return track


def checked(encoded: Encoded, source: Source) -> list[tuple[Track, Playlist]]:
    """What verification finds in all renditions, which share a folder."""
    media = [rendition.media for rendition in encoded.renditions]
    found, _ = verify(
        media, source, media[0].parent, Limits(), on_tick=lambda: None, tick_seconds=5
    )
    return found


def refusal(media: Path, source: Source) -> PermanentMediaError:
    with pytest.raises(PermanentMediaError) as raised:
        check(media, source)
    return raised.value


def test_a_good_rendition_passes(media: Path, source: Source) -> None:
    track = check(media, source)
    assert (track.width, track.height) == (160, 120)
    assert track.frames == pytest.approx(90, abs=2)


def test_a_rendition_much_shorter_than_its_source_is_truncated(media: Path, source: Source) -> None:
    longer = replace(source, duration_seconds=35.0)
    assert refusal(media, longer).code == "truncated"


def test_the_time_for_a_verification_grows_with_what_there_is_to_read(
    media: Path, source: Source
) -> None:
    hours = replace(source, duration_seconds=4 * 3600.0)
    no_time_of_its_own = Limits(inspect_cpu_seconds=0, inspect_wall_seconds=0)
    with pytest.raises(PermanentMediaError) as raised:
        verify(
            [media],
            hours,
            media.parent,
            no_time_of_its_own,
            on_tick=lambda: None,
            tick_seconds=5,
        )
    assert raised.value.code == "truncated"
    one, four = (Limits().for_verification(3600, rungs) for rungs in (1, 4))
    assert one.cpu_seconds < four.cpu_seconds
    assert one.wall_seconds < four.wall_seconds


def test_a_rendition_much_longer_than_its_source_is_refused(media: Path, source: Source) -> None:
    # A clock that jumped filled the output with one picture.
    shorter = replace(source, duration_seconds=0.5)
    assert "lasts" in refusal(media, shorter).detail


def test_bytes_outside_the_playlists_ranges_are_refused(media: Path, source: Source) -> None:
    with media.open("ab") as file:
        file.write(b"\0\0\0\x08free")
    assert "do not cover" in refusal(media, source).detail


def test_an_unfinished_playlist_is_refused(media: Path, source: Source) -> None:
    playlist = media.with_suffix(".m3u8")
    playlist.write_text(playlist.read_text().replace("#EXT-X-ENDLIST\n", ""))
    assert "not finished" in refusal(media, source).detail


def test_a_missing_playlist_is_refused(media: Path, source: Source) -> None:
    media.with_suffix(".m3u8").unlink()
    assert refusal(media, source).code == "unreadable"


def test_a_rendition_without_its_sources_sound_is_refused(media: Path, source: Source) -> None:
    mute = replace(source, audio_index=None, audio_codec=None)
    assert "sound" in refusal(media, mute).detail


def test_renditions_that_are_cut_alike_are_aligned(lecture: Encoded, source: Source) -> None:
    require_alignment(checked(lecture, source))


def test_renditions_that_start_apart_are_refused(lecture: Encoded, source: Source) -> None:
    (track, playlist), *others = checked(lecture, source)
    late = replace(track, start_seconds=track.start_seconds + 0.1)
    with pytest.raises(PermanentMediaError, match="unreadable"):
        require_alignment([(late, playlist), *others])


def test_renditions_that_are_cut_at_different_places_are_refused(
    lecture: Encoded, source: Source
) -> None:
    (track, playlist), *others = checked(lecture, source)
    (only,) = playlist.segments
    halves = (replace(only, duration=only.duration / 2),) * 2
    with pytest.raises(PermanentMediaError, match="unreadable"):
        require_alignment([(track, replace(playlist, segments=halves)), *others])


def test_a_rendition_that_is_no_video_is_refused(media: Path, source: Source) -> None:
    media.write_bytes(b"nothing")
    assert refusal(media, source).code == "unreadable"
