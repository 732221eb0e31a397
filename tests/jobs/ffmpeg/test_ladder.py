from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.ffmpeg.ladder import MAX_LONG_SIDE, Rung, display_size, rungs

LADDER = (1080, 720, 480, 360)


def test_a_source_gets_every_rung_up_to_its_own_size_largest_first() -> None:
    assert rungs(1280, 720, (360, 480, 720, 1080)) == (
        Rung("720p", 1280, 720),
        Rung("480p", 854, 480),
        Rung("360p", 640, 360),
    )


def test_nothing_is_enlarged_to_reach_a_rung() -> None:
    assert [rung.label for rung in rungs(1918, 1078, LADDER)] == ["720p", "480p", "360p"]


def test_a_small_source_gets_one_rung_at_its_own_size() -> None:
    assert rungs(480, 270, LADDER) == (Rung("270p", 480, 270),)


def test_odd_sizes_become_even_without_growing() -> None:
    assert rungs(321, 241, LADDER) == (Rung("240p", 320, 240),)


def test_a_portrait_source_is_measured_by_its_short_side() -> None:
    assert rungs(1080, 1920, LADDER)[0] == Rung("1080p", 1080, 1920)
    assert rungs(1080, 1920, LADDER)[-1] == Rung("360p", 360, 640)


def test_a_panorama_stays_within_what_players_decode_and_is_made_once() -> None:
    (only,) = rungs(16000, 1000, LADDER[:3])
    assert (only.width, only.height) == (MAX_LONG_SIDE, 256)


@pytest.mark.parametrize("rotation", [90, -90, 270, 450])
def test_a_quarter_turn_swaps_width_and_height(rotation: int) -> None:
    assert display_size(1920, 1080, Fraction(1), rotation) == (1080, 1920)


@pytest.mark.parametrize("rotation", [0, 180, -180, 360])
def test_a_half_turn_keeps_width_and_height(rotation: int) -> None:
    assert display_size(1920, 1080, Fraction(1), rotation) == (1920, 1080)


def test_samples_that_are_not_square_stretch_the_width() -> None:
    assert display_size(1440, 1080, Fraction(4, 3), 0) == (1920, 1080)
    assert display_size(1440, 1080, Fraction(4, 3), 90) == (1080, 1920)


@given(st.integers(64, 4096), st.integers(64, 4096), st.lists(st.integers(144, 2160), min_size=1))
def test_no_two_rungs_have_one_name(width: int, height: int, sides: list[int]) -> None:
    labels = [rung.label for rung in rungs(width, height, sides)]
    assert len(set(labels)) == len(labels)
