"""A real browser plays our videos, by signed links of the running product, from another origin.

Safari's player is not here: it runs on Apple's systems alone. Chromium's own, which is none of
Safari's code, stands for the players that read playlists without hls.js.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.chromium import Player
from tests.browser.cinema import CLIP_SECONDS, HEIGHTS, Cinema, Learner

pytestmark = pytest.mark.browser


def assert_no_trouble(player: Player) -> None:
    state = player.state()
    assert (state["error"], state["errors"]) == (None, [])


def test_plays_picture_and_sound(playing: Player, cinema: Cinema) -> None:
    playing.until("video.currentTime > 2")
    assert playing.see("hls.levels.map((level) => level.height)") == list(HEIGHTS)
    assert abs(playing.see("video.duration") - CLIP_SECONDS) < 0.5
    assert playing.see("video.getVideoPlaybackQuality().totalVideoFrames") > 15
    assert playing.see("video.webkitAudioDecodedByteCount") > 0
    loaded = playing.see(
        "performance.getEntriesByType('resource').map((entry) => new URL(entry.name).origin)"
    )
    assert {cinema.origin, cinema.media_origin} <= set(loaded)
    assert_no_trouble(playing)


def test_the_first_picture_is_shown_at_second_0_as_the_first_sound_is(playing: Player) -> None:
    playing.do("video.pause()")
    assert playing.see("pictureAt(0)") == 0


def test_switches_the_rendition_while_it_plays(playing: Player) -> None:
    assert playing.see("video.videoHeight") == HEIGHTS[0]
    playing.do("video.playbackRate = 4")
    for level in (1, 0):
        playing.do("hls.nextLevel = arguments[0]", level)
        playing.until(f"hls.currentLevel === {level} && video.videoHeight === {HEIGHTS[level]}")
        assert not playing.see("video.paused")
    assert_no_trouble(playing)


def test_seeks_forward_and_back_to_what_is_not_loaded(playing: Player) -> None:
    assert not playing.see("isBuffered(15)")
    playing.seek(15)
    playing.seek(4)
    assert_no_trouble(playing)


def test_plays_to_the_end(playing: Player) -> None:
    playing.do("video.currentTime = video.duration - 1")
    playing.until("video.ended")
    assert abs(playing.see("video.currentTime") - CLIP_SECONDS) < 0.5
    assert_no_trouble(playing)


def test_a_native_player_plays_and_seeks_too(player: Player, links: dict[str, Any]) -> None:
    assert player.see("video.canPlayType('application/vnd.apple.mpegurl')")
    player.do("playNatively(arguments[0])", links["master_url"])
    player.until("video.currentTime > 0.5")
    player.seek(15)
    player.seek(4)
    assert_no_trouble(player)


def test_shows_the_poster(player: Player, links: dict[str, Any]) -> None:
    player.do("window.poster = new Image(); poster.src = arguments[0]", links["poster_url"])
    player.until("poster.complete")
    assert player.see("poster.naturalWidth") > 0


@pytest.mark.parametrize("ending", ["withdraw", "suspend"])
def test_once_access_has_ended_playlists_are_refused_and_the_page_sees_it(
    ending: str, playing: Player, cinema: Cinema, learner: Learner, links: dict[str, Any]
) -> None:
    path = f"/enrollments/{learner.enrollment_id}/{ending}"
    if ending == "withdraw":
        learner.member.post(path)
    else:
        cinema.teacher.post(path, {"reason": "Not paid."})
    urls = [links["master_url"], *(one["playlist_url"] for one in links["renditions"])]
    assert {playing.see("statusOf(arguments[0])", url) for url in urls} == {403}
    playing.do("hls.loadSource(arguments[0])", links["master_url"])
    playing.until("errors.some((error) => error.fatal && error.status === 403)")
    assert learner.ask_playback(expect=403)["code"] == "enrollment_has_no_access"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer any"}])
def test_nothing_but_signed_links_is_for_pages_of_other_origins(
    headers: dict[str, str], player: Player, cinema: Cinema, links: dict[str, Any]
) -> None:
    url = f"{cinema.origin}/api/v1/videos/{cinema.video_id}/playback"
    asked = player.see("statusOf(arguments[0], arguments[1])", url, {"headers": headers})
    assert asked == "kept from the page"
    assert player.see("statusOf(arguments[0])", links["master_url"]) == 200


def test_our_own_files_are_for_every_origin_a_buckets_for_those_that_its_rule_names(
    store: str, open_elsewhere: Callable[[], Player], links: dict[str, Any]
) -> None:
    page = open_elsewhere()
    page.do("play(arguments[0])", links["master_url"])
    if store == "s3":
        page.until("errors.some((error) => error.details === 'fragLoadError')")
        assert page.see("video.currentTime") == 0
    else:
        page.until("video.currentTime > 0.5")
        assert_no_trouble(page)
