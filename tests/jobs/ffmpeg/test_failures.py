from __future__ import annotations

import signal

import pytest

from jobs.ffmpeg import failures
from jobs.ffmpeg.errors import PermanentMediaError, TransientMediaError
from jobs.ffmpeg.limits import ProcessLimits
from jobs.ffmpeg.process import Finished

LIMITS = ProcessLimits(memory_bytes=1, cpu_seconds=10, file_bytes=1, wall_seconds=20)


def ended(
    returncode: int, stderr: str = "", *, cpu_seconds: float = 1, timed_out: bool = False
) -> Finished:
    return Finished(returncode, stderr, cpu_seconds, timed_out)


def test_success_is_no_failure() -> None:
    failures.raise_for(ended(0), LIMITS)


@pytest.mark.parametrize(
    ("finished", "code"),
    [
        (ended(255, cpu_seconds=10, timed_out=True), "too_complex"),
        (ended(-signal.SIGXCPU, cpu_seconds=9.99), "too_complex"),
        (ended(187, "Error: Cannot allocate memory"), "too_complex"),
        (ended(-signal.SIGXFSZ), "too_large"),
        (ended(-signal.SIGSEGV), "unreadable"),
        (ended(183, "Invalid data found when processing input"), "unreadable"),
    ],
)
def test_a_file_at_fault_fails_for_good(finished: Finished, code: str) -> None:
    with pytest.raises(PermanentMediaError) as raised:
        failures.raise_for(finished, LIMITS)
    assert raised.value.code == code
    assert raised.value.detail == finished.stderr


@pytest.mark.parametrize(
    ("finished", "code"),
    [
        (ended(255, timed_out=True), "timed_out"),
        (ended(0, timed_out=True), "timed_out"),
        (ended(-signal.SIGKILL), "killed"),
        (ended(228, "av_interleaved_write_frame(): No space left on device"), "no_space"),
        (ended(127, "ffmpeg: No such file or directory"), "installation"),
        (ended(8, "Unknown encoder 'libx264'"), "installation"),
        (ended(1, "Traceback (most recent call last):\nKeyError"), "internal"),
    ],
)
def test_a_machine_at_fault_may_try_again(finished: Finished, code: str) -> None:
    with pytest.raises(TransientMediaError) as raised:
        failures.raise_for(finished, LIMITS)
    assert raised.value.code == code
