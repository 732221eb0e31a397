"""How one transcode knows how far it is, and which renditions it keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.ffmpeg import run as running
from jobs.ffmpeg.errors import TransientMediaError
from jobs.ffmpeg.limits import Limits
from jobs.ffmpeg.run import Run
from jobs.ffmpeg.transcode import Encoded

FALLING = running._falling  # pyright: ignore[reportPrivateUsage]


class Clock:
    """Seconds that the test moves."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(running, "time", made)
    return made


def test_an_encode_after_a_refused_copy_has_not_stalled_while_it_moves(
    tmp_path: Path, clock: Clock
) -> None:
    reported: list[float] = []
    run = Run(tmp_path, replace(Limits(), stall_seconds=10), reported.append, 1.0, None)
    run.advance(0.98)  # so far the copy came
    for seconds in range(5, 95, 5):
        clock.now = seconds
        run._progress(f"out_time_us={seconds}000000", 100.0)  # pyright: ignore[reportPrivateUsage]
        run._report_unless_stalled()  # pyright: ignore[reportPrivateUsage]
    assert reported == [0.98] * len(reported)
    clock.now += 11
    with pytest.raises(TransientMediaError):
        run._report_unless_stalled()  # pyright: ignore[reportPrivateUsage]


def test_what_is_smaller_than_a_copy_and_needs_more_is_left_out(lecture: Encoded) -> None:
    top, other = lecture.renditions
    cheap = replace(top, bandwidth=500_000)
    dearer, cheaper = replace(other, bandwidth=900_000), replace(other, bandwidth=300_000)
    assert FALLING(cheap, [dearer, cheaper]) == (cheap, cheaper)
