from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import av
import pytest

from jobs.ffmpeg.measure import Measure


def measured(stamps: Iterable[int], *, jumps: bool) -> Measure:
    """Packets of 40 ms at these milliseconds."""
    measure = Measure(jumps=jumps)
    for stamp in stamps:
        packet = av.Packet(b"picture")
        packet.time_base = Fraction(1, 1000)
        packet.dts = stamp
        packet.duration = 40
        measure.add(packet)
    return measure


def test_the_length_runs_from_the_first_packet_to_the_end_of_the_last() -> None:
    assert measured(range(500, 2500, 40), jumps=False).seconds() == 2


def test_the_frame_rate_is_the_average_over_the_whole_length() -> None:
    assert measured(range(0, 2000, 40), jumps=False).frame_rate(0) == 25


@pytest.mark.parametrize("offset", [-1000, 3_600_000], ids=["back", "forward"])
def test_a_jump_of_a_discontinuous_clock_adds_nothing(offset: int) -> None:
    stamps = [*range(0, 1000, 40), *range(1000 + offset, 2000 + offset, 40)]
    assert measured(stamps, jumps=True).seconds() == 2


def test_a_gap_on_a_continuous_clock_counts() -> None:
    assert measured([0, 72_000_000], jumps=False).seconds() == 72_000.04


def test_nothing_measured_is_no_length_and_no_rate() -> None:
    measure = Measure(jumps=False)
    assert (measure.seconds(), measure.seconds(3), measure.frame_rate(0)) == (0, 0, None)
