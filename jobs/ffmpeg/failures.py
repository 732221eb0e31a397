"""Reads the end of a child process: is the file at fault, or the machine?"""

from __future__ import annotations

import signal

from jobs.ffmpeg.errors import PermanentMediaError, TransientMediaError
from jobs.ffmpeg.launch import COMMAND_NOT_STARTED
from jobs.ffmpeg.limits import ProcessLimits
from jobs.ffmpeg.process import Finished

TOO_COMPLEX = (
    "This video takes more memory or computing time than we can give it. "
    "Please export it again as an ordinary MP4 (H.264) and upload that."
)
UNREADABLE = (
    "This video is damaged and could not be read. "
    "Please play it on your computer, export it again as MP4 and upload that."
)
_INSTALLATION_FAULTS = ("Unknown encoder", "No such filter", "Unrecognized option", "Option not")
_MEMORY_FAULTS = (
    "Cannot allocate memory",
    "get_buffer() failed",  # ffmpeg's decoders
    "malloc of size",  # x264
    "MemoryError",
    "std::bad_alloc",
)


def raise_for(finished: Finished, limits: ProcessLimits) -> None:
    """Return if the process succeeded, else raise what its end means.

    Args:
        finished: how the process ended.
        limits: the bounds it ran under.

    Raises:
        PermanentMediaError: `too_complex` (CPU or memory), `too_large` (output), `unreadable`.
        TransientMediaError: `timed_out`, `killed`, `no_space`, `installation`, `internal`.
    """
    if finished.returncode == 0 and not finished.timed_out:
        return
    detail = finished.stderr
    # Before the time-out: a busy decoder that hit both will hit them again.
    if finished.cpu_seconds >= limits.cpu_seconds or finished.returncode == -signal.SIGXCPU:
        raise PermanentMediaError("too_complex", TOO_COMPLEX, detail=detail)
    if finished.timed_out:
        message = f"not finished after {limits.wall_seconds:.0f} s"
        raise TransientMediaError("timed_out", message, detail=detail)
    if finished.returncode == -signal.SIGXFSZ:
        message = "The converted video would be too large. Please upload it in shorter parts."
        raise PermanentMediaError("too_large", message, detail=detail)
    if finished.returncode in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT):
        # Not ours: the kernel out of memory, or an operator.
        message = f"ended by signal {-finished.returncode}"
        raise TransientMediaError("killed", message, detail=detail)
    _raise_for_words(finished.returncode, detail)
    raise PermanentMediaError("unreadable", UNREADABLE, detail=detail)


def _raise_for_words(returncode: int, detail: str) -> None:
    """Tell faults of the machine by what the tools print: their exit status is the same."""
    if "No space left on device" in detail or "Input/output error" in detail:
        raise TransientMediaError("no_space", "the scratch disk is full or fails", detail=detail)
    if returncode == COMMAND_NOT_STARTED or any(word in detail for word in _INSTALLATION_FAULTS):
        message = "ffmpeg is missing or lacks a part that we need"
        raise TransientMediaError("installation", message, detail=detail)
    if any(word in detail for word in _MEMORY_FAULTS):
        raise PermanentMediaError("too_complex", TOO_COMPLEX, detail=detail)
    if "Traceback (most recent call last)" in detail:
        # Our own steps report what is wrong with a file in words; an exception is our mistake.
        raise TransientMediaError("internal", "a step ended with an exception", detail=detail)
