from __future__ import annotations

from fractions import Fraction

import pytest

from jobs.ffmpeg.rate import constant_rate


@pytest.mark.parametrize("rate", ["24000/1001", "24", "25", "30000/1001", "30", "50", "60"])
def test_standard_rates_are_kept(rate: str) -> None:
    assert constant_rate(Fraction(rate)) == Fraction(rate)


@pytest.mark.parametrize(
    ("average", "meant"), [("29.9995", "30"), ("29.968", "30000/1001"), ("60.02", "60")]
)
def test_a_wandering_clock_is_read_as_the_standard_rate_it_means(average: str, meant: str) -> None:
    assert constant_rate(Fraction(average)) == Fraction(meant)


@pytest.mark.parametrize("average", ["90", "120", "240"])
def test_high_rates_are_capped_at_sixty(average: str) -> None:
    assert constant_rate(Fraction(average)) == 60


@pytest.mark.parametrize("average", [None, Fraction(0), Fraction(1000), Fraction(1, 100)])
def test_absurd_and_missing_rates_are_replaced(average: Fraction | None) -> None:
    assert constant_rate(average) == 30


def test_an_unusual_rate_is_kept() -> None:
    assert constant_rate(Fraction(15)) == 15
